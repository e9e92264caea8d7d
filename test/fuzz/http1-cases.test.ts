// The published HTTP/1.1 cases (test/cases) against the codec alone: what they want refused is
// refused with a permitted status, what they want forwarded is read as they say and is written as
// they say, and every literal case reads the same however its bytes are cut. Cases that depend on
// routing, policy or time are the product's, not the codec's; they are listed here by id.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { renderRequestHead } from '../../src/dataplane/http1/serialise.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import { RequestHeadParser } from '../../src/dataplane/http1/request-head.ts';
import { defaultHeadLimits } from '../../src/dataplane/http1/limits.ts';
import { cut, readRequests, readResponses, summary } from './http1-messages.ts';
import type { Stream } from './http1-messages.ts';

type Expected = {
  readonly action?: string;
  readonly status?: readonly number[];
  readonly upstreamRequests?: number;
  readonly upstream?: {
    readonly method?: string;
    readonly target?: string;
    readonly body?: string;
    readonly framing?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly absentHeaders?: readonly string[];
    readonly rawMustContain?: readonly string[];
    readonly rawMustNotContain?: readonly string[];
  };
  readonly order?: readonly string[];
  readonly thenReject?: readonly number[];
  readonly anyOf?: readonly Expected[];
  readonly complete?: boolean;
  readonly body?: string;
};

type Case = {
  readonly id: string;
  readonly title: string;
  readonly direction: 'request' | 'response';
  readonly category: string;
  readonly bytes?: string | null;
  readonly gen?: readonly (readonly [string, string, number])[];
  readonly steps?: readonly { readonly send?: string }[];
  readonly deliver?: string;
  readonly request?: string;
  readonly upstreamThen?: string;
  readonly upstreamRawMustNotContain?: readonly string[];
  readonly mustNotReachUpstreamAs?: readonly string[];
  readonly expect: Expected;
  readonly altExpect?: Expected;
};

const file = new URL('../cases/h1-cases.json', import.meta.url);
// The file is data of this repository; its format is described beside it.
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] };

function bytesOf(item: Case): string {
  if (item.steps !== undefined) return item.steps.map((step) => step.send ?? '').join('');
  if (typeof item.bytes === 'string') return item.bytes;
  return (item.gen ?? [])
    .map(([kind, text, count]) => (kind === 'rep' ? text.repeat(count) : text))
    .join('');
}

/** Answered by routing, policy or a time-out, after the codec has rightly accepted them. */
const decidedElsewhere = new Set([
  'RQ-170',
  'RQ-171',
  'RQ-206',
  'RQ-265',
  'RQ-296',
  'RQ-299',
  'RQ-310',
  'RQ-317',
]);

const rendered = (head: HttpRequestHead): string =>
  renderRequestHead({
    head,
    authority: head.authority,
    forwarded: { for: '10.0.0.1', host: head.authority, proto: 'http', port: 80 },
    requestId: 'request-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    connection: 'keep-alive',
  });

function faultsOf(expected: Expected, stream: Stream<HttpRequestHead>): string[] {
  if (expected.anyOf !== undefined) {
    const all = expected.anyOf.map((one) => faultsOf(one, stream));
    return all.some((faults) => faults.length === 0) ? [] : all.flat();
  }
  const { messages, end } = stream;
  switch (expected.action) {
    case 'reject':
    case 'rejectOrAbort':
      if (messages.length > 0) return [`${messages.length} messages accepted`];
      if (end.kind !== 'reject') return [`ends ${end.kind}`];
      return expected.status?.includes(end.status) === true ? [] : [`status ${end.status}`];
    case 'forward':
      return forwardFaults(expected, stream);
    case 'incomplete':
      return end.kind === 'partial-body' || messages.length > 0 ? [] : [`ends ${end.kind}`];
    case 'closeOr400':
      return end.kind === 'reject' || end.kind === 'idle' ? [] : [`ends ${end.kind}`];
    default:
      return messages.length > 0 ? [] : [`ends ${end.kind}`];
  }
}

function forwardFaults(expected: Expected, stream: Stream<HttpRequestHead>): string[] {
  const { messages, end } = stream;
  const faults: string[] = [];
  if (messages.length !== expected.upstreamRequests) faults.push(`${messages.length} messages`);
  if ((end.kind === 'reject') !== (expected.thenReject !== undefined)) faults.push(end.kind);
  const order = messages.map((message) => message.head.target);
  if (expected.order !== undefined && expected.order.join() !== order.join()) faults.push('order');
  const [first] = messages;
  const want = expected.upstream;
  if (first === undefined || want === undefined) return faults;
  const text = rendered(first.head);
  const lines = text.split('\r\n');
  if (want.method !== undefined && first.head.method !== want.method) faults.push('method');
  if (want.target !== undefined && first.head.target !== want.target) faults.push('target');
  if (want.body !== undefined && first.body !== want.body) faults.push('body');
  for (const [name, value] of Object.entries(want.headers ?? {})) {
    const same = lines.filter((line) => line.toLowerCase().startsWith(`${name}: `));
    const values = same.map((line) => line.slice(name.length + 2));
    if (values.join(name === 'cookie' ? '; ' : ', ') !== value) faults.push(`${name}: ${values}`);
  }
  for (const name of want.absentHeaders ?? []) {
    const [lowerName = '', part = ''] = name.split(':');
    const found = lines.some(
      (line) =>
        line.toLowerCase().startsWith(`${lowerName}:`) &&
        line.toLowerCase().includes(part.toLowerCase()),
    );
    if (found) faults.push(`has ${name}`);
  }
  for (const part of want.rawMustContain ?? []) if (!text.includes(part)) faults.push(part);
  for (const part of want.rawMustNotContain ?? []) if (text.includes(part)) faults.push(part);
  return faults;
}

const requestCases = cases.filter(
  (item) => item.direction === 'request' && bytesOf(item) !== '' && !decidedElsewhere.has(item.id),
);

describe('request cases', () => {
  test.each(requestCases.map((item) => [item.id, item.title, item] as const))(
    '%s %s',
    (_id, _title, item) => {
      const stream = readRequests(cut(bytesOf(item)));
      const faults = faultsOf(item.expect, stream);
      const alternative = item.altExpect === undefined ? faults : faultsOf(item.altExpect, stream);
      expect(alternative.length === 0 ? [] : faults, summary(stream).slice(0, 2000)).toEqual([]);
      const upstream = stream.messages.map((message) => rendered(message.head)).join('');
      for (const part of item.upstreamRawMustNotContain ?? []) expect(upstream).not.toContain(part);
      for (const line of item.mustNotReachUpstreamAs ?? []) {
        const starts = stream.messages.map(({ head }) => `${head.method} ${head.target} `);
        expect(starts.some((start) => start.startsWith(line))).toBe(false);
      }
    },
  );
});

const responseCases = cases.filter(
  (item) => item.direction === 'response' && bytesOf(item) !== '' && item.request !== undefined,
);

function answeredBy(item: Case): { method: string; upgrade: string | undefined } {
  const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
  const bytes = Buffer.from(item.request ?? '', 'latin1');
  const result = parser.parse(bytes, 0, bytes.length);
  if (result.kind !== 'head') throw new Error(`request of ${item.id} is no request`);
  return result.head;
}

describe('response cases', () => {
  test.each(responseCases.map((item) => [item.id, item.title, item] as const))(
    '%s %s',
    (_id, _title, item) => {
      const stream = readResponses(cut(bytesOf(item)), answeredBy(item));
      const final = stream.messages.find((message) => message.head.status >= 200);
      const isRefused = stream.end.kind === 'reject';
      const wanted = item.expect.anyOf ?? [item.expect];
      const fits = wanted.some((want) => {
        if (want.status === undefined) return true;
        if (final !== undefined) {
          const hasBody = want.body === undefined || want.body === final.body;
          return want.complete !== false && want.status.includes(final.head.status) && hasBody;
        }
        if (want.complete === false) return true;
        return want.status.includes(isRefused || item.upstreamThen === 'close' ? 502 : 504);
      });
      expect(fits, summary(stream).slice(0, 2000)).toBe(true);
    },
  );
});

const literal = cases.filter((item) => typeof item.bytes === 'string' && item.bytes !== '');

describe('the cut does not matter', () => {
  test.each(literal.map((item) => [item.id, item.title, item] as const))(
    '%s %s',
    (_id, _title, item) => {
      const text = bytesOf(item);
      const read = (pieces: Buffer[]): string =>
        item.direction === 'request'
          ? summary(readRequests(pieces))
          : summary(readResponses(pieces, answeredBy(item)));
      const whole = read(cut(text));
      for (let at = 1; at < text.length; at += 1) expect(read(cut(text, at))).toBe(whole);
      const everywhere = Array.from({ length: text.length - 1 }, (_, index) => index + 1);
      expect(read(cut(text, ...everywhere))).toBe(whole);
    },
  );
});
