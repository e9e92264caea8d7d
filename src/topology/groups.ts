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
import type { GroupPart, TopologyMemo } from './topology.ts';

/** Parts of the groups of all watched namespaces, by `namespace/name`. */
export function groupParts(
  state: ClusterState,
  settings: MeshSettings,
  memo: TopologyMemo | undefined,
): ReadonlyMap<string, GroupPart> {
  if (memo !== undefined && memo.groupObjects === state.httpRouteGroups) return memo.groups;
  const parts = new Map<string, GroupPart>();
  const faultOf = sharedFaults();
  for (const [key, object] of state.httpRouteGroups) {
    if (!isWatchedNamespace(object.meta.namespace, settings)) continue;
    const before = memo?.groups.get(key);
    parts.set(key, before?.object === object ? before : groupPart(object, faultOf));
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
  const problems: Problem[] = [];
  const matches = new Map<string, MatchSpec>();
  let dropped: Set<string> | undefined;
  for (const match of object.matches) {
    const fault = firstFault(match, faultOf);
    if (fault === undefined) {
      const { name, pathRegex, methods, headers } = match;
      matches.set(name, { name: `${object.meta.name}/${name}`, pathRegex, methods, headers });
    } else {
      dropped ??= new Set();
      dropped.add(match.name);
      const message = `match "${match.name}" is left out: ${fault}`;
      problems.push(problemOf(object, 'InvalidPattern', message));
    }
  }
  return { object, matches, allMatches: [...matches.values()], dropped: dropped ?? none, problems };
}

const none: ReadonlySet<string> = new Set();

function firstFault({ pathRegex, headers }: HttpMatch, faultOf: FaultOf): string | undefined {
  const pathFault = pathRegex === undefined ? undefined : faultOf(pathRegex, 'start');
  if (pathFault !== undefined) return `pathRegex: ${pathFault}`;
  for (const { name, pattern } of headers) {
    const fault = faultOf(pattern, 'search');
    if (fault !== undefined) return `header ${name}: ${fault}`;
  }
  return undefined;
}
