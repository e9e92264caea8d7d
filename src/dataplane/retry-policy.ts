// Whether a failed attempt may be tried again: pure, the rules of the contract §3-§4 in one place.
// What it does not decide: the budget (retry-budget.ts), whether the body can be sent again, and
// whether a byte of the answer went to the client – after that nothing is ever retried.
import type { Clock } from '../lib/clock.ts';
import type { RetryCondition, ServiceRules } from '../snapshot/index.ts';
import { isGrpc } from './grpc.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import { retryAfterMs } from './retry-after.ts';
import type { UpstreamFailure } from './upstream.ts';

/** How an attempt failed; `status` answers count as failures only for `retry-on`. */
export type AttemptFailure = {
  readonly kind:
    'connect' | 'reset' | 'refused' | 'protocol' | 'try-timeout' | 'status' | 'unavailable';
  /** What the client would be told if this attempt were the last one. */
  readonly status: number;
  /** No byte of the request reached the kernel of the endpoint's connection. */
  readonly isUnsent: boolean;
  /** So long the endpoint asks to be left alone: others may be asked meanwhile. */
  readonly askedMs?: number;
};

/** What of an attempt a failed connection is. */
export function attemptKind(
  kind: Exclude<UpstreamFailure['kind'], 'bug'>,
): AttemptFailure['kind'] {
  switch (kind) {
    // No tunnel is as good as no connection.
    case 'connect-timeout':
    case 'tunnel':
      return 'connect';
    // Another endpoint would need the same certificate.
    case 'identity':
      return 'status';
    default:
      return kind;
  }
}

export type RetriesDone = {
  /** Further attempts that were made so far. */
  readonly total: number;
  /** Those among them that followed an attempt which may have had effects. */
  readonly afterSent: number;
};

type RetryRules = Pick<ServiceRules, 'retryAttempts' | 'retryOn'>;

const defaultUnsentRetries = 2;
const defaultIdempotentRetries = 1;

/** Methods that may be repeated (RFC 9110 9.2.2). */
const idempotentMethods: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
]);

export function isIdempotent(method: string, hasIdempotencyKey: boolean): boolean {
  return hasIdempotencyKey || idempotentMethods.has(method);
}

export function mayRetry(
  rules: RetryRules,
  isRepeatable: boolean,
  done: RetriesDone,
  failure: AttemptFailure,
): boolean {
  const isSafe = isRepeatable || failure.isUnsent || isNamedUnavailable(rules, failure);
  if (!isSafe) return false;
  if (rules.retryAttempts === undefined) return mayRetryByDefault(isRepeatable, done, failure);
  if (done.total >= rules.retryAttempts) return false;
  return rules.retryOn.some((condition) => covers(condition, failure));
}

/** No call of gRPC is repeatable: who writes the word says that his calls are. */
function isNamedUnavailable({ retryOn }: RetryRules, { kind }: AttemptFailure): boolean {
  return kind === 'unavailable' && retryOn.includes('unavailable');
}

/** Two more for what is provably unsent, one of them also for a repeatable request that was cut. */
function mayRetryByDefault(
  isRepeatable: boolean,
  done: RetriesDone,
  failure: AttemptFailure,
): boolean {
  const isOfConnection = failure.kind === 'connect' || failure.kind === 'reset';
  if (!isOfConnection && failure.kind !== 'refused') return false;
  if (done.total >= defaultUnsentRetries) return false;
  if (failure.isUnsent) return true;
  return isRepeatable && done.afterSent < defaultIdempotentRetries;
}

/**
 * A condition covers a failure that it names, and the status that the failure would become: an
 * endpoint that does not answer at all is as bad as one that says 502.
 */
function covers(condition: RetryCondition, failure: AttemptFailure): boolean {
  switch (condition) {
    case 'connect-failure':
      return failure.kind === 'connect';
    case 'reset':
      return failure.kind === 'reset' || failure.kind === 'refused';
    case '5xx':
      return failure.status >= 500 && failure.status <= 599;
    case 'gateway-error':
      return failure.status >= 502 && failure.status <= 504;
    case 'retriable-4xx':
      return failure.kind === 'status' && failure.status === 409;
    // Words of HTTP/2 and gRPC.
    case 'refused-stream':
      return failure.kind === 'refused';
    case 'unavailable':
      return failure.kind === 'unavailable';
    default:
      return failure.status === condition;
  }
}

/**
 * The failure that an answer may stand for: only where rules name statuses (by default nothing is
 * tried again that got an answer).
 */
export function failedAnswer(
  rules: RetryRules | undefined,
  request: Fields,
  answer: Pick<HttpResponseHead, 'status' | 'fields' | 'framing'>,
  clock: Pick<Clock, 'wallMs'>,
): AttemptFailure | undefined {
  if (rules?.retryAttempts === undefined) return undefined;
  const { status, fields, framing } = answer;
  // A trailers-only answer: its head is all there is. Elsewhere the field is anybody's word.
  const isAll = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
  const isUnavailable = isAll && fields.get('grpc-status') === grpcUnavailable && isGrpc(request);
  // No condition names a status below 400: nearly every answer needs no further look.
  if (status < 400 && !isUnavailable) return undefined;
  const kind = isUnavailable ? 'unavailable' : 'status';
  const said = fields.get('retry-after');
  const askedMs = said === undefined ? 0 : retryAfterMs(said, clock.wallMs());
  return { kind, status, isUnsent: false, ...(askedMs > 0 ? { askedMs } : {}) };
}

/** Whether an answer of this status earns its service a part of a retry. */
export function isGood(status: number): boolean {
  return status < 500;
}

/** UNAVAILABLE. */
const grpcUnavailable = '14';
