// Who owns which field (`metadata.managedFields`).
import type { ApiContext, WriteOptions } from './context.ts';
import type { JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';

export type TrackedWrite = {
  readonly api: ApiContext;
  readonly kind: ResourceKind;
  readonly object: JsonObject;
  readonly previous: JsonObject | undefined;
  readonly subresource: string;
  readonly options: WriteOptions;
};

/** The object with the written fields owned by the writer. */
export function trackUpdate(write: TrackedWrite): JsonObject {
  return write.object;
}
