// The texts that annotations may have as values, one reader for each form. A reader returns
// `undefined` for what it does not understand; it never guesses and never throws.
import { breakerExpressionFault, parseBreakerExpression } from '../lib/breaker-expression.ts';
import { parseDuration, parsePercent } from './duration.ts';
import { parseSize } from '../lib/quantity.ts';
import type { LoadBalancer, RetryCondition, ServiceSettings } from './settings.ts';

const countMax = 1_000_000_000;
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

/** A reader of exactly these words. */
export function oneOf<const T extends string>(
  ...words: readonly T[]
): (text: string) => T | undefined {
  return (text) => words.find((word) => word === text);
}

/** A whole number from 1. */
export function readCount(text: string): number | undefined {
  return /^[1-9][0-9]{0,9}$/.test(text) && Number(text) <= countMax ? Number(text) : undefined;
}

/** Requests a second: more than 0, decimals allowed. */
export function readRate(text: string): number | undefined {
  if (!/^[0-9]{1,10}(?:\.[0-9]{1,6})?$/.test(text)) return undefined;
  const rate = Number(text);
  return rate > 0 && rate <= countMax ? rate : undefined;
}

/** A duration of at least a millisecond: a timeout of nothing would refuse everything. */
export function readTimeout(text: string): number | undefined {
  const ms = parseDuration(text);
  return ms === 0 ? undefined : ms;
}

export { parsePercent as readPercent, parseSize as readSize };

/** Extra attempts, 0 to 10. */
export function readAttempts(text: string): number | undefined {
  return /^(?:[0-9]|10)$/.test(text) ? Number(text) : undefined;
}

/** Maesh counted every attempt, the first included: 1 there is no retry. */
export function readAllAttempts(text: string): number | undefined {
  return /^(?:[1-9]|1[01])$/.test(text) ? Number(text) - 1 : undefined;
}

const retryWords = oneOf(
  'connect-failure',
  'reset',
  'refused-stream',
  '5xx',
  'gateway-error',
  'retriable-4xx',
  'unavailable',
);

/** A comma-separated list of conditions and status codes. */
export function readRetryOn(text: string): readonly RetryCondition[] | undefined {
  const conditions: RetryCondition[] = [];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    const code = /^[45][0-9]{2}$/.test(part) ? Number(part) : undefined;
    const condition = code ?? retryWords(part);
    if (condition === undefined) return undefined;
    if (!conditions.includes(condition)) conditions.push(condition);
  }
  return conditions;
}

/** `preserve`, `service`, or a hostname with an optional port. */
export function readUpstreamHost(text: string): ServiceSettings['upstreamHost'] | undefined {
  if (text === 'preserve' || text === 'service') return text;
  return /^[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?$/.test(text) ? { literal: text } : undefined;
}

/** `off`, `system` or `configmap/NAME`. */
export function readTlsVerify(text: string): ServiceSettings['tlsVerify'] | undefined {
  if (text === 'off' || text === 'system') return text;
  const [, configMap] = /^configmap\/([a-z0-9.-]{1,253})$/.exec(text) ?? [];
  return configMap === undefined ? undefined : { configMap };
}

/** `off`, or an expression that can be read; kept as text. */
export function readCircuitBreaker(text: string): string | undefined {
  return text === 'off' || parseBreakerExpression(text) !== undefined ? text : undefined;
}

/** What is wrong with a text that is neither. */
export function circuitBreakerFault(text: string): string | undefined {
  return text === 'off' ? undefined : breakerExpressionFault(text);
}

/** A way to choose an endpoint. */
export function readLoadBalancer(text: string): LoadBalancer | undefined {
  const kind = oneOf('ewma', 'least-request', 'round-robin')(text);
  if (kind !== undefined) return { kind };
  if (text === 'hash:source') return { kind: 'hash', by: 'source', name: '' };
  const [, by, name = ''] = /^hash:(header|cookie)=(.*)$/.exec(text) ?? [];
  if (!token.test(name)) return undefined;
  if (by === 'header') return { kind: 'hash', by, name: name.toLowerCase() };
  return by === 'cookie' ? { kind: 'hash', by, name } : undefined;
}

/** `<service>[:port][@percent]`, a Service of the same namespace. */
export function readMirror(text: string): ServiceSettings['mirror'] | undefined {
  const [, service, portText, percentText = '100'] =
    /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::([0-9]{1,5}))?(?:@(.+))?$/.exec(text) ?? [];
  const percent = parsePercent(percentText);
  const port = portText === undefined ? undefined : Number(portText);
  if (service === undefined || percent === undefined) return undefined;
  if (port !== undefined && (port < 1 || port > 65535)) return undefined;
  return { service, port, percent };
}

/** `/path@5s`; more often than ten times a second is no check but load. */
export function readHealthCheck(text: string): ServiceSettings['healthCheck'] | undefined {
  const [, path, every = ''] = /^(\/[\x21-\x7e]{0,1023})@([^@]+)$/.exec(text) ?? [];
  const everyMs = parseDuration(every);
  if (path === undefined || everyMs === undefined || everyMs < 100) return undefined;
  return { path, everyMs };
}

/** `p95` or a duration. */
export function readHedgeAfter(text: string): ServiceSettings['hedgeAfter'] | undefined {
  if (text === 'p95') return text;
  const ms = readTimeout(text);
  return ms === undefined ? undefined : { ms };
}

/** `abort=503@5%` and `delay=200ms@10%`, each at most once, separated by a comma. */
export function readFault(text: string): ServiceSettings['fault'] | undefined {
  let abort: ServiceSettings['fault']['abort'];
  let delay: ServiceSettings['fault']['delay'];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    const [, word, amount = '', share = ''] = /^(abort|delay)=([^@]+)@(.+)$/.exec(part) ?? [];
    const percent = parsePercent(share);
    if (percent === undefined) return undefined;
    if (word === 'abort' && abort === undefined && /^[2-5][0-9]{2}$/.test(amount)) {
      abort = { status: Number(amount), percent };
      continue;
    }
    const ms = readTimeout(amount);
    if (word !== 'delay' || delay !== undefined || ms === undefined) return undefined;
    delay = { ms, percent };
  }
  return { abort, delay };
}
