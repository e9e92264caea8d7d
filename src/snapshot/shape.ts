// Type guards for data that was decoded from JSON. They answer yes or no and never throw: what does
// not have the shape is refused as a whole by the caller. Keys beyond the shape are tolerated,
// because a reader of the next release must be able to read what this one wrote and vice versa.

export type Guard<T> = (value: unknown) => value is T;

/** Own keys and what their values must be. */
export type Shape<T> = { readonly [K in keyof T]-?: Guard<T[K]> };

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

/** A whole number from zero that arithmetic keeps exact. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** A finite number from zero: durations and percentages may have a fraction. */
export function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

export function isPort(value: unknown): value is number {
  return isCount(value) && value >= 1 && value <= 65_535;
}

/** One of a closed set of words. */
export function isOneOf<const W extends string>(...words: readonly W[]): Guard<W> {
  const known: ReadonlySet<unknown> = new Set(words);
  return (value): value is W => known.has(value);
}

export function isListOf<T>(isItem: Guard<T>): Guard<readonly T[]> {
  return (value): value is readonly T[] =>
    Array.isArray(value) && value.every((item) => isItem(item));
}

/** Absent is fine; `null` is not (nothing of ours writes it). */
export function isAbsentOr<T>(isPresent: Guard<T>): Guard<T | undefined> {
  return (value): value is T | undefined => value === undefined || isPresent(value);
}

export function isEither<A, B>(isLeft: Guard<A>, isRight: Guard<B>): Guard<A | B> {
  return (value): value is A | B => isLeft(value) || isRight(value);
}

export function hasShape<T>(shape: Shape<T>): Guard<T> {
  // `Object.entries` loses the link between key and guard; each guard is applied to its own key.
  const entries = Object.entries(shape) as [string, Guard<unknown>][];
  return (value): value is T => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const fields = value as Readonly<Record<string, unknown>>;
    return entries.every(([key, isField]) =>
      isField(Object.hasOwn(fields, key) ? fields[key] : undefined),
    );
  };
}
