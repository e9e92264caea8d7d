// The part of Kubernetes' own kinds that the mesh uses (core/v1, discovery.k8s.io/v1). Addresses
// are normalised; what is not here is dropped when an object arrives.
import type { ObjectMeta } from './object.ts';

export type TransportProtocol = 'TCP' | 'UDP' | 'SCTP';

export type ServicePort = {
  /** Empty for a single unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly protocol: TransportProtocol;
  readonly appProtocol: string | undefined;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
};

export type Service = {
  readonly kind: 'Service';
  readonly meta: ObjectMeta;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** Empty for headless services and before allocation. */
  readonly clusterIps: readonly string[];
  readonly isHeadless: boolean;
  readonly hasSelector: boolean;
  readonly ports: readonly ServicePort[];
};

export type SliceEndpoint = {
  /** Normalised addresses; the first is the one that is dialled. */
  readonly addresses: readonly string[];
  /** `ready` as Kubernetes means it: absent counts as true. */
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  readonly nodeName: string | undefined;
  /** Name of the pod in the slice's namespace, when `targetRef` says that it is one. */
  readonly podName: string | undefined;
};

export type SlicePort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: TransportProtocol;
};

export type EndpointSlice = {
  readonly kind: 'EndpointSlice';
  readonly meta: ObjectMeta;
  /** Value of `kubernetes.io/service-name`; empty when absent (such a slice serves nobody). */
  readonly serviceName: string;
  /** `endpointslice.kubernetes.io/managed-by` is the EndpointSlice controller. */
  readonly isManaged: boolean;
  readonly addressType: 'IPv4' | 'IPv6';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
};

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export type Pod = {
  readonly kind: 'Pod';
  readonly meta: ObjectMeta;
  readonly nodeName: string;
  /** Empty for a mirror pod, which has none. */
  readonly serviceAccount: string;
  readonly phase: PodPhase;
  readonly isHostNetwork: boolean;
  /** `metadata.deletionTimestamp` is set. */
  readonly isDeleting: boolean;
  /** False only when every container of the status has terminated (used with `isDeleting`). */
  readonly hasRunningContainer: boolean;
  /** Normalised `status.podIPs`. */
  readonly addresses: readonly string[];
  /** Controller of the pod with a ReplicaSet's hash removed: `Deployment/web`, `Pod/debug`. */
  readonly workload: string;
};

export type Node = {
  readonly kind: 'Node';
  readonly meta: ObjectMeta;
  /** Normalised InternalIP, ExternalIP addresses. */
  readonly addresses: readonly string[];
  /** Why no proxy can run there; `undefined`: one can. */
  readonly proxyObstacle: string | undefined;
};

export type Namespace = { readonly kind: 'Namespace'; readonly meta: ObjectMeta };

export type ServiceAccount = { readonly kind: 'ServiceAccount'; readonly meta: ObjectMeta };
