// ClusterState → Topology: the whole join in one place, each step a function of the objects. Bad
// objects become problems and leave the rest as it is (A6).
import {
  isWatchedNamespace,
  resolveNamespace,
  type ClusterState,
  type MeshSettings,
  type Problem,
} from '../api/index.ts';
import { sortedKeys } from '../lib/order.ts';
import type { NamespaceModes } from '../snapshot/index.ts';
import { groupParts } from './groups.ts';
import { mirrorProblems } from './mirrors.ts';
import { meshFactsOf, portServices, type MeshFacts } from './mesh-services.ts';
import { planPermissions, type PermissionInput } from './permissions.ts';
import { nodesWithoutProxy } from './nodes-without-proxy.ts';
import { policyVersionOf } from './policy-version.ts';
import { portWarnings } from './port-warnings.ts';
import { sortedProblems } from './problems.ts';
import { serviceParts } from './services.ts';
import { planSplits, type SplitInput } from './splits.ts';
import type {
  Built,
  Memo,
  MeshService,
  PortWishes,
  ServicePart,
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
  const problems: Problem[] = [];
  const parts = serviceParts(state, settings, memo);
  const services = servicesOf(parts, problems);
  const groups = groupParts(state, settings, memo);
  for (const part of groups.values()) problems.push(...part.problems);
  const memos = {
    mesh: meshOf(state, settings, memo?.mesh),
    wishes: wishesOf(state, services, memo?.wishes),
    modes: modesOf(state, settings, memo?.modes),
    plan: planOf({ state, settings, services, groups }, memo?.plan),
    permissions: permissionsOf({ state, settings, groups }, memo?.permissions),
  };
  const policyVersion = policyVersionOf(state, memo?.policyVersion);
  for (const part of Object.values(memos)) problems.push(...part.problems);
  const permissions = memos.permissions.value;
  problems.push(...portWarnings({ state, services, permissions }));
  problems.push(...mirrorProblems(state, services));
  problems.push(...nodesWithoutProxy(state, settings));
  problems.push(...state.problems.filter((problem) => isOfInterest(problem, settings)));
  const topology: Topology = {
    ...memos.plan.value,
    mesh: memos.mesh.value,
    modes: memos.modes.value,
    services,
    permissions,
    wishes: memos.wishes.value,
    policyVersion: policyVersion.value,
    memo: {
      settings,
      services: parts,
      groupObjects: state.httpRouteGroups,
      groups,
      policyVersion,
      ...memos,
    },
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

type PlanInput = Omit<SplitInput, 'problems'>;

function planOf(input: PlanInput, before: Memo<SplitPlan> | undefined): Memo<SplitPlan> {
  const { services, namespaces, trafficSplits, httpRouteGroups } = input.state;
  const inputs = [services, namespaces, trafficSplits, httpRouteGroups];
  return remembered(inputs, before, (problems) => planSplits({ ...input, problems }));
}

function permissionsOf(
  input: Omit<PermissionInput, 'problems'>,
  before: Memo<Topology['permissions']> | undefined,
): Memo<Topology['permissions']> {
  const { trafficTargets, httpRouteGroups, tcpRoutes, udpRoutes } = input.state;
  const inputs = [trafficTargets, httpRouteGroups, tcpRoutes, udpRoutes];
  return remembered(inputs, before, (problems) => planPermissions({ ...input, problems }));
}

function servicesOf(
  parts: ReadonlyMap<string, ServicePart>,
  problems: Problem[],
): ReadonlyMap<string, MeshService> {
  const services = new Map<string, MeshService>();
  for (const [key, part] of parts) {
    services.set(key, part.service);
    if (part.problems.length > 0) problems.push(...part.problems);
  }
  return services;
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
  state: ClusterState,
  services: ReadonlyMap<string, MeshService>,
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
