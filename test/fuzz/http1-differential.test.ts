// The codec against the reference parser, which is written from the RFC's grammar: the same
// messages with the same ends for every mutated input, but for a list of named differences, each of
// which is shown here once. And a law: however the bytes are cut, the reading is the same.
// WEFT_FUZZ_SECONDS lengthens the run, WEFT_FUZZ_SEED starts it elsewhere.
import { describe, expect, test } from 'vitest';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { readRfcRequests, readRfcResponses } from '../support/rfc9112/read.ts';
import type { RfcStream } from '../support/rfc9112/stream.ts';
import { strictnesses, tolerances } from '../support/rfc9112/notes.ts';
import type { Note } from '../support/rfc9112/notes.ts';
import { compare } from './http1-differential.ts';
import { cut, readRequests, readResponses, summary } from './http1-messages.ts';
import { cutPositions, mutate, pick, seedsOf } from './http1-mutations.ts';

const seconds = Number(process.env['WEFT_FUZZ_SECONDS'] ?? '2');
const firstSeed = Number(process.env['WEFT_FUZZ_SEED'] ?? '1');
const timeoutMs = seconds * 1000 + 30_000;

const get = (...lines: readonly string[]): string =>
  ['GET / HTTP/1.1', 'Host: a', ...lines, '', ''].join('\r\n');
const ok = (...lines: readonly string[]): string =>
  ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
const chunked = 'Transfer-Encoding: chunked';
const noUpgrade = { method: 'GET', upgrade: undefined };
const wantsUpgrade = { method: 'GET', upgrade: 'websocket' };

/** The smallest input for each name: a request, or a response to GET. */
const examples: Readonly<Record<Note, string>> = {
  'several empty lines before a request': `\r\n\r\n${get()}`,
  'folded line': get('X: a', ' b'),
  'white space before the colon in a response': ok('Content-Length : 0'),
  'both framing fields': `${get(chunked, 'Content-Length: 5')}0\r\n\r\n`,
  'repeated Content-Length': `${get('Content-Length: 1, 1')}x`,
  'length beyond 2^53': get('Content-Length: 9007199254740993'),
  'Transfer-Encoding on several lines': `${get('Transfer-Encoding:', chunked)}0\r\n\r\n`,
  'empty member of Transfer-Encoding': `${get('Transfer-Encoding: ,chunked')}0\r\n\r\n`,
  'transfer coding other than chunked': `${get('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
  'Transfer-Encoding in HTTP/1.0': `${get(chunked).replace('1.1', '1.0')}0\r\n\r\n`,
  'bad framing fields where there is no body': 'HTTP/1.1 304 N\r\nContent-Length: x\r\n\r\n',
  'white space behind a chunk size': `${get(chunked)}1 ;a\r\nx\r\n0\r\n\r\n`,
  'chunk size of more than 16 digits or 2^53': `${get(chunked)}${'0'.repeat(17)}\r\n\r\n`,
  'long chunk-size line': `${get(chunked)}0;${'a'.repeat(256)}\r\n\r\n`,
  'method that is not forwarded': 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n',
  'method of more than 64 bytes': `${'M'.repeat(65)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
  'scheme other than http': 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n',
  'ambiguous path': 'GET /a/%2e./b HTTP/1.1\r\nHost: a\r\n\r\n',
  'host that is no plain name': 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n',
  'port out of range': 'GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n',
  'HTTP/1.0 without Host': 'GET / HTTP/1.0\r\n\r\n',
  'Max-Forwards that is no number': 'OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n',
  'status outside 100 to 599': ok('Content-Length: 0').replace('200', '600'),
  'content in an interim response': 'HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n',
  'switch that was not offered': 'HTTP/1.1 101 S\r\nUpgrade: other\r\n\r\n',
  'end of the connection after 204 with content':
    'HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  'target beyond RFC 3986': 'GET /a|b?[c] HTTP/1.1\r\nHost: a\r\n\r\n',
  'no space behind the status': 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n',
  'empty Upgrade line in front of the protocol':
    'HTTP/1.1 101 S\r\nUpgrade:\r\nUpgrade: websocket\r\n\r\n',
  'chunk extension by no grammar': `${get(chunked)}1;=(\r\nx\r\n0\r\n\r\n`,
};

/** Names of messages that are read: what is beyond the grammar, and what only ends a connection. */
const readNames: ReadonlySet<string> = new Set([
  ...tolerances,
  'end of the connection after 204 with content',
]);

function readBoth(text: string): { codec: ReturnType<typeof readRequests>; rfc: RfcStream } {
  return { codec: readRequests(cut(text)), rfc: readRfcRequests(text) };
}

describe('differences by name', () => {
  test.each(Object.entries(examples))('%s', (name, text) => {
    const isResponse = text.startsWith('HTTP/');
    const codec = isResponse ? readResponses(cut(text), wantsUpgrade) : readRequests(cut(text));
    const rfc = isResponse ? readRfcResponses(text, wantsUpgrade) : readRfcRequests(text);
    const noted = [...rfc.messages.flatMap((one) => [...one.notes]), ...rfc.end.notes];
    expect(noted).toContain(name);
    expect(compare(codec, rfc).fault).toBeUndefined();
    if (readNames.has(name)) expect(codec.messages).toHaveLength(1);
    else expect(codec).toMatchObject({ messages: [], end: { kind: 'reject' } });
  });

  test('there is an example of each', () => {
    expect(Object.keys(examples).sort()).toEqual([...strictnesses, ...tolerances].sort());
  });
});

describe('the comparison sees', () => {
  const text = `${get(chunked)}3\r\nabc\r\n0\r\nX: y\r\n\r\n${get('Content-Length: 2')}hi`;

  test('agreement, where nothing is special', () => {
    const { codec, rfc } = readBoth(text);
    expect(rfc.messages.map(({ body }) => body)).toEqual(['abc', 'hi']);
    expect(compare(codec, rfc)).toEqual({ fault: undefined, notes: [] });
  });

  test.each([
    ['another body', text.replace('abc', 'abd')],
    ['another target', text.replace('GET /', 'GET /x')],
    ['another host', text.replace('Host: a', 'Host: b')],
    ['another trailer', text.replace('X: y', 'X: z')],
    ['another method', text.replace('GET', 'PUT')],
    ['a message less', text.slice(0, -2)],
    ['a message more', `${text}${get()}`],
    ['a message that is no grammar', text.replace('Host: a', 'Host : a')],
  ])('%s', (_, other) => {
    expect(compare(readRequests(cut(text)), readRfcRequests(other)).fault).toBeDefined();
  });
});

/** Several messages with every framing: where they end is what matters most. */
const richRequests = [
  `${get(chunked)}5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n${get('Content-Length: 3')}abc${get()}`,
  [
    get('X: 1', 'Connection: keep-alive', 'Content-Length:  12'),
    `0\r\n\r\nGET / H${get(chunked)}0\r\n\r\n`,
  ].join(''),
  [
    `POST http://b:81/p?q HTTP/1.1\r\nHost: c\r\n${chunked}\r\n\r\n`,
    `2\r\n\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`,
  ].join(''),
];
const richResponses = [
  [
    'HTTP/1.1 103 E\r\nLink: <a>\r\n\r\n',
    `${ok('Content-Length: 3')}abc${ok(chunked)}1\r\nx\r\n0\r\n\r\n`,
  ].join(''),
  `${ok(chunked)}5;a="b;c"\r\nhello\r\n00\r\nX-Sum: 1\r\n\r\n${ok()}until the end`,
  'HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\nHTTP/1.0 200 \r\nContent-Length: 2\r\n\r\nhi',
];
const richShare = 0.3;

function input(seeds: readonly string[], rich: readonly string[], random: Random): string {
  return mutate(pick(random() < richShare ? rich : seeds, random), random);
}

type Tally = { inputs: number; messages: number; readonly notes: Map<Note, number> };

/** Runs `check` for fresh seeds until the time is over; every input is a seed of its own. */
function fuzz(what: string, check: (seed: number, tally: Tally) => void): void {
  const tally: Tally = { inputs: 0, messages: 0, notes: new Map() };
  const until = Date.now() + (seconds * 1000) / 2;
  while (tally.inputs % 64 !== 0 || tally.inputs === 0 || Date.now() < until) {
    check(firstSeed + tally.inputs, tally);
    tally.inputs += 1;
  }
  const names = [...tally.notes].sort(([, a], [, b]) => b - a);
  const counts = names.map(([name, count]) => `${name} ${count}`).join('; ');
  console.log(`${what}: ${tally.inputs} inputs, ${tally.messages} messages; ${counts}`);
  expect(tally.messages).toBeGreaterThan(0);
}

function count(tally: Tally, messages: number, notes: readonly Note[]): void {
  tally.messages += messages;
  for (const note of notes) tally.notes.set(note, (tally.notes.get(note) ?? 0) + 1);
}

/** `expect` for what is wrong only: a million calls of it would cost more than the parsing. */
function demand(fault: string | undefined, seed: number, text: string): void {
  if (fault !== undefined) expect.fail(`seed ${seed}: ${fault}: ${JSON.stringify(text)}`);
}

describe('mutated messages are read as the grammar says', () => {
  test('requests', () => {
    const seeds = [...seedsOf('request'), ...Object.values(examples).filter(isRequest)];
    fuzz('requests', (seed, tally) => {
      const random = seededRandom(seed);
      const text = input(seeds, richRequests, random);
      const { codec, rfc } = readBoth(text);
      const { fault, notes } = compare(codec, rfc);
      demand(fault, seed, text);
      const pieces = readRequests(cut(text, ...cutPositions(text, random)));
      demand(summary(pieces) === summary(codec) ? undefined : 'the cut matters', seed, text);
      count(tally, codec.messages.length, notes);
    });
  }, timeoutMs);

  test('responses', () => {
    const seeds = [
      ...seedsOf('response'),
      ...Object.values(examples).filter((text) => !isRequest(text)),
    ];
    const requests = [noUpgrade, { method: 'HEAD', upgrade: undefined }, wantsUpgrade];
    fuzz('responses', (seed, tally) => {
      const random = seededRandom(seed);
      const request = pick(requests, random);
      const text = input(seeds, richResponses, random);
      const codec = readResponses(cut(text), request);
      const { fault, notes } = compare(codec, readRfcResponses(text, request));
      demand(fault, seed, text);
      const pieces = readResponses(cut(text, ...cutPositions(text, random)), request);
      demand(summary(pieces) === summary(codec) ? undefined : 'the cut matters', seed, text);
      count(tally, codec.messages.length, notes);
    });
  }, timeoutMs);
});

function isRequest(text: string): boolean {
  return !text.startsWith('HTTP/');
}
