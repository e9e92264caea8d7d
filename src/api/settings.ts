// Settings of the whole mesh and of one service. The table of keys, aliases, values and defaults is
// in defaults.ts; here are the shapes that the compiler works with.
import type { Problem } from './object.ts';

/** A setting that always has a value, and what was wrong with what people wrote for it. */
export type Resolved<T> = { readonly value: T; readonly problems: readonly Problem[] };

export type PolicyMode = 'off' | 'audit' | 'enforce';
export type MtlsMode = 'off' | 'permissive' | 'strict';
export type TrafficType = 'http' | 'tcp' | 'udp';
export type UpstreamScheme = 'http' | 'h2c' | 'https';

/** What all processes of one mesh must be told alike (flags and environment). */
export type MeshSettings = {
  readonly meshNamespace: string;
  /** The first is canonical, the others are aliases; lower case, no trailing dot; never empty. */
  readonly meshDomains: readonly string[];
  readonly clusterDomain: string;
  /** Empty = all. */
  readonly watchNamespaces: readonly string[];
  /** `kube-system` and the mesh namespace are ignored besides. */
  readonly ignoreNamespaces: readonly string[];
  readonly adopt: 'all' | 'labelled';
  /** For namespaces that say nothing. */
  readonly policy: PolicyMode;
  readonly mtls: MtlsMode;
  readonly trustDomain: string;
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

export type LoadBalancer =
  | { readonly kind: 'ewma' | 'least-request' | 'round-robin' }
  | { readonly kind: 'hash'; readonly by: 'header' | 'cookie' | 'source'; readonly name: string };

/** Every annotation of a service, resolved (Service, then Namespace, then default). */
export type ServiceSettings = {
  readonly upstreamHost: 'preserve' | 'service' | { readonly literal: string };
  /** Undefined: what each port says of itself (`schemeOf`). */
  readonly scheme: UpstreamScheme | undefined;
  readonly tlsVerify: 'off' | 'system' | { readonly configMap: string };
  /** Extra attempts; `undefined` = the default retries of the contract. */
  readonly retryAttempts: number | undefined;
  readonly retryOn: readonly RetryCondition[];
  readonly retryBudgetPercent: number;
  readonly timeoutMs: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly perTryTimeoutMs: number | undefined;
  readonly circuitBreaker: string | undefined;
  readonly outlierDetection: boolean;
  readonly rateLimitAverage: number | undefined;
  readonly rateLimitBurst: number | undefined;
  readonly maxRequestBodyBytes: number | undefined;
  readonly maxConnections: number | undefined;
  readonly maxRequests: number | undefined;
  readonly loadBalancer: LoadBalancer;
  readonly mirror:
    | {
        readonly service: string;
        readonly port: number | undefined;
        readonly percent: number;
      }
    | undefined;
  readonly isStopped: boolean;
  readonly healthCheck: { readonly path: string; readonly everyMs: number } | undefined;
  readonly hedgeAfter: 'p95' | { readonly ms: number } | undefined;
  readonly fault: {
    readonly abort: { readonly status: number; readonly percent: number } | undefined;
    readonly delay: { readonly ms: number; readonly percent: number } | undefined;
  };
};
