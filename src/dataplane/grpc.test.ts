// What is gRPC, how long its callers wait, what each of our reasons is to them (contract §4),
// and how a refusal is written.
import { describe, expect, test } from 'vitest';
import { callTimeoutMs, grpcRefusal, grpcStatusIn, grpcStatusOf, isGrpc } from './grpc.ts';
import { httpStatusOf, isLateForCaller, statusInHead } from './grpc.ts';
import { FieldLines } from './http2-fields.ts';
import type { ResponseFraming } from './http1/framing.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { Reason } from './refusals.ts';

function fieldsOf(fields: Readonly<Record<string, string>>) {
  const lines = new FieldLines();
  for (const [name, value] of Object.entries(fields)) lines.add(name, value);
  return lines.fields();
}

test.each([
  ['application/grpc', true],
  ['application/grpc+proto', true],
  ['Application/gRPC;charset=utf-8', true],
  ['application/grpc-web', false],
  ['application/grpcx', false],
  ['text/application/grpc', false],
])('content-type %s', (type, isSo) => {
  expect(isGrpc(fieldsOf({ 'content-type': type }))).toBe(isSo);
});

describe('the time of a call', () => {
  test.each([
    ['100m', undefined, 100],
    ['2S', undefined, 2_000],
    ['1M', 30_000, 30_000],
    ['1H', undefined, 3_600_000],
    ['5000u', undefined, 5],
    ['2000000n', undefined, 2],
    ['0m', 500, 0],
    ['99999999S', 500, 500],
    // Not of the grammar: eight digits at most, a unit, nothing else.
    ['123456789m', 500, 500],
    ['10', 500, 500],
    ['-1S', 500, 500],
    ['1s', 500, 500],
  ])('grpc-timeout %s where the service has %s', (said, rulesMs, timeMs) => {
    const fields = fieldsOf({ 'content-type': 'application/grpc', 'grpc-timeout': said });
    const head = { version: 20, fields } as HttpRequestHead; // all of it that is looked at
    expect(callTimeoutMs(rulesMs, head)).toBeCloseTo(timeMs);
  });

  test('is not what a request of HTTP/1.1, or one that is no call, says', () => {
    const said = { 'grpc-timeout': '1m' };
    const plain = { version: 20, fields: fieldsOf(said) } as HttpRequestHead;
    const call = fieldsOf({ ...said, 'content-type': 'application/grpc' });
    expect(callTimeoutMs(500, plain)).toBe(500);
    expect(callTimeoutMs(500, { version: 11, fields: call } as HttpRequestHead)).toBe(500);
  });
});

test.each([
  ['0', 0],
  ['16', 16],
  ['17', undefined],
  ['-1', undefined],
  ['1e1', undefined],
  ['', undefined],
])('grpc-status "%s"', (said, status) => {
  expect(grpcStatusIn(fieldsOf({ 'grpc-status': said }))).toBe(status);
});

describe('what an answer says of its call', () => {
  const chunked: ResponseFraming = { kind: 'chunked' };
  const empty: ResponseFraming = { kind: 'length', length: 0 };
  test.each<[string, Partial<HttpResponseHead>, string | undefined, unknown]>([
    ['trailers to come', { framing: chunked }, undefined, 'later'],
    ['a status in front of them', { framing: chunked }, '13', 'later'],
    ['trailers only', { framing: empty }, '13', 13],
    ['nothing at all', { framing: empty }, undefined, 2],
    ['to HEAD', { framing: { kind: 'none' } }, undefined, undefined],
    ['an error of HTTP', { framing: empty, status: 503 }, '0', undefined],
    ['no gRPC', { framing: empty, isGrpc: false }, '13', undefined],
  ])('%s', (_, said, status, expected) => {
    const fields = fieldsOf(status === undefined ? {} : { 'grpc-status': status });
    // All of it that is looked at.
    const head = { status: 200, isGrpc: true, fields, ...said } as HttpResponseHead;
    expect(statusInHead(head)).toBe(expected);
  });

  test('its failures, and nothing else, are 5xx and 429', () => {
    const all = Array.from({ length: 17 }, (_, status) => status);
    const failures = all.filter((status) => [429, 500, 503, 504].includes(httpStatusOf(status)));
    expect(failures).toEqual([2, 4, 8, 13, 14, 15]);
    expect(all.map(httpStatusOf).filter((status) => status > 429).length).toBe(6);
  });

  test('where the contract has a pair, it is that', () => {
    for (const [grpcStatus, status] of [[12, 404], [7, 403], [4, 504], [8, 429], [13, 500]]) {
      expect(httpStatusOf(grpcStatus ?? 0)).toBe(status);
    }
  });

  test.each([
    ['100m', 99, true],
    ['100m', 75, true],
    ['100m', 74, false],
    [undefined, 10_000, false],
  ])('late for a caller who waits %s: after %d ms', (said, tookMs, isSo) => {
    const fields = fieldsOf(said === undefined ? {} : { 'grpc-timeout': said });
    expect(isLateForCaller({ fields }, tookMs)).toBe(isSo);
  });
});

/** Contract §4, column gRPC. */
const contract: readonly (readonly [number, readonly Reason[]])[] = [
  [12, ['UnknownService']],
  [7, ['SourceNotAllowed', 'RouteNotAllowed', 'SourceUnknown']],
  [14, ['NoEndpoints', 'Stopped', 'TunnelUnavailable', 'IdentityPending', 'NoBackendWeight']],
  [14, ['UpstreamConnect', 'UpstreamReset', 'UpstreamProtocol', 'PodNotHere']],
  [4, ['TimeoutConnect', 'TimeoutRequest', 'TimeoutIdle']],
  [8, ['RateLimited', 'Shedding']],
  [13, ['Loop', 'Bug']],
];

test.each(contract)('status %d', (status, reasons) => {
  for (const reason of reasons) expect([reason, grpcStatusOf(reason)]).toEqual([reason, status]);
});

/** What an owner asks for is what a gRPC client is told, and UNKNOWN where gRPC has no word. */
test.each([
  [503, 14],
  [500, 13],
  [504, 4],
  [429, 8],
  [403, 7],
  [401, 16],
  [404, 12],
  [418, 2],
  [200, 2],
])('an injected %d', (status, expected) => {
  expect(grpcStatusOf('FaultInjected', status)).toBe(expected);
  expect(grpcStatusOf('Stopped', status)).toBe(14);
});

test('a message is printable ASCII, with the percent sign escaped', () => {
  const text = 'no 100 % für\nall';
  const refusal = { reason: 'Stopped', text, date: 'now', retryAfterS: undefined } as const;
  const fields = new Map(grpcRefusal(refusal).map(({ name, value }) => [name, value]));
  expect(fields.get('grpc-message')).toBe('no 100 %25 f%C3%BCr%0Aall');
  expect(fields.has('retry-after')).toBe(false);
  const limited = grpcRefusal({ ...refusal, reason: 'RateLimited', retryAfterS: 3 });
  expect(limited).toContainEqual({ name: 'retry-after', value: '3' });
});
