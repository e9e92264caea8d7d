// What has to change for an object to be as we want it, computed as `kubectl apply` does: what we
// want, what was applied last, what is there. Fields that others set stay, fields that we set
// before and do not any more go. Pure. The answer is a JSON merge patch (RFC 7396), which replaces
// lists as a whole: all lists of our objects are ours alone.
import { isMap, type Json, type JsonMap } from '../install/json.ts';

/** One field: where, what is there, what shall be; `undefined` for absent. */
export type FieldChange = {
  readonly path: string;
  readonly from: Json | undefined;
  readonly to: Json | undefined;
};

export type MergePlan = {
  /** Empty when nothing has to change. */
  readonly changes: readonly FieldChange[];
  readonly patch: JsonMap;
};

/** `last` is empty when nobody knows: then nothing is taken away. */
export function planMerge(wanted: JsonMap, last: JsonMap, live: JsonMap): MergePlan {
  const changes: FieldChange[] = [];
  const patch = mergeMaps({ wanted, last, live, path: '' }, changes);
  return { changes, patch };
}

type Level = {
  readonly wanted: JsonMap;
  readonly last: JsonMap;
  readonly live: JsonMap;
  readonly path: string;
};

function mergeMaps({ wanted, last, live, path }: Level, changes: FieldChange[]): JsonMap {
  const patch: Record<string, Json> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const at = path === '' ? key : `${path}.${key}`;
    const there = live[key];
    if (isMap(value) && there !== undefined && isMap(there)) {
      const inner = { wanted: value, last: asMap(last[key]), live: there, path: at };
      const below = mergeMaps(inner, changes);
      if (Object.keys(below).length > 0) patch[key] = below;
    } else if (isChanged(value, last[key], there)) {
      patch[key] = value;
      noteChange(at, there, value, changes);
    }
  }
  for (const key of Object.keys(last)) {
    const there = live[key];
    if (Object.hasOwn(wanted, key) || there === undefined) continue;
    const at = path === '' ? key : `${path}.${key}`;
    if (isMap(there)) {
      // What others have put into it stays.
      const inner = { wanted: {}, last: asMap(last[key]), live: there, path: at };
      const below = mergeMaps(inner, changes);
      if (Object.keys(below).length > 0) patch[key] = below;
    } else {
      patch[key] = null;
      changes.push({ path: at, from: there, to: undefined });
    }
  }
  return patch;
}

/** A list also when an item of it lost a field that was applied before. */
function isChanged(value: Json, last: Json | undefined, there: Json | undefined): boolean {
  if (there === undefined) return !isEmpty(value);
  if (!covers(there, value)) return true;
  return Array.isArray(value) && last !== undefined && !isSame(last, value);
}

/** Whether `there` says all that `value` says; the API server adds its defaults. */
export function covers(there: Json, value: Json): boolean {
  if (isMap(value)) {
    if (!isMap(there)) return false;
    return Object.entries(value).every(([key, inner]) => {
      const found = there[key];
      return found === undefined ? isEmpty(inner) : covers(found, inner);
    });
  }
  if (isList(value)) {
    if (!isList(there) || there.length !== value.length) return false;
    return value.every((item, index) => covers(there[index] ?? null, item));
  }
  return there === value || isSameQuantity(there, value);
}

const factors: ReadonlyMap<string, number> = new Map([
  ['m', 1e-3],
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
]);

/** The API server writes quantities in its own way: `20000` becomes `20k`, `1024Mi` `1Gi`. */
function isSameQuantity(left: Json, right: Json): boolean {
  const [one, other] = [amountOf(left), amountOf(right)];
  return one !== undefined && one === other;
}

function amountOf(value: Json): number | undefined {
  if (typeof value !== 'string') return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(value) ?? [];
  const factor = factors.get(unit ?? '');
  return number === undefined || factor === undefined ? undefined : Number(number) * factor;
}

/** The API server leaves empty maps and lists out. */
function isEmpty(value: Json): boolean {
  if (isList(value)) return value.length === 0;
  return isMap(value) && Object.keys(value).length === 0;
}

function isSame(left: Json, right: Json): boolean {
  return covers(left, right) && covers(right, left);
}

/** Item by item where a list keeps its length, so that people see what changes in it. */
function noteChange(path: string, from: Json | undefined, to: Json, changes: FieldChange[]): void {
  if (from !== undefined && isList(from) && isList(to) && from.length === to.length) {
    for (const [index, item] of to.entries()) {
      const before = from[index];
      if (before === undefined || !covers(before, item)) {
        noteChange(`${path}[${index}]`, before, item, changes);
      }
    }
    return;
  }
  if (from !== undefined && isMap(from) && isMap(to)) {
    for (const [key, inner] of Object.entries(to)) {
      const before = from[key];
      if (before === undefined || !covers(before, inner)) {
        noteChange(`${path}.${key}`, before, inner, changes);
      }
    }
    return;
  }
  changes.push({ path, from, to });
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function asMap(value: Json | undefined): JsonMap {
  return value !== undefined && isMap(value) ? value : {};
}
