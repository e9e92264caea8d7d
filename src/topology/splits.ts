// TrafficSplits → which splits are in force for which root, in which order (R-31 … R-36), and the
// routes that follow from them. A split that cannot be used leaves its root as if it were not
// there.
import {
  isWatchedNamespace,
  type ClusterState,
  type MeshSettings,
  type Problem,
  type TrafficSplit,
} from '../api/index.ts';
import { byText, inOrder, isSameList } from '../lib/order.ts';
import type { MatchSpec } from '../snapshot/index.ts';
import { matchesMax } from './limits.ts';
import { problemOf } from './problems.ts';
import { rootNameOf } from './root-name.ts';
import { portsOf } from './routes.ts';
import type {
  GroupPart,
  HostAlias,
  MeshPort,
  MeshService,
  PlannedSplit,
  SplitPlan,
  SplitRoot,
} from './topology.ts';

export type SplitInput = {
  readonly state: ClusterState;
  readonly settings: MeshSettings;
  readonly services: ReadonlyMap<string, MeshService>;
  readonly groups: ReadonlyMap<string, GroupPart>;
  readonly problems: Problem[];
};

/**
 * Who splits what. `known`: the plan of the same services and groups, whose roots stay as they are
 * where they are claimed by the same splits.
 */
export function planSplits(input: SplitInput, known: SplitPlan | undefined): SplitPlan {
  const byRoot = new Map<string, TrafficSplit[]>();
  const byAlias = new Map<string, TrafficSplit[]>();
  for (const split of oldestFirst(input)) {
    const root = rootOf(split, input);
    if (root === undefined) continue;
    const table = root.kind === 'service' ? byRoot : byAlias;
    const others = table.get(root.key);
    if (others === undefined) table.set(root.key, [split]);
    else others.push(split);
  }
  const roots = new Map<string, SplitRoot>();
  for (const [key, claims] of byRoot) {
    const before = known?.roots.get(key);
    const isSame = before !== undefined && isSameList(before.claims, claims);
    const root = isSame ? before : splitRoot(key, claims, input);
    roots.set(key, root);
    if (root.problems.length > 0) input.problems.push(...root.problems);
  }
  const aliases = [...byAlias].flatMap(([hostname, claims]) => aliasOf(hostname, claims, input));
  aliases.sort((left, right) => byText(left.hostname, right.hostname));
  return { roots, aliases };
}

function splitRoot(key: string, claims: readonly TrafficSplit[], joined: SplitInput): SplitRoot {
  const { state, settings, services, groups } = joined;
  const problems: Problem[] = [];
  const input = { state, settings, services, groups, problems };
  const splits = inForce(claims, `Service ${key}`, input);
  const ports = services.get(key)?.ports ?? [];
  return { claims, ports: portsOf(ports, { root: key, splits, services, problems }), problems };
}

/** The order of all claims: age, then namespace and name (contract §3). */
function oldestFirst({ state, settings }: SplitInput): readonly TrafficSplit[] {
  const watched = [...state.trafficSplits.values()].filter(({ meta }) =>
    isWatchedNamespace(meta.namespace, settings),
  );
  return inOrder(watched, byAge);
}

function byAge({ meta: left }: TrafficSplit, { meta: right }: TrafficSplit): number {
  return (
    left.createdMs - right.createdMs ||
    byText(left.namespace, right.namespace) ||
    byText(left.name, right.name)
  );
}

type Root = { readonly kind: 'service' | 'alias'; readonly key: string };

function rootOf(split: TrafficSplit, input: SplitInput): Root | undefined {
  const { namespace } = split.meta;
  const { state, settings } = input;
  const isNamespace = (name: string): boolean => state.namespaces.has(name);
  const root = rootNameOf(split.service, { namespace, settings, isNamespace });
  if (root.kind === 'refused') {
    const message =
      `spec.service ${root.why}: name a Service of namespace ${namespace}, or a hostname ` +
      'of your own';
    input.problems.push(problemOf(split, 'HostAliasRefused', message));
    return undefined;
  }
  if (root.kind === 'alias') return { kind: 'alias', key: root.hostname };
  const key = `${namespace}/${root.name}`;
  const service = input.services.get(key);
  if (service?.isNamed !== true) {
    const message =
      `spec.service names ${key}, which is no Service of the mesh: create it, or correct ` +
      'the name';
    input.problems.push(problemOf(split, 'UnresolvedService', message));
    return undefined;
  }
  if (service.ports.length === 0) {
    const message = `Service ${key} has no ports, so there is nothing to split: give it ports`;
    input.problems.push(problemOf(split, 'HeadlessRoot', message));
    return undefined;
  }
  return { kind: 'service', key };
}

/** those with matches, oldest first, then the oldest one without; `claims` come by age. */
function inForce(
  claims: readonly TrafficSplit[],
  root: string,
  input: SplitInput,
): readonly PlannedSplit[] {
  const [only, another] = claims;
  if (only !== undefined && another === undefined) return [planned(only, input)];
  const conditional = claims.filter(({ matches }) => matches !== undefined);
  const [first, ...rest] = claims.filter(({ matches }) => matches === undefined);
  for (const late of rest) {
    const winner = `${first?.meta.namespace}/${first?.meta.name}`;
    const message =
      `${root} is split by the older TrafficSplit ${winner} already: this one is ` +
      'ignored, delete one or give it matches';
    input.problems.push(problemOf(late, 'Conflict', message));
  }
  const chosen = first === undefined ? conditional : [...conditional, first];
  return chosen.map((split) => planned(split, input));
}

function planned(split: TrafficSplit, input: SplitInput): PlannedSplit {
  const { namespace, name } = split.meta;
  const backends: { service: string; weight: number }[] = [];
  for (const { service, weight } of split.backends) {
    const key = `${namespace}/${service}`;
    if (input.services.has(key)) {
      backends.push({ service: key, weight });
      continue;
    }
    const message =
      `backend ${key} is no Service of the mesh and is left out: create it, or correct ` +
      'the name';
    input.problems.push(problemOf(split, 'BackendMissing', message));
  }
  if (split.backends.length === 0) {
    const message = 'spec.backends is empty, so the root takes all requests: name a backend';
    input.problems.push(problemOf(split, 'BackendMissing', message));
  }
  return { namespace, name, matches: matchesOf(split, input), backends: eachOnce(backends) };
}

/** A backend that is named twice has the sum of its weights, in its first place. */
function eachOnce(backends: PlannedSplit['backends']): PlannedSplit['backends'] {
  const [first, second, third] = backends;
  if (third === undefined && first?.service !== second?.service) return backends;
  const weights = new Map<string, number>();
  for (const { service, weight } of backends) {
    weights.set(service, (weights.get(service) ?? 0) + weight);
  }
  return [...weights].map(([service, weight]) => ({ service, weight }));
}

/** All matches of all groups that the split names; a missing group matches nothing. */
function matchesOf(split: TrafficSplit, input: SplitInput): readonly MatchSpec[] | undefined {
  if (split.matches === undefined) return undefined;
  const matches: MatchSpec[] = [];
  for (const name of split.matches) {
    const key = `${split.meta.namespace}/${name}`;
    const group = input.groups.get(key);
    if (group !== undefined) {
      matches.push(...group.matches);
      if (matches.length <= matchesMax) continue;
      const message = `its groups have more than ${matchesMax} matches: the others take nothing`;
      input.problems.push(problemOf(split, 'UnsupportedField', `${message}, use more splits`));
      return matches.slice(0, matchesMax);
    }
    const message =
      `HTTPRouteGroup ${key} does not exist and matches nothing: create it, or correct ` +
      'the name';
    input.problems.push(problemOf(split, 'UnresolvedRoute', message));
  }
  return matches;
}

/** An alias belongs to the namespace of its oldest split; claims from elsewhere are ignored. */
function aliasOf(
  hostname: string,
  claims: readonly TrafficSplit[],
  input: SplitInput,
): readonly HostAlias[] {
  const owner = claims[0]?.meta ?? { namespace: '', name: '' };
  const own = claims.filter(({ meta }) => meta.namespace === owner.namespace);
  for (const other of claims) {
    if (other.meta.namespace === owner.namespace) continue;
    const message =
      `hostname ${hostname} is claimed by the older TrafficSplit ` +
      `${owner.namespace}/${owner.name}: this one is ignored, use another name`;
    input.problems.push(problemOf(other, 'Conflict', message));
  }
  const { namespace, name } = owner;
  const splits = inForce(own, `hostname ${hostname}`, input);
  const fallback = input.services.has(`${namespace}/${name}`) ? `${namespace}/${name}` : undefined;
  const keys = splits.flatMap(({ backends }) => backends.map(({ service }) => service));
  const members = [...(fallback === undefined ? [] : [fallback]), ...keys].flatMap(
    (key) => input.services.get(key) ?? [],
  );
  const [model] = members;
  // With no Service at all there is nothing that the name could stand for.
  if (model === undefined) return [];
  const { services, problems } = input;
  const ports = portsOf(httpPortsOf(members), { root: fallback, splits, services, problems });
  return [{ hostname, namespace, name, fallback, splits, ports, rules: model.section.rules }];
}

function httpPortsOf(services: readonly MeshService[]): readonly MeshPort[] {
  const ports = new Map<number, MeshPort>();
  for (const service of services) {
    for (const port of service.ports) if (port.protocol === 'http') ports.set(port.port, port);
  }
  return [...ports.values()].sort((left, right) => left.port - right.port);
}
