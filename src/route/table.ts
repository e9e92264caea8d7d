// The route table: a snapshot and a node part, compiled for look-up. It is immutable: a new
// snapshot makes a new one, which shares the pieces that did not change. Only the functions of this
// module look inside. Tables keyed by names from outside are Maps (A13).
import type { Pattern } from '../lib/pattern.ts';
import type {
  MeshSection,
  MtlsMode,
  NodePart,
  PeerPart,
  PolicyMode,
  SectionId,
  SectionRecord,
  ServicePortSpec,
  Transport,
  Workload,
} from '../snapshot/index.ts';
import type { Backend, Decision, SplitOrder, Source, Verdict, VirtualHost } from './types.ts';

/** `Snapshot.sections`. */
export type SectionRecords = ReadonlyMap<SectionId, SectionRecord>;

export type RouteTable = {
  /** What it was compiled from; tells the next table what changed. */
  readonly sections: SectionRecords;
  readonly mesh: MeshSection | undefined;
  readonly node: NodePart;
  /** Address → pod of this node. */
  readonly sources: ReadonlyMap<string, Source>;
  readonly policies: Policies;
  /** Where the other proxies are; undefined: nobody has said, and every way is as if alone. */
  readonly peers: PeerPart | undefined;
  /** A memo, handed from table to table: what is in it changes no answer. */
  readonly places: WeakMap<Workload, Place>;
  /**
   * Mesh names and host aliases, lower case. Names of sections, not the pieces themselves: so a
   * change of endpoints leaves this map, the largest, as it is.
   */
  readonly hosts: ReadonlyMap<string, SectionId>;
  readonly services: ReadonlyMap<SectionId, ServicePiece>;
  readonly endpoints: ReadonlyMap<SectionId, EndpointsPiece>;
  readonly permissions: ReadonlyMap<SectionId, PermissionsPiece>;
};

/** What a verdict says of a pod whoever calls. */
export type Place = {
  readonly allowed: Extract<Verdict, { kind: 'allow' }>;
  /** Section that opens it. */
  readonly permissions: SectionId | undefined;
};

export type Policies = {
  readonly byDefault: PolicyMode;
  readonly byNamespace: ReadonlyMap<string, PolicyMode>;
  readonly mtlsByDefault: MtlsMode;
  readonly mtlsByNamespace: ReadonlyMap<string, MtlsMode>;
};

/** One HTTP match with its patterns compiled; all conditions have to hold. */
export type HttpMatch = {
  readonly path: Pattern | undefined;
  /** `undefined` = every method. */
  readonly methods: readonly string[] | undefined;
  readonly headers: readonly HeaderMatch[];
};

export type HeaderMatch = {
  /** Lower case; `host` is the request's hostname, however it was sent. */
  readonly name: string;
  readonly pattern: Pattern;
};

/** A service before its backends are known: what stays when only endpoints change. */
export type ServiceShape = {
  readonly host: VirtualHost;
  readonly hostnames: readonly string[];
  readonly aliases: readonly string[];
  readonly ports: readonly PortShape[];
  /** The backends of all routes of all ports, one after the other. */
  readonly refs: readonly BackendRef[];
};

export type PortShape = {
  readonly port: number;
  readonly protocol: ServicePortSpec['protocol'];
  readonly routes: readonly RouteShape[];
};

export type RouteShape = {
  /** `undefined` takes every request; empty takes none. */
  readonly matches: readonly HttpMatch[] | undefined;
  readonly splitKey: string;
  readonly order: SplitOrder;
  readonly totalWeight: number;
  readonly backends: readonly BackendRef[];
};

export type BackendRef = {
  readonly id: Backend['id'];
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  readonly transport: Transport;
  readonly weight: number;
  /** Section that has its endpoints. */
  readonly section: SectionId;
};

export type ServicePiece = {
  readonly shape: ServiceShape;
  /** By HTTP port of the Service. */
  readonly ports: ReadonlyMap<number, CompiledRoutes>;
  /** By TCP and by UDP port of the Service: one answer, since there is nothing to match. */
  readonly tcp: ReadonlyMap<number, Decision>;
  readonly udp: ReadonlyMap<number, Decision>;
};

/**
 * The routes of one port, match by match in their order, as parallel lists: most matches are told
 * apart by one character of the path, and what is read for that lies together in memory (a thousand
 * hosts do not fit into a cache). Decisions are made when the table is; a request only finds one.
 */
export type CompiledRoutes = {
  /** Index into the path, or -1: no probe. */
  readonly probeAt: readonly number[];
  readonly probeCode: readonly number[];
  /** `undefined` takes every request. */
  readonly matches: readonly (HttpMatch | undefined)[];
  readonly decisions: readonly Decision[];
};

/** Backends by port of the Service. */
export type EndpointsPiece = {
  readonly backends: ReadonlyMap<number, Backend>;
  readonly udpBackends: ReadonlyMap<number, Backend>;
};

export type PermissionsPiece = {
  /** By `namespace/serviceAccount` of the source. */
  readonly bySource: ReadonlyMap<string, readonly Permission[]>;
};

/** `undefined` ports = every port; a protocol that is `undefined` is not opened. */
export type Permission = {
  readonly http:
    | {
        readonly ports: ReadonlySet<number> | undefined;
        readonly matches: readonly HttpMatch[] | undefined;
      }
    | undefined;
  readonly tcp: PortGrant | undefined;
  readonly udp: PortGrant | undefined;
};

export type PortGrant = { readonly ports: ReadonlySet<number> | undefined };
