// Reading a structural schema: what a field, a list item or a key of it is. An absent schema means
// that the shape is deduced from the value: objects merge by field, lists are replaced as a whole.
import { at, isObject, textAt, type Json, type JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';
import { identification, objectMeta } from './schemas/meta.ts';

/** A structural schema, or nothing known. */
export type Shape = JsonObject | undefined;

const roots = new WeakMap<ResourceKind, JsonObject>();

/** The schema of whole objects of a kind: its own, with apiVersion, kind and metadata. */
export function rootShape(kind: ResourceKind): JsonObject {
  const known = roots.get(kind);
  if (known !== undefined) return known;
  const own = kind.schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const properties = { ...(isObject(own.properties) ? own.properties : {}), ...identification };
  const root: JsonObject = {
    ...own,
    type: 'object',
    properties: { ...properties, metadata: objectMeta },
  };
  roots.set(kind, root);
  return root;
}

/** The schema of a declared field. */
export function declaredField(shape: Shape, key: string): Shape {
  const found = at(shape, 'properties', key);
  return isObject(found) ? found : undefined;
}

/** The schema of a field, declared or covered by `additionalProperties`. */
export function fieldShape(shape: Shape, key: string): Shape {
  const declared = declaredField(shape, key);
  if (declared !== undefined) return declared;
  const additional = at(shape, 'additionalProperties');
  return isObject(additional) ? additional : undefined;
}

/** The schema of a list's items. */
export function itemShape(shape: Shape): Shape {
  const items = at(shape, 'items');
  return isObject(items) ? items : undefined;
}

/** Whether undeclared fields stay. */
export function isPreserving(shape: Shape): boolean {
  return (
    at(shape, 'x-kubernetes-preserve-unknown-fields') === true ||
    at(shape, 'additionalProperties') === true
  );
}

/** Whether an object is owned and replaced as a whole. */
export function isAtomicMap(shape: Shape): boolean {
  return at(shape, 'x-kubernetes-map-type') === 'atomic';
}

/** How the items of a list are told apart, if at all. */
export type ListForm =
  | { readonly kind: 'atomic' }
  | { readonly kind: 'set' }
  | { readonly kind: 'map'; readonly keys: readonly string[] };

/** Atomic unless the schema says otherwise, as the real server defaults. */
export function listForm(shape: Shape): ListForm {
  switch (textAt(shape, 'x-kubernetes-list-type')) {
    case 'set':
      return { kind: 'set' };
    case 'map': {
      const keys = at(shape, 'x-kubernetes-list-map-keys');
      const named = Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : [];
      return { kind: 'map', keys: named };
    }
    default:
      return { kind: 'atomic' };
  }
}

/**
 * The keys of a list item as one canonical text, defaults filled in:
 * `{"port":80,"protocol":"TCP"}`.
 */
export function itemKey(shape: Shape, keys: readonly string[], item: Json): string {
  const named: JsonObject = {};
  for (const key of [...keys].sort()) {
    const value = at(item, key) ?? at(fieldShape(itemShape(shape), key), 'default');
    if (value !== undefined) named[key] = value;
  }
  return JSON.stringify(named);
}
