// A client that sends the same head again and again: what was worked out for it is used again, and
// never for anything else – another table, another head, another client, another answer.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import { connectTo, eventually, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

let upstream: RawUpstream;
let other: RawUpstream;
let harness: Harness;
const clients: Peer[] = [];
const heads: string[] = [];

const get = 'GET /a HTTP/1.1\r\nHost: h1.t.mesh\r\nUser-Agent: u\r\n\r\n';

async function start(options: Partial<HarnessOptions> = {}): Promise<Peer> {
  harness = await startHarness({ endpoints: [upstream.endpoint], ...options });
  return client();
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

/** One request on the connection; its answer. */
async function ask(peer: Peer, text: string, end: string): Promise<string> {
  peer.clear();
  peer.send(text);
  return peer.see(end);
}

function answersWith(server: RawUpstream, bodyOf: (nth: number) => string): void {
  server.answer = (peer, head, nth) => {
    heads.push(head);
    const body = bodyOf(nth);
    peer.send(`HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  };
}

beforeEach(async () => {
  heads.length = 0;
  upstream = await RawUpstream.start('127.0.0.2');
  other = await RawUpstream.start('127.0.0.3');
  answersWith(upstream, () => 'one.');
  answersWith(other, () => 'two.');
});

afterEach(async () => {
  for (const peer of clients.splice(0)) peer.socket.destroy();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state().exchanges).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
  other.close();
});

test('a repeated head goes to pods with new ids each time where the client sent none', async () => {
  const peer = await start();
  for (let time = 0; time < 4; time += 1) await ask(peer, get, 'one.');
  const ids = heads.map((head) => /x-request-id: (\S+)/.exec(head)?.[1]);
  expect(new Set(ids).size).toBe(4);
  const rest = new Set(heads.map((head) => head.replace(/x-request-id: \S+/, '')));
  expect(rest.size).toBe(1);
});

test('ids that the client sends go on, the new ones too', async () => {
  const peer = await start();
  const withId = (id: string): string => get.replace('\r\n\r\n', `\r\nX-Request-Id: ${id}\r\n\r\n`);
  for (const id of ['a1', 'a1', 'a1', 'a2', 'a1']) await ask(peer, withId(id), 'one.');
  const ids = heads.map((head) => /x-request-id: (\S+)/.exec(head)?.[1]);
  expect(ids).toEqual(['a1', 'a1', 'a1', 'a2', 'a1']);
});

test('a new table decides about the next request, the same head or not', async () => {
  const peer = await start();
  for (let time = 0; time < 3; time += 1) await ask(peer, get, 'one.');
  harness.publish({ endpoints: [other.endpoint] });
  expect(await ask(peer, get, 'two.')).toContain('200 OK');
  harness.publish({ endpoints: [other.endpoint], weight: 0 });
  expect(await ask(peer, get, '\r\n\r\n')).toContain('503');
});

test('a permission that is taken away ends what the same head was allowed', async () => {
  const endpoints = [upstream.endpoint];
  const peer = await start({ allowedPath: '/a' });
  for (let time = 0; time < 3; time += 1) {
    expect(await ask(peer, get, 'one.')).toContain('200 OK');
  }
  harness.publish({ endpoints, allowedPath: '/b' });
  expect(await ask(peer, get, 'RouteNotAllowed')).toContain('403');
  harness.publish({ endpoints, allowedPath: '/a' });
  expect(await ask(peer, get, 'one.')).toContain('200 OK');
});

test('a path that differs in one byte is judged by itself', async () => {
  const peer = await start({ allowedPath: '/a$' });
  for (let time = 0; time < 3; time += 1) await ask(peer, get, 'one.');
  expect(await ask(peer, get.replace('/a', '/b'), 'RouteNotAllowed')).toContain('403');
  expect(await ask(peer, get, 'one.')).toContain('200 OK');
});

test('equal requests in one piece, or byte by byte, are answered one by one', async () => {
  const peer = await start();
  upstream.answer = undefined;
  answersWith(upstream, (nth) => `n${nth}.`);
  peer.send(get.repeat(6));
  expect(await peer.see('n6.')).toMatch(/n1\.[^]*n2\.[^]*n3\.[^]*n4\.[^]*n5\.[^]*n6\.$/);
  for (const byte of get.repeat(2)) {
    peer.send(byte);
    await new Promise((done) => setImmediate(done));
  }
  await peer.see('n8.');
  expect(heads).toHaveLength(8);
});

test('an answer that differs from the last one in its body alone is passed on', async () => {
  const peer = await start();
  const bodies = ['aaaa.', 'aaaa.', 'aaaa.', 'bbbb.', 'ccccccccccccc.', 'aaaa.'];
  answersWith(upstream, (nth) => bodies[nth - 1] ?? '');
  for (const body of bodies) {
    const answer = await ask(peer, get, body);
    expect(answer).toContain(`content-length: ${body.length}\r\n\r\n${body}`);
  }
});

test('who closes, or speaks HTTP/1.0, is told so by an answer that others got', async () => {
  const peer = await start();
  for (let time = 0; time < 3; time += 1) {
    expect(await ask(peer, get, 'one.')).not.toContain('connection:');
  }
  const old = await client();
  const asked = 'GET /a HTTP/1.0\r\nHost: h1.t.mesh\r\nConnection: keep-alive\r\n\r\n';
  expect(await ask(old, asked, 'one.')).toContain('connection: keep-alive');
  const last = get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  expect(await ask(peer, last, 'one.')).toContain('connection: close');
  await peer.closed();
});

test.each([2_047, 2_048, 10_240, 16_000, 16_001, 40_000])(
  'a body of %i bytes in one read with its head arrives as it was sent, sized and chunked',
  async (bytes) => {
    const peer = await start();
    const body = Array.from({ length: bytes }, (_, at) => String.fromCharCode(at & 255)).join('');
    const half = body.slice(0, bytes >> 1);
    const rest = body.slice(bytes >> 1);
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
    const sized = `HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: ${bytes}\r\n\r\n${body}`;
    const chunked = 'HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n';
    const early = 'HTTP/1.1 103 E\r\nLink: </a>\r\n\r\n';
    const chunks = `${chunk(half)}${chunk(rest)}0\r\n\r\n`;
    upstream.answer = (pod, _, nth) => {
      pod.send(nth <= 3 ? sized : `${early}${chunked}${chunks}`);
    };
    for (let time = 0; time < 3; time += 1) {
      peer.clear();
      peer.send(get);
      await peer.until(() => peer.text.endsWith(`\r\n\r\n${body}`), 'the whole body');
    }
    for (let time = 0; time < 3; time += 1) {
      peer.clear();
      peer.send(get);
      await peer.see('\r\n0\r\n\r\n');
      const framed = peer.text.slice(peer.text.lastIndexOf('chunked\r\n\r\n') + 11);
      expect(joined(framed)).toBe(body);
    }
  },
);

/** The data of a chunked body, however it was cut into chunks. */
function joined(framed: string): string {
  let data = '';
  for (let at = 0; ; ) {
    const lineEnd = framed.indexOf('\r\n', at);
    const size = Number.parseInt(framed.slice(at, lineEnd), 16);
    if (size === 0) return data;
    data += framed.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
