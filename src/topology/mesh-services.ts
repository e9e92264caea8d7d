// The mesh's own Services, read back: which listeners the proxies open and which ClusterIPs mesh
// names resolve to. The allocation of ports lives in these Services and nowhere else (contract §1),
// so allocating is a pure function of what is wanted and what they hold: a port that was given
// stays where it is as long as somebody wants it.
import type { ClusterState, MeshSettings, Problem, Service } from '../api/index.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import { byText } from './problems.ts';
import type { Built, WantedPort } from './topology.ts';

/** Name of the Service that stands for all HTTP services of the mesh. */
export const httpServiceName = 'weft-http';

/** Proxy ports for HTTP listeners (contract §1, "Listener ports"). */
const firstPort = 15_100;
const lastPort = 15_999;
const portCount = lastPort - firstPort + 1;

/** The mesh Service for HTTP, when it exists and is labelled as ours. */
export function httpMeshService(state: ClusterState, settings: MeshSettings): Service | undefined {
  const service = state.services.get(`${settings.meshNamespace}/${httpServiceName}`);
  return service?.meta.labels.get('weft.dev/component') === 'mesh-service' ? service : undefined;
}

/** Listeners that `service` asks for, sorted by target port; ports outside our range are none. */
export function listenersOf(service: Service | undefined): readonly ListenerSpec[] {
  const byTarget = new Map<number, ListenerSpec>();
  for (const { port, targetPort } of givenPorts(service)) {
    const other = byTarget.get(targetPort);
    // Two Service ports on one listener could not be told apart: the lower one keeps it.
    if (other !== undefined && other.servicePort < port) continue;
    byTarget.set(targetPort, { protocol: 'http', servicePort: port, targetPort });
  }
  return [...byTarget.values()].sort((left, right) => left.targetPort - right.targetPort);
}

/**
 * A proxy port for each wanted Service port. Kept where `existing` has one; else the first free one
 * from `15100 + port % 900` on, so that a number that was just freed is rarely given to another
 * port while kube-proxies still send to it.
 */
export function allocatePorts(
  wanted: readonly WantedPort[],
  existing: Service | undefined,
): Built<readonly ListenerSpec[]> {
  const ports = [...wanted].sort((left, right) => left.port - right.port || byOwner(left, right));
  const given = new Map<number, ListenerSpec>();
  const taken = new Set<number>();
  const wishes = new Set(ports.map(({ port }) => port));
  for (const listener of listenersOf(existing)) {
    if (!wishes.has(listener.servicePort) || given.has(listener.servicePort)) continue;
    given.set(listener.servicePort, listener);
    taken.add(listener.targetPort);
  }
  const problems: Problem[] = [];
  for (const want of ports) {
    if (given.has(want.port)) continue;
    const targetPort = freePort(want.port, taken);
    if (targetPort === undefined) {
      problems.push(exhausted(want));
      continue;
    }
    taken.add(targetPort);
    given.set(want.port, { protocol: 'http', servicePort: want.port, targetPort });
  }
  const value = [...given.values()].sort((left, right) => left.servicePort - right.servicePort);
  return { value, problems };
}

function freePort(port: number, taken: ReadonlySet<number>): number | undefined {
  for (let tried = 0; tried < portCount; tried += 1) {
    const candidate = firstPort + ((port + tried) % portCount);
    if (!taken.has(candidate)) return candidate;
  }
  return undefined;
}

function exhausted({ port, namespace, service }: WantedPort): Problem {
  return {
    reason: 'PortsExhausted',
    kind: 'Service',
    namespace,
    name: service,
    message:
      `port ${port} gets no listener: all ${portCount} proxy ports are taken; use a port ` +
      'number that other services of the mesh have',
  };
}

function byOwner(left: WantedPort, right: WantedPort): number {
  return byText(left.namespace, right.namespace) || byText(left.service, right.service);
}

/** Numeric target ports within our range; a foreign edit must not make proxies open others. */
function givenPorts(
  service: Service | undefined,
): readonly { readonly port: number; readonly targetPort: number }[] {
  return (service?.ports ?? []).flatMap(({ port, targetPort, protocol }) =>
    protocol === 'TCP' &&
    typeof targetPort === 'number' &&
    targetPort >= firstPort &&
    targetPort <= lastPort
      ? [{ port, targetPort }]
      : [],
  );
}
