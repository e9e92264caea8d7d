// HTTPRouteGroups → compiled matches. A match whose pattern is no RE2 is dropped alone and never
// widened; the rest of the group stays. Patterns are tried here once per object, since
// compiling them is the dearest thing that a build could do.
import {
  isWatchedNamespace,
  type ClusterState,
  type HttpMatch,
  type HttpRouteGroup,
  type MeshSettings,
  type Problem,
} from '../api/index.ts';
import { compilePattern, type PatternAnchor } from '../lib/pattern.ts';
import type { MatchSpec } from '../snapshot/index.ts';
import { problemOf } from './problems.ts';
import type { GroupPart } from './topology.ts';

export type GroupInput = {
  readonly state: ClusterState;
  readonly settings: MeshSettings;
  readonly problems: Problem[];
};

/** Parts of the groups of all watched namespaces, by `namespace/name`. */
export function groupParts(
  { state, settings, problems }: GroupInput,
  known: ReadonlyMap<string, GroupPart> | undefined,
): ReadonlyMap<string, GroupPart> {
  const parts = new Map<string, GroupPart>();
  const faultOf = sharedFaults();
  for (const [key, object] of state.httpRouteGroups) {
    if (!isWatchedNamespace(object.meta.namespace, settings)) continue;
    const before = known?.get(key);
    const part = before?.object === object ? before : groupPart(object, faultOf);
    if (part.problems.length > 0) problems.push(...part.problems);
    parts.set(key, part);
  }
  return parts;
}

/** What is wrong with a pattern, or `undefined`; the same pattern stands in many groups. */
type FaultOf = (source: string, anchor: PatternAnchor) => string | undefined;

function sharedFaults(): FaultOf {
  const known = { start: new Map<string, string>(), search: new Map<string, string>() };
  return (source, anchor) => {
    let fault = known[anchor].get(source);
    if (fault === undefined) {
      const compiled = compilePattern(source, anchor);
      fault = 'problem' in compiled ? compiled.problem : '';
      known[anchor].set(source, fault);
    }
    return fault === '' ? undefined : fault;
  };
}

function groupPart(object: HttpRouteGroup, faultOf: FaultOf): GroupPart {
  const matches = object.matches.map(({ name, pathRegex, methods, headers }): MatchSpec => {
    return { name: `${object.meta.name}/${name}`, pathRegex, methods, headers };
  });
  if (areSound(object.matches, faultOf)) {
    return { object, matches, dropped: none, problems: noProblems };
  }
  const problems: Problem[] = [];
  const dropped = new Set<string>();
  for (const match of object.matches) {
    const fault = firstFault(match, faultOf);
    if (fault === undefined) continue;
    const { name } = match;
    dropped.add(name);
    problems.push(problemOf(object, 'InvalidPattern', `match "${name}" is left out: ${fault}`));
  }
  const sound = matches.filter((_, index) => !dropped.has(object.matches[index]?.name ?? ''));
  return { object, matches: sound, dropped, problems };
}

function areSound(matches: readonly HttpMatch[], faultOf: FaultOf): boolean {
  for (const match of matches) if (firstFault(match, faultOf) !== undefined) return false;
  return true;
}

const none: ReadonlySet<string> = new Set();
const noProblems: readonly Problem[] = [];

function firstFault({ pathRegex, headers }: HttpMatch, faultOf: FaultOf): string | undefined {
  const pathFault = pathRegex === undefined ? undefined : faultOf(pathRegex, 'start');
  if (pathFault !== undefined) return `pathRegex: ${pathFault}`;
  for (const { name, pattern } of headers) {
    const fault = faultOf(pattern, 'search');
    if (fault !== undefined) return `header ${name}: ${fault}`;
  }
  return undefined;
}
