// Objects on the wire: plain JSON trees and the few readers that the server needs. A stored tree is
// never changed in place; whoever writes makes a copy first. Keys come from outside: a `__proto__`
// key is dropped when a body is parsed, so that a plain object is safe to merge into.

/** A parsed JSON document. */
export type Json = string | number | boolean | null | Json[] | JsonObject;
/** An object whose keys may come from outside. */
export type JsonObject = { [key: string]: Json };

/** Neither a list nor null. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses text from outside; throws SyntaxError as JSON.parse does. */
export function parseJson(text: string): Json {
  // JSON.parse returns `any`; it can only return JSON.
  const parsed = text.includes('__proto__')
    ? (JSON.parse(text, (key, value: unknown) => (key === '__proto__' ? undefined : value)) as Json)
    : (JSON.parse(text) as Json);
  return parsed;
}

/** A deep copy. Ten times as fast as structuredClone, which knows more than JSON. */
export function copyOf<T extends Json>(value: T): T {
  // A copy of a tree has the shape of the tree.
  return copyTree(value) as T;
}

function copyTree(value: Json): Json {
  if (Array.isArray(value)) return value.map(copyTree);
  if (!isObject(value)) return value;
  const copy: JsonObject = {};
  for (const [key, field] of Object.entries(value)) copy[key] = copyTree(field);
  return copy;
}

/** What stands at `path`, or `undefined` where a step is missing. */
export function at(root: Json | undefined, ...path: readonly string[]): Json | undefined {
  let here: Json | undefined = root;
  for (const step of path) {
    if (!isObject(here)) return undefined;
    here = Object.hasOwn(here, step) ? here[step] : undefined;
  }
  return here;
}

/** The text at `path`; `undefined` for anything else. */
export function textAt(root: Json | undefined, ...path: readonly string[]): string | undefined {
  const found = at(root, ...path);
  return typeof found === 'string' ? found : undefined;
}

/** The number at `path`; `undefined` for anything else. */
export function numberAt(root: Json | undefined, ...path: readonly string[]): number | undefined {
  const found = at(root, ...path);
  return typeof found === 'number' ? found : undefined;
}

/** The object at `path`; an empty one where there is none. */
export function objectAt(root: Json | undefined, ...path: readonly string[]): JsonObject {
  const found = at(root, ...path);
  return isObject(found) ? found : {};
}

/** The list at `path`; an empty one where there is none. */
export function listAt(root: Json | undefined, ...path: readonly string[]): readonly Json[] {
  const found = at(root, ...path);
  return Array.isArray(found) ? found : [];
}

/** Copies `root` along `path` and puts `value` there; `undefined` removes the key. */
export function withAt(
  root: JsonObject,
  path: readonly string[],
  value: Json | undefined,
): JsonObject {
  const [step, ...rest] = path;
  if (step === undefined) return root;
  const next = { ...root };
  const placed = rest.length === 0 ? value : withAt(objectAt(root, step), rest, value);
  if (placed === undefined) delete next[step];
  else next[step] = placed;
  return next;
}

/** Equality of JSON trees; the order of keys does not matter. */
export function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false;
    return left.every((item, index) => sameJson(item, right[index]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  return keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key], right[key]));
}

/** Empty when there is none. */
export function nameOf(object: JsonObject): string {
  return textAt(object, 'metadata', 'name') ?? '';
}

/** Empty for cluster-scoped objects. */
export function namespaceOf(object: JsonObject): string {
  return textAt(object, 'metadata', 'namespace') ?? '';
}
