// JSON as a type, for manifests and values: what is rendered here leaves the process as text, so
// nothing else may stand in it.

export type Json = null | boolean | number | string | readonly Json[] | JsonMap;
export type JsonMap = { readonly [name: string]: Json };

/** Entries of an object; none of anything else. */
export function entriesOf(value: Json): readonly (readonly [string, Json])[] {
  return isMap(value) ? Object.entries(value) : [];
}

export function isMap(value: Json): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * `over` laid on `under`: objects field by field, everything else as a whole; null takes a field
 * away. So does Helm.
 */
export function overlay(under: Json, over: Json): Json {
  if (!isMap(under) || !isMap(over)) return over;
  const merged = new Map(entriesOf(under));
  for (const [name, value] of entriesOf(over)) {
    const below = merged.get(name);
    if (value === null) merged.delete(name);
    else merged.set(name, below === undefined ? value : overlay(below, value));
  }
  return Object.fromEntries(merged);
}

/** The field, unless its value is a list or an object with nothing in it. */
export function filled(name: string, value: Json): JsonMap {
  const isEmpty = Array.isArray(value) ? value.length === 0 : isMap(value) && !hasFields(value);
  return isEmpty ? {} : { [name]: value };
}

function hasFields(value: JsonMap): boolean {
  return Object.keys(value).length > 0;
}
