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
import { byText, eachOnce, inOrder, withKeysInOrder } from '../lib/order.ts';
import type { MatchSpec, PermissionSpec, PermissionsSection, PortSet } from '../snapshot/index.ts';
import { matchesMax } from './limits.ts';
import { problemOf } from './problems.ts';
import type { GroupPart } from './topology.ts';

export type PermissionInput = {
  readonly state: ClusterState;
  readonly settings: MeshSettings;
  readonly groups: ReadonlyMap<string, GroupPart>;
  readonly problems: Problem[];
};

/** Permissions of every service account that a target names, sorted. */
export function planPermissions(input: PermissionInput): readonly PermissionsSection[] {
  const byAccount = new Map<string, Account>();
  for (const target of input.state.trafficTargets.values()) {
    const { namespace } = target.meta;
    if (!isWatchedNamespace(namespace, input.settings)) continue;
    if (!opensOwnNamespace(target, input)) continue;
    const permission = permissionOf(target, input);
    if (permission.sources.length === 0) continue;
    const serviceAccount = target.destination.name;
    const key = `${namespace}/${serviceAccount}`;
    const account = byAccount.get(key);
    if (account !== undefined) account.permissions.push(permission);
    else byAccount.set(key, { namespace, serviceAccount, permissions: [permission] });
  }
  const accounts: PermissionsSection[] = [];
  for (const { namespace, serviceAccount, permissions } of withKeysInOrder(byAccount).values()) {
    const sorted = inOrder(permissions, byTarget);
    accounts.push({ kind: 'permissions', namespace, serviceAccount, permissions: sorted });
  }
  return accounts;
}

type Account = {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly permissions: PermissionSpec[];
};

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
  const groups = rulesOfKind(rules, 'HTTPRouteGroup');
  const tcp = rulesOfKind(rules, 'TCPRoute');
  const udp = rulesOfKind(rules, 'UDPRoute');
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

function rulesOfKind(rules: readonly TargetRule[], kind: RuleKind): readonly TargetRule[] {
  const [only, another] = rules;
  // What nearly every target has: one rule.
  if (another === undefined) return only?.kind === kind ? rules : noRules;
  return rules.filter((rule) => rule.kind === kind);
}

const noRules: readonly TargetRule[] = [];

function sourcesOf(target: TrafficTarget, { problems }: PermissionInput): readonly string[] {
  let areKnown = true;
  for (const source of target.sources) {
    if (source.kind !== 'ServiceAccount') {
      problems.push(unknownSource(target, source));
      areKnown = false;
    } else if (source.namespace === undefined) problems.push(defaultedSource(target, source));
  }
  const known = areKnown ? target.sources : target.sources.filter(isServiceAccount);
  const own = target.meta.namespace;
  return eachOnce(known.map(({ namespace, name }) => `${namespace ?? own}/${name}`));
}

function isServiceAccount({ kind }: Subject): boolean {
  return kind === 'ServiceAccount';
}

function unknownSource(target: TrafficTarget, { kind, name }: Subject): Problem {
  const message =
    `source kind ${kind} of ${name} is not known: it is left out, name a ` + 'ServiceAccount';
  return problemOf(target, 'UnsupportedField', message);
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
    if (group !== undefined) return group.matches;
  }
  const found = new Map<string, MatchSpec>();
  for (const rule of rules) {
    const key = `${target.meta.namespace}/${rule.name}`;
    const group = input.groups.get(key);
    if (group === undefined) {
      reportUnresolved(target, `HTTPRouteGroup ${key}`, input);
      continue;
    }
    for (const match of namedMatches(target, rule, { key, group, input })) {
      found.set(match.name, match);
    }
    if (found.size > matchesMax) return cutMatches(target, [...found.values()], input);
  }
  return [...found.values()];
}

type RuledGroup = {
  readonly key: string;
  readonly group: GroupPart;
  readonly input: PermissionInput;
};

/** All matches of the group, or those that the rule names; what is missing allows nothing. */
function namedMatches(
  target: TrafficTarget,
  rule: TargetRule,
  { key, group, input }: RuledGroup,
): readonly MatchSpec[] {
  if (rule.matches === undefined) return group.matches;
  const byName = new Map(group.matches.map((match) => [match.name, match]));
  return rule.matches.flatMap((name) => {
    const match = byName.get(`${rule.name}/${name}`);
    if (match === undefined && !group.dropped.has(name)) {
      reportUnresolved(target, `match "${name}" of HTTPRouteGroup ${key}`, input);
    }
    return match ?? [];
  });
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
