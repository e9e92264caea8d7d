// A service section → its routes, in two steps: the shape holds what is expensive (patterns and
// orders) and depends on the section alone; linking fills in today's backends and is cheap.
import {
  splitKey,
  type RouteSpec,
  type SectionId,
  type ServicePortSpec,
  type ServiceSection,
} from '../snapshot/index.ts';
import { compileMatches, type PatternSource } from './match.ts';
import { compileOrder } from './split-order.ts';
import type {
  BackendRef,
  CompiledRoutes,
  EndpointsPiece,
  HttpMatch,
  PortShape,
  RouteShape,
  ServicePiece,
  ServiceShape,
} from './table.ts';
import type { Backend, Decision, VirtualHost } from './types.ts';

export function compileService(
  section: ServiceSection,
  patterns: PatternSource,
  endpoints: Endpoints,
): ServicePiece {
  return linkService(compileShape(section, patterns), endpoints);
}

function compileShape(section: ServiceSection, patterns: PatternSource): ServiceShape {
  const { namespace, name, rules, hostnames, aliases } = section;
  const ports = section.ports.map((spec) => portShape(spec, patterns));
  const refs = ports.flatMap(({ routes }) => routes.flatMap(({ backends }) => backends));
  return { host: { namespace, service: name, rules }, hostnames, aliases, ports, refs };
}

function portShape(spec: ServicePortSpec, patterns: PatternSource): PortShape {
  const { port, protocol, routes } = spec;
  const transport = protocol === 'udp' ? protocol : undefined;
  return {
    port,
    protocol,
    routes: routes.map((route) => {
      return routeShape(route, splitKey(route.name, port, transport), patterns);
    }),
  };
}

function routeShape(route: RouteSpec, key: string, patterns: PatternSource): RouteShape {
  const backends = route.backends.map(({ backend, weight }) => backendRef(backend, weight));
  return {
    matches: compileMatches(route.matches, patterns),
    splitKey: key,
    order: compileOrder(backends.map(({ weight }) => weight)),
    totalWeight: backends.reduce((sum, { weight }) => sum + weight, 0),
    backends,
  };
}

/** Takes `namespace/service:port` apart again, or `namespace/service:port/udp`. */
function backendRef(id: Backend['id'], weight: number): BackendRef {
  const slash = id.indexOf('/');
  const colon = id.lastIndexOf(':');
  const namespace = id.slice(0, slash);
  const service = id.slice(slash + 1, colon);
  // The one other place that spells a section's id; `snapshot` makes it from the section itself.
  const section = `endpoints/${namespace}/${service}` as SectionId;
  const [port, transport] = id.slice(colon + 1).split('/');
  return {
    id,
    namespace,
    service,
    port: Number(port),
    transport: transport === 'udp' ? transport : undefined,
    weight,
    section,
  };
}

type Endpoints = ReadonlyMap<SectionId, EndpointsPiece>;

/** The piece of `shape` with its backends as they are now. */
export function linkService(shape: ServiceShape, endpoints: Endpoints): ServicePiece {
  const ports = new Map<number, CompiledRoutes>();
  const flows = { tcp: new Map<number, Decision>(), udp: new Map<number, Decision>() };
  for (const { port, protocol, routes } of shape.ports) {
    if (protocol === 'http') ports.set(port, linkRoutes(shape, routes, endpoints));
    else flows[protocol].set(port, flowDecision(shape, routes, endpoints));
  }
  return { shape, ports, ...flows };
}

/** what has no head matches nothing, so the route that takes everything is meant. */
function flowDecision(
  { host }: ServiceShape,
  routes: readonly RouteShape[],
  endpoints: Endpoints,
): Decision {
  const route = routes.find(({ matches }) => matches === undefined);
  if (route === undefined) return { kind: 'refuse', reason: 'UnknownService', host };
  return decisionOf(host, route, endpoints);
}

function linkRoutes(
  { host }: ServiceShape,
  routes: readonly RouteShape[],
  endpoints: Endpoints,
): CompiledRoutes {
  const probeAt: number[] = [];
  const probeCode: number[] = [];
  const matches: (HttpMatch | undefined)[] = [];
  const decisions: Decision[] = [];
  for (const route of routes) {
    const decision = decisionOf(host, route, endpoints);
    for (const match of route.matches ?? [undefined]) {
      const probe = match?.path?.probe;
      probeAt.push(probe?.at ?? -1);
      probeCode.push(probe?.code ?? 0);
      matches.push(match);
      decisions.push(decision);
    }
  }
  return { probeAt, probeCode, matches, decisions };
}

/** A backend of which no slice speaks keeps its share and answers NoEndpoints. */
function emptyBackend({ id, namespace, service, port }: BackendRef): Backend {
  return { id, namespace, service, port, scheme: 'http', endpoints: [] };
}

/** Its endpoints, where a slice speaks of them. */
export function backendAt(
  { section, port, transport }: BackendRef,
  endpoints: Endpoints,
): Backend | undefined {
  const piece = endpoints.get(section);
  return transport === 'udp' ? piece?.udpBackends.get(port) : piece?.backends.get(port);
}

function decisionOf(host: VirtualHost, route: RouteShape, endpoints: Endpoints): Decision {
  if (host.rules.isStopped) return { kind: 'refuse', reason: 'Stopped', host };
  // never the root service instead.
  if (route.order.period === 0) return { kind: 'refuse', reason: 'NoBackendWeight', host };
  const backends = route.backends.map((ref) => {
    const found = backendAt(ref, endpoints);
    return { backend: found ?? emptyBackend(ref), weight: ref.weight };
  });
  const { splitKey: key, totalWeight, order } = route;
  return { kind: 'split', host, split: { key, totalWeight, backends, order } };
}
