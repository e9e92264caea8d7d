// Merging and removing by schema, the two tree operations of server-side apply: objects merge by
// field, lists that are maps or sets by item, everything atomic is replaced. Pure; see
// kubernetes-sigs/structured-merge-diff, typed.
import { itemStep, joinPath, type FieldSet } from './field-set.ts';
import { isObject, type Json, type JsonObject } from './json.ts';
import { fieldShape, isAtomicMap, itemShape, listForm, type Shape } from './shape.ts';

/** `live` with everything that `applied` sets. */
export function typedMerge(shape: Shape, live: Json | undefined, applied: Json): Json {
  if (Array.isArray(applied)) {
    if (listForm(shape).kind === 'atomic' || !Array.isArray(live)) return applied;
    return mergeItems(shape, live, applied);
  }
  if (!isObject(applied) || !isObject(live) || isAtomicMap(shape)) return applied;
  const merged: JsonObject = { ...live };
  for (const [key, value] of Object.entries(applied)) {
    merged[key] = typedMerge(fieldShape(shape, key), live[key], value);
  }
  return merged;
}

/** Items keep their places; new ones follow in the order in which they are applied. */
function mergeItems(shape: Shape, live: readonly Json[], applied: readonly Json[]): Json[] {
  const wanted = new Map(applied.map((item) => [itemStep(shape, item), item] as const));
  const merged = live.map((item) => {
    const step = itemStep(shape, item);
    const own = wanted.get(step);
    if (own === undefined) return item;
    wanted.delete(step);
    return typedMerge(itemShape(shape), item, own);
  });
  return [...merged, ...wanted.values()];
}

/** What an apply takes away, and what keeps a container from going with it. */
export type Removal = {
  /** Fields to take away. */
  readonly doomed: FieldSet;
  /** Fields that somebody still owns: what holds one of them stays. */
  readonly held: FieldSet;
};

/** `value` without the doomed fields; containers that they leave empty go with them. */
export function withoutFields(shape: Shape, value: JsonObject, removal: Removal): JsonObject {
  const left = removeIn(shape, value, '', removal);
  return isObject(left) ? left : {};
}

/** `undefined`: nothing is left. */
function removeIn(shape: Shape, value: Json, path: string, removal: Removal): Json | undefined {
  if (removal.doomed.has(path) && !isHeld(path, removal)) return undefined;
  if (Array.isArray(value)) {
    if (listForm(shape).kind === 'atomic') return value;
    const items = value.flatMap((item): Json[] => {
      const place = joinPath(path, itemStep(shape, item));
      const left = removeIn(itemShape(shape), item, place, removal);
      return left === undefined ? [] : [left];
    });
    return items.length === 0 && value.length > 0 ? undefined : items;
  }
  if (!isObject(value) || isAtomicMap(shape)) return value;
  return removeInFields(shape, value, path, removal);
}

function removeInFields(
  shape: Shape,
  value: JsonObject,
  path: string,
  removal: Removal,
): Json | undefined {
  const left: JsonObject = {};
  let isChanged = false;
  for (const [key, field] of Object.entries(value)) {
    const kept = removeIn(fieldShape(shape, key), field, joinPath(path, `f:${key}`), removal);
    if (kept === undefined) isChanged = true;
    else left[key] = kept;
  }
  return isChanged && Object.keys(left).length === 0 && path !== '' ? undefined : left;
}

/** A list item or map entry is held by any owned field inside it. */
function isHeld(path: string, removal: Removal): boolean {
  if (removal.held.has(path)) return true;
  const inside = `${path}\u0000`;
  for (const owned of removal.held) if (owned.startsWith(inside)) return true;
  return false;
}
