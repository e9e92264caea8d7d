// PATCH bodies that need no schema: RFC 7386 merge patch and RFC 6902 JSON patch. Pure.
// Strategic merge patch and server-side apply, which need one, are in files of their own.
import {
  copyOf,
  isObject,
  parseJson,
  sameJson,
  textAt,
  type Json,
  type JsonObject,
} from './json.ts';
import { badRequest, refusal, StatusFailure, statusObject } from './status.ts';

/** Operations of one JSON patch; the real server's limit. */
const operationsMax = 10_000;

/** RFC 7386: null removes, objects merge, everything else replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function pointerSteps(pointer: string): readonly string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw badRequest(`invalid JSON pointer: ${pointer}`);
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The real server tells no more; what did not fit is for its log. */
function unapplicable(): Error {
  const message = 'the server rejected our request due to an error in our request';
  return new StatusFailure({ ...statusObject(422, 'Invalid', message), details: {} }, 422);
}

function listIndex(list: readonly Json[], step: string, isInsert: boolean): number {
  if (isInsert && step === '-') return list.length;
  const index = /^(0|[1-9]\d*)$/.test(step) ? Number(step) : Number.NaN;
  const last = isInsert ? list.length : list.length - 1;
  if (!(index <= last)) throw unapplicable();
  return index;
}

function childOf(parent: Json, step: string): Json {
  const child = Array.isArray(parent)
    ? parent[listIndex(parent, step, false)]
    : isObject(parent) && Object.hasOwn(parent, step)
      ? parent[step]
      : undefined;
  if (child === undefined) throw unapplicable();
  return child;
}

function valueAt(root: Json, pointer: string): Json {
  return pointerSteps(pointer).reduce(childOf, root);
}

/** Changes `root`, which belongs to the caller; returns the (possibly new) root. */
function placed(root: Json, pointer: string, value: Json, isInsert: boolean): Json {
  const steps = pointerSteps(pointer);
  const last = steps.at(-1);
  if (last === undefined) return value;
  const parent = steps.slice(0, -1).reduce(childOf, root);
  if (Array.isArray(parent)) {
    parent.splice(listIndex(parent, last, isInsert), isInsert ? 0 : 1, value);
  } else if (isObject(parent)) {
    parent[last] = value;
  } else {
    throw unapplicable();
  }
  return root;
}

function removed(root: Json, pointer: string): Json {
  const steps = pointerSteps(pointer);
  const last = steps.at(-1);
  if (last === undefined) throw unapplicable();
  const parent = steps.slice(0, -1).reduce(childOf, root);
  childOf(parent, last);
  if (Array.isArray(parent)) parent.splice(listIndex(parent, last, false), 1);
  else if (isObject(parent)) delete parent[last];
  return root;
}

function applyOperation(root: Json, operation: Json): Json {
  const kind = textAt(operation, 'op') ?? '';
  const path = textAt(operation, 'path') ?? '';
  const from = textAt(operation, 'from') ?? '';
  const value = isObject(operation) ? (operation.value ?? null) : null;
  switch (kind) {
    case 'add':
      return placed(root, path, copyOf(value), true);
    case 'replace':
      return placed(root, path, copyOf(value), false);
    case 'remove':
      return removed(root, path);
    case 'copy':
      return placed(root, path, copyOf(valueAt(root, from)), true);
    case 'move': {
      const moved = copyOf(valueAt(root, from));
      return placed(removed(root, from), path, moved, true);
    }
    case 'test':
      if (sameJson(valueAt(root, path), value)) return root;
      throw unapplicable();
    default:
      throw unapplicable();
  }
}

/** RFC 6902; all operations or none. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations');
  if (patch.length > operationsMax) {
    throw refusal(
      413,
      'RequestEntityTooLarge',
      `more than ${operationsMax} operations in one patch`,
    );
  }
  return patch.reduce<Json>(applyOperation, copyOf(target));
}

/** The body of a patch, or 400. */
export function parsePatch(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    // The parser's own message would show the body.
    throw badRequest('error decoding patch: the body is not valid JSON');
  }
}
