// The snapshot: the immutable, serialisable configuration of the whole mesh, cut into sections so
// that only what changed travels to the workers. It holds no secret (A4), no pods and no time: the
// same objects give byte-identical sections on every node (A3). What a node alone knows – which
// address is which workload – is the node part (node-part.ts), outside the version.
import type { Brand } from '../lib/brand.ts';
import type { ShapingRules } from './shaping.ts';

/**
 * `mesh`, `namespaces`, `service/ns/name`, `alias/hostname`, `endpoints/ns/name` or
 * `permissions/ns/serviceAccount`.
 */
export type SectionId = Brand<string, 'SectionId'>;

/** `namespace/service:port`, of UDP `namespace/service:port/udp`: a Service port as destination. */
export type BackendId = Brand<string, 'BackendId'>;

export type PolicyMode = 'off' | 'audit' | 'enforce';

/** Mutual TLS of calls to a namespace's pods on other nodes; later is stricter. */
export type MtlsMode = 'off' | 'permissive' | 'strict';

/**
 * A listener that every proxy opens, as the mesh Services say. Sorted by targetPort, then protocol:
 * UDP has port numbers of its own.
 */
export type ListenerSpec = HttpListenerSpec | FlowListenerSpec;

/** Stands for one port number of all services: Host names the service. */
export type HttpListenerSpec = ListenerPorts & { readonly protocol: 'http' };

/** Stands for one port of one service, since nothing in its bytes names it. */
export type FlowListenerSpec = ListenerPorts & {
  readonly protocol: FlowProtocol;
  readonly namespace: string;
  readonly service: string;
};

type ListenerPorts = {
  /** Port of the user's Service that this listener stands for. */
  readonly servicePort: number;
  /** Port that the proxy listens on. */
  readonly targetPort: number;
};

/** What is carried without being read. */
export type FlowProtocol = 'tcp' | 'udp';

export type MeshSection = {
  readonly kind: 'mesh';
  /** First is canonical. */
  readonly meshDomains: readonly string[];
  readonly clusterDomain: string;
  readonly listeners: readonly ListenerSpec[];
  /** ClusterIPs of `weft-http`; what mesh names resolve to. Empty until they are allocated. */
  readonly addresses: readonly string[];
  /** The mesh Services that stand for services with TCP or UDP ports, with their ClusterIPs. */
  readonly places: readonly MeshPlace[];
};

export type MeshPlace = { readonly name: string; readonly addresses: readonly string[] };

/** What holds for the calls to a namespace. */
export type NamespaceModes = {
  readonly name: string;
  readonly policy: PolicyMode;
  readonly mtls: MtlsMode;
};

/** The modes of each namespace that is not at both of the mesh's defaults. Sorted by name. */
export type NamespacesSection = {
  readonly kind: 'namespaces';
  readonly defaultPolicy: PolicyMode;
  readonly defaultMtls: MtlsMode;
  readonly namespaces: readonly NamespaceModes[];
};

export type RetryCondition =
  | 'connect-failure'
  | 'reset'
  | 'refused-stream'
  | '5xx'
  | 'gateway-error'
  | 'retriable-4xx'
  | 'unavailable'
  | number;

/** How calls to a service are forwarded: resolved settings, no defaults left to know. */
export type ServiceRules = {
  /** Host that the pod sees: `undefined` = as the client sent it. */
  readonly upstreamHost: string | undefined;
  /** Extra attempts; `undefined` = the contract's default retries. */
  readonly retryAttempts: number | undefined;
  readonly retryOn: readonly RetryCondition[];
  readonly retryBudgetPercent: number;
  readonly timeoutMs: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly perTryTimeoutMs: number | undefined;
  readonly maxRequestBodyBytes: number | undefined;
  readonly isStopped: boolean;
  /** Absent unless an annotation asks for some of it. */
  readonly shaping?: ShapingRules | undefined;
};

export type HeaderMatchSpec = { readonly name: string; readonly pattern: string };

/** One HTTP match: all its conditions have to hold; one without conditions matches everything. */
export type MatchSpec = {
  /** `group/match`, for explanations. */
  readonly name: string;
  /** RE2 source, matched from the start of the path. */
  readonly pathRegex: string | undefined;
  readonly methods: readonly string[] | undefined;
  readonly headers: readonly HeaderMatchSpec[];
};

export type WeightedBackend = { readonly backend: BackendId; readonly weight: number };

/**
 * One way for the requests of a service port. `matches` undefined: takes every request. Backends
 * without weight are kept (weight 0): all zero is a refusal of its own.
 */
export type RouteSpec = {
  /** `split ns/name` or `service ns/name`; stable key of the live turn counter. */
  readonly name: string;
  readonly matches: readonly MatchSpec[] | undefined;
  readonly backends: readonly WeightedBackend[];
};

export type ServicePortSpec = {
  readonly port: number;
  readonly protocol: 'http' | 'tcp' | 'udp';
  /** First that matches wins; the last one has no `matches`. */
  readonly routes: readonly RouteSpec[];
};

export type ServiceSection = {
  readonly kind: 'service';
  readonly namespace: string;
  readonly name: string;
  /** Mesh names, lower case, canonical domain first. */
  readonly hostnames: readonly string[];
  /** Host aliases by TrafficSplits: matched on Host only, never answered by DNS. */
  readonly aliases: readonly string[];
  /** One of the mesh's `places`: what its names resolve to; `undefined` = `addresses`. */
  readonly place: string | undefined;
  readonly ports: readonly ServicePortSpec[];
  readonly rules: ServiceRules;
};

export type EndpointSpec = {
  readonly address: string;
  readonly port: number;
  /** Empty when unknown or unproven (a slice that the EndpointSlice controller does not manage). */
  readonly nodeName: string;
  /** Pod in the Service's namespace; empty for external addresses. */
  readonly podName: string;
};

/** Of pods that serve HTTPS. */
export type PodTlsSpec = {
  /** Sent as SNI, and what a certificate has to be for where it is verified. */
  readonly serverName: string;
  /** Whose signature a certificate needs; `nobody`: the roots are not known, so none will do. */
  readonly trust: 'anyone' | 'nobody' | 'system' | { readonly pem: string };
};

export type BackendSpec = {
  readonly port: number;
  readonly transport?: Transport;
  /** How to speak to the pods. */
  readonly scheme: 'http' | 'h2c' | 'https';
  /** With `https`. */
  readonly tls?: PodTlsSpec | undefined;
  /** Sorted by address, then port. Ready ones; where none is ready, those that still serve. */
  readonly endpoints: readonly EndpointSpec[];
};

export type EndpointsSection = {
  readonly kind: 'endpoints';
  readonly namespace: string;
  readonly service: string;
  readonly backends: readonly BackendSpec[];
};

/** `undefined` = every port. */
export type PortSet = readonly number[] | undefined;

/** A compiled TrafficTarget (smi R-9): what its sources may reach at the destination's pods. */
export type PermissionSpec = {
  /** Name of the TrafficTarget. */
  readonly target: string;
  /** `namespace/serviceAccount`, sorted. */
  readonly sources: readonly string[];
  /** `undefined`: this permission opens no HTTP. `matches` undefined: every request. */
  readonly http:
    { readonly ports: PortSet; readonly matches: readonly MatchSpec[] | undefined } | undefined;
  readonly tcp: { readonly ports: PortSet } | undefined;
  readonly udp: { readonly ports: PortSet } | undefined;
};

export type PermissionsSection = {
  readonly kind: 'permissions';
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Sorted by target. Allowed if any allows. */
  readonly permissions: readonly PermissionSpec[];
};

export type Section =
  MeshSection | NamespacesSection | ServiceSection | EndpointsSection | PermissionsSection;

/** A section as it travels: `text` is its canonical encoding. */
export type SectionRecord = {
  readonly id: SectionId;
  readonly text: string;
  readonly section: Section;
};

/** Neighbours by id, hashed together (see version.ts). */
export type HashedRun = { readonly records: readonly SectionRecord[]; readonly hash: string };

export type Snapshot = {
  /** Hash over the ids and texts of all sections; equal on all nodes that see the same objects. */
  readonly version: string;
  /** Sorted by id. */
  readonly sections: ReadonlyMap<SectionId, SectionRecord>;
  /** By the id of the first section of each. */
  readonly runs: ReadonlyMap<SectionId, HashedRun>;
};

/** What travels to a worker: the sections that changed between two versions. */
export type SnapshotDelta = {
  readonly version: string;
  /** The version that this delta applies to; `undefined` = it is complete. */
  readonly base: string | undefined;
  readonly changed: readonly { readonly id: SectionId; readonly text: string }[];
  readonly removed: readonly SectionId[];
};

/** Absent: TCP. It stands in every key, since a Service may have both under one number. */
export type Transport = 'udp' | undefined;

export function backendId(
  namespace: string,
  service: string,
  port: number,
  transport?: Transport,
): BackendId {
  return `${namespace}/${service}:${port}${suffixOf(transport)}` as BackendId;
}

function suffixOf(transport: Transport): string {
  return transport === undefined ? '' : '/udp';
}

/** `address:port` (UDP: `/udp`), IPv6 in brackets: stable key of the live state of an endpoint. */
export function endpointId(address: string, port: number, transport?: Transport): string {
  const suffix = suffixOf(transport);
  return address.includes(':') ? `[${address}]:${port}${suffix}` : `${address}:${port}${suffix}`;
}

/** Stable key of the turn counter of a route of one service port. */
export function splitKey(routeName: string, port: number, transport?: Transport): string {
  return `${routeName}:${port}${suffixOf(transport)}`;
}
