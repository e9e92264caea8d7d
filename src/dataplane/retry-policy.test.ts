// The corners of the retry rules that the matrix over sockets does not reach. The matrix over
// real sockets is in test/integration/dataplane-retries.test.ts.
import { describe, expect, test } from 'vitest';
import { trailersOf } from './http2-fields.ts';
import { failedAnswer, isIdempotent, mayRetry } from './retry-policy.ts';
import type { AttemptFailure } from './retry-policy.ts';

const none = { total: 0, afterSent: 0 };
const clock = { wallMs: () => Date.parse('2026-11-22T01:00:00Z') };
const byDefault = { retryAttempts: undefined, retryOn: [] };
const reset: AttemptFailure = { kind: 'reset', status: 502, isUnsent: false };
const refused: AttemptFailure = { kind: 'connect', status: 502, isUnsent: true };

describe('by default', () => {
  test('an idempotent request is tried once more after a reset', () => {
    expect(mayRetry(byDefault, true, none, reset)).toBe(true);
    expect(mayRetry(byDefault, true, { total: 1, afterSent: 0 }, reset)).toBe(true);
    expect(mayRetry(byDefault, true, { total: 1, afterSent: 1 }, reset)).toBe(false);
  });

  test('never more than two more in all', () => {
    expect(mayRetry(byDefault, true, { total: 1, afterSent: 1 }, refused)).toBe(true);
    expect(mayRetry(byDefault, true, { total: 2, afterSent: 1 }, refused)).toBe(false);
    expect(mayRetry(byDefault, false, { total: 2, afterSent: 0 }, refused)).toBe(false);
  });

  test('a request that broke on a write that the kernel refused may be sent again', () => {
    const unsent: AttemptFailure = { ...reset, isUnsent: true };
    expect(mayRetry(byDefault, false, none, unsent)).toBe(true);
  });

  test.each<AttemptFailure['kind']>(['protocol', 'try-timeout', 'status'])(
    '%s is not tried again',
    (kind) => {
      expect(mayRetry(byDefault, true, none, { kind, status: 503, isUnsent: false })).toBe(false);
    },
  );
});

describe('with a list', () => {
  test('what may have had effects is not repeated, whatever the list says', () => {
    const rules = { retryAttempts: 3, retryOn: ['reset', '5xx'] } as const;
    expect(mayRetry(rules, false, none, reset)).toBe(false);
    expect(mayRetry(rules, true, none, reset)).toBe(true);
    expect(mayRetry(rules, false, none, { ...reset, isUnsent: true })).toBe(true);
  });

  test('a refused stream was not looked at: any method is tried again, twice by default', () => {
    const unread = { kind: 'refused', status: 502, isUnsent: true } as const;
    expect(mayRetry(byDefault, false, none, unread)).toBe(true);
    expect(mayRetry(byDefault, false, { total: 2, afterSent: 0 }, unread)).toBe(false);
    for (const word of ['refused-stream', 'reset'] as const) {
      expect(mayRetry({ retryAttempts: 1, retryOn: [word] }, false, none, unread)).toBe(true);
    }
  });

  describe('with UNAVAILABLE in an answer', () => {
    const rules = { retryAttempts: 1, retryOn: ['unavailable'] } as const;
    const byWord = { retryAttempts: 1, retryOn: ['connect-failure', 'gateway-error'] } as const;
    const call = trailersOf([{ name: 'content-type', value: 'application/grpc+proto' }]);
    const plain = trailersOf([{ name: 'content-type', value: 'application/json' }]);
    type Answer = Parameters<typeof failedAnswer>[2];
    const saying = (grpcStatus: string, status = 200): Answer => ({
      status,
      fields: trailersOf([{ name: 'grpc-status', value: grpcStatus }]),
      framing: { kind: 'length', length: 0 },
    });

    test('who names it means methods of gRPC, which are never repeatable', () => {
      const failure = failedAnswer(rules, call, saying('14'), clock);
      expect(failure?.kind).toBe('unavailable');
      expect(failure && mayRetry(rules, false, none, failure)).toBe(true);
      expect(failedAnswer(rules, call, saying('13'), clock)).toBeUndefined();
    });

    test('nothing is sent twice where nobody names it', () => {
      const failure = failedAnswer(byWord, call, saying('14', 503), clock);
      expect(failure?.kind).toBe('unavailable');
      expect(failure && mayRetry(byWord, false, none, failure)).toBe(false);
      expect(failure && mayRetry(byWord, true, none, failure)).toBe(true);
    });

    test.each([
      ['a request that is no call of gRPC', plain, saying('14', 503)],
      ['an answer with content', call, { ...saying('14', 503), framing: { kind: 'chunked' } }],
    ] as const)('%s has no such status', (_, request, answer) => {
      const failure = failedAnswer(rules, request, answer, clock);
      expect(failure?.kind).toBe('status');
      expect(failure && mayRetry(rules, false, none, failure)).toBe(false);
    });
  });

  test.each(['refused-stream', 'unavailable'] as const)('%s says nothing of HTTP/1.1', (word) => {
    expect(mayRetry({ retryAttempts: 3, retryOn: [word] }, true, none, reset)).toBe(false);
  });
});

test.each([
  ['GET', false, true],
  ['get', false, false],
  ['PUT', false, true],
  ['PATCH', false, false],
  ['POST', false, false],
  ['POST', true, true],
])('%s with a key: %s – repeatable: %s', (method, hasKey, expected) => {
  expect(isIdempotent(method, hasKey)).toBe(expected);
});

test.each([
  [undefined, undefined],
  ['0', undefined],
  ['2', 2_000],
  ['Sun, 22 Nov 2026 01:00:20 GMT', 20_000],
])('Retry-After: %s is a wish of %s ms', (said, askedMs) => {
  const fields = trailersOf(said === undefined ? [] : [{ name: 'retry-after', value: said }]);
  const answer = { status: 503, fields, framing: { kind: 'length', length: 0 } } as const;
  const failure = failedAnswer({ retryAttempts: 1, retryOn: [] }, trailersOf([]), answer, clock);
  expect(failure?.askedMs).toBe(askedMs);
});
