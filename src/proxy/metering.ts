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
  methodLabel,
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
  const countBug = meters.counter('weft_bugs_total', {});
  return {
    connectionOpened: ignore,
    connectionClosed: ignore,
    connectionShed: ignore,
    requestRejected: ignore,
    exchangeStarted: (facts) => addInFlight(meters, facts, 1),
    policyDecided: (facts, verdict) => countVerdict(meters, facts, verdict),
    attemptFinished: (facts, attempt) => countAttempt(meters, facts, attempt),
    retryStarted: (facts) => {
      meters.add(meters.counter('weft_retries_total', { ...serviceOf(facts), outcome: 'started' }), 1);
    },
    retryBudgetExhausted: (facts) => {
      meters.add(meters.counter('weft_retry_budget_exhausted_total', serviceOf(facts)), 1);
    },
    exchangeFinished: (facts, outcome) => {
      addInFlight(meters, facts, -1);
      countExchange(meters, facts);
      logExchange(options, facts, outcome);
    },
    bugFound: (error) => {
      meters.add(countBug, 1);
      options.onBug(error);
    },
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
    ? { source_namespace: source.namespace, source_workload: source.workload }
    : { source_namespace: '', source_workload: unauthenticated };
}

/**
 * The workload that answered and the service that was called: with a split these differ, and canary
 * analysis asks by workload.
 */
function destinationOf(facts: ExchangeFacts, destination: Destination | undefined) {
  return {
    destination_namespace: destination?.namespace ?? facts.host?.namespace ?? '',
    destination_workload: destination?.workload ?? '',
    destination_service: facts.host?.service ?? '',
  };
}

function addInFlight(meters: MeterArena, facts: ExchangeFacts, change: number): void {
  // An unknown name belongs to no service: it is counted when it has ended.
  if (facts.host === undefined) return;
  meters.add(meters.gauge('weft_http_requests_in_flight', serviceOf(facts)), change);
}

function countVerdict(meters: MeterArena, facts: ExchangeFacts, verdict: Verdict): void {
  const action = verdict.kind === 'audit' ? 'audit_deny' : verdict.kind;
  const labels = {
    ...sourceOf(facts.source),
    ...destinationOf(facts, verdict.destination),
    action,
    reason: verdict.kind === 'allow' ? '' : verdict.reason,
  };
  meters.add(meters.counter('weft_policy_decisions_total', labels), 1);
}

function countAttempt(meters: MeterArena, facts: ExchangeFacts, attempt: AttemptFacts): void {
  if (attempt.isCancelled) return;
  const labels = destinationOf(facts, attempt.destination);
  const code = String(attempt.status);
  meters.add(meters.counter('weft_http_attempts_total', { ...labels, code }), 1);
  const seconds = attempt.durationMs / 1_000;
  meters.observe(meters.histogram('weft_http_attempt_duration_seconds', labels), seconds);
}

function countExchange(meters: MeterArena, facts: ExchangeFacts): void {
  const labels = { ...sourceOf(facts.source), ...destinationOf(facts, facts.destination), protocol };
  const method = methodLabel(facts.method);
  const code = String(facts.status);
  meters.add(meters.counter('weft_http_requests_total', { ...labels, method, code }), 1);
  const seconds = facts.durationMs / 1_000;
  meters.observe(meters.histogram('weft_http_request_duration_seconds', labels), seconds);
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
