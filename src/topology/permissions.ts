// TrafficTargets → permissions per destination service account (R-2 … R-13). There are only rules
// that allow, and any that allows is enough, so a defect must never allow more: what cannot
// be resolved is skipped and narrows. A target opens destinations of its own namespace only
// whoever may write into a namespace does not decide about another one.
import {
  isWatchedNamespace,
  type ClusterState,
  type MeshSettings,
  type Problem,
  type RuleKind,
  type Subject,
  type TargetRule,
  type TrafficTarget,
} from '../api/index.ts';
import { byKey, byText, eachOnce, inOrder } from '../lib/order.ts';
import type { MatchSpec, PermissionSpec, PortSet } from '../snapshot/index.ts';
import { matchesMax } from './limits.ts';
import { problemOf } from './problems.ts';
import type { GroupPart, ServiceAccountPermissions } from './topology.ts';

export type PermissionInput = {
  readonly state: ClusterState;
  readonly settings: MeshSettings;
  readonly groups: ReadonlyMap<string, GroupPart>;
  readonly problems: Problem[];
};

/** Permissions of every service account that a target names, sorted. */
export function planPermissions(input: PermissionInput): readonly ServiceAccountPermissions[] {
  const byAccount = new Map<string, PermissionSpec[]>();
  for (const target of input.state.trafficTargets.values()) {
    if (!isWatchedNamespace(target.meta.namespace, input.settings)) continue;
    if (!opensOwnNamespace(target, input)) continue;
    const key = `${target.meta.namespace}/${target.destination.name}`;
    const permission = permissionOf(target, input);
    if (permission.sources.length === 0) continue;
    const others = byAccount.get(key);
    if (others === undefined) byAccount.set(key, [permission]);
    else others.push(permission);
  }
  return inOrder([...byAccount], byKey).map(([key, permissions]) => ({
    namespace: key.slice(0, key.indexOf('/')),
    serviceAccount: key.slice(key.indexOf('/') + 1),
    permissions: inOrder(permissions, byTarget),
  }));
}

function byTarget(left: PermissionSpec, right: PermissionSpec): number {
  return byText(left.target, right.target);
}

function opensOwnNamespace(target: TrafficTarget, { problems }: PermissionInput): boolean {
  const { destination, meta } = target;
  if (destination.kind !== 'ServiceAccount') {
    const message =
      `destination.kind is ${destination.kind}: only ServiceAccount is known, the target ` +
      'is ignored';
    problems.push(problemOf(target, 'UnsupportedField', message));
    return false;
  }
  if (destination.namespace === undefined || destination.namespace === meta.namespace) return true;
  const message =
    `destination is in namespace ${destination.namespace}: a target opens its own ` +
    `namespace only and is ignored, create it in ${destination.namespace}`;
  problems.push(problemOf(target, 'ForeignDestination', message));
  return false;
}

function permissionOf(target: TrafficTarget, input: PermissionInput): PermissionSpec {
  const sources = sourcesOf(target, input);
  const { rules, destinationPort } = target;
  const name = target.meta.name;
  if (rules === undefined) {
    const grant = { ports: narrowed(undefined, destinationPort) };
    return {
      target: name,
      sources,
      http: { ...grant, matches: undefined },
      tcp: grant,
      udp: grant,
    };
  }
  const ruled = (kind: RuleKind): readonly TargetRule[] =>
    rules.every((rule) => rule.kind === kind) ? rules : rules.filter((rule) => rule.kind === kind);
  const groups = ruled('HTTPRouteGroup');
  const tcp = ruled('TCPRoute');
  const udp = ruled('UDPRoute');
  const tcpPorts = narrowed(routePorts(target, tcp, input), destinationPort);
  const udpPorts = narrowed(routePorts(target, udp, input), destinationPort);
  return {
    target: name,
    sources,
    http:
      groups.length + tcp.length === 0
        ? undefined
        : { ports: tcpPorts, matches: matchesOf(target, groups, input) },
    tcp: tcp.length === 0 ? undefined : { ports: tcpPorts },
    udp: udp.length === 0 ? undefined : { ports: udpPorts },
  };
}

function sourcesOf(target: TrafficTarget, { problems }: PermissionInput): readonly string[] {
  const sources: string[] = [];
  for (const source of target.sources) {
    if (source.kind !== 'ServiceAccount') {
      const message =
        `source kind ${source.kind} of ${source.name} is not known: ` +
        'it is left out, name a ServiceAccount';
      problems.push(problemOf(target, 'UnsupportedField', message));
      continue;
    }
    if (source.namespace === undefined) problems.push(defaultedSource(target, source));
    sources.push(`${source.namespace ?? target.meta.namespace}/${source.name}`);
  }
  return eachOnce(sources);
}

function defaultedSource(target: TrafficTarget, source: Subject): Problem {
  const message =
    `source ${source.name} has no namespace: ${target.meta.namespace} is meant, write it ` + 'down';
  return problemOf(target, 'NamespaceDefaulted', message);
}

/** the union of the ports of these routes; no route = every port, a missing one adds none. */
function routePorts(
  target: TrafficTarget,
  rules: readonly TargetRule[],
  input: PermissionInput,
): PortSet {
  if (rules.length === 0) return undefined;
  const ports = new Set<number>();
  let isEveryPort = false;
  for (const rule of rules) {
    const key = `${target.meta.namespace}/${rule.name}`;
    const { tcpRoutes, udpRoutes } = input.state;
    const route = rule.kind === 'UDPRoute' ? udpRoutes.get(key) : tcpRoutes.get(key);
    if (route === undefined) reportUnresolved(target, `${rule.kind} ${key}`, input);
    else if (route.ports === undefined) isEveryPort = true;
    else for (const port of route.ports) ports.add(port);
  }
  return isEveryPort ? undefined : [...ports].sort((left, right) => left - right);
}

/** `destination.port` narrows whatever the routes say. */
function narrowed(ports: PortSet, destinationPort: number | undefined): PortSet {
  if (destinationPort === undefined) return ports;
  return ports === undefined || ports.includes(destinationPort) ? [destinationPort] : [];
}

/** No group named = every request of the ports; a group or match that is missing allows nothing. */
function matchesOf(
  target: TrafficTarget,
  rules: readonly TargetRule[],
  input: PermissionInput,
): readonly MatchSpec[] | undefined {
  if (rules.length === 0) return undefined;
  const [only, another] = rules;
  if (only !== undefined && another === undefined && only.matches === undefined) {
    // What nearly every target says: all matches of one group, which share one list.
    const group = input.groups.get(`${target.meta.namespace}/${only.name}`);
    if (group !== undefined) return group.allMatches;
  }
  const found = new Map<string, MatchSpec>();
  for (const rule of rules) {
    const key = `${target.meta.namespace}/${rule.name}`;
    const group = input.groups.get(key);
    if (group === undefined) {
      reportUnresolved(target, `HTTPRouteGroup ${key}`, input);
      continue;
    }
    for (const name of rule.matches ?? group.matches.keys()) {
      const match = group.matches.get(name);
      if (match !== undefined) found.set(match.name, match);
      else if (!group.dropped.has(name)) {
        reportUnresolved(target, `match "${name}" of HTTPRouteGroup ${key}`, input);
      }
    }
    if (found.size > matchesMax) return cutMatches(target, [...found.values()], input);
  }
  return [...found.values()];
}

function cutMatches(
  target: TrafficTarget,
  found: readonly MatchSpec[],
  { problems }: PermissionInput,
): readonly MatchSpec[] {
  const message = `its groups have more than ${matchesMax} matches: the others allow nothing`;
  problems.push(problemOf(target, 'UnsupportedField', `${message}, use more targets`));
  return found.slice(0, matchesMax);
}

function reportUnresolved(
  target: TrafficTarget,
  what: string,
  { problems }: PermissionInput,
): void {
  const message = `${what} does not exist and allows nothing: create it, or correct the name`;
  problems.push(problemOf(target, 'UnresolvedRoute', message));
}
