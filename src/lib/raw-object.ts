// Reading decoded JSON of the API server without trusting its shape: what is not there, or of
// another type, is `undefined`. Names are looked up as own keys only.

/** The value at `path`, through objects; arrays have no names. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null || Array.isArray(current)) return undefined;
    if (!Object.hasOwn(current, name)) return undefined;
    // An own key of an object that is no array; its value is as unknown as the whole.
    current = (current as Readonly<Record<string, unknown>>)[name];
  }
  return current;
}

export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = valueAt(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path);
  return Array.isArray(found) ? found : [];
}
