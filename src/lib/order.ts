// Orders in which no locale takes part, and sorting that is free where nothing is to be done: an
// API server lists objects by namespace and name, so keys mostly come in their order, and the copy
// that sorting makes is the dearest part of finding that out.

/** Order of texts by code unit. */
export function byText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Order of entries by key. */
export function byKey(left: readonly [string, unknown], right: readonly [string, unknown]): number {
  return byText(left[0], right[0]);
}

/** `list` itself where it is in order already, else a sorted copy. */
export function inOrder<T>(
  list: readonly T[],
  compare: (left: T, right: T) => number,
): readonly T[] {
  for (let index = 1; index < list.length; index += 1) {
    const [before, here] = [list[index - 1], list[index]];
    if (before !== undefined && here !== undefined && compare(before, here) > 0) {
      return [...list].sort(compare);
    }
  }
  return list;
}

/** The keys of `map`, sorted. */
export function sortedKeys(map: ReadonlyMap<string, unknown>): readonly string[] {
  return [...withKeysInOrder(map).keys()];
}

/** `map` itself where its keys are in order, else a sorted copy. */
export function withKeysInOrder<T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return areInOrder(map.keys()) ? map : new Map([...map].sort(byKey));
}

function areInOrder(keys: Iterable<string>): boolean {
  let before = '';
  for (const key of keys) {
    if (before > key) return false;
    before = key;
  }
  return true;
}

/** Same values in the same places. */
export function isSameList(left: readonly unknown[], right: readonly unknown[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}

/** Each text once, in order: `texts` itself where it is so already. */
export function eachOnce(texts: readonly string[]): readonly string[] {
  for (let index = 1; index < texts.length; index += 1) {
    if (byText(texts[index - 1] ?? '', texts[index] ?? '') < 0) continue;
    return texts.length > fewMax ? [...new Set(texts)].sort(byText) : fewOnce(texts);
  }
  return texts;
}

/** As many as are put in their places one by one, for a tenth of what sorting costs. */
const fewMax = 8;

function fewOnce(texts: readonly string[]): readonly string[] {
  const sorted = [...texts];
  for (let index = 1; index < sorted.length; index += 1) {
    const text = sorted[index] ?? '';
    let place = index;
    for (; place > 0; place -= 1) {
      const before = sorted[place - 1] ?? '';
      if (before <= text) break;
      sorted[place] = before;
    }
    sorted[place] = text;
  }
  return sorted.some((text, index) => text === sorted[index - 1]) ? [...new Set(sorted)] : sorted;
}
