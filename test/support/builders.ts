// Builders of parsed objects for tests: name what matters to the test, everything else is as in an
// ordinary cluster. Objects are plain values; nothing here parses (golden cases do, from YAML).
import type {
  ClusterState,
  EndpointSlice,
  HttpMatch,
  HttpRouteGroup,
  Kind,
  KindTypes,
  MeshSettings,
  Namespace,
  Node,
  ObjectMeta,
  Pod,
  Service,
  ServicePort,
  SliceEndpoint,
  TcpRoute,
  TrafficSplit,
  TrafficTarget,
} from '../../src/api/index.ts';

export type AnyObject = KindTypes[Kind];

/** `namespace/name`, or `name` for cluster-scoped kinds. */
export function metaOf(path: string, given: Partial<ObjectMeta> = {}): ObjectMeta {
  const slash = path.indexOf('/');
  return {
    namespace: slash < 0 ? '' : path.slice(0, slash),
    name: path.slice(slash + 1),
    uid: `uid-${path}`,
    generation: 1,
    createdMs: 1_000,
    labels: new Map(),
    annotations: new Map(),
    ...given,
  };
}

export function portOf(port: number, given: Partial<ServicePort> = {}): ServicePort {
  return { name: '', port, protocol: 'TCP', appProtocol: undefined, targetPort: port, ...given };
}

export function serviceOf(path: string, given: Partial<Service> = {}): Service {
  return {
    kind: 'Service',
    meta: metaOf(path),
    type: 'ClusterIP',
    clusterIps: [],
    isHeadless: false,
    hasSelector: true,
    ports: [portOf(80)],
    ...given,
  };
}

export function entryOf(address: string, given: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return {
    addresses: [address],
    isReady: true,
    isServing: true,
    isTerminating: false,
    nodeName: 'node-1',
    podName: `pod-${address.replaceAll('.', '-').replaceAll(':', '-')}`,
    ...given,
  };
}

/** A slice `namespace/service-suffix` of the service before the suffix, one unnamed port 8080. */
export function sliceOf(service: string, given: Partial<EndpointSlice> = {}): EndpointSlice {
  const serviceName = service.slice(service.indexOf('/') + 1);
  return {
    kind: 'EndpointSlice',
    meta: metaOf(`${service}-slice`),
    serviceName,
    isManaged: true,
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: [],
    ...given,
  };
}

export function podOf(path: string, given: Partial<Pod> = {}): Pod {
  return {
    kind: 'Pod',
    meta: metaOf(path),
    nodeName: 'node-1',
    serviceAccount: 'default',
    phase: 'Running',
    isHostNetwork: false,
    isDeleting: false,
    hasRunningContainer: true,
    addresses: [],
    workload: `Deployment/${path.slice(path.indexOf('/') + 1)}`,
    ...given,
  };
}

export function nodeOf(name: string, addresses: readonly string[]): Node {
  return { kind: 'Node', meta: metaOf(name), addresses, proxyObstacle: undefined };
}

export function namespaceOf(
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): Namespace {
  const meta = metaOf(name, { annotations: new Map(Object.entries(annotations)) });
  return { kind: 'Namespace', meta };
}

export function groupOf(path: string, matches: readonly Partial<HttpMatch>[]): HttpRouteGroup {
  return {
    kind: 'HTTPRouteGroup',
    meta: metaOf(path),
    matches: matches.map((match, index) => ({
      name: `m${index}`,
      pathRegex: undefined,
      methods: undefined,
      headers: [],
      ...match,
    })),
  };
}

export function tcpRouteOf(path: string, ports?: readonly number[]): TcpRoute {
  return { kind: 'TCPRoute', meta: metaOf(path), ports };
}

/** A target for service account `destination` of its own namespace; sources are `ns/sa`. */
export function targetOf(
  path: string,
  destination: string,
  sources: readonly string[],
  given: Partial<TrafficTarget> = {},
): TrafficTarget {
  return {
    kind: 'TrafficTarget',
    meta: metaOf(path),
    destination: { kind: 'ServiceAccount', name: destination, namespace: undefined },
    destinationPort: undefined,
    sources: sources.map((source) => {
      const [namespace = '', name = ''] = source.split('/');
      return { kind: 'ServiceAccount', namespace, name };
    }),
    rules: undefined,
    ...given,
  };
}

export function splitOf(
  path: string,
  service: string,
  backends: Readonly<Record<string, number>>,
  given: Partial<TrafficSplit> = {},
): TrafficSplit {
  return {
    kind: 'TrafficSplit',
    meta: metaOf(path),
    service,
    backends: Object.entries(backends).map(([name, weight]) => ({ service: name, weight })),
    matches: undefined,
    ...given,
  };
}

/** A cluster that holds just these objects, in the order given. */
export function stateOf(...objects: readonly AnyObject[]): ClusterState {
  return {
    services: mapOf(objects, 'Service'),
    endpointSlices: mapOf(objects, 'EndpointSlice'),
    pods: mapOf(objects, 'Pod'),
    nodes: mapOf(objects, 'Node'),
    namespaces: mapOf(objects, 'Namespace'),
    trafficTargets: mapOf(objects, 'TrafficTarget'),
    httpRouteGroups: mapOf(objects, 'HTTPRouteGroup'),
    tcpRoutes: mapOf(objects, 'TCPRoute'),
    udpRoutes: mapOf(objects, 'UDPRoute'),
    trafficSplits: mapOf(objects, 'TrafficSplit'),
    problems: [],
  };
}

function mapOf<K extends Kind>(
  objects: readonly AnyObject[],
  kind: K,
): ReadonlyMap<string, KindTypes[K]> {
  const found = new Map<string, KindTypes[K]>();
  for (const object of objects) {
    if (object.kind !== kind) continue;
    const { namespace, name } = object.meta;
    // The kind says which member of the union it is, which TypeScript cannot follow through `K`.
    found.set(namespace === '' ? name : `${namespace}/${name}`, object as KindTypes[K]);
  }
  return found;
}

export function settingsOf(given: Partial<MeshSettings> = {}): MeshSettings {
  return {
    meshNamespace: 'weft-system',
    meshDomains: ['mesh'],
    clusterDomain: 'cluster.local',
    watchNamespaces: [],
    ignoreNamespaces: [],
    adopt: 'all',
    policy: 'off',
    mtls: 'permissive',
    trustDomain: 'cluster.local',
    ...given,
  };
}

function refuseChange(): never {
  throw new TypeError('derived state is replaced, never patched');
}

/** Freezes a value to its leaves: a test that freezes what it got proves that nobody patches it. */
export function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Map || value instanceof Set) {
    // Freezing leaves the entries of a Map as open as they were.
    for (const name of ['set', 'add', 'delete', 'clear']) {
      Object.defineProperty(value, name, { value: refuseChange });
    }
  }
  Object.freeze(value);
  const inner: readonly unknown[] =
    value instanceof Map ? [...value.keys(), ...value.values()] : Object.values(value);
  for (const item of inner) deepFrozen(item);
  return value;
}
