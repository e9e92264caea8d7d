// What an API server makes of an object before it validates it: fields that the schema does not
// know are dropped (and named, for Strict field validation), nulls where null is not allowed are
// dropped, defaults are filled in. Values are never changed in place; what stays as it was is
// shared with the input. `apiVersion`, `kind` and `metadata` of the whole object are not the
// schema's business.
import { asList, asObject, entriesOf, type JsonObject } from './json.ts';
import type { StructuralSchema } from './schema.ts';

/** Every object has these, whatever its schema says. */
export const wholeObjectFields: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

export type Pruned = {
  readonly value: JsonObject;
  /** Paths of the fields that were dropped, sorted. */
  readonly unknown: readonly string[];
};

const unknownMax = 100;

/** The object without the fields that its schema does not know. */
export function pruneStructural(schema: StructuralSchema, object: JsonObject): Pruned {
  const unknown: string[] = [];
  const value = pruneObject(schema, object, '', unknown);
  return { value, unknown: unknown.sort().slice(0, unknownMax) };
}

/** The object with its schema's defaults, and without nulls that the schema does not allow. */
export function defaultStructural(schema: StructuralSchema, object: JsonObject): JsonObject {
  return defaultObject(schema, object, wholeObjectFields);
}

/** `a.b`, or just `b` at the top. */
export function joinPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function pruneValue(
  schema: StructuralSchema | undefined,
  value: unknown,
  path: string,
  unknown: string[],
): unknown {
  const list = asList(value);
  if (list !== undefined) {
    const items = schema?.items;
    if (items === undefined && (schema === undefined || schema.keepsUnknown)) return list;
    return list.map((item, index) => pruneValue(items, item, `${path}[${index}]`, unknown));
  }
  const object = asObject(value);
  if (object === undefined) return value;
  return pruneObject(schema, object, path, unknown);
}

function pruneObject(
  schema: StructuralSchema | undefined,
  object: JsonObject,
  path: string,
  unknown: string[],
): JsonObject {
  const kept: [string, unknown][] = [];
  for (const [key, value] of entriesOf(object)) {
    const field = fieldOf(schema, key);
    const below = joinPath(path, key);
    if (field === 'any' || (path === '' && wholeObjectFields.has(key))) {
      kept.push([key, value]);
    } else if (field === undefined) {
      unknown.push(below);
    } else {
      kept.push([key, pruneValue(field, value, below, unknown)]);
    }
  }
  // Object.fromEntries defines own properties, so that `__proto__` stays a field like any other.
  return Object.fromEntries(kept);
}

/** Schema of a field; 'any' keeps it as it is, `undefined` drops it. */
function fieldOf(
  schema: StructuralSchema | undefined,
  key: string,
): StructuralSchema | 'any' | undefined {
  if (schema === undefined) return undefined;
  const named = schema.properties.get(key) ?? schema.additional;
  return named ?? (schema.keepsUnknown ? 'any' : undefined);
}

function defaultValue(schema: StructuralSchema, value: unknown): unknown {
  const { items } = schema;
  const list = asList(value);
  if (list !== undefined) {
    return items === undefined ? list : list.map((item) => defaultValue(items, item));
  }
  const object = asObject(value);
  return object === undefined ? value : defaultObject(schema, object, nothing);
}

const nothing: ReadonlySet<string> = new Set();

function defaultObject(
  schema: StructuralSchema,
  object: JsonObject,
  exempt: ReadonlySet<string>,
): JsonObject {
  const result = new Map<string, unknown>();
  for (const [key, value] of entriesOf(object)) {
    const field = exempt.has(key) ? 'any' : fieldOf(schema, key);
    if (field === undefined || field === 'any') result.set(key, value);
    else if (value !== null) result.set(key, defaultValue(field, value));
    // A null that the schema does not allow counts as absent, and is no value of the object.
    else if (field.isNullable) result.set(key, null);
  }
  for (const [key, field] of schema.properties) {
    if (exempt.has(key) || result.has(key) || field.initial === undefined) continue;
    result.set(key, defaultValue(field, field.initial));
  }
  return Object.fromEntries(result);
}
