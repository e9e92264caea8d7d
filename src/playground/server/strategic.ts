// Strategic merge patch, which kubectl edit, apply and set use for built-in kinds: a merge patch
// whose lists merge by the key that the schema names, with the directives `$patch`, `$retainKeys`,
// `$setElementOrder/…` and `$deleteFromPrimitiveList/…`. Pure; see strategic-merge-patch.md of
// Kubernetes.
import { at, isObject, sameJson, textAt, type Json, type JsonObject } from './json.ts';
import { fieldShape, itemShape, type Shape } from './shape.ts';

/** `target` with `patch` merged into it, by `schema`. */
export function strategicMerge(schema: Shape, target: JsonObject, patch: Json): Json {
  return isObject(patch) ? mergeObject(schema, target, patch) : patch;
}

function mergeObject(shape: Shape, target: JsonObject, patch: JsonObject): JsonObject {
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  if (patch.$patch === 'delete') return {};
  const merged = retained(target, patch.$retainKeys);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    if (value === null) delete merged[key];
    else merged[key] = mergeField(fieldShape(shape, key), merged[key], value);
  }
  applyListDirectives(shape, merged, patch);
  return merged;
}

/** With `$retainKeys` only the fields named there survive. */
function retained(target: JsonObject, keys: Json | undefined): JsonObject {
  if (!Array.isArray(keys)) return { ...target };
  return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
}

function mergeField(shape: Shape, target: Json | undefined, patch: Json): Json {
  if (isObject(patch)) {
    return mergeObject(shape, isObject(target) ? target : {}, patch);
  }
  if (!Array.isArray(patch)) return patch;
  if (textAt(shape, 'x-kubernetes-patch-strategy') !== 'merge') return patch;
  return mergeList(shape, Array.isArray(target) ? target : [], patch);
}

function mergeList(shape: Shape, target: readonly Json[], patch: readonly Json[]): Json[] {
  if (patch.some((item) => at(item, '$patch') === 'replace')) {
    return patch.filter((item) => at(item, '$patch') === undefined);
  }
  const key = textAt(shape, 'x-kubernetes-patch-merge-key');
  if (key === undefined) {
    return [...target, ...patch.filter((item) => !target.some((one) => sameJson(one, item)))];
  }
  const merged = [...target];
  for (const item of patch) {
    if (!isObject(item)) continue;
    const index = merged.findIndex((one) => sameJson(at(one, key), item[key]));
    if (item.$patch === 'delete') {
      if (index >= 0) merged.splice(index, 1);
      continue;
    }
    const present = merged[index];
    const next = mergeObject(itemShape(shape), isObject(present) ? present : {}, item);
    if (index >= 0) merged[index] = next;
    else merged.push(next);
  }
  return merged;
}

function applyListDirectives(shape: Shape, merged: JsonObject, patch: JsonObject): void {
  for (const [directive, value] of Object.entries(patch)) {
    const [name, field = ''] = directive.split('/');
    const list = merged[field];
    if (!Array.isArray(value) || !Array.isArray(list)) continue;
    if (name === '$deleteFromPrimitiveList') {
      merged[field] = list.filter((item) => !value.some((gone) => sameJson(gone, item)));
    }
    if (name === '$setElementOrder') {
      const key = textAt(fieldShape(shape, field), 'x-kubernetes-patch-merge-key');
      merged[field] = ordered(list, value, key);
    }
  }
}

/**
 * Items that the order names, in that order; the others keep their places after their predecessors.
 */
function ordered(list: readonly Json[], order: readonly Json[], key: string | undefined): Json[] {
  const rankOf = (item: Json): number =>
    order.findIndex((named) =>
      key === undefined ? sameJson(named, item) : sameJson(at(named, key), at(item, key)),
    );
  let last = -1;
  const ranked = list.map((item, index) => {
    const rank = rankOf(item);
    if (rank >= 0) last = rank;
    return { item, rank: rank >= 0 ? rank : last + 0.5, index };
  });
  return ranked
    .sort((one, other) => one.rank - other.rank || one.index - other.index)
    .map((entry) => entry.item);
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}
