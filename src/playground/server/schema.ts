// What a kind's structural schema does to an object: unknown fields are found and pruned, defaults
// are filled in, wrong values are told. The schemas of custom kinds come from their definitions.
import { copyOf, isObject, objectAt, type Json, type JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';
import { declaredField, fieldShape, isPreserving, itemShape, rootShape, type Shape } from './shape.ts';
import type { Cause } from './status.ts';

export type Decoded = { readonly object: JsonObject; readonly unknown: readonly string[] };

/** A copy with the fields that the kind knows, and the paths of those that it does not. */
export function decodeFields(kind: ResourceKind, body: JsonObject): Decoded {
  const unknown: string[] = [];
  const object = pruned(rootShape(kind), body, '', unknown);
  return { object: isObject(object) ? object : {}, unknown };
}

function pruned(shape: Shape, value: Json, path: string, unknown: string[]): Json {
  if (Array.isArray(value)) {
    const items = itemShape(shape);
    return items === undefined
      ? copyOf(value)
      : value.map((item, index) => pruned(items, item, `${path}[${index}]`, unknown));
  }
  if (!isObject(value)) return value;
  const kept: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    const known = fieldShape(shape, key);
    const place = path === '' ? key : `${path}.${key}`;
    if (known !== undefined) kept[key] = pruned(known, field, place, unknown);
    else if (isPreserving(shape) || shape?.['x-kubernetes-int-or-string'] === true) {
      kept[key] = copyOf(field);
    } else unknown.push(place);
  }
  return kept;
}

/** A copy with every missing field that has a default. */
export function withDefaults(kind: ResourceKind, object: JsonObject): JsonObject {
  const filled = defaulted(rootShape(kind), object);
  return isObject(filled) ? filled : object;
}

function defaulted(shape: Shape, value: Json): Json {
  if (shape === undefined) return copyOf(value);
  if (Array.isArray(value)) {
    const items = itemShape(shape);
    return value.map((item) => defaulted(items, item));
  }
  if (!isObject(value)) return value;
  const filled: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    filled[key] = defaulted(fieldShape(shape, key), field);
  }
  for (const key of Object.keys(objectAt(shape, 'properties'))) {
    const standard = declaredField(shape, key)?.default;
    const isMissing = filled[key] === undefined || filled[key] === null;
    if (isMissing && standard !== undefined) filled[key] = defaulted(fieldShape(shape, key), standard);
  }
  return filled;
}

export function schemaCauses(_kind: ResourceKind, _object: JsonObject): readonly Cause[] {
  return [];
}
