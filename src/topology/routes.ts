// Routes of one Service port: its splits in order, then the Service itself (R-33 … R-39). A backend
// that does not have the port number takes no part for that port; where none is left, the root does
// it alone. A backend without endpoints keeps its share, and weights that are all
// zero stay so, since they are a refusal of their own. Backends are never followed into
// splits of theirs, so a root may be its own backend.
import type { Problem } from '../api/index.ts';
import {
  backendId,
  type BackendId,
  type RouteSpec,
  type ServicePortSpec,
  type WeightedBackend,
} from '../snapshot/index.ts';
import type { MeshPort, MeshService, PlannedSplit } from './topology.ts';

export type RouteScope = {
  /** Key of the service that takes what no split takes; absent for an alias without one. */
  readonly root: string | undefined;
  readonly splits: readonly PlannedSplit[];
  readonly services: ReadonlyMap<string, MeshService>;
  readonly problems: Problem[];
};

type RouteInput = RouteScope & { readonly port: MeshPort };

/** `ports` with their routes. */
export function portsOf(ports: readonly MeshPort[], scope: RouteScope): readonly ServicePortSpec[] {
  reportMissingPorts(ports, scope);
  const { root, splits, services, problems } = scope;
  return ports.map((port) => ({
    port: port.port,
    protocol: port.protocol,
    routes: routesOf({ port, root, splits, services, problems }),
  }));
}

/** The ports of a service that nobody splits. */
export function plainPortsOf(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  ports: readonly MeshPort[],
): readonly ServicePortSpec[] {
  const title = serviceRoute(`${namespace}/${name}`);
  return ports.map(({ port, protocol }) => {
    const backend = destinationId({ namespace, name }, { port, protocol });
    const route = { name: title, matches: undefined, backends: [{ backend, weight: 1 }] };
    return { port, protocol, routes: [route] };
  });
}

function destinationId(
  { namespace, name }: Pick<MeshService, 'namespace' | 'name'>,
  { port, protocol }: MeshPort,
): BackendId {
  return backendId(namespace, name, port, protocol === 'udp' ? 'udp' : undefined);
}

function serviceRoute(key: string): string {
  return `service ${key}`;
}

/** The routes of one port in the order in which they are tried; the last one takes everything. */
function routesOf(input: RouteInput): readonly RouteSpec[] {
  const routes: RouteSpec[] = [];
  for (const split of input.splits) {
    // bytes that are no HTTP have nothing that a match could look at.
    if (split.matches !== undefined && input.port.protocol !== 'http') continue;
    routes.push({
      name: `split ${split.namespace}/${split.name}`,
      matches: split.matches,
      backends: backendsOf(split, input),
    });
    if (split.matches === undefined) return routes;
  }
  const name = serviceRoute(input.root ?? '');
  return [...routes, { name, matches: undefined, backends: rootBackend(input) }];
}

function backendsOf(split: PlannedSplit, input: RouteInput): readonly WeightedBackend[] {
  const { port, services, problems } = input;
  const backends: WeightedBackend[] = [];
  for (const { service: key, weight } of split.backends) {
    const service = services.get(key);
    if (service === undefined || !hasPort(service, port)) continue;
    backends.push({ backend: destinationId(service, port), weight });
  }
  if (backends.length === 0) return rootBackend(input);
  if (backends.every(({ weight }) => weight === 0)) {
    const message =
      'all weights are 0, so requests are refused with 503: give one backend a weight';
    problems.push(splitProblem(split, 'NoBackendWeight', message));
  }
  return backends;
}

/** One problem for each backend that lacks some of the ports. */
function reportMissingPorts(ports: readonly MeshPort[], scope: RouteScope): void {
  for (const split of scope.splits) {
    for (const { service: key } of split.backends) {
      const service = scope.services.get(key);
      if (service === undefined || ports.every((port) => hasPort(service, port))) continue;
      const missing = ports.filter((port) => !hasPort(service, port));
      const message =
        `backend ${key} does not expose ${portsText(missing)} and takes no part there: ` +
        'add what is missing';
      scope.problems.push(splitProblem(split, 'BackendPortMissing', message));
    }
  }
}

function portsText(ports: readonly MeshPort[]): string {
  const named = ports.slice(0, 8).map(({ port }) => port);
  const more = ports.length > named.length ? ` and ${ports.length - named.length} more` : '';
  return `${ports.length === 1 ? 'port' : 'ports'} ${named.join(', ')}${more}`;
}

function rootBackend({ root, services, port }: RouteInput): readonly WeightedBackend[] {
  const service = root === undefined ? undefined : services.get(root);
  if (service === undefined || !hasPort(service, port)) return [];
  return [{ backend: destinationId(service, port), weight: 1 }];
}

/** Same number and transport; which protocol is spoken on it is the root's word. */
function hasPort(service: MeshService, { port, protocol }: MeshPort): boolean {
  return service.ports.some(
    (other) => other.port === port && (other.protocol === 'udp') === (protocol === 'udp'),
  );
}

function splitProblem(
  { namespace, name }: PlannedSplit,
  reason: 'BackendPortMissing' | 'NoBackendWeight',
  message: string,
): Problem {
  return { reason, kind: 'TrafficSplit', namespace, name, message };
}
