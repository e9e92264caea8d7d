// Laws under misfortune, from one seed: pods that answer in every framing, late, in pieces, or
// break off, and clients that pipeline, send bytewise and leave early. Whatever happens, an
// answer belongs to the request that stands in its place, a cut answer never looks whole, and
// nothing is left.
import { afterEach, describe, expect, test } from 'vitest';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import { connectTo, eventually, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

const clientCount = 25;
const requestsPerClient = 12;

let harness: Harness | undefined;
let upstreams: RawUpstream[] = [];

afterEach(() => {
  harness?.dataplane.close();
  for (const upstream of upstreams) upstream.close();
});

function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Text of a length and content that only this request has. */
function bodyOf(id: string): string {
  return `<${id}:`.padEnd(20 + (id.length * 977) % 3_000, 'z') + '>';
}

function chunked(text: string, random: Random): string {
  let out = '';
  for (let at = 0; at < text.length;) {
    const bytes = 1 + Math.floor(random() * 500);
    const part = text.slice(at, at + bytes);
    out += `${part.length.toString(16)}\r\n${part}\r\n`;
    at += bytes;
  }
  return `${out}0\r\n\r\n`;
}

const head = 'HTTP/1.1 200 OK\r\n';

/** Answers a request in one of many ways; half of them are breakdowns. */
function answerSomehow(peer: Peer, request: string, random: Random): void {
  const id = /^\S+ \/(\S+) /.exec(request)?.[1] ?? '?';
  const isHead = request.startsWith('HEAD ');
  const body = bodyOf(id);
  const length = `${head}Content-Length: ${body.length}\r\n\r\n`;
  const chunkedHead = `${head}Transfer-Encoding: chunked\r\n\r\n`;
  const deeds: readonly (() => void)[] = [
    () => peer.send(isHead ? length : length + body),
    () => peer.send(chunkedHead + (isHead ? '' : chunked(body, random))),
    () => peer.send('HTTP/1.1 103 Early Hints\r\n\r\n' + (isHead ? length : length + body)),
    () => {
      peer.send(length.slice(0, 20));
      setTimeout(() => peer.send(length.slice(20) + (isHead ? '' : body)), random() * 30);
    },
    () => peer.send(isHead ? length : `${head}\r\n${body}`).end(),
    () => peer.send(length + (isHead ? '' : body.slice(0, 15))).end(),
    () => peer.reset(),
    () => peer.end(),
    () => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nPOISON'),
    () => peer.send((isHead ? length : length + body) + 'HTTP/1.1 200 OK\r\n\r\nPOISON'),
  ];
  pick(random, [...deeds.slice(0, 4), ...deeds])();
}

type Sent = { readonly id: string; readonly method: string };

function render({ id, method }: Sent, random: Random): string {
  const start = `${method} /${id} HTTP/1.1\r\nHost: h1.t.mesh\r\n`;
  if (method !== 'POST' && method !== 'PUT') return `${start}\r\n`;
  const body = 'b'.repeat(Math.floor(random() * 4_000));
  return random() < 0.5
    ? `${start}Content-Length: ${body.length}\r\n\r\n${body}`
    : `${start}Transfer-Encoding: chunked\r\n\r\n${chunked(body, random)}`;
}

/** Checks what came against what was sent; an own answer of the proxy stands for any. */
function checkAnswers(text: string, sent: readonly Sent[]): void {
  let rest = text.replaceAll(/HTTP\/1\.1 10[03] [^]*?\r\n\r\n/g, '');
  for (const { id, method } of sent) {
    const headEnd = rest.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const answer = rest.slice(0, headEnd);
    rest = rest.slice(headEnd + 4);
    const length = Number(/content-length: (\d+)/i.exec(answer)?.[1] ?? 0);
    const isOurs = /weft-reason: (\w+)/.exec(answer) !== null;
    expect(answer).toMatch(isOurs ? /^HTTP\/1\.1 50[24] / : /^HTTP\/1\.1 200 /);
    if (method === 'HEAD') continue;
    const isChunked = /transfer-encoding: chunked/i.test(answer);
    const body = isChunked ? unchunk(rest) : rest.slice(0, length);
    if (body === undefined || (!isChunked && body.length < length)) return;
    if (!isOurs) expect(body).toBe(bodyOf(id));
    rest = isChunked ? rest.slice(rest.indexOf('0\r\n\r\n') + 5) : rest.slice(length);
  }
  expect(rest).toBe('');
}

/** The body, or undefined when it does not end. Bodies hold no digit before a line break. */
function unchunk(text: string): string | undefined {
  let body = '';
  for (let at = 0; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    const bytes = Number.parseInt(text.slice(at, lineEnd), 16);
    if (lineEnd < 0 || text.length < lineEnd + 4 + bytes) return undefined;
    if (bytes === 0) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + bytes);
    at = lineEnd + 4 + bytes;
  }
}

async function playClient(port: number, name: string, random: Random): Promise<void> {
  const peer = await connectTo(port);
  const sent: Sent[] = [];
  let left = '';
  for (let n = 0; n < requestsPerClient; n += 1) {
    const method = pick(random, ['GET', 'GET', 'HEAD', 'POST', 'PUT']);
    const one = { id: `${name}-${n}`, method };
    sent.push(one);
    left += render(one, random);
  }
  const leavesEarly = random() < 0.2;
  while (left !== '' && !peer.isClosed && !peer.hasEnded) {
    const bytes = 1 + Math.floor(random() * random() * 4_000);
    peer.send(left.slice(0, bytes));
    left = left.slice(bytes);
    if (random() < 0.3) await new Promise((done) => setTimeout(done, random() * 5));
    if (leavesEarly && random() < 0.1) peer.reset();
  }
  if (!peer.isClosed) peer.end();
  await peer.closed();
  checkAnswers(peer.text, sent);
  expect(peer.text).not.toContain('POISON');
  peer.socket.destroy();
}

describe('chaos', () => {
  test.each([1, 2, 3, 4])('seed %i', async (seed) => {
    const random = seededRandom(seed);
    upstreams = [];
    for (const address of ['127.0.0.2', '127.0.0.3', '127.0.0.4']) {
      const upstream = await RawUpstream.start(address);
      attach(upstream, random);
      upstreams.push(upstream);
    }
    harness = await startHarness({ endpoints: upstreams.map((upstream) => upstream.endpoint) });
    const { port, dataplane } = harness;
    const names = Array.from({ length: clientCount }, (_, n) => `c${n}`);
    await Promise.all(names.map((name) => playClient(port, name, random)));
    await eventually(() => dataplane.state().connections === 0, 'all connections closed');
    const { exchanges, bufferedBytes, lingering, upstreamOpen, upstreamIdle } = dataplane.state();
    expect({ exchanges, bufferedBytes, lingering }).toEqual({
      exchanges: 0,
      bufferedBytes: 0,
      lingering: 0,
    });
    expect(upstreamOpen).toBe(upstreamIdle);
    expect(harness.inFlight()).toBe(0);
    expect(harness.bugs).toEqual([]);
  });
});

/** Reads requests with their bodies, so that no body is taken for a head. */
function attach(upstream: RawUpstream, random: Random): void {
  const rests = new Map<Peer, string>();
  upstream.received = (peer, text) => {
    let rest = (rests.get(peer) ?? '') + text;
    for (;;) {
      const headEnd = rest.indexOf('\r\n\r\n');
      if (headEnd < 0) break;
      const request = rest.slice(0, headEnd + 4);
      const length = Number(/content-length: (\d+)/i.exec(request)?.[1] ?? 0);
      const behind = rest.slice(headEnd + 4);
      if (/transfer-encoding: chunked/i.test(request)) {
        if (unchunk(behind) === undefined) break;
        rest = behind.slice(behind.indexOf('0\r\n\r\n') + 5);
      } else {
        if (behind.length < length) break;
        rest = behind.slice(length);
      }
      answerSomehow(peer, request, random);
    }
    rests.set(peer, rest);
  };
}
