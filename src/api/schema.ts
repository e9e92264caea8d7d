// Structural schemas of CustomResourceDefinitions (apiextensions.k8s.io/v1, `openAPIV3Schema`),
// read once into a form that is quick to walk. Used by the embedded API server and by `weft
// lint`, so that both refuse what a real API server refuses. What is not evaluated – CEL rules,
// oneOf, anyOf, allOf, not, most formats – is listed by the reader, never silently taken as
// passed.
import { compilePattern, type Pattern } from '../lib/pattern.ts';
import { asInteger, asList, asObject, asText, entriesOf, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';

export type SchemaType = 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';

/** Bounds of a number, a length or a count. */
export type SchemaRange = {
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly isMinExcluded: boolean;
  readonly isMaxExcluded: boolean;
};

export type StructuralSchema = {
  /** `undefined`: any value (only together with keepsUnknown). */
  readonly type: SchemaType | 'int-or-string' | undefined;
  readonly isNullable: boolean;
  /** `x-kubernetes-preserve-unknown-fields`. */
  readonly keepsUnknown: boolean;
  readonly properties: ReadonlyMap<string, StructuralSchema>;
  /** `additionalProperties`; 'any' for `true`. */
  readonly additional: StructuralSchema | 'any' | undefined;
  readonly items: StructuralSchema | undefined;
  readonly required: readonly string[];
  readonly enumeration: readonly unknown[] | undefined;
  readonly pattern: Pattern | undefined;
  readonly isDateTime: boolean;
  readonly range: SchemaRange;
  readonly multipleOf: number | undefined;
  /** Characters, items or properties, whatever the type has. */
  readonly size: SchemaRange;
  /** Keys of a list of type map; empty for a set; `undefined` for an atomic list. */
  readonly listKeys: readonly string[] | undefined;
  /** `undefined`: none. JSON has no undefined of its own. */
  readonly initial: unknown;
};

export type SchemaReading = {
  /** Absent when the schema is no structural schema at all. */
  readonly schema: StructuralSchema | undefined;
  /** What is wrong, as `path: what`. */
  readonly faults: readonly string[];
  /** Keywords that are there but not evaluated, as `path.keyword`. */
  readonly unevaluated: readonly string[];
};

/** Real CRDs stay below 20 levels; the limit bounds every walk over schema and value. */
const depthMax = 40;
const fieldsMax = 20_000;

const types: readonly SchemaType[] = ['object', 'array', 'string', 'integer', 'number', 'boolean'];
const unevaluatedKeywords = [
  'oneOf', 'anyOf', 'allOf', 'not', '$ref', 'uniqueItems', 'x-kubernetes-validations',
  'x-kubernetes-embedded-resource',
];

/** What one reading has found so far. */
type Notes = { readonly faults: string[]; readonly unevaluated: string[]; fields: number };

/** Reads an `openAPIV3Schema`. */
export function readSchema(input: unknown): SchemaReading {
  const notes: Notes = { faults: [], unevaluated: [], fields: 0 };
  const schema = readField(input, '', notes, 0);
  const { faults, unevaluated } = notes;
  return { schema: faults.length === 0 ? schema : undefined, faults, unevaluated };
}

function readField(input: unknown, path: string, notes: Notes, depth: number): StructuralSchema {
  const object = asObject(input) ?? {};
  notes.fields += 1;
  if (asObject(input) === undefined) notes.faults.push(`${path}: must be an object`);
  if (depth > depthMax || notes.fields > fieldsMax) {
    notes.faults.push(`${path}: the schema is too deep or too large`);
    return anything;
  }
  for (const keyword of unevaluatedKeywords) {
    if (valueAt(object, keyword) !== undefined) notes.unevaluated.push(`${path}.${keyword}`);
  }
  const keepsUnknown = valueAt(object, 'x-kubernetes-preserve-unknown-fields') === true;
  const type = readType(object, path, keepsUnknown, notes);
  const below = (value: unknown, step: string): StructuralSchema =>
    readField(value, `${path}.${step}`, notes, depth + 1);
  const items = valueAt(object, 'items');
  return {
    type,
    isNullable: valueAt(object, 'nullable') === true,
    keepsUnknown,
    properties: readProperties(object, below),
    additional: readAdditional(valueAt(object, 'additionalProperties'), below),
    items: items === undefined ? undefined : below(items, 'items'),
    required: readTexts(valueAt(object, 'required')),
    enumeration: asList(valueAt(object, 'enum')),
    pattern: readPattern(object, path, notes),
    isDateTime: valueAt(object, 'format') === 'date-time',
    range: readRange(object),
    multipleOf: readNumber(valueAt(object, 'multipleOf')),
    size: readSize(object, type),
    listKeys: readListKeys(object),
    initial: valueAt(object, 'default'),
  };
}

type Below = (value: unknown, step: string) => StructuralSchema;

function readType(
  object: JsonObject,
  path: string,
  keepsUnknown: boolean,
  notes: Notes,
): StructuralSchema['type'] {
  if (valueAt(object, 'x-kubernetes-int-or-string') === true) return 'int-or-string';
  const said = valueAt(object, 'type');
  const type = types.find((known) => known === said);
  const isAnything = said === undefined && keepsUnknown;
  if (type === undefined && !isAnything) {
    const must = 'must not be empty for specified object fields';
    notes.faults.push(`${path}.type: Required value: ${must}`);
  }
  return type;
}

function readProperties(
  object: JsonObject,
  below: Below,
): ReadonlyMap<string, StructuralSchema> {
  const properties = new Map<string, StructuralSchema>();
  for (const [name, field] of entriesOf(asObject(valueAt(object, 'properties')) ?? {})) {
    properties.set(name, below(field, `properties[${name}]`));
  }
  return properties;
}

function readAdditional(value: unknown, below: Below): StructuralSchema['additional'] {
  if (value === true) return 'any';
  return asObject(value) === undefined ? undefined : below(value, 'additionalProperties');
}

function readPattern(object: JsonObject, path: string, notes: Notes): Pattern | undefined {
  const source = asText(valueAt(object, 'pattern'));
  if (source === undefined) return undefined;
  const compiled = compilePattern(source, 'search');
  if ('matches' in compiled) return compiled;
  const shown = JSON.stringify(source);
  notes.faults.push(`${path}.pattern: Invalid value: ${shown}: ${compiled.problem}`);
  return undefined;
}

function readTexts(value: unknown): readonly string[] {
  return (asList(value) ?? []).flatMap((item) => asText(item) ?? []);
}

function readNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function readRange(object: JsonObject): SchemaRange {
  return {
    min: readNumber(valueAt(object, 'minimum')),
    max: readNumber(valueAt(object, 'maximum')),
    isMinExcluded: valueAt(object, 'exclusiveMinimum') === true,
    isMaxExcluded: valueAt(object, 'exclusiveMaximum') === true,
  };
}

function readSize(object: JsonObject, type: StructuralSchema['type']): SchemaRange {
  const unit = type === 'object' ? 'Properties' : type === 'array' ? 'Items' : 'Length';
  return {
    min: asInteger(valueAt(object, `min${unit}`)),
    max: asInteger(valueAt(object, `max${unit}`)),
    isMinExcluded: false,
    isMaxExcluded: false,
  };
}

function readListKeys(object: JsonObject): readonly string[] | undefined {
  const type = valueAt(object, 'x-kubernetes-list-type');
  if (type === 'set') return [];
  return type === 'map' ? readTexts(valueAt(object, 'x-kubernetes-list-map-keys')) : undefined;
}

const noRange: SchemaRange = {
  min: undefined, max: undefined, isMinExcluded: false, isMaxExcluded: false,
};

const anything: StructuralSchema = {
  type: undefined,
  isNullable: false,
  keepsUnknown: true,
  properties: new Map(),
  additional: undefined,
  items: undefined,
  required: [],
  enumeration: undefined,
  pattern: undefined,
  isDateTime: false,
  range: noRange,
  multipleOf: undefined,
  size: noRange,
  listKeys: undefined,
  initial: undefined,
};
