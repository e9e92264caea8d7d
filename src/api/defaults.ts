// Every annotation that a user can write, in one typed table: key, other spellings, values,
// default and meaning. Resolution (resolve-settings.ts) and docs/reference/annotations.md both
// come from it, so that no default is written twice. Spellings of Maesh keep their own meaning
// where it differs: equal spelling is not equal meaning.
import {
  circuitBreakerFault,
  oneOf,
  readAllAttempts,
  readAttempts,
  readCircuitBreaker,
  readCount,
  readFault,
  readHealthCheck,
  readHedgeAfter,
  readLoadBalancer,
  readMirror,
  readPercent,
  readRate,
  readRetryOn,
  readSize,
  readTimeout,
  readTlsVerify,
  readUpstreamHost,
} from './setting-values.ts';
import type {
  LoadBalancer,
  MtlsMode,
  PolicyMode,
  RetryCondition,
  ServiceSettings,
  TrafficType,
  UpstreamScheme,
} from './settings.ts';

/** A key under which a value may stand, and how its text is read there. */
export type Spelling<T> = {
  readonly key: string;
  readonly read: (text: string) => T | undefined;
};

export type Setting<T> = {
  /** Tried in this order; the first is canonical. */
  readonly spellings: readonly Spelling<T>[];
  /** `namespace`: only there; `both`: on the Service, else on its Namespace. */
  readonly on: 'namespace' | 'both';
  /** What may be written, as the end of "write …". */
  readonly values: string;
  /** The value when nobody says anything. */
  readonly initial: T;
  /** One sentence for the reference. */
  readonly doc: string;
  /** What is wrong with a text that cannot be read, where more can be said than `values`. */
  readonly faultOf: ((text: string) => string | undefined) | undefined;
};

const prefix = 'weft.dev/';
const maeshPrefixes = ['mesh.traefik.io/', 'maesh.containo.us/'];

type Definition<T> = {
  readonly read: (text: string) => T | undefined;
  readonly values: string;
  readonly initial: T;
  readonly doc: string;
  readonly on?: 'namespace';
  readonly faultOf?: (text: string) => string | undefined;
  /** Further names below our own prefix. */
  readonly also?: readonly string[];
  /** Names below the prefixes of Maesh, and how it read them. */
  readonly maesh?: { readonly names: readonly string[]; readonly read: Spelling<T>['read'] };
};

function define<T>(name: string, definition: Definition<T>): Setting<T> {
  const { read, maesh } = definition;
  const own = [name, ...(definition.also ?? [])].map((key) => ({ key: prefix + key, read }));
  const theirs = maeshPrefixes.flatMap((start) =>
    (maesh?.names ?? []).map((key) => ({ key: start + key, read: maesh?.read ?? read })),
  );
  const { values, initial, doc, on = 'both', faultOf } = definition;
  return { spellings: [...own, ...theirs], on, values, initial, doc, faultOf };
}

/** As above, for a setting that has no value unless somebody writes one. */
function optional<T>(
  name: string,
  definition: Omit<Definition<T>, 'initial'>,
): Setting<T | undefined> {
  return define<T | undefined>(name, { ...definition, initial: undefined });
}

const readScheme = oneOf('http', 'h2c', 'https');
const readTrafficType = oneOf('http', 'tcp', 'udp');
const timeoutValues = 'a duration such as 250ms or 5s';
const countValues = 'a whole number from 1';

/** All settings, those of ServiceSettings by the names that they have there. */
export const settingTable = {
  trafficType: optional<TrafficType>('traffic-type', {
    read: readTrafficType,
    maesh: { names: ['traffic-type'], read: readTrafficType },
    values: 'http, tcp or udp',
    doc: 'protocol of all ports; `traffic-type.<port>` of one, by name or number',
  }),
  upstreamHost: define<ServiceSettings['upstreamHost']>('upstream-host', {
    read: readUpstreamHost,
    values: 'preserve, service or a hostname',
    initial: 'preserve',
    doc: 'Host that the pod sees: the mesh name, the name of its Service, or this text',
  }),
  scheme: optional<UpstreamScheme>('scheme', {
    read: readScheme,
    maesh: { names: ['scheme'], read: readScheme },
    values: 'http, h2c or https',
    doc:
      'how to speak to the pods; unset: h2c where `appProtocol` of the port is ' +
      '`kubernetes.io/h2c` or `grpc`, or the name of the port begins so, else http. ' +
      '`https` is HTTP/1.1 in TLS 1.2 or 1.3, under the name ' +
      '`SERVICE.NAMESPACE.svc.CLUSTER-DOMAIN`',
  }),
  tlsVerify: define<ServiceSettings['tlsVerify']>('tls-verify', {
    read: readTlsVerify,
    values: 'off, system or configmap/NAME',
    initial: 'off',
    doc:
      'with `scheme: https`: whose signature the pod certificate needs: anybody’s, that of a ' +
      'public authority, or that of a CA of yours. `configmap/NAME` is not built yet: no ' +
      'certificate is believed',
  }),
  retryAttempts: optional<number>('retry-attempts', {
    read: readAttempts,
    maesh: { names: ['retry-attempts'], read: readAllAttempts },
    values: 'a whole number from 0 to 10',
    doc: 'extra attempts; the Maesh spellings count all attempts, so 1 there is no retry',
  }),
  retryOn: optional<readonly RetryCondition[]>('retry-on', {
    read: readRetryOn,
    values:
      'a list of connect-failure, reset, refused-stream, 5xx, gateway-error, retriable-4xx, ' +
      'unavailable and status codes',
    doc:
      'what is retried, with `retry-attempts`: connect-failure,reset,gateway-error by default. ' +
      'An endpoint that says Retry-After is asked again when that time is over, and only where ' +
      'no other one is left; where there is not so much time (`timeout`, or a second where it is ' +
      'not set; `idle-timeout`; five minutes), its answer is passed on',
  }),
  retryBudgetPercent: define<number>('retry-budget', {
    read: readPercent,
    values: 'a percentage',
    initial: 20,
    doc:
      'retries are at most this share of the requests that were answered well over 10 s, plus ' +
      '10 a second: what fails earns none, so that tiers of a call chain do not multiply them',
  }),
  timeoutMs: optional<number>('timeout', {
    read: readTimeout,
    values: timeoutValues,
    doc: 'for the whole exchange with all attempts; none by default',
  }),
  connectTimeoutMs: optional<number>('connect-timeout', {
    read: readTimeout,
    values: timeoutValues,
    doc: 'to open a connection to a pod; the proxy’s --connect-timeout by default',
  }),
  idleTimeoutMs: optional<number>('idle-timeout', {
    read: readTimeout,
    values: timeoutValues,
    doc:
      'without a byte in either direction; by default HTTP: the proxy’s --idle-timeout, ' +
      'TCP: none, UDP: 60 s',
  }),
  perTryTimeoutMs: optional<number>('per-try-timeout', {
    read: readTimeout,
    values: timeoutValues,
    doc: 'for one attempt; none by default',
  }),
  circuitBreaker: define<string>('circuit-breaker', {
    read: readCircuitBreaker,
    faultOf: circuitBreakerFault,
    also: ['circuit-breaker-expression'],
    maesh: { names: ['circuit-breaker-expression'], read: readCircuitBreaker },
    values: 'off or an expression such as NetworkErrorRatio() > 0.3',
    initial: 'off',
    doc:
      'opens the breaker of the service for 10 s when the expression holds: comparisons of ' +
      '`NetworkErrorRatio()`, `LatencyAtQuantileMS(quantile)` and ' +
      '`ResponseCodeRatio(from, to, dividedByFrom, dividedByTo)` (at most 8 different ones), ' +
      'with `&&`, `||`, `!` and brackets; none by default',
  }),
  outlierDetection: define<'on' | 'off'>('outlier-detection', {
    read: oneOf('on', 'off'),
    values: 'on or off',
    initial: 'on',
    doc:
      'ejection of single endpoints that fail; of TCP, those that take no connection: what a ' +
      'connection ends with says nothing of the pod',
  }),
  rateLimitAverage: optional<number>('rate-limit-average', {
    read: readRate,
    also: ['ratelimit-average'],
    maesh: { names: ['ratelimit-average', 'rate-limit-average'], read: readRate },
    values: 'a number of requests a second, more than 0',
    doc:
      'requests a second for each source identity, over TCP new connections; no limit by ' +
      'default. Counted where the pod is: a retry or hedge that comes from another node counts ' +
      'again',
  }),
  rateLimitBurst: optional<number>('rate-limit-burst', {
    read: readCount,
    also: ['ratelimit-burst'],
    maesh: { names: ['ratelimit-burst', 'rate-limit-burst'], read: readCount },
    values: countValues,
    doc: 'requests at once within the average; the average, at least 1, by default',
  }),
  maxRequestBodyBytes: optional<number>('max-request-body', {
    read: readSize,
    values: 'a size such as 10Mi',
    doc: 'longer request bodies are refused with 413; the proxy’s --max-request-body by default',
  }),
  maxConnections: optional<number>('max-connections', {
    read: readCount,
    values: countValues,
    doc:
      'connections of a proxy to each endpoint, of HTTP and TCP, busy and idle; no limit by ' +
      'default. Through a tunnel between nodes the value of the backend Service holds, at its ' +
      'pod’s proxy: one at the root of a split holds only for calls without a tunnel',
  }),
  maxRequests: optional<number>('max-requests', {
    read: readCount,
    values: countValues,
    doc:
      'requests in flight at each endpoint; no limit by default. Who finds all of them full ' +
      'waits up to a second for whichever has a place first',
  }),
  loadBalancer: define<LoadBalancer>('load-balancer', {
    read: readLoadBalancer,
    values: 'ewma, least-request, round-robin, hash:header=NAME, hash:cookie=NAME or hash:source',
    initial: { kind: 'ewma' },
    doc: 'how an endpoint is chosen',
  }),
  mirror: optional<NonNullable<ServiceSettings['mirror']>>('mirror', {
    read: readMirror,
    values: 'SERVICE[:PORT][@PERCENT]',
    doc:
      'copies of this share (100 unless said) of the HTTP requests go to this Service of the ' +
      'same namespace as well, at the same port unless one is named; their answers are dropped. ' +
      'A copy bears `weft-mirror: NAMESPACE/SERVICE`; bodies of more than 1 MiB are not copied',
  }),
  traffic: optional<'stop'>('traffic', {
    read: oneOf('stop'),
    values: 'stop, or remove the annotation',
    doc: 'stops all traffic to the service with 503',
  }),
  healthCheck: optional<NonNullable<ServiceSettings['healthCheck']>>('health-check', {
    read: readHealthCheck,
    values: '/path@5s',
    doc:
      'an active check of each pod by the proxy of its own node, for the callers of that node; ' +
      'those of other nodes go by what the pod answers them (`outlier-detection`); none by default',
  }),
  hedgeAfter: optional<NonNullable<ServiceSettings['hedgeAfter']>>('hedge-after', {
    read: readHedgeAfter,
    values: 'p95 or a duration',
    doc: 'a GET or HEAD that takes longer is sent to another endpoint as well; none by default',
  }),
  fault: define<ServiceSettings['fault']>('fault', {
    read: readFault,
    values: 'abort=503@5%, delay=200ms@10%, or both with a comma between',
    initial: { abort: undefined, delay: undefined },
    doc: 'faults to inject; none by default',
  }),
  // What only a Namespace says. Bad values of these count as the strictest.
  policy: optional<PolicyMode>('policy', {
    read: oneOf('off', 'audit', 'enforce'),
    on: 'namespace',
    values: 'off, audit or enforce',
    doc: 'who may call the services of the namespace; --policy by default',
  }),
  mtls: optional<MtlsMode>('mtls', {
    read: oneOf('off', 'permissive', 'strict'),
    on: 'namespace',
    values: 'off, permissive or strict',
    doc:
      'mutual TLS of calls to the namespace across nodes; --mtls by default',
  }),
} as const;

/** What is retried when `retry-attempts` is set, and when it is not (the contract's default). */
export const retryOnDefaults: {
  readonly withAttempts: readonly RetryCondition[];
  readonly without: readonly RetryCondition[];
} = {
  withAttempts: ['connect-failure', 'reset', 'gateway-error'],
  without: ['connect-failure', 'reset'],
};

/** Label of a Service or Namespace that opts in or out. */
export const meshLabel = `${prefix}mesh`;
