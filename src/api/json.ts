// Reading decoded JSON: `unknown` in, a typed value or `undefined` out. Nothing here knows about
// Kubernetes and nothing throws. Only own properties count, since `constructor` and `__proto__` are
// legal keys of objects from outside (A13).

export type JsonObject = Readonly<Record<string, unknown>>;

/** The value as an object, neither list nor null. */
export function asObject(value: unknown): JsonObject | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value as JsonObject;
}

/** The value as a list. */
export function asList(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? (value as readonly unknown[]) : undefined;
}

/** The value as a string. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The value as a whole number that a double holds exactly. */
export function asInteger(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** The value as a TCP or UDP port number. */
export function asPort(value: unknown): number | undefined {
  const port = asInteger(value);
  return port !== undefined && port >= 1 && port <= 65535 ? port : undefined;
}

/** Own entries of an object in its own order. */
export function entriesOf(object: JsonObject): readonly (readonly [string, unknown])[] {
  return Object.entries(object);
}

/** Whether the object has the key at all, be it with null. */
export function hasKey(object: JsonObject, key: string): boolean {
  return Object.hasOwn(object, key);
}

/** The value of an own key, `undefined` when the object has none. */
export function valueAt(object: JsonObject | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** How a wrong value is shown in a message: short, and never a whole document. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}..."`;
}
