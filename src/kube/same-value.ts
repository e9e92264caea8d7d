// Structural equality of parsed objects: plain objects, arrays, Maps and primitives. It tells
// events that change something we use from the many that do not (a status, a lease, a foreign
// label).

export function sameValue(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (!isObject(one) || !isObject(other)) return false;
  if (Array.isArray(one)) return Array.isArray(other) && sameItems(one, other);
  if (one instanceof Map) return other instanceof Map && sameEntries(one, other);
  if (Array.isArray(other) || other instanceof Map) return false;
  return sameFields(one, other);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function sameItems(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((item, at) => sameValue(item, other[at]));
}

function sameEntries(
  one: ReadonlyMap<unknown, unknown>,
  other: ReadonlyMap<unknown, unknown>,
): boolean {
  if (one.size !== other.size) return false;
  for (const [key, value] of one) {
    if (!other.has(key) || !sameValue(value, other.get(key))) return false;
  }
  return true;
}

function sameFields(one: object, other: object): boolean {
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  // The casts only say that an object can be asked for its own keys.
  const left = one as Readonly<Record<string, unknown>>;
  const right = other as Readonly<Record<string, unknown>>;
  return keys.every((key) => Object.hasOwn(right, key) && sameValue(left[key], right[key]));
}
