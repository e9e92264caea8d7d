// ClusterState → Topology: the whole join in one place, each step a function of the objects. Bad
// objects become problems and leave the rest as it is (A6).
import type { ClusterState, MeshSettings, Problem } from '../api/index.ts';
import { isWatchedNamespace, resolvePolicy } from './adopt.ts';
import { groupParts } from './groups.ts';
import { httpMeshService, listenersOf } from './mesh-services.ts';
import { planPermissions } from './permissions.ts';
import { policyInputs, policyVersionOf } from './policy-version.ts';
import { portWarnings } from './port-warnings.ts';
import { byText, sortedProblems } from './problems.ts';
import { serviceParts } from './services.ts';
import { planSplits } from './splits.ts';
import type { Built, MeshService, ServicePart, Topology, WantedPort } from './topology.ts';

/** The topology of `state`; `previous` saves work and never changes the value. */
export function buildTopology(
  state: ClusterState,
  settings: MeshSettings,
  previous?: Topology,
): Built<Topology> {
  const problems: Problem[] = [];
  const parts = serviceParts(state, settings, previous?.memo);
  const services = servicesOf(parts, problems);
  const groups = groupParts(state, settings, previous?.memo);
  for (const part of groups.values()) problems.push(...part.problems);
  const plan = planSplits({ state, settings, services, groups, problems });
  const permissions = planPermissions({ state, settings, groups, problems });
  problems.push(...portWarnings({ state, services, permissions }));
  const meshService = httpMeshService(state, settings);
  const inputs = policyInputs(state);
  const isSameInput = inputs.every((input, index) => input === previous?.memo.inputs[index]);
  const topology: Topology = {
    listeners: listenersOf(meshService),
    addresses: meshService?.clusterIps ?? [],
    policies: policiesOf(state, settings, problems),
    services,
    splits: plan.splits,
    aliases: plan.aliases,
    permissions,
    wantedPorts: wantedPortsOf(services),
    policyVersion:
      isSameInput && previous !== undefined ? previous.policyVersion : policyVersionOf(state),
    memo: { settings, services: parts, groups, inputs },
  };
  for (const problem of state.problems) {
    if (isOfInterest(problem, settings)) problems.push(problem);
  }
  return { value: topology, problems: sortedProblems(problems) };
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

function policiesOf(
  state: ClusterState,
  settings: MeshSettings,
  problems: Problem[],
): Topology['policies'] {
  const policies: Topology['policies'][number][] = [];
  for (const name of [...state.namespaces.keys()].sort(byText)) {
    if (!isWatchedNamespace(name, settings)) continue;
    const resolved = resolvePolicy(state.namespaces.get(name), settings);
    problems.push(...resolved.problems);
    if (resolved.value !== settings.policy) policies.push({ name, policy: resolved.value });
  }
  return policies;
}

/** HTTP port numbers of services with a mesh name; the first service by key stands for each. */
function wantedPortsOf(services: ReadonlyMap<string, MeshService>): readonly WantedPort[] {
  const wanted = new Map<number, WantedPort>();
  for (const service of services.values()) {
    if (!service.isNamed) continue;
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
