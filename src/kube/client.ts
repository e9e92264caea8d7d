// The one place of this module that translates foreign errors – statuses of the API server, errors
// of sockets, TLS and undici – into `KubeFailure`. It decides what a failure is called and whether
// it may be repeated; it does not wait, repeat or log.
// Statuses and their meaning: Kubernetes API conventions, "HTTP Status codes".
import { Failure } from '../lib/failure.ts';
import type { RetryClass } from '../lib/failure.ts';

export type KubeReason =
  | 'AlreadyExists'
  | 'BadConfiguration'
  | 'BadResponse'
  | 'Cancelled'
  | 'Conflict'
  | 'Forbidden'
  | 'Gone'
  | 'Invalid'
  | 'NoConfiguration'
  | 'NotFound'
  | 'ServerError'
  | 'Timeout'
  | 'TooManyRequests'
  | 'Unauthorized'
  | 'Unavailable'
  | 'Unreachable'
  | 'Untrusted';

export type KubeFailureFacts = {
  readonly cause?: unknown;
  /** What the server asked for; it sends it with 429 and 503, and sometimes with 500. */
  readonly retryAfterMs?: number | undefined;
  /** 0 when no answer arrived. */
  readonly status?: number;
};

/** What the API server, or the way to it, did not do. */
export class KubeFailure extends Failure<KubeReason> {
  readonly retryAfterMs: number | undefined;
  readonly status: number;

  constructor(reason: KubeReason, message: string, facts: KubeFailureFacts = {}) {
    super(message, { reason, origin: 'upstream', retry: retryClass(reason), cause: facts.cause });
    this.retryAfterMs = facts.retryAfterMs;
    this.status = facts.status ?? 0;
  }
}

/** `undefined` for anything that is not a failure of the API server. */
export function kubeReason(error: unknown): KubeReason | undefined {
  return error instanceof KubeFailure ? error.reason : undefined;
}

function retryClass(reason: KubeReason): RetryClass {
  switch (reason) {
    case 'Unreachable':
    case 'Timeout':
    case 'ServerError':
    case 'BadResponse':
      return 'if-idempotent';
    // The API server says both before it starts to work on a request.
    case 'TooManyRequests':
    case 'Unavailable':
      return 'if-not-sent';
    default:
      return 'never';
  }
}

/** An answer that says no. `body` is the decoded answer, usually a `Status`. */
export function failureOfStatus(
  what: string,
  answer: {
    readonly status: number;
    readonly body: unknown;
    readonly retryAfterMs?: number | undefined;
  },
): KubeFailure {
  const status = readStatus(answer.body);
  const reason = reasonOfStatus(answer.status, status.reason);
  const said = status.message === '' ? '' : `: ${status.message.slice(0, 300)}`;
  return new KubeFailure(reason, `${what} was answered ${answer.status}${said}${hint(reason)}`, {
    status: answer.status,
    retryAfterMs: answer.retryAfterMs ?? status.retryAfterMs,
  });
}

function reasonOfStatus(status: number, said: string): KubeReason {
  if (said === 'Expired' || said === 'Gone') return 'Gone';
  switch (status) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 409:
      return said === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict';
    case 410:
      return 'Gone';
    case 429:
      return 'TooManyRequests';
    case 503:
      return 'Unavailable';
    case 504:
      return 'Timeout';
    default:
      return status >= 500 ? 'ServerError' : status >= 400 ? 'Invalid' : 'BadResponse';
  }
}

function hint(reason: KubeReason): string {
  if (reason === 'Forbidden') return ' (hint: the ClusterRole of this account lacks the verb)';
  if (reason === 'Unauthorized') return ' (hint: the token has expired or is for another cluster)';
  return '';
}

type SaidStatus = {
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
};

function readStatus(body: unknown): SaidStatus {
  const fields = asRecord(body);
  const seconds = asRecord(fields['details'])['retryAfterSeconds'];
  return {
    reason: asText(fields['reason']),
    message: asText(fields['message']),
    retryAfterMs: typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined,
  };
}

/** Fields of a JSON object; of anything else none. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  // The cast only says that a non-null object can be asked for any key.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

const untrusted = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const timeouts = new Set([
  'ETIMEDOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
]);

/** Errors of the way to the server: no answer, or only a part of one. */
export function failureOfError(what: string, error: unknown): KubeFailure {
  if (error instanceof KubeFailure) return error;
  const code = errorCode(error);
  const said = error instanceof Error ? error.message : 'unknown error';
  if (code === 'ABORT_ERR' || code === 'UND_ERR_ABORTED') {
    return new KubeFailure('Cancelled', `${what} was cancelled`, { cause: error });
  }
  if (untrusted.has(code)) {
    const why = '(hint: the certificate authority in the configuration is another one)';
    return new KubeFailure('Untrusted', `${what} failed: ${said} ${why}`, { cause: error });
  }
  if (timeouts.has(code)) {
    return new KubeFailure('Timeout', `${what} timed out: ${said}`, { cause: error });
  }
  const detail = code === '' ? said : `${said} (${code})`;
  return new KubeFailure('Unreachable', `${what} failed: ${detail}`, { cause: error });
}

// An error that tried several addresses (AggregateError) has no code of its own on every platform.
function errorCode(error: unknown): string {
  const fields = asRecord(error);
  if (fields['name'] === 'AbortError') return 'ABORT_ERR';
  const own = asText(fields['code']);
  if (own !== '') return own;
  const inner = fields['errors'];
  if (Array.isArray(inner)) return asText(asRecord(inner[0])['code']);
  return asText(asRecord(fields['cause'])['code']);
}
