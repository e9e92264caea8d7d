// What the data plane asks and is told. All functions of this module are pure: live counters, load
// and chance come in as arguments.
import type {
  BackendId,
  FlowProtocol,
  PodTlsSpec,
  ServiceRules,
  Transport,
} from '../snapshot/index.ts';

/** The caller, from its connection's address or certificate, never from a header (A8). */
export type Source =
  | {
      readonly kind: 'workload';
      readonly namespace: string;
      readonly serviceAccount: string;
      /** `namespace/serviceAccount`: the key that permissions name. */
      readonly principal: string;
      readonly workload: string;
      readonly podName: string;
    }
  | { readonly kind: 'unauthenticated' };

/** What routing and authorisation see of a request; implemented by the parsed head itself. */
export type RequestHead = {
  /** Port of the user's Service, from the listener (never from Host). */
  readonly servicePort: number;
  /** Host or :authority without port and trailing dot, lower case. */
  readonly hostname: string;
  /** Upper case as sent. */
  readonly method: string;
  /** Path without query, byte for byte as it is forwarded. */
  readonly path: string;
  /** All values of a field (name in lower case), in order; empty when absent. */
  readonly fieldValues: (name: string) => readonly string[];
};

/** Whom a flow is for: what its listener, or its tunnel, stands for. */
export type FlowDestination = {
  readonly protocol: FlowProtocol;
  readonly namespace: string;
  readonly service: string;
  readonly servicePort: number;
};

export type RefuseReason = 'UnknownService' | 'Stopped' | 'NoBackendWeight';
export type DenyReason = 'SourceNotAllowed' | 'RouteNotAllowed' | 'SourceUnknown';

export type Endpoint = {
  /** `address:port`, IPv6 in brackets: stable key of its live state. */
  readonly id: string;
  /** Namespace of the Service that it serves; whose pod it really is, the node part says. */
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  readonly nodeName: string;
  readonly podName: string;
};

/** How pods that serve HTTPS are spoken to. */
export type PodTls = PodTlsSpec & {
  /** Connections that were opened under the same key may be used by the same backends. */
  readonly key: string;
};

export type Backend = {
  readonly id: BackendId;
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  readonly scheme: 'http' | 'h2c' | 'https';
  /** With `https`, and only then. */
  readonly tls?: PodTls;
  readonly endpoints: readonly Endpoint[];
};

/** Weighted choice among backends; the order is compiled (see pick-backend.ts). */
export type Split = {
  /** Stable key of its turn counter: route name and service port. */
  readonly key: string;
  readonly totalWeight: number;
  readonly backends: readonly { readonly backend: Backend; readonly weight: number }[];
  readonly order: SplitOrder;
};

/** Compiled smooth order of a split; opaque to everybody but pickBackend (see split-order.ts). */
export type SplitOrder = {
  /** Turns after which the order repeats; 0 = nothing has any weight. */
  readonly period: number;
  readonly root: number;
  readonly vertices: readonly SplitVertex[];
};

/** A choice between two; a side ≥ 0 is a vertex, a negative one the backend at `~side`. */
export type SplitVertex = {
  readonly left: number;
  readonly right: number;
  readonly rightWeight: number;
  readonly weight: number;
};

/** The virtual host that a request belongs to, for metrics, rules and explanations. */
export type VirtualHost = {
  readonly namespace: string;
  readonly service: string;
  readonly rules: ServiceRules;
};

export type Decision =
  | { readonly kind: 'split'; readonly host: VirtualHost; readonly split: Split }
  | {
      readonly kind: 'refuse';
      readonly reason: RefuseReason;
      readonly host: VirtualHost | undefined;
    };

/** What is known of the endpoints now. */
export type LoadView = {
  /** Requests in flight, or any load where less is better. */
  readonly load: (endpoint: Endpoint) => number;
  /** Tried already in this exchange, or ejected. */
  readonly isExcluded: (endpoint: Endpoint) => boolean;
};

/** The workload behind an endpoint, for metrics; `unknown` where it is nobody's or not a pod. */
export type Destination = { readonly namespace: string; readonly workload: string };

export type Verdict =
  | { readonly kind: 'allow'; readonly destination: Destination }
  /** Allowed because the namespace only audits; counted and logged as a would-be denial. */
  | { readonly kind: 'audit'; readonly reason: DenyReason; readonly destination: Destination }
  | { readonly kind: 'deny'; readonly reason: DenyReason; readonly destination: Destination };

/**
 * How a call gets to an endpoint, and on which node it is judged. `here`: the pod is on this node ·
 * `plain`: no tunnel is due, and this node judges · `tunnel`: the pod's node judges · `none`: the
 * call may not be made without a tunnel, and there is none, or nobody knows whose the address is.
 */
export type Way =
  | { readonly kind: 'here' }
  | { readonly kind: 'plain'; readonly reason: PlainReason }
  | { readonly kind: 'tunnel'; readonly node: string }
  | { readonly kind: 'none' };

/** Why no tunnel is due: a fact of objects, never of a failure. */
export type PlainReason = 'mtls_off' | 'bare_node' | 'deaf_node' | 'external';

/** What a tunnel names: a port of a Service, and one of its pods. */
export type TunnelTarget = {
  /** UDP has ports of its own. */
  readonly transport?: Transport;
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  /** Of the pod; normalised. */
  readonly address: string;
  readonly podPort: number;
};

/** What a tunnel's request is for, as this node's own table says. */
export type TunnelEnd = {
  readonly endpoint: Endpoint;
  /** The Service that was named, with what of its rules holds here: nothing is tried again. */
  readonly host: VirtualHost;
  /** Of that one endpoint. */
  readonly split: Split;
};
