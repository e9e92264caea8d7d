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
import type { Destination, Source, Verdict } from '../route/index.ts';
import {
  formatAccessLine,
  HttpMeters,
  wantsAccessLine,
  type AccessLogMode,
  type AccessLogRing,
  type MeterArena,
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
const protocol = 'http/1.1';
const unauthenticated = 'unauthenticated';
const denials: ReadonlySet<string> = new Set([
  'SourceNotAllowed',
  'RouteNotAllowed',
  'SourceUnknown',
]);

export function meteringObserver(options: MeteringOptions): ExchangeObserver {
  const { meters } = options;
  const http = new HttpMeters(meters, protocol);
  return {
    connectionOpened: ignore,
    connectionClosed: ignore,
    connectionShed: ignore,
    requestRejected: ignore,
    exchangeStarted: (facts) => addInFlight(http, facts, 1),
    policyDecided: (facts, verdict) => countVerdict(http, facts, verdict),
    attemptFinished: (facts, attempt) => countAttempt(http, facts, attempt),
    retryStarted: (facts) => http.service(serviceOf(facts)).retried('started'),
    retryBudgetExhausted: (facts) => http.service(serviceOf(facts)).retryBudgetExhausted(),
    exchangeFinished: (facts, outcome) => {
      addInFlight(http, facts, -1);
      countExchange(http, facts);
      logExchange(options, facts, outcome);
    },
    bugFound: options.onBug,
  };
}

function serviceOf(facts: ExchangeFacts) {
  return {
    destination_namespace: facts.host?.namespace ?? '',
    destination_service: facts.host?.service ?? '',
  };
}

function sourceOf(source: Source) {
  return source.kind === 'workload'
    ? { source_namespace: source.namespace, source_workload: controllerName(source.workload) }
    : { source_namespace: '', source_workload: unauthenticated };
}

/** `Deployment/web` → `web`: the queries of canary tools ask for the bare name. */
function controllerName(workload: string): string {
  return workload.slice(workload.indexOf('/') + 1);
}

/**
 * The workload that answered and the service that was called: with a split these differ, and canary
 * analysis asks by workload.
 */
function destinationOf(facts: ExchangeFacts, destination: Destination | undefined) {
  return {
    destination_namespace: destination?.namespace ?? facts.host?.namespace ?? '',
    destination_workload: controllerName(destination?.workload ?? ''),
    destination_service: facts.host?.service ?? '',
  };
}

function addInFlight(http: HttpMeters, facts: ExchangeFacts, change: 1 | -1): void {
  // An unknown name belongs to no service: it is counted when it has ended.
  if (facts.host === undefined) return;
  http.service(serviceOf(facts)).inFlight(change);
}

function edgeOf(http: HttpMeters, facts: ExchangeFacts, destination: Destination | undefined) {
  return http.edge({ ...sourceOf(facts.source), ...destinationOf(facts, destination) });
}

function countVerdict(http: HttpMeters, facts: ExchangeFacts, verdict: Verdict): void {
  const action = verdict.kind === 'audit' ? 'audit_deny' : verdict.kind;
  const reason = verdict.kind === 'allow' ? '' : verdict.reason;
  edgeOf(http, facts, verdict.destination).decided(action, reason);
}

function countAttempt(http: HttpMeters, facts: ExchangeFacts, attempt: AttemptFacts): void {
  if (attempt.isCancelled) return;
  const workload = http.workload(destinationOf(facts, attempt.destination));
  workload.attempted(attempt.status, attempt.durationMs / 1_000);
}

function countExchange(http: HttpMeters, facts: ExchangeFacts): void {
  const edge = edgeOf(http, facts, facts.destination);
  edge.finished(facts.method, facts.status, facts.durationMs / 1_000);
}

function logExchange(
  options: MeteringOptions,
  facts: ExchangeFacts,
  outcome: ExchangeOutcome,
): void {
  const isDenied = facts.reason !== undefined && denials.has(facts.reason);
  const isCutOff = outcome === 'broken' || outcome === 'cancelled';
  const { status } = facts;
  if (!wantsAccessLine(options.mode, { status, isDenied, isCutOff }, options.random())) return;
  const source = sourceOf(facts.source);
  const destination = destinationOf(facts, facts.destination);
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
      method: facts.method,
      host: facts.hostname,
      target: facts.path,
      protocol,
      status,
      reason: facts.reason,
      attempts: facts.attempts,
      requestBytes: facts.requestBytes,
      responseBytes: facts.responseBytes,
      requestId: facts.requestId,
      traceId: traceIdOf(facts.traceparent),
      isDenied,
      isCutOff,
    }),
  );
}

/** `00-<trace id>-<parent id>-<flags>` (W3C Trace Context §3.2). */
function traceIdOf(traceparent: string): string | undefined {
  return traceparent.split('-')[1];
}
