// HTTPRouteGroup (specs.smi-spec.io, every version) → one type. `matches` stands at the top in
// v1alpha1/2 and below `spec` later; texts exist that put it at the top of later versions.
// A match that cannot be read is dropped and never widened: with one condition fewer it
// would match more. Whether a pattern compiles is the topology's question, not this file's.
import { parseObject, type Draft } from './draft.ts';
import { asList, asObject, asText, describeValue, entriesOf, hasKey, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';
import type { Parsed } from './object.ts';
import type { HeaderCondition, HttpMatch, HttpRouteGroup } from './smi.ts';
import { isWrittenInOldVersion, patternLengthMax, readList, readName } from './smi-fields.ts';

/** Field names and methods (RFC 9110 §5.6.2). */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

/** Parses an HTTPRouteGroup by its shape. */
export function parseHttpRouteGroup(input: unknown): Parsed<HttpRouteGroup> {
  return parseObject('HTTPRouteGroup', input, (draft) => {
    const found = findMatches(draft);
    if (found === undefined) return undefined;
    const list = readList(draft, found.path, found.value);
    if (list === undefined) return undefined;
    const matches = new Map<string, HttpMatch>();
    for (const [index, item] of list.entries()) {
      const path = `${found.path}[${index}]`;
      const match = readMatch(draft, path, item);
      if (match === undefined) continue;
      if (matches.has(match.name)) {
        const what = `${path} has the name "${match.name}" of an earlier match`;
        draft.report('DuplicateMatch', `${what}, which counts: rename one`);
        continue;
      }
      matches.set(match.name, match);
    }
    return { kind: 'HTTPRouteGroup', meta: draft.meta, matches: [...matches.values()] };
  });
}

type Found = { readonly path: string; readonly value: unknown };

/** Where the matches are; a group without any has an empty list, which matches nothing. */
function findMatches(draft: Draft): Found | undefined {
  const { root } = draft;
  const specValue = valueAt(root, 'spec') ?? undefined;
  const spec = asObject(specValue);
  if (spec === undefined && specValue !== undefined) {
    draft.report('InvalidObject', `spec is ${describeValue(specValue)}: write an object`);
    return undefined;
  }
  const isBelow = spec !== undefined && hasKey(spec, 'matches');
  const isOnTop = hasKey(root, 'matches');
  if (isBelow) {
    if (isOnTop) {
      const what = 'matches stand at the top and below spec';
      draft.report('ShapeMixed', `${what}: spec.matches counts, remove those at the top`);
    }
    return { path: 'spec.matches', value: valueAt(spec, 'matches') };
  }
  if (!isOnTop) return { path: 'spec.matches', value: [] };
  if (!isWrittenInOldVersion(draft)) {
    draft.report('MatchesOnRoot', 'matches stand at the top and are used: move them below spec');
  }
  return { path: 'matches', value: valueAt(root, 'matches') };
}

function readMatch(draft: Draft, path: string, item: unknown): HttpMatch | undefined {
  const object = asObject(item);
  const name = readName(valueAt(object, 'name'));
  if (object === undefined || name === undefined) {
    draft.report('InvalidObject', `${path} has no name: it is left out, give it one`);
    return undefined;
  }
  const drop = (what: string): undefined => {
    draft.report('InvalidObject', `${path} ("${name}") is left out: ${what}`);
  };
  const pathRegex = valueAt(object, 'pathRegex');
  if (hasKey(object, 'pathRegex') && !isPattern(pathRegex)) {
    return drop(`pathRegex is ${describeValue(pathRegex)}, ${patternRule}`);
  }
  const methods = hasKey(object, 'methods') ? readMethods(valueAt(object, 'methods')) : [];
  if (methods === undefined) return drop('methods have to be a list of names like GET, or "*"');
  const headers = readHeaders(valueAt(object, 'headers'), hasKey(object, 'headers'));
  if (typeof headers === 'string') return drop(headers);
  return {
    name,
    pathRegex: asText(pathRegex),
    methods: methods.length === 0 || methods.includes('*') ? undefined : methods,
    headers,
  };
}

const patternRule = `write a quoted string of at most ${patternLengthMax} characters`;

function isPattern(value: unknown): value is string {
  return typeof value === 'string' && value.length <= patternLengthMax;
}

/** Sorted, each once. A method is case-sensitive: `get` is a typing error, not GET. */
function readMethods(value: unknown): readonly string[] | undefined {
  const list = asList(value);
  if (list === undefined || list.length > 100) return undefined;
  const methods = new Set<string>();
  for (const item of list) {
    if (typeof item !== 'string' || !token.test(item) || item !== item.toUpperCase()) {
      return undefined;
    }
    methods.add(item);
  }
  return [...methods].sort();
}

/**
 * Header conditions from any of the wire forms: a list of objects with one key each, or one
 * object. Sorted, because SDK clients write them in random order. A string says what is wrong.
 */
function readHeaders(value: unknown, isPresent: boolean): readonly HeaderCondition[] | string {
  if (!isPresent) return [];
  const items = asList(value) ?? [value];
  const conditions: HeaderCondition[] = [];
  for (const item of items) {
    const object = asObject(item);
    if (object === undefined) return 'headers have to be written as name: pattern';
    const fault = addConditions(conditions, object);
    if (fault !== undefined) return fault;
  }
  if (conditions.length > 100) return 'more than 100 headers';
  return conditions.sort(compareConditions);
}

function addConditions(conditions: HeaderCondition[], object: JsonObject): string | undefined {
  for (const [name, pattern] of entriesOf(object)) {
    if (!token.test(name)) return 'a header name has characters that no header can have';
    if (!isPattern(pattern)) {
      // kubectl reads YAML 1.1: an unquoted yes, no, on, off or y is a boolean.
      return `header ${name} is ${describeValue(pattern)}: quote it, ${patternRule}`;
    }
    conditions.push({ name: name.toLowerCase(), pattern });
  }
  return undefined;
}

function compareConditions(left: HeaderCondition, right: HeaderCondition): number {
  if (left.name !== right.name) return left.name < right.name ? -1 : 1;
  if (left.pattern === right.pattern) return 0;
  return left.pattern < right.pattern ? -1 : 1;
}
