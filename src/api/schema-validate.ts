// Validation of an object by its structural schema. Reasons, field paths and texts are those of
// k8s.io/kube-openapi and apiextensions, taken from a real API server's answers, because people
// search for them and programs match on them. Prune and default before: like the API server, this
// takes the object as it would be stored.
import { asList, asObject, entriesOf, hasKey, valueAt, type JsonObject } from './json.ts';
import type { SchemaRange, StructuralSchema } from './schema.ts';
import { joinPath, wholeObjectFields } from './schema-prune.ts';
import { parseTimestamp } from '../lib/timestamp.ts';

export type * from './schema.ts';

/** One field that is wrong, as in `status.details.causes`. */
export type SchemaFault = {
  readonly reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueTypeInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueDuplicate';
  readonly field: string;
  readonly message: string;
};

/** Nobody reads more; the walk ends there. */
const faultsMax = 100;
const shownMax = 1024;
const depthMax = 100;

/** Where the walk is. `previous`: the value that stands there now, `undefined` where none does. */
type Context = {
  readonly path: string;
  readonly faults: SchemaFault[];
  readonly previous: unknown;
};

/**
 * All that is wrong with an object by its schema; empty when it is valid. With the object that it
 * replaces, values that are as they were are not judged again (ratcheting, KEP-4008): an object
 * that this version's schema would refuse can still be labelled through it.
 */
export function validateStructural(
  schema: StructuralSchema,
  object: JsonObject,
  previous?: JsonObject,
): readonly SchemaFault[] {
  const faults: SchemaFault[] = [];
  checkObject(schema, object, { path: '', faults, previous });
  return faults;
}

function add(context: Context, reason: SchemaFault['reason'], message: string): void {
  const { path, faults } = context;
  if (faults.length < faultsMax) faults.push({ reason, field: path, message });
}

function checkValue(schema: StructuralSchema, value: unknown, context: Context): void {
  if (context.faults.length >= faultsMax) return;
  if (value === null && schema.isNullable) return;
  if (context.previous !== undefined && sameJson(context.previous, value)) return;
  const isTyped = checkType(schema, value, context);
  checkEnumeration(schema, value, context);
  if (!isTyped) return;
  const list = asList(value);
  const object = asObject(value);
  if (list !== undefined) checkList(schema, list, context);
  else if (object !== undefined) checkObject(schema, object, context);
  else if (typeof value === 'string') checkText(schema, value, context);
  else if (typeof value === 'number') checkNumber(schema, value, context);
}

function checkType(schema: StructuralSchema, value: unknown, context: Context): boolean {
  const { type } = schema;
  const found = typeOf(value);
  const isInteger = found === 'integer';
  if (type === undefined || type === found || (type === 'number' && isInteger)) return true;
  if (type === 'int-or-string' && (isInteger || found === 'string')) return true;
  const wanted = type === 'int-or-string' ? 'integer,string' : type;
  const must = `${context.path} in body must be of type ${wanted}`;
  add(context, 'FieldValueTypeInvalid', `Invalid value: "${found}": ${must}: "${found}"`);
  return false;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function checkEnumeration(schema: StructuralSchema, value: unknown, context: Context): void {
  const { enumeration } = schema;
  if (enumeration === undefined || enumeration.some((item) => sameJson(item, value))) return;
  const supported = enumeration.map((item) => JSON.stringify(item)).join(', ');
  const message = `Unsupported value: ${shown(value)}: supported values: ${supported}`;
  add(context, 'FieldValueNotSupported', message);
}

function checkText(schema: StructuralSchema, text: string, context: Context): void {
  const { size, pattern } = schema;
  const length = size.min === undefined && size.max === undefined ? 0 : characters(text);
  if (size.max !== undefined && length > size.max) {
    add(context, 'FieldValueTooLong', `Too long: may not be more than ${size.max} bytes`);
  }
  if (size.min !== undefined && length < size.min) {
    invalid(context, shown(text), `should be at least ${size.min} chars long`);
  }
  if (pattern !== undefined && !pattern.matches(text)) {
    invalid(context, shown(text), `should match '${pattern.source}'`);
  }
  if (schema.isDateTime && parseTimestamp(text) === undefined) {
    const must = `${context.path} in body must be of type date-time`;
    add(context, 'FieldValueTypeInvalid', `Invalid value: ${shown(text)}: ${must}: ${shown(text)}`);
  }
}

function checkNumber(schema: StructuralSchema, value: number, context: Context): void {
  const { range, multipleOf } = schema;
  const low = lowFault(range, value);
  if (low !== undefined) invalid(context, shown(value), `should be ${low}`);
  const high = highFault(range, value);
  if (high !== undefined) invalid(context, shown(value), `should be ${high}`);
  if (multipleOf === undefined || multipleOf <= 0) return;
  if (!Number.isInteger(value / multipleOf)) {
    invalid(context, shown(value), `should be a multiple of ${multipleOf}`);
  }
}

function lowFault({ min, isMinExcluded }: SchemaRange, value: number): string | undefined {
  if (min === undefined || value > min) return undefined;
  if (isMinExcluded) return `greater than ${min}`;
  return value === min ? undefined : `greater than or equal to ${min}`;
}

function highFault({ max, isMaxExcluded }: SchemaRange, value: number): string | undefined {
  if (max === undefined || value < max) return undefined;
  if (isMaxExcluded) return `less than ${max}`;
  return value === max ? undefined : `less than or equal to ${max}`;
}

function checkList(schema: StructuralSchema, list: readonly unknown[], context: Context): void {
  const { items, listKeys, size } = schema;
  checkCount(size, list.length, 'items', context);
  if (items !== undefined) {
    list.forEach((item, index) => {
      const previous = correlated(listKeys ?? [], item, context.previous);
      checkValue(items, item, { ...context, path: `${context.path}[${index}]`, previous });
    });
  }
  if (listKeys !== undefined) checkDuplicates(listKeys, list, context);
}

/** The item of the former list with the same keys; items of other lists have no former self. */
function correlated(keys: readonly string[], item: unknown, previous: unknown): unknown {
  const object = asObject(item);
  if (keys.length === 0 || object === undefined) return undefined;
  const wanted = canonical(keyOf(object, keys));
  return asList(previous)?.find((other) => {
    const former = asObject(other);
    return former !== undefined && canonical(keyOf(former, keys)) === wanted;
  });
}

/** Items of a set, and keys of the items of a map, occur once. */
function checkDuplicates(
  keys: readonly string[],
  list: readonly unknown[],
  context: Context,
): void {
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    const at = { ...context, path: `${context.path}[${index}]` };
    const object = asObject(item);
    if (keys.length > 0 && object === undefined) {
      const must = 'must be an object for an array of list-type map';
      add(at, 'FieldValueInvalid', `Invalid value: ${shown(item)}: ${must}`);
      continue;
    }
    const key = object === undefined || keys.length === 0 ? item : keyOf(object, keys);
    const text = canonical(key);
    if (seen.has(text)) add(at, 'FieldValueDuplicate', `Duplicate value: ${text}`);
    seen.add(text);
  }
}

function keyOf(object: JsonObject, keys: readonly string[]): JsonObject {
  const present = keys.filter((key) => hasKey(object, key));
  return Object.fromEntries(present.map((key) => [key, object[key]]));
}

function checkObject(schema: StructuralSchema, object: JsonObject, context: Context): void {
  checkCount(schema.size, Object.keys(object).length, 'properties', context);
  for (const name of schema.required) {
    if (hasKey(object, name)) continue;
    add({ ...context, path: joinPath(context.path, name) }, 'FieldValueRequired', 'Required value');
  }
  for (const [key, value] of entriesOf(object)) {
    if (context.path === '' && wholeObjectFields.has(key)) continue;
    const field = schema.properties.get(key) ?? schema.additional;
    if (field === undefined || field === 'any') continue;
    const previous = valueAt(asObject(context.previous), key);
    checkValue(field, value, { ...context, path: joinPath(context.path, key), previous });
  }
}

function checkCount(
  size: SchemaRange,
  count: number,
  word: 'items' | 'properties',
  context: Context,
): void {
  if (size.max !== undefined && count > size.max) {
    const message = `Too many: ${count}: must have at most ${size.max} items`;
    add(context, 'FieldValueTooMany', message);
  }
  if (size.min !== undefined && count < size.min) {
    invalid(context, `${count}`, `should have at least ${size.min} ${word}`);
  }
}

function invalid(context: Context, value: string, should: string): void {
  const message = `Invalid value: ${value}: ${context.path} in body ${should}`;
  add(context, 'FieldValueInvalid', message);
}

function shown(value: unknown): string {
  const text = canonical(value);
  return text.length <= shownMax ? text : `${text.slice(0, shownMax)}…`;
}

/** Code points, as Go counts runes. */
function characters(text: string): number {
  let count = 0;
  for (const _character of text) count += 1;
  return count;
}

function sameJson(left: unknown, right: unknown): boolean {
  return left === right || canonical(left) === canonical(right);
}

/**
 * One text for one value, whatever the order of its keys. Schemas end long before the depth limit;
 * what lies deeper is in fields that are preserved unseen, and all alike here.
 */
function canonical(value: unknown, depth = 0): string {
  if (depth > depthMax) return '…';
  const list = asList(value);
  if (list !== undefined) return `[${list.map((item) => canonical(item, depth + 1)).join(',')}]`;
  const object = asObject(value);
  if (object === undefined) return JSON.stringify(value) ?? 'null';
  const fields = [...entriesOf(object)].sort(([left], [right]) => (left < right ? -1 : 1));
  const texts = fields.map(([key, field]) => {
    return `${JSON.stringify(key)}:${canonical(field, depth + 1)}`;
  });
  return `{${texts.join(',')}}`;
}
