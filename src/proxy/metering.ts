// What the data plane tells → metrics and access log of this worker. Each exchange is counted once
// with its final outcome, each try at an endpoint once more (contract §5: a retry must not hide a
// bad canary). Labels come from objects of the cluster only, never from paths, hosts or addresses.
import type {
  AttemptFacts,
  ExchangeFacts,
  ExchangeObserver,
  ExchangeOutcome,
} from '../dataplane/index.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { DenyReason, Destination, Source, Verdict, VirtualHost } from '../route/index.ts';
import {
  formatAccessLine,
  HttpMeters,
  wantsAccessLine,
  type AccessLogMode,
  type AccessLogRing,
  type EdgeMeters,
  type MeterArena,
  type ServiceMeters,
  type WorkloadMeters,
} from '../telemetry/index.ts';

export type MeteringOptions = {
  readonly meters: MeterArena;
  readonly ring: AccessLogRing;
  readonly mode: AccessLogMode;
  readonly clock: Clock;
  readonly random: Random;
  /** A fault of ours; who takes it counts it. */
  readonly onBug: (error: unknown) => void;
};

const ignore = (): void => undefined;
const unauthenticated = 'unauthenticated';
const denials: ReadonlySet<string> = new Set([
  'SourceNotAllowed',
  'RouteNotAllowed',
  'SourceUnknown',
]);

/** Whether policy is why. */
export function isDenial(reason: string | undefined): boolean {
  return reason !== undefined && denials.has(reason);
}

/** The observer of a worker's data plane, and what is counted before there is anything to see. */
export type Metering = ExchangeObserver & {
  /** Makes the series of a backend of a split, at zero. */
  readonly announce: (host: VirtualHost, destination: Destination) => void;
};

export function meteringObserver(options: MeteringOptions): Metering {
  const { meters } = options;
  const http = new KnownMeters(new HttpMeters(meters, 'http/1.1'));
  // Only exchanges are told apart by protocol; everything else counts in the same series.
  const http2 = new KnownMeters(new HttpMeters(meters, 'http/2'));
  // Would-be denials of exchanges that run, until their line is written; of those that came by
  // tunnel no end is told here. Made by the first one: without audits nobody looks.
  let audited: WeakMap<ExchangeFacts, DenyReason> | undefined;
  return {
    connectionOpened: ignore,
    connectionClosed: ignore,
    connectionShed: ignore,
    faultInjected: ({ host }, fault) => http.of(host).service.faultInjected(fault),
    copyEnded: (mirror, outcome) => http.of(mirror).service.copied(outcome),
    requestRejected: ({ reason }) => {
      meters.add(meters.counter('weft_http_rejected_total', { reason }), 1);
    },
    exchangeStarted: (facts) => addInFlight(http, facts, 1),
    policyDecided: (facts, verdict) => {
      countVerdict(http, facts, verdict);
      if (verdict.kind === 'audit') (audited ??= new WeakMap()).set(facts, verdict.reason);
    },
    attemptFinished: (facts, attempt) => countAttempt(http, facts, attempt),
    retryStarted: (facts) => http.of(facts.host).service.retried('started'),
    retryBudgetExhausted: (facts) => http.of(facts.host).service.retryBudgetExhausted(),
    hedgeEnded: (facts, outcome) => http.of(facts.host).service.hedged(outcome),
    endpointEjected: (facts) => http.of(facts.host).service.endpointEjected(),
    exchangeFinished: (facts, outcome) => {
      addInFlight(http, facts, -1);
      countExchange(facts.answer.protocol === 'http/2' ? http2 : http, facts);
      if (facts.reason === 'RateLimited') http.of(facts.host).service.rateLimited();
      const auditReason = audited?.get(facts);
      if (auditReason !== undefined) audited?.delete(facts);
      logExchange(options, facts, { outcome, auditReason });
    },
    tunnelHandshake: ({ side, result }) => {
      meters.add(meters.counter('weft_tunnel_handshakes_total', { side, result }), 1);
    },
    tunnelOpened: (side) => meters.add(meters.gauge('weft_tunnels_open', { side }), 1),
    tunnelClosed: (side) => meters.add(meters.gauge('weft_tunnels_open', { side }), -1),
    wentPlain: (reason) => {
      meters.add(meters.counter('weft_plain_requests_total', { reason }), 1);
    },
    bugFound: options.onBug,
    announce: (host, destination) => http.of(host).at(destination).workload.announce(),
  };
}

/** Who calls, as labels. */
export function sourceOf(source: Source) {
  return source.kind === 'workload'
    ? { source_namespace: source.namespace, source_workload: controllerName(source.workload) }
    : { source_namespace: '', source_workload: unauthenticated };
}

/**
 * `Deployment/web` → `web`: the queries of canary tools ask for the bare name. A caller of which a
 * certificate tells the account alone keeps both words: it is no name of a workload.
 */
function controllerName(workload: string): string {
  if (workload.startsWith('ServiceAccount/')) return workload;
  return workload.slice(workload.indexOf('/') + 1);
}

/**
 * The workload that answered and the service that was called: with a split these differ, and canary
 * analysis asks by workload.
 */
export function destinationOf(host: VirtualHost | undefined, destination: Destination | undefined) {
  return {
    destination_namespace: destination?.namespace ?? host?.namespace ?? '',
    destination_workload: controllerName(destination?.workload ?? ''),
    destination_service: host?.service ?? '',
  };
}

/** Stand for a host and a destination that are not known. */
const noHost = {};
const noDestination = {};

/** The meters of one virtual host: found by the objects of the table, not by their names. */
class HostMeters {
  readonly #http: HttpMeters;
  readonly #host: VirtualHost | undefined;
  readonly #places = new WeakMap<object, PlaceMeters>();
  #service: ServiceMeters | undefined;

  constructor(http: HttpMeters, host: VirtualHost | undefined) {
    this.#http = http;
    this.#host = host;
  }

  /** Made when it is asked for: a name that no service has counts nothing per service. */
  get service(): ServiceMeters {
    this.#service ??= this.#http.service({
      destination_namespace: this.#host?.namespace ?? '',
      destination_service: this.#host?.service ?? '',
    });
    return this.#service;
  }

  at(destination: Destination | undefined): PlaceMeters {
    const key = destination ?? noDestination;
    let meters = this.#places.get(key);
    if (meters === undefined) {
      meters = new PlaceMeters(this.#http, destinationOf(this.#host, destination));
      this.#places.set(key, meters);
    }
    return meters;
  }
}

/** The meters of one workload as destination of one virtual host. */
class PlaceMeters {
  readonly #http: HttpMeters;
  readonly #labels: ReturnType<typeof destinationOf>;
  readonly #edges = new WeakMap<Source, EdgeMeters>();
  #workload: WorkloadMeters | undefined;

  constructor(http: HttpMeters, labels: ReturnType<typeof destinationOf>) {
    this.#http = http;
    this.#labels = labels;
  }

  get workload(): WorkloadMeters {
    this.#workload ??= this.#http.workload(this.#labels);
    return this.#workload;
  }

  edge(source: Source): EdgeMeters {
    let meters = this.#edges.get(source);
    if (meters === undefined) {
      meters = this.#http.edge({ ...sourceOf(source), ...this.#labels });
      this.#edges.set(source, meters);
    }
    return meters;
  }
}

/** What is known lives as long as the table's objects do: a new table has its own. */
class KnownMeters {
  readonly #http: HttpMeters;
  readonly #hosts = new WeakMap<object, HostMeters>();
  /** Asked several times in a row for each exchange. */
  #lastKey: object = noHost;
  #last: HostMeters | undefined;

  constructor(http: HttpMeters) {
    this.#http = http;
  }

  of(host: VirtualHost | undefined): HostMeters {
    const key = host ?? noHost;
    if (key === this.#lastKey && this.#last !== undefined) return this.#last;
    let meters = this.#hosts.get(key);
    if (meters === undefined) {
      meters = new HostMeters(this.#http, host);
      this.#hosts.set(key, meters);
    }
    this.#lastKey = key;
    this.#last = meters;
    return meters;
  }
}

function addInFlight(http: KnownMeters, facts: ExchangeFacts, change: 1 | -1): void {
  // An unknown name belongs to no service: it is counted when it has ended.
  if (facts.host === undefined) return;
  http.of(facts.host).service.inFlight(change);
}

function countVerdict(http: KnownMeters, facts: ExchangeFacts, verdict: Verdict): void {
  const action = verdict.kind === 'audit' ? 'audit_deny' : verdict.kind;
  const reason = verdict.kind === 'allow' ? '' : verdict.reason;
  http.of(facts.host).at(verdict.destination).edge(facts.source).decided(action, reason);
}

function countAttempt(http: KnownMeters, facts: ExchangeFacts, attempt: AttemptFacts): void {
  if (attempt.isCancelled) return;
  const { workload } = http.of(facts.host).at(attempt.destination);
  workload.attempted(attempt.status, attempt.durationMs / 1_000);
  const { grpcStatus } = attempt;
  if (grpcStatus !== undefined) workload.answeredCall(grpcStatus);
}

function countExchange(http: KnownMeters, facts: ExchangeFacts): void {
  const edge = http.of(facts.host).at(facts.destination).edge(facts.source);
  edge.finished(facts.request.method, facts.status, facts.durationMs / 1_000);
  const { grpcStatus } = facts.answer;
  if (grpcStatus !== undefined) edge.called(grpcStatus);
}

function logExchange(
  options: MeteringOptions,
  facts: ExchangeFacts,
  end: { readonly outcome: ExchangeOutcome; readonly auditReason: DenyReason | undefined },
): void {
  const { outcome, auditReason } = end;
  const isDenied = isDenial(facts.reason) || auditReason !== undefined;
  const isCutOff = outcome === 'broken' || outcome === 'cancelled';
  const { status } = facts;
  const { protocol, grpcStatus } = facts.answer;
  // What a gRPC client takes for a failure is one, though HTTP says 200.
  const judged = { status: Math.max(status, httpStatusOf(grpcStatus)), isDenied, isCutOff };
  if (!wantsAccessLine(options.mode, judged, options.random())) return;
  const source = sourceOf(facts.source);
  const destination = destinationOf(facts.host, facts.destination);
  options.ring.push(
    formatAccessLine({
      timeMs: options.clock.wallMs() - facts.durationMs,
      durationMs: facts.durationMs,
      sourceNamespace: source.source_namespace,
      sourceWorkload: source.source_workload === unauthenticated ? '' : source.source_workload,
      sourceAddress: facts.remoteAddress,
      destinationNamespace: destination.destination_namespace,
      destinationService: destination.destination_service,
      destinationWorkload: destination.destination_workload,
      endpoint: facts.endpoint?.id,
      method: facts.request.method,
      host: facts.request.hostname,
      target: facts.request.path,
      protocol,
      status,
      grpcStatus,
      reason: facts.reason,
      attempts: facts.attempts,
      requestBytes: facts.requestBytes,
      responseBytes: facts.responseBytes,
      requestId: facts.requestId,
      traceId: traceIdOf(facts.traceparent),
      auditReason,
      isDenied,
      isCutOff,
    }),
  );
}

/** UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const grpcFailures: ReadonlySet<number | 'unknown'> = new Set([2, 4, 8, 13, 14, 15]);

/** What a status of gRPC would be in HTTP, as far as the access log cares. */
function httpStatusOf(grpcStatus: number | 'unknown' | undefined): number {
  return grpcStatus !== undefined && grpcFailures.has(grpcStatus) ? 500 : 0;
}

/** `00-<trace id>-<parent id>-<flags>` (W3C Trace Context §3.2). */
function traceIdOf(traceparent: string): string | undefined {
  return traceparent.split('-')[1];
}
