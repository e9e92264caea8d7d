// HTTP matches (smi §1.2): compiled from their specs, and held against a request. Fails closed: a
// match whose pattern does not compile takes no request; the compiler of snapshots has told
// the user already.
import { compilePattern, type Pattern, type PatternAnchor } from '../lib/pattern.ts';
import type { MatchSpec } from '../snapshot/index.ts';
import type { HeaderMatch, HttpMatch } from './table.ts';
import type { RequestHead } from './types.ts';

/** Compiles each pattern once however many matches name it; lives as long as one compilation. */
export type PatternSource = (source: string, anchor: PatternAnchor) => Pattern | undefined;

export function sharedPatterns(): PatternSource {
  const known = new Map<string, Pattern | undefined>();
  return (source, anchor) => {
    const key = `${anchor} ${source}`;
    if (!known.has(key)) {
      const compiled = compilePattern(source, anchor);
      known.set(key, 'problem' in compiled ? undefined : compiled);
    }
    return known.get(key);
  };
}

/** `undefined` stays what it is: no condition at all. */
export function compileMatches(
  specs: readonly MatchSpec[] | undefined,
  patterns: PatternSource,
): readonly HttpMatch[] | undefined {
  if (specs === undefined) return undefined;
  const matches: HttpMatch[] = [];
  for (const spec of specs) {
    const match = compileMatch(spec, patterns);
    if (match !== undefined) matches.push(match);
  }
  return matches;
}

function compileMatch(spec: MatchSpec, patterns: PatternSource): HttpMatch | undefined {
  const path = spec.pathRegex === undefined ? undefined : patterns(spec.pathRegex, 'start');
  if (spec.pathRegex !== undefined && path === undefined) return undefined;
  const headers: HeaderMatch[] = [];
  for (const { name, pattern: source } of spec.headers) {
    const pattern = patterns(source, 'search');
    if (pattern === undefined) return undefined;
    headers.push({ name: fieldName(name), pattern });
  }
  return { path, methods: methodsOf(spec), headers };
}

/** no methods, or `*` among them, is every method. */
function methodsOf(spec: MatchSpec): readonly string[] | undefined {
  const { methods } = spec;
  if (methods === undefined || methods.length === 0 || methods.includes('*')) return undefined;
  return methods;
}

/** names are case-insensitive, and `host` is the authority in every version of HTTP. */
function fieldName(name: string): string {
  const lower = name.toLowerCase();
  return lower === ':authority' ? 'host' : lower;
}

/** Whether every condition of `match` holds (R-20 … R-27). */
export function matchesHead(match: HttpMatch, head: RequestHead): boolean {
  // The path first: it tells routes of one service apart, methods seldom do.
  if (match.path !== undefined && !match.path.matches(head.path)) return false;
  if (match.methods !== undefined && !match.methods.includes(head.method)) return false;
  for (const header of match.headers) {
    if (!matchesHeader(header, head)) return false;
  }
  return true;
}

/** an absent field matches nothing. R-25: any value, or all of them joined by commas. */
function matchesHeader(header: HeaderMatch, head: RequestHead): boolean {
  if (header.name === 'host') return header.pattern.matches(head.hostname);
  const values = head.fieldValues(header.name);
  for (const value of values) {
    if (header.pattern.matches(value)) return true;
  }
  return values.length > 1 && header.pattern.matches(values.join(','));
}
