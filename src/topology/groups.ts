// HTTPRouteGroups → compiled matches. A match whose pattern is no RE2 is dropped alone and never
// widened; the rest of the group stays. Patterns are tried here once per object, since
// compiling them is the dearest thing that a build could do.
import type { ClusterState, HttpMatch, HttpRouteGroup, MeshSettings, Problem } from '../api/index.ts';
import { compilePattern } from '../lib/pattern.ts';
import type { MatchSpec } from '../snapshot/index.ts';
import { isWatchedNamespace } from './adopt.ts';
import { problemOf } from './problems.ts';
import type { GroupPart, TopologyMemo } from './topology.ts';

/** Parts of the groups of all watched namespaces, by `namespace/name`. */
export function groupParts(
  state: ClusterState,
  settings: MeshSettings,
  memo: TopologyMemo | undefined,
): ReadonlyMap<string, GroupPart> {
  const parts = new Map<string, GroupPart>();
  for (const [key, object] of state.httpRouteGroups) {
    if (!isWatchedNamespace(object.meta.namespace, settings)) continue;
    const before = memo?.groups.get(key);
    parts.set(key, before?.object === object ? before : groupPart(object));
  }
  return parts;
}

function groupPart(object: HttpRouteGroup): GroupPart {
  const problems: Problem[] = [];
  const matches = new Map<string, MatchSpec>();
  for (const match of object.matches) {
    const fault = patternFault(match);
    if (fault === undefined) {
      matches.set(match.name, { ...match, name: `${object.meta.name}/${match.name}` });
    } else {
      const message = `match "${match.name}" is left out: ${fault}`;
      problems.push(problemOf(object, 'InvalidPattern', message));
    }
  }
  return { object, matches, names: new Set(object.matches.map(({ name }) => name)), problems };
}

/** What is wrong with the first bad pattern of `match`, or `undefined`. */
function patternFault(match: HttpMatch): string | undefined {
  if (match.pathRegex !== undefined) {
    const compiled = compilePattern(match.pathRegex, 'start');
    if ('problem' in compiled) return `pathRegex: ${compiled.problem}`;
  }
  for (const { name, pattern } of match.headers) {
    const compiled = compilePattern(pattern, 'search');
    if ('problem' in compiled) return `header ${name}: ${compiled.problem}`;
  }
  return undefined;
}
