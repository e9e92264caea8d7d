// What a kind's structural schema says about an object: which fields are unknown, which defaults are
// missing, which values are wrong. The rules themselves are those of `api`.
import { copyOf, type JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';
import type { Cause } from './status.ts';

export type Decoded = { readonly object: JsonObject; readonly unknown: readonly string[] };

/** A copy with the fields that the kind knows, and the paths of those that it does not. */
export function decodeFields(_kind: ResourceKind, body: JsonObject): Decoded {
  return { object: copyOf(body), unknown: [] };
}

export function withDefaults(_kind: ResourceKind, object: JsonObject): JsonObject {
  return copyOf(object);
}

export function schemaCauses(_kind: ResourceKind, _object: JsonObject): readonly Cause[] {
  return [];
}
