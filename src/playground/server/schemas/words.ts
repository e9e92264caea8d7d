// The words in which schemas of built-in kinds are written: short makers of OpenAPI v3 structural
// schemas with Kubernetes' extensions. The extensions decide how lists merge in apply and patch.
import type { Json, JsonObject } from '../json.ts';

/** Declared fields by name. */
export type Fields = { readonly [name: string]: JsonObject };

export const text: JsonObject = { type: 'string' };
export const flag: JsonObject = { type: 'boolean' };
export const whole: JsonObject = { type: 'integer', format: 'int32' };
export const long: JsonObject = { type: 'integer', format: 'int64' };
export const time: JsonObject = { type: 'string', format: 'date-time' };
export const bytes: JsonObject = { type: 'string', format: 'byte' };
export const intOrText: JsonObject = { 'x-kubernetes-int-or-string': true };
/** Not described further: any object is taken as it is. */
export const anything: JsonObject = {
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
};
/** Not even known to be an object. */
export const anyValue: JsonObject = { 'x-kubernetes-preserve-unknown-fields': true };

/** An object of which exactly these fields are known. */
export function object(properties: Fields, required: readonly string[] = []): JsonObject {
  const made: JsonObject = { type: 'object', properties: { ...properties } };
  if (required.length > 0) made.required = [...required];
  return made;
}

/** Replaced as a whole by whoever applies it. */
export function atomic(schema: JsonObject): JsonObject {
  return { ...schema, 'x-kubernetes-map-type': 'atomic' };
}

/** Keys from outside; merged key by key. */
export function mapOf(schema: JsonObject): JsonObject {
  return { type: 'object', additionalProperties: schema };
}

/** Replaced as a whole, because nothing tells its items apart. */
export function listOf(items: JsonObject): JsonObject {
  return { type: 'array', items, 'x-kubernetes-list-type': 'atomic' };
}

/** Scalars that are told apart by their value. */
export function setOf(items: JsonObject): JsonObject {
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'set',
    'x-kubernetes-patch-strategy': 'merge',
  };
}

/** A list whose items are told apart by `keys`; a strategic merge patch uses the first. */
export function listByKey(keys: readonly [string, ...string[]], items: JsonObject): JsonObject {
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [...keys],
    'x-kubernetes-patch-strategy': 'merge',
    'x-kubernetes-patch-merge-key': keys[0],
  };
}

/** Filled in where the field is missing, and part of a list key that leaves it out. */
export function withDefault(schema: JsonObject, value: Json): JsonObject {
  return { ...schema, default: value };
}

/** The sentence is what `kubectl explain` shows. */
export function described(description: string, schema: JsonObject): JsonObject {
  return { description, ...schema };
}

export const mapOfText = mapOf(text);
export const listOfText = listOf(text);

/** `status.conditions` as most kinds have them. */
export const conditions = listByKey(
  ['type'],
  object(
    {
      type: text,
      status: text,
      reason: text,
      message: text,
      observedGeneration: long,
      lastProbeTime: time,
      lastHeartbeatTime: time,
      lastUpdateTime: time,
      lastTransitionTime: time,
    },
    ['type', 'status'],
  ),
);
