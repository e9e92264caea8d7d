// What every parsed Kubernetes object has in common, and what can be wrong with one. Objects are
// pruned at once: only what the mesh uses stays in memory.

/** The kinds that we read; SMI kinds by their Kubernetes names. */
export type Kind =
  | 'Service'
  | 'EndpointSlice'
  | 'Pod'
  | 'Node'
  | 'Namespace'
  | 'ServiceAccount'
  | 'TrafficTarget'
  | 'HTTPRouteGroup'
  | 'TCPRoute'
  | 'UDPRoute'
  | 'TrafficSplit';

export type ObjectMeta = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** 0 where the kind has none. */
  readonly generation: number;
  /** Milliseconds since the epoch; 0 when absent. */
  readonly createdMs: number;
  /** Only keys that the mesh reads. */
  readonly labels: ReadonlyMap<string, string>;
  /** Only keys that the mesh reads. */
  readonly annotations: ReadonlyMap<string, string>;
};

/** What `problem.reason` may be; documented in docs/reference/reasons.md (a test compares). */
export type ProblemReason =
  | 'InvalidObject'
  | 'InvalidSetting'
  | 'UnresolvedRoute'
  | 'UnresolvedService'
  | 'Conflict'
  | 'BackendMissing'
  | 'BackendPortMissing'
  | 'NoBackendWeight'
  | 'ForeignDestination'
  | 'NamespaceDefaulted'
  | 'NoRules'
  | 'InvalidPattern'
  | 'DuplicateMatch'
  | 'ServicePortNamed'
  | 'WeightRounded'
  | 'ShapeMixed'
  | 'HostAliasRefused'
  | 'MatchesDropped'
  | 'MatchesOnRoot'
  | 'UnsupportedField'
  | 'PortsExhausted'
  | 'HeadlessRoot'
  | 'MirrorMissing'
  | 'AddressDisputed'
  | 'DnsNotWired'
  | 'DnsReverted'
  | 'DnsNotReloaded'
  | 'MeshDomainTaken'
  | 'NodeWithoutProxy'
  | 'AuthorityMissing'
  | 'AuthorityRefused'
  | 'RotationWaits'
  | 'IdentityUnwatched'
  | 'TrustDomainForeign';

/** A defect that a user can fix, bound to one object. The message names the fix. */
export type Problem = {
  readonly reason: ProblemReason;
  /** The last three are nothing that is compiled: the cluster's DNS, our proxies, our authority. */
  readonly kind: Kind | 'ConfigMap' | 'DaemonSet' | 'Secret';
  readonly namespace: string;
  readonly name: string;
  readonly message: string;
};

/** A value (absent when nothing could be saved) and what was wrong on the way to it. */
export type Parsed<T> = {
  readonly value: T | undefined;
  readonly problems: readonly Problem[];
};
