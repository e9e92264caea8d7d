// The mesh's own Services, read back: which ports were given to whom, which listeners the proxies
// open, which ClusterIP a mesh name resolves to. The allocation lives in these Services and nowhere
// else (contract §1): what is read here is all that a restart of everything knows. What they
// should be is decided in allocate-ports.ts.
// A Service of ours may have been edited by anybody: what does not have our form is not there.
import type { ClusterState, MeshSettings, Service } from '../api/index.ts';
import { byText } from '../lib/order.ts';
import { parseTimestamp } from '../lib/timestamp.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import { placesMax } from './limits.ts';

/** Name of the Service that stands for all HTTP services of the mesh. */
export const httpServiceName = 'weft-http';

/** Owner of a port that all services share, since Host names them. */
export const httpOwner = 'http';

/** Who a port of a `weft-l4` Service is: JSON object `TCP/5432` → `shop/db` (contract §2). */
export const portsAnnotation = 'weft.dev/ports';

/** Since when nobody wants a port any more: JSON object `TCP/5432` → RFC 3339. */
export const leftAnnotation = 'weft.dev/ports-left';

/** Proxy ports, both ends included (contract §1, "Listener ports"). UDP has its own table. */
export const proxyPorts = {
  http: { first: 15_100, last: 15_999 },
  flow: { first: 20_000, last: 29_999 },
} as const;

/** A port of a mesh Service, and whose it is. */
export type GivenPort = {
  readonly transport: 'TCP' | 'UDP';
  /** Port of the user's Service. */
  readonly port: number;
  /** `namespace/name` of a service, or `http`. */
  readonly owner: string;
  /** Port of the proxies. */
  readonly targetPort: number;
  /** Since when (epoch) nobody wants it here; `undefined` = it is wanted. */
  readonly leftMs: number | undefined;
};

/** Name of a mesh Service → its ports: `weft-http`, then `weft-l4-<k>` by k. */
export type GivenPorts = ReadonlyMap<string, readonly GivenPort[]>;

/** The Service on which services with TCP and UDP ports have a place. */
export function placeName(index: number): string {
  return `weft-l4-${index}`;
}

/** Names of the mesh Services that ports are given on, in their order. */
export function portServiceNames(): readonly string[] {
  return [httpServiceName, ...Array.from({ length: placesMax }, (_, index) => placeName(index))];
}

/** How a port is called in annotations. */
export function pairOf(port: Pick<GivenPort, 'transport' | 'port'>): string {
  return `${port.transport}/${port.port}`;
}

/** Name of a port in the Service itself: nobody else's ports are called so. */
export function portNameOf({ transport, port, owner }: Omit<GivenPort, 'targetPort'>): string {
  if (owner === httpOwner) return `http-${port}`;
  return `${transport === 'UDP' ? 'udp' : 'tcp'}-${port}`;
}

/** The mesh Services that exist and are labelled as ours, in their order. */
export function portServices(
  state: ClusterState,
  settings: MeshSettings,
): readonly (Service | undefined)[] {
  return portServiceNames().map((name) => {
    const service = state.services.get(`${settings.meshNamespace}/${name}`);
    return service?.meta.labels.get('weft.dev/component') === 'mesh-service' ? service : undefined;
  });
}

/** What `service` says of its ports; those that are not in our form are left out. */
export function givenPortsOf(service: Service): readonly GivenPort[] {
  const isHttp = service.meta.name === httpServiceName;
  const owners = textsOf(service.meta.annotations.get(portsAnnotation));
  const left = textsOf(service.meta.annotations.get(leftAnnotation));
  const given = new Map<string, GivenPort>();
  for (const { port, protocol, name, targetPort } of service.ports) {
    if (protocol === 'SCTP' || typeof targetPort !== 'number') continue;
    const pair = pairOf({ transport: protocol, port });
    const owner = isHttp ? httpOwner : owners.get(pair);
    if (owner === undefined || !isOwner(owner)) continue;
    const leftMs = parseTimestamp(left.get(pair) ?? '');
    const one = { transport: protocol, port, owner, targetPort, leftMs };
    if (name !== portNameOf(one) || !isInRange(one)) continue;
    given.set(pair, one);
  }
  return [...given.values()];
}

function isOwner(text: string): boolean {
  return text === httpOwner || /^[^/]+\/[^/]+$/.test(text);
}

function isInRange({ transport, owner, targetPort }: GivenPort): boolean {
  if (owner === httpOwner && transport === 'UDP') return false;
  const { first, last } = owner === httpOwner ? proxyPorts.http : proxyPorts.flow;
  return targetPort >= first && targetPort <= last;
}

/** The string values of a JSON object; of anything else none. A Map: keys come from outside. */
function textsOf(json: string | undefined): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  if (json === undefined) return texts;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Somebody else's text: the leader writes it anew.
    return texts;
  }
  if (typeof value !== 'object' || value === null) return texts;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === 'string') texts.set(key, text);
  }
  return texts;
}

/** What the mesh Services mean to a proxy. */
export type MeshFacts = {
  /** Sorted by target port, then protocol. */
  readonly listeners: readonly ListenerSpec[];
  /** ClusterIPs of `weft-http`. */
  readonly addresses: readonly string[];
  /** Those of the other mesh Services that have any. */
  readonly places: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  /** Key of a service → the mesh Service where it has its place, if that has a ClusterIP. */
  readonly placeOf: ReadonlyMap<string, string>;
};

/** The facts of `services` (as portServices gives them). */
export function meshFactsOf(services: readonly (Service | undefined)[]): MeshFacts {
  const found = services.filter((service) => service !== undefined);
  const http = found.find(({ meta }) => meta.name === httpServiceName);
  const others = found.filter(({ meta }) => meta.name !== httpServiceName);
  const addressed = others.filter(({ clusterIps }) => clusterIps.length > 0);
  const given = new Map(others.map((service) => [service.meta.name, givenPortsOf(service)]));
  // Who moves is for a moment on no Service but the one that it leaves: these are two writes.
  const homes = new Map([...formerHomesOf(given), ...homesOf(given)]);
  const names = new Set(addressed.map(({ meta }) => meta.name));
  return {
    listeners: listenersOf(found),
    addresses: http?.clusterIps ?? [],
    places: addressed.map(({ meta, clusterIps }) => ({ name: meta.name, addresses: clusterIps })),
    placeOf: new Map([...homes].filter(([, name]) => names.has(name))),
  };
}

/**
 * Owner → the mesh Service on which it has its place. Ports that were left do not count; where
 * several Services name one owner (somebody edited them), the one with most of its ports, then the
 * first.
 */
export function homesOf(given: GivenPorts): ReadonlyMap<string, string> {
  const best = new Map<string, { readonly name: string; readonly count: number }>();
  for (const [name, ports] of given) {
    const counts = new Map<string, number>();
    for (const { owner, leftMs } of ports) {
      if (owner === httpOwner || leftMs !== undefined) continue;
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    for (const [owner, count] of counts) {
      if (count > (best.get(owner)?.count ?? 0)) best.set(owner, { name, count });
    }
  }
  return new Map([...best].map(([owner, { name }]) => [owner, name]));
}

/** Owner → the mesh Service that it has left last: there its ports still lead to it. */
export function formerHomesOf(given: GivenPorts): ReadonlyMap<string, string> {
  const last = new Map<string, { readonly name: string; readonly leftMs: number }>();
  for (const [name, ports] of given) {
    for (const { owner, leftMs } of ports) {
      if (leftMs === undefined || leftMs <= (last.get(owner)?.leftMs ?? 0)) continue;
      last.set(owner, { name, leftMs });
    }
  }
  return new Map([...last].map(([owner, { name }]) => [owner, name]));
}

/**
 * The listeners that `services` ask for; ports outside their range are none. A port that was left
 * keeps its listener as long as it stands there: who comes by an address that he remembers is led
 * to the service where it still has the port, and otherwise told that nobody is there.
 */
export function listenersOf(services: Iterable<Service>): readonly ListenerSpec[] {
  const byTarget = new Map<string, ListenerSpec>();
  for (const service of services) {
    for (const listener of [...httpListenersOf(service), ...flowListenersOf(service)]) {
      const key = `${listener.protocol === 'udp' ? 'udp' : 'tcp'} ${listener.targetPort}`;
      const other = byTarget.get(key);
      // Two Service ports on one listener could not be told apart: the lower one keeps it.
      if (other !== undefined && byServicePort(other, listener) <= 0) continue;
      byTarget.set(key, listener);
    }
  }
  return [...byTarget.values()].sort(
    (left, right) => left.targetPort - right.targetPort || byText(left.protocol, right.protocol),
  );
}

function byServicePort(left: ListenerSpec, right: ListenerSpec): number {
  return left.servicePort - right.servicePort || byText(ownerOf(left), ownerOf(right));
}

function ownerOf(listener: ListenerSpec): string {
  return listener.protocol === 'http' ? '' : `${listener.namespace}/${listener.service}`;
}

function httpListenersOf({ ports }: Service): readonly ListenerSpec[] {
  return ports.flatMap(({ port, protocol, targetPort }) => {
    if (protocol !== 'TCP' || typeof targetPort !== 'number') return [];
    if (targetPort < proxyPorts.http.first || targetPort > proxyPorts.http.last) return [];
    return [{ protocol: 'http', servicePort: port, targetPort }];
  });
}

function flowListenersOf(service: Service): readonly ListenerSpec[] {
  return givenPortsOf(service).flatMap(({ transport, port, owner, targetPort }) => {
    if (owner === httpOwner) return [];
    const [namespace = '', name = ''] = owner.split('/');
    const protocol = transport === 'UDP' ? 'udp' : 'tcp';
    return [{ protocol, namespace, service: name, servicePort: port, targetPort }];
  });
}
