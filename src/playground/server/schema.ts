// What a kind's structural schema does to an object: unknown fields are found and pruned, defaults
// are filled in, wrong values are told. Custom kinds go through `api`, by the same functions that
// `weft lint` uses; built-in kinds, whose schemas here are partial, through the short walks below.
import { type StructuralSchema, structuralSchemas } from '../../api/index.ts';
import { copyOf, isObject, objectAt, type Json, type JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';
import { objectMeta } from './schemas/meta.ts';
import {
  declaredField,
  fieldShape,
  isPreserving,
  itemShape,
  rootShape,
  type Shape,
} from './shape.ts';
import type { Cause } from './status.ts';

/** The known part of a body, and the paths of the rest. */
export type Decoded = { readonly object: JsonObject; readonly unknown: readonly string[] };

const readings = new WeakMap<JsonObject, { readonly schema: StructuralSchema | undefined }>();

/** The schema of a custom kind, read once. */
function structuralOf(kind: ResourceKind): StructuralSchema | undefined {
  if (!kind.isCustom || kind.schema === undefined) return undefined;
  let reading = readings.get(kind.schema);
  if (reading === undefined) {
    reading = { schema: structuralSchemas.read(kind.schema).schema };
    readings.set(kind.schema, reading);
  }
  return reading.schema;
}

/** A copy with the fields that the kind knows, and the paths of those that it does not. */
export function decodeFields(kind: ResourceKind, body: JsonObject): Decoded {
  const unknown: string[] = [];
  const structural = structuralOf(kind);
  if (structural === undefined) {
    const object = pruned(rootShape(kind), body, '', unknown);
    return { object: isObject(object) ? object : {}, unknown };
  }
  const own = structuralSchemas.prune(structural, body);
  // Pruning a JSON tree gives a JSON tree; it shares what it did not change, hence the copy.
  const object = copyOf(own.value as JsonObject);
  if (isObject(object.metadata)) {
    object.metadata = pruned(objectMeta, object.metadata, 'metadata', unknown);
  }
  return { object, unknown: [...unknown, ...own.unknown] };
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
  const structural = structuralOf(kind);
  if (structural !== undefined) {
    // A JSON tree, as above.
    return copyOf(structuralSchemas.fill(structural, object) as JsonObject);
  }
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
    if (isMissing && standard !== undefined)
      filled[key] = defaulted(fieldShape(shape, key), standard);
  }
  return filled;
}

/** What is wrong with a custom object by its schema; built-in kinds have rules instead. */
export function schemaCauses(
  kind: ResourceKind,
  object: JsonObject,
  previous?: JsonObject,
): readonly Cause[] {
  const structural = structuralOf(kind);
  return structural === undefined ? [] : structuralSchemas.validate(structural, object, previous);
}

/**
 * The first wrong type of a built-in object, as `path of type x`; the real server refuses to decode
 * it.
 */
export function typeFault(kind: ResourceKind, object: JsonObject): string | undefined {
  return kind.isCustom ? undefined : wrongType(rootShape(kind), object, '');
}

function wrongType(shape: Shape, value: Json, path: string): string | undefined {
  const type = shape?.type;
  if (value === null || typeof type !== 'string') return undefined;
  if (!isOfType(type, value)) {
    const given = Array.isArray(value) ? 'array' : typeof value;
    return `json: cannot unmarshal ${given} into Go struct field ${path} of type ${type}`;
  }
  const parts: readonly (readonly [string, Shape, Json])[] = Array.isArray(value)
    ? value.map((item) => [path, itemShape(shape), item])
    : isObject(value)
      ? Object.entries(value).map(([key, field]) => [
          path === '' ? key : `${path}.${key}`,
          fieldShape(shape, key),
          field,
        ])
      : [];
  for (const [place, partShape, part] of parts) {
    const fault = wrongType(partShape, part, place);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isOfType(type: string, value: Json): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
    default:
      return true;
  }
}
