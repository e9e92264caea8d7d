// Ground state: all objects as they are at one instant. The topology is a pure function of it. This
// file also passes on the types of the objects themselves, so that the door names them once.
import type { EndpointSlice, Namespace, Node, Pod, Service, ServiceAccount } from './core.ts';
import type { Kind, Parsed, Problem } from './object.ts';
import type { HttpRouteGroup, TcpRoute, TrafficSplit, TrafficTarget, UdpRoute } from './smi.ts';

export type * from './core.ts';
export type * from './network-policy.ts';
export type * from './object.ts';
export type * from './smi.ts';

export type KindTypes = {
  readonly Service: Service;
  readonly EndpointSlice: EndpointSlice;
  readonly Pod: Pod;
  readonly Node: Node;
  readonly Namespace: Namespace;
  readonly ServiceAccount: ServiceAccount;
  readonly TrafficTarget: TrafficTarget;
  readonly HTTPRouteGroup: HttpRouteGroup;
  readonly TCPRoute: TcpRoute;
  readonly UDPRoute: UdpRoute;
  readonly TrafficSplit: TrafficSplit;
};

/** `namespace/name` (just `name` for cluster-scoped kinds) → object. */
export type ObjectsOf<K extends Kind> = ReadonlyMap<string, KindTypes[K]>;

export type ClusterState = {
  readonly services: ObjectsOf<'Service'>;
  readonly endpointSlices: ObjectsOf<'EndpointSlice'>;
  readonly pods: ObjectsOf<'Pod'>;
  readonly nodes: ObjectsOf<'Node'>;
  readonly namespaces: ObjectsOf<'Namespace'>;
  readonly trafficTargets: ObjectsOf<'TrafficTarget'>;
  readonly httpRouteGroups: ObjectsOf<'HTTPRouteGroup'>;
  readonly tcpRoutes: ObjectsOf<'TCPRoute'>;
  readonly udpRoutes: ObjectsOf<'UDPRoute'>;
  readonly trafficSplits: ObjectsOf<'TrafficSplit'>;
  /** Problems that parsing found, of the objects that are present now. */
  readonly problems: readonly Problem[];
};

/** `unknown` (decoded JSON of one object) → the typed object. Never throws. */
export type ObjectParser<K extends Kind> = (input: unknown) => Parsed<KindTypes[K]>;
