// A service section → its routes, in two steps: the shape holds what is expensive (patterns and
// orders) and depends on the section alone; linking fills in today's backends and is cheap.
import { splitKey, type RouteSpec, type ServiceSection } from '../snapshot/index.ts';
import { compileMatches, type PatternSource } from './match.ts';
import { compileOrder } from './split-order.ts';
import type {
  BackendRef,
  CompiledRoute,
  EndpointsPiece,
  RouteShape,
  ServicePiece,
  ServiceShape,
} from './table.ts';
import type { Backend, Decision, VirtualHost } from './types.ts';

/** Ports that are not HTTP have no hostname to be found by, so they have no routes here. */
export function compileShape(section: ServiceSection, patterns: PatternSource): ServiceShape {
  const { namespace, name, rules, hostnames, aliases } = section;
  const ports = section.ports
    .filter(({ protocol }) => protocol === 'http')
    .map(({ port, routes }) => ({
      port,
      routes: routes.map((route) => routeShape(route, port, patterns)),
    }));
  return { host: { namespace, service: name, rules }, hostnames, aliases, ports };
}

function routeShape(route: RouteSpec, port: number, patterns: PatternSource): RouteShape {
  const backends = route.backends.map(({ backend, weight }) => backendRef(backend, weight));
  return {
    matches: compileMatches(route.matches, patterns),
    splitKey: splitKey(route.name, port),
    order: compileOrder(backends.map(({ weight }) => weight)),
    totalWeight: backends.reduce((sum, { weight }) => sum + weight, 0),
    backends,
  };
}

/** Takes `namespace/service:port` apart again. */
function backendRef(id: Backend['id'], weight: number): BackendRef {
  const slash = id.indexOf('/');
  const colon = id.lastIndexOf(':');
  return {
    id,
    namespace: id.slice(0, slash),
    service: id.slice(slash + 1, colon),
    port: Number(id.slice(colon + 1)),
    weight,
  };
}

export type LinkOptions = {
  readonly hash: string;
  readonly shape: ServiceShape;
  readonly endpoints: ReadonlyMap<string, EndpointsPiece>;
  readonly before: ServicePiece | undefined;
};

/** The piece with its backends; the one from before when it would be the same. */
export function linkService({ hash, shape, endpoints, before }: LinkOptions): ServicePiece {
  const found = refsOf(shape).map(({ namespace, service, port }) =>
    endpoints.get(`${namespace}/${service}`)?.backends.get(port),
  );
  if (before?.shape === shape && before.found.every((backend, at) => backend === found[at])) {
    return before;
  }
  const ports = new Map<number, readonly CompiledRoute[]>();
  let next = 0;
  for (const { port, routes } of shape.ports) {
    const compiled = routes.map((route): CompiledRoute => {
      const backends = route.backends.map((ref) => {
        const backend = found[next] ?? emptyBackend(ref);
        next += 1;
        return { backend, weight: ref.weight };
      });
      return { matches: route.matches, decision: decisionOf(shape.host, route, backends) };
    });
    ports.set(port, compiled);
  }
  return { hash, shape, ports, found };
}

function refsOf(shape: ServiceShape): readonly BackendRef[] {
  return shape.ports.flatMap(({ routes }) => routes.flatMap(({ backends }) => backends));
}

/** A backend of which no slice speaks keeps its share and answers NoEndpoints. */
function emptyBackend({ id, namespace, service, port }: BackendRef): Backend {
  return { id, namespace, service, port, scheme: 'http', endpoints: [] };
}

function decisionOf(
  host: VirtualHost,
  route: RouteShape,
  backends: readonly { readonly backend: Backend; readonly weight: number }[],
): Decision {
  if (host.rules.isStopped) return { kind: 'refuse', reason: 'Stopped', host };
  // never the root service instead.
  if (route.order.period === 0) return { kind: 'refuse', reason: 'NoBackendWeight', host };
  const { splitKey: key, totalWeight, order } = route;
  return { kind: 'split', host, split: { key, totalWeight, backends, order } };
}
