// The topology: the objects of a cluster joined into what a mesh is made of – services with their
// ports and endpoints, splits, permissions. It is a pure function of the objects and the settings,
// replaced as a whole and never patched (A2). Parts whose inputs are the same objects as before are
// taken over from the previous topology; that saves work and never changes the value.
import type {
  EndpointSlice,
  HttpRouteGroup,
  MeshSettings,
  Namespace,
  Problem,
  Service,
  ServicePort,
  ServiceSettings,
  TrafficSplit,
  TrafficType,
} from '../api/index.ts';
import type { HashedPart } from '../lib/hash.ts';
import type {
  BackendSpec,
  EndpointsSection,
  MatchSpec,
  NamespaceModes,
  PermissionsSection,
  PodTlsSpec,
  ServicePortSpec,
  ServiceRules,
  ServiceSection,
} from '../snapshot/index.ts';
import type { MeshFacts } from './mesh-services.ts';

/** A value and what users can mend in the objects that it was made from. */
export type Built<T> = { readonly value: T; readonly problems: readonly Problem[] };

export type MeshPort = {
  readonly port: number;
  readonly protocol: TrafficType;
};

/** … and how its pods are spoken to. */
export type ServedPort = MeshPort & { readonly scheme: BackendSpec['scheme'] };

/**
 * A Service of the mesh, or one that only is a backend of a split. Without its endpoints: this is
 * the same object until the Service or its Namespace changes.
 */
export type MeshService = {
  readonly namespace: string;
  readonly name: string;
  /** Whether mesh names exist for it; a service opted out is a backend at most. */
  readonly isNamed: boolean;
  readonly settings: ServiceSettings;
  /** Sorted by port, each number once per transport. */
  readonly ports: readonly ServedPort[];
  /** What the proxies are told while nobody splits it and it has no place of its own. */
  readonly section: ServiceSection;
};

/** A TrafficSplit that is in force for its root or its host alias. */
export type PlannedSplit = {
  readonly namespace: string;
  readonly name: string;
  /** `undefined`: takes every request. An empty list takes none. */
  readonly matches: readonly MatchSpec[] | undefined;
  /** Keys of services that exist, in the order of the object. */
  readonly backends: readonly { readonly service: string; readonly weight: number }[];
};

/** A hostname that splits claim although it names no Service (smi R-31). */
export type HostAlias = {
  readonly hostname: string;
  readonly namespace: string;
  /** Service that takes what no split takes: the one named like the oldest split, if there is. */
  readonly fallback: string | undefined;
  /** Name for metrics: that of the oldest split. */
  readonly name: string;
  readonly splits: readonly PlannedSplit[];
  /** Every HTTP port that one of the backends has. */
  readonly ports: readonly ServicePortSpec[];
  readonly rules: ServiceRules;
};

/** A Service port number that needs a listener of its own, and the oldest name that wants it. */
export type WantedPort = {
  readonly port: number;
  readonly namespace: string;
  readonly service: string;
};

/** A service that needs a place of its own, since nothing in the bytes of its ports names it. */
export type WantedPlace = {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly MeshPort[];
};

/** What the mesh wants of its mesh Services. */
export type PortWishes = {
  /** HTTP ports of named services, each number once, sorted by port. */
  readonly http: readonly WantedPort[];
  /** Named services with a TCP or UDP port, sorted by key. */
  readonly services: readonly WantedPlace[];
};

export type Topology = {
  /** What the mesh Services say: listeners, ClusterIPs, places. */
  readonly mesh: MeshFacts;
  /** Namespaces whose modes are not both the mesh's defaults, sorted by name. */
  readonly modes: readonly NamespaceModes[];
  /** `namespace/name` → service, sorted by key. */
  readonly services: ReadonlyMap<string, MeshService>;
  /** What is sent where, of each service that has ports; sorted by the service's key. */
  readonly endpoints: readonly EndpointsSection[];
  /** Key of a root that is split → how. */
  readonly roots: ReadonlyMap<string, SplitRoot>;
  /** Sorted by hostname. */
  readonly aliases: readonly HostAlias[];
  /** Sorted by namespace and service account. */
  readonly permissions: readonly PermissionsSection[];
  /** The same value as long as no Service and no Namespace changes. */
  readonly wishes: PortWishes;
  /** Hash of the inputs that a user writes (contract §2): all builds of a version agree on it. */
  readonly policyVersion: string;
  /** What the next build may take over. */
  readonly memo: TopologyMemo;
};

/** A Service that is split. */
export type SplitRoot = {
  /** Those that name it, oldest first. */
  readonly claims: readonly TrafficSplit[];
  /** All routes of its ports, in the order of R-34. */
  readonly ports: readonly ServicePortSpec[];
  readonly problems: readonly Problem[];
};

/** What of a service does not depend on its endpoints. */
export type ServiceCore = {
  readonly service: MeshService;
  /** The ports that the mesh serves, in the order of the service's `ports`. */
  readonly served: readonly ServicePort[];
  /** Of pods that serve HTTPS. */
  readonly tls: PodTlsSpec | undefined;
  readonly problems: readonly Problem[];
};

export type ServicePart = {
  readonly object: Service;
  readonly namespace: Namespace | undefined;
  readonly slices: readonly EndpointSlice[];
  readonly core: ServiceCore;
  readonly endpoints: EndpointsSection;
  readonly problems: readonly Problem[];
  /** False when other objects than these took part (external addresses). */
  readonly isReusable: boolean;
};

/** The services, and what they are made of. */
export type ServicePlan = Pick<Topology, 'services' | 'endpoints'> & {
  readonly parts: ReadonlyMap<string, ServicePart>;
};

export type GroupPart = {
  readonly object: HttpRouteGroup;
  /** Those with a bad pattern are not here. */
  readonly matches: readonly MatchSpec[];
  /** Names of the matches that have a bad pattern. */
  readonly dropped: ReadonlySet<string>;
  readonly problems: readonly Problem[];
};

/** Something derived, and the objects that it was derived from. */
export type Memo<T> = {
  readonly inputs: readonly unknown[];
  readonly value: T;
  readonly problems: readonly Problem[];
};

/** The policy version, and the hash after each kind of objects that it is made of. */
export type PolicyVersion = {
  readonly value: string;
  readonly steps: readonly {
    readonly objects: ReadonlyMap<string, unknown>;
    readonly part: HashedPart;
  }[];
};

export type SplitPlan = Pick<Topology, 'roots' | 'aliases'>;

export type TopologyMemo = {
  readonly settings: MeshSettings;
  readonly services: Memo<ServicePlan>;
  readonly groups: Memo<ReadonlyMap<string, GroupPart>>;
  readonly modes: Memo<Topology['modes']>;
  readonly plan: Memo<SplitPlan>;
  readonly permissions: Memo<Topology['permissions']>;
  readonly policyVersion: PolicyVersion;
  readonly mesh: Memo<MeshFacts>;
  readonly wishes: Memo<PortWishes>;
  readonly mirrors: Memo<undefined>;
};
