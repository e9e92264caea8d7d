// ClusterState → Topology: the whole join in one place, each step a function of the objects. Bad
// objects become problems and leave the rest as it is (A6).
import {
  isWatchedNamespace,
  resolveNamespace,
  type ClusterState,
  type MeshSettings,
  type Problem,
} from '../api/index.ts';
import { isSameList, sortedKeys } from '../lib/order.ts';
import type { NamespaceModes } from '../snapshot/index.ts';
import { groupParts, type GroupInput } from './groups.ts';
import { mirrorProblems } from './mirrors.ts';
import { meshFactsOf, portServices, type MeshFacts } from './mesh-services.ts';
import { planPermissions } from './permissions.ts';
import { nodesWithoutProxy } from './nodes-without-proxy.ts';
import { policyVersionOf } from './policy-version.ts';
import { portWarnings } from './port-warnings.ts';
import { sortedProblems } from './problems.ts';
import { planServices, type ServiceInput } from './services.ts';
import { planSplits, type SplitInput } from './splits.ts';
import type {
  Built,
  GroupPart,
  Memo,
  MeshService,
  PortWishes,
  ServicePlan,
  SplitPlan,
  Topology,
  WantedPort,
} from './topology.ts';

/** The topology of `state`; `previous` saves work and never changes the value. */
export function buildTopology(
  state: ClusterState,
  settings: MeshSettings,
  previous?: Topology,
): Built<Topology> {
  const memo = previous?.memo.settings === settings ? previous.memo : undefined;
  const services = servicesOf({ state, settings }, memo?.services);
  const groups = groupsOf({ state, settings }, memo?.groups);
  const joined = { state, settings, services: services.value.services, groups: groups.value };
  const memos = {
    services,
    groups,
    mesh: meshOf(state, settings, memo?.mesh),
    wishes: wishesOf(joined, memo?.wishes),
    modes: modesOf(state, settings, memo?.modes),
    plan: planOf(joined, memo?.plan),
    permissions: permissionsOf(joined, memo?.permissions),
    mirrors: mirrorsOf(joined, memo?.mirrors),
  };
  const problems: Problem[] = [];
  for (const part of Object.values(memos)) problems.push(...part.problems);
  const { endpoints } = services.value;
  const permissions = memos.permissions.value;
  problems.push(...portWarnings({ state, endpoints, permissions }));
  problems.push(...nodesWithoutProxy(state, settings));
  problems.push(...state.problems.filter((problem) => isOfInterest(problem, settings)));
  const policyVersion = policyVersionOf(state, memo?.policyVersion);
  const topology: Topology = {
    mesh: memos.mesh.value,
    modes: memos.modes.value,
    services: joined.services,
    endpoints,
    roots: memos.plan.value.roots,
    aliases: memos.plan.value.aliases,
    permissions,
    wishes: memos.wishes.value,
    policyVersion: policyVersion.value,
    memo: { settings, policyVersion, ...memos },
  };
  return { value: topology, problems: sortedProblems(problems) };
}

/** What `derive` says, or what it said before of the same inputs. */
function remembered<T>(
  inputs: readonly unknown[],
  before: Memo<T> | undefined,
  derive: (problems: Problem[]) => T,
): Memo<T> {
  if (before !== undefined && inputs.every((input, index) => input === before.inputs[index])) {
    return before;
  }
  const problems: Problem[] = [];
  return { inputs, value: derive(problems), problems };
}

function servicesOf(
  input: Omit<ServiceInput, 'problems'>,
  before: Memo<ServicePlan> | undefined,
): Memo<ServicePlan> {
  const { services, namespaces, endpointSlices, nodes } = input.state;
  const inputs = [services, namespaces, endpointSlices, nodes];
  return remembered(inputs, before, (problems) => {
    return planServices({ ...input, problems }, before?.value);
  });
}

function groupsOf(
  input: Omit<GroupInput, 'problems'>,
  before: Memo<ReadonlyMap<string, GroupPart>> | undefined,
): Memo<ReadonlyMap<string, GroupPart>> {
  return remembered([input.state.httpRouteGroups], before, (problems) => {
    return groupParts({ ...input, problems }, before?.value);
  });
}

type Joined = Omit<SplitInput, 'problems'>;

function planOf(input: Joined, before: Memo<SplitPlan> | undefined): Memo<SplitPlan> {
  const { namespaces, trafficSplits } = input.state;
  // Routes come from these two alone, and from the splits that claim a root.
  const joined = [input.services, input.groups];
  const known = isSameList(joined, before?.inputs.slice(0, 2) ?? []) ? before?.value : undefined;
  return remembered([...joined, namespaces, trafficSplits], before, (problems) => {
    return planSplits({ ...input, problems }, known);
  });
}

function permissionsOf(
  input: Joined,
  before: Memo<Topology['permissions']> | undefined,
): Memo<Topology['permissions']> {
  const { trafficTargets, httpRouteGroups, tcpRoutes, udpRoutes } = input.state;
  const inputs = [trafficTargets, httpRouteGroups, tcpRoutes, udpRoutes];
  return remembered(inputs, before, (problems) => planPermissions({ ...input, problems }));
}

function mirrorsOf(input: Joined, before: Memo<undefined> | undefined): Memo<undefined> {
  const { state, services } = input;
  return remembered([services, state.services, state.namespaces], before, (problems) => {
    problems.push(...mirrorProblems(state, services));
    return undefined;
  });
}

function modesOf(
  state: ClusterState,
  settings: MeshSettings,
  before: Memo<Topology['modes']> | undefined,
): Memo<Topology['modes']> {
  return remembered([state.namespaces], before, (problems) => {
    return resolveModes(state, settings, problems);
  });
}

function resolveModes(
  state: ClusterState,
  settings: MeshSettings,
  problems: Problem[],
): Topology['modes'] {
  const modes: NamespaceModes[] = [];
  for (const name of sortedKeys(state.namespaces)) {
    if (!isWatchedNamespace(name, settings)) continue;
    const namespace = state.namespaces.get(name);
    const { value, problems: found } = resolveNamespace(namespace, settings);
    problems.push(...found);
    if (value.policy === settings.policy && value.mtls === settings.mtls) continue;
    modes.push({ name, ...value });
  }
  return modes;
}

function meshOf(
  state: ClusterState,
  settings: MeshSettings,
  before: Memo<MeshFacts> | undefined,
): Memo<MeshFacts> {
  const inputs = portServices(state, settings);
  return remembered(inputs, before, () => meshFactsOf(inputs));
}

/** Endpoints change all the time and no wish with them. */
function wishesOf(
  { state, services }: Joined,
  before: Memo<PortWishes> | undefined,
): Memo<PortWishes> {
  const inputs = [state.services, state.namespaces];
  return remembered(inputs, before, () => {
    const named = [...services.values()].filter(({ isNamed }) => isNamed);
    const placed = named.filter(needsPlace);
    return {
      http: wantedPortsOf(named),
      services: placed.map(({ namespace, name, ports }) => ({ namespace, name, ports })),
    };
  });
}

function needsPlace({ ports }: MeshService): boolean {
  return ports.some(({ protocol }) => protocol !== 'http');
}

/** HTTP port numbers; the first service by key stands for each. */
function wantedPortsOf(services: readonly MeshService[]): readonly WantedPort[] {
  const wanted = new Map<number, WantedPort>();
  for (const service of services) {
    for (const { port, protocol } of service.ports) {
      if (protocol !== 'http' || wanted.has(port)) continue;
      wanted.set(port, { port, namespace: service.namespace, service: service.name });
    }
  }
  return [...wanted.values()].sort((left, right) => left.port - right.port);
}

/** What is wrong in namespaces that the mesh ignores is nobody's concern here. */
function isOfInterest(problem: Problem, settings: MeshSettings): boolean {
  return problem.namespace === '' || isWatchedNamespace(problem.namespace, settings);
}
