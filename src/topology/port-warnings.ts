// ports of TrafficTargets are ports of the destination's pods. Who writes the number of a
// Service port that no pod listens on has mistaken one for the other, and gets denied requests;
// this says so. It needs pods, so it is a problem for the object's conditions and no part of what
// is compiled.
import type { ClusterState, Problem, TrafficTarget } from '../api/index.ts';
import type {
  EndpointsSection,
  EndpointSpec,
  PermissionSpec,
  PermissionsSection,
} from '../snapshot/index.ts';
import { problemOf } from './problems.ts';

export type PortWarningInput = {
  readonly state: ClusterState;
  readonly endpoints: readonly EndpointsSection[];
  readonly permissions: readonly PermissionsSection[];
};

/** Ports of one service account's pods, as their Services name them and as they are. */
type AccountPorts = { readonly service: Set<number>; readonly pod: Set<number> };

/** A problem for each target that names a Service port where a pod port is due. */
export function portWarnings(input: PortWarningInput): readonly Problem[] {
  const limited = input.permissions.filter(({ permissions }) => permissions.some(hasPorts));
  if (limited.length === 0 || input.state.pods.size === 0) return [];
  const ports = portsByAccount(input, new Set(limited.map(({ namespace }) => namespace)));
  const problems: Problem[] = [];
  for (const { namespace, serviceAccount, permissions } of limited) {
    const known = ports.get(`${namespace}/${serviceAccount}`);
    if (known === undefined) continue;
    for (const permission of permissions) {
      const target = input.state.trafficTargets.get(`${namespace}/${permission.target}`);
      if (target !== undefined) problems.push(...mistaken(target, permission, known));
    }
  }
  return problems;
}

function hasPorts({ http, tcp, udp }: PermissionSpec): boolean {
  return http?.ports !== undefined || tcp?.ports !== undefined || udp?.ports !== undefined;
}

function mistaken(
  target: TrafficTarget,
  { http, tcp, udp }: PermissionSpec,
  known: AccountPorts,
): readonly Problem[] {
  const named = new Set([http, tcp, udp].flatMap((grant) => grant?.ports ?? []));
  return [...named]
    .filter((port) => known.service.has(port) && !known.pod.has(port))
    .map((port) => {
      const pods = [...known.pod].sort((left, right) => left - right).join(', ');
      const message =
        `port ${port} is a port of a Service, its pods listen on ${pods}: name the pod's ` + 'port';
      return problemOf(target, 'ServicePortNamed', message);
    });
}

function portsByAccount(
  { state, endpoints: sections }: PortWarningInput,
  namespaces: ReadonlySet<string>,
): ReadonlyMap<string, AccountPorts> {
  const ports = new Map<string, AccountPorts>();
  const add = (namespace: string, port: number, endpoint: EndpointSpec): void => {
    const pod = state.pods.get(`${namespace}/${endpoint.podName}`);
    if (pod === undefined) return;
    const key = `${namespace}/${pod.serviceAccount}`;
    const known = ports.get(key) ?? { service: new Set(), pod: new Set() };
    known.service.add(port);
    known.pod.add(endpoint.port);
    ports.set(key, known);
  };
  for (const { namespace, backends } of sections) {
    if (!namespaces.has(namespace)) continue;
    for (const { port, endpoints } of backends) {
      for (const endpoint of endpoints) add(namespace, port, endpoint);
    }
  }
  return ports;
}
