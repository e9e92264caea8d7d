// Pods of HTTP/2 behind clients of either HTTP: translation, trailers, streaming both ways under
// back-pressure, cancellation, what is retried and what is not, and connections that are shared.
// The pods are Node's own server, or raw frames where a pod does what no good one does.
import http2 from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeNetwork } from '../../src/dataplane/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import { connectTo, eventually, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { expectNothingLeft } from '../support/nothing-left.ts';
import { frameText, framesOf, Http2Caller, word } from '../support/http2-client.ts';
import { Http2Pod } from '../support/http2-pod.ts';

let pod: Http2Pod;
let harness: Harness;
let raw: RawUpstream | undefined;
const callers: Http2Caller[] = [];
const peers: Peer[] = [];

async function start(options: Partial<HarnessOptions> = {}): Promise<void> {
  harness?.dataplane.close();
  harness = await startHarness({ scheme: 'h2c', endpoints: [pod.endpoint], ...options });
}

/** A data plane whose only pod is raw bytes. */
async function startRaw(options: Partial<HarnessOptions> = {}): Promise<RawUpstream> {
  raw = await RawUpstream.start();
  await start({ endpoints: [raw.endpoint], ...options });
  return raw;
}

function caller(): Http2Caller {
  const made = new Http2Caller(harness.port);
  callers.push(made);
  return made;
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  peers.push(peer);
  return peer;
}

const get = (path = '/', ...lines: string[]): string => request(`GET ${path}`, ...lines);

beforeEach(async () => {
  pod = await Http2Pod.start();
  await start();
});

/** Whatever a test did, nothing of it may be left (A10). */
afterEach(async () => {
  for (const one of callers.splice(0)) one.session.destroy();
  for (const peer of peers.splice(0)) peer.socket.destroy();
  await expectNothingLeft(harness, raw === undefined ? [pod] : [pod, raw]);
  raw = undefined;
});

describe('a client of HTTP/1.1', () => {
  test('is heard by the pod with what every forwarded request carries', async () => {
    const c = await client();
    c.send(get('/a?b=c', 'X-Mine: 1', 'Connection: close, x-hop', 'X-Hop: 1', 'TE: trailers'));
    const call = await pod.accept();
    expect(call.headers).toMatchObject({
      ':method': 'GET',
      ':scheme': 'http',
      ':path': '/a?b=c',
      ':authority': 'h1.t.mesh',
      'x-mine': '1',
      te: 'trailers',
      'x-request-id': 'request-1',
      'x-forwarded-for': '127.0.0.1',
      via: '1.1 weft',
    });
    for (const name of ['connection', 'x-hop', 'host', 'transfer-encoding']) {
      expect(call.headers[name]).toBeUndefined();
    }
    call.answer('hello', { 'content-length': 5, 'x-pod': 'p' });
    await c.see('hello');
    expect(c.text).toMatch(/^HTTP\/1\.1 200 [^]*x-pod: p\r\n[^]*content-length: 5\r\n/);
  });

  test('sends a body and trailers, and gets a body and trailers', async () => {
    const c = await client();
    c.send(
      'POST / HTTP/1.1\r\nHost: h1.t.mesh\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n' +
        '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n',
    );
    const call = await pod.accept();
    await call.ended;
    expect([call.text, call.trailers['x-sum']]).toEqual(['hello', '1']);
    call.answer('world', {}, { 'x-end': '2' });
    await c.see('\r\nx-end: 2\r\n\r\n');
    expect(c.text).toContain('5\r\nworld\r\n0\r\nx-end: 2\r\n\r\n');
  });

  test('is answered without a body where there is none, and its connection is kept', async () => {
    const c = await client();
    c.send(request('HEAD /'));
    (await pod.accept()).answer('', { 'content-length': 7 });
    await c.see('\r\n\r\n');
    c.clear();
    c.send(get());
    (await pod.accept()).answer('', { ':status': 204 });
    await c.see('HTTP/1.1 204');
    await c.see('\r\n\r\n');
    c.clear();
    c.send(get());
    (await pod.accept()).stream.respond({ ':status': 200 }, { endStream: true });
    await c.see('content-length: 0\r\n');
  });

  test('that leaves cancels the call of the pod', async () => {
    const c = await client();
    c.send(get());
    const call = await pod.accept();
    c.socket.destroy();
    expect(await call.closed).toBe(8);
    await eventually(() => harness.dataplane.state().exchanges === 0, 'the exchange is over');
  });
});

describe('a client of HTTP/2', () => {
  test('and its pod may keep what they like out of all tables', async () => {
    const one = caller();
    const never = { [http2.sensitiveHeaders]: [':path', 'x-key', 'x-request-id'] };
    // Lines that come again are inserted, unless they are marked.
    for (let round = 0; round < 3; round += 1) {
      const reply = one.get('/?token=1', { 'x-key': 'k', 'x-other': 'o', ...never });
      const call = await pod.accept();
      expect(Reflect.get(call.headers, http2.sensitiveHeaders)).toEqual([':path', 'x-key']);
      expect(call.headers['x-other']).toBe('o');
      const head = { 'x-token': 't', 'x-open': '1', [http2.sensitiveHeaders]: ['x-token'] };
      call.answer('', head, { 'x-last': 'l', 'x-end': 'e', [http2.sensitiveHeaders]: ['x-last'] });
      const { headers, trailers } = await reply;
      expect(Reflect.get(headers, http2.sensitiveHeaders)).toEqual(['x-token']);
      expect(headers).toMatchObject({ 'x-token': 't', 'x-open': '1' });
      expect(Reflect.get(trailers, http2.sensitiveHeaders)).toEqual(['x-last']);
      expect(trailers).toMatchObject({ 'x-last': 'l', 'x-end': 'e' });
    }
  });

  test('calls a gRPC method: metadata, message and status pass', async () => {
    const call = caller().open({
      ':method': 'POST',
      ':path': '/pkg.Service/Method',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    call.end('question');
    const inside = await pod.accept();
    await inside.ended;
    expect(inside.text).toBe('question');
    expect(inside.headers['te']).toBe('trailers');
    inside.answer('answer', { 'content-type': 'application/grpc' }, { 'grpc-status': '0' });
    const reply = await call.reply;
    expect([reply.status, reply.body, reply.trailers['grpc-status']]).toEqual([200, 'answer', '0']);
  });

  test('streams both ways at once', async () => {
    const call = caller().open({ ':method': 'POST', ':path': '/' });
    call.send('1');
    const inside = await pod.accept();
    inside.stream.respond({ ':status': 200 });
    for (let turn = 1; turn < 20; turn += 1) {
      const sent = '1'.repeat(turn);
      await eventually(() => inside.text === sent, 'the pod has it');
      inside.stream.write('2');
      const back = '2'.repeat(turn);
      await eventually(() => call.text === back, 'the client has it');
      call.send('1');
    }
    inside.stream.end();
    call.end();
    expect((await call.reply).body).toBe('2'.repeat(19));
  });

  test('gets 4 MB and sends 4 MB, whole', async () => {
    const body = Array.from({ length: 65_536 }, (_, index) => String(index).padStart(64)).join('');
    const call = caller().open({ ':method': 'POST', ':path': '/' });
    call.end(body);
    const inside = await pod.accept();
    await inside.ended;
    expect(inside.text === body).toBe(true);
    inside.answer(body);
    expect((await call.reply).body === body).toBe(true);
  });

  test('that reads nothing stalls its own stream, within its window', async () => {
    const one = caller();
    const slow = one.session.request({ ':authority': 'h1.t.mesh', ':path': '/slow' });
    slow.on('error', () => undefined);
    const inside = await pod.accept();
    inside.answer('x'.repeat(8_000_000));
    const reply = one.get('/quick');
    (await pod.accept()).answer('quick');
    expect((await reply).body).toBe('quick');
    expect(inside.stream.writableLength).toBeGreaterThan(6_000_000);
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(1_000_000);
    slow.close(8);
    await inside.closed;
  });

  test('many calls at once share few connections to the pod', async () => {
    const one = caller();
    const replies = Array.from({ length: 200 }, (_, index) => one.get(`/${index}`));
    for (let index = 0; index < 200; index += 1) {
      const call = await pod.accept();
      call.answer(String(call.headers[':path']));
    }
    const bodies = (await Promise.all(replies)).map(({ body }) => body);
    expect(bodies).toEqual(replies.map((_, index) => `/${index}`));
    expect(pod.sessions.length).toBeLessThanOrEqual(3);
  });
});

describe('a pod', () => {
  test('that takes few streams gets more connections', async () => {
    pod.close();
    pod = await Http2Pod.start({ maxConcurrentStreams: 2 });
    await start();
    const one = caller();
    // The first call teaches how many streams the pod takes.
    const first = one.get('/');
    (await pod.accept()).answer('');
    await first;
    const replies = Array.from({ length: 6 }, () => one.get('/'));
    const calls = await Promise.all(replies.map(() => pod.accept()));
    expect(pod.sessions.length).toBe(3);
    for (const call of calls) call.answer('ok');
    expect((await Promise.all(replies)).map(({ status }) => status)).toEqual(
      replies.map(() => 200),
    );
  });

  test('that closes its idle connection is connected to again', async () => {
    const one = caller();
    for (let turn = 0; turn < 3; turn += 1) {
      const reply = one.get('/');
      (await pod.accept()).answer('ok');
      expect((await reply).status).toBe(200);
      pod.sessions.at(-1)?.close();
      await eventually(() => harness.dataplane.state().upstreamOpen === 0, 'it is gone');
    }
    expect(pod.sessions.length).toBe(3);
  });

  test('that speaks HTTP/1.1 on its port is told apart: UpstreamProtocol', async () => {
    const upstream = await startRaw();
    const c = await client();
    c.send(get());
    const u = await upstream.accept();
    await u.see('PRI * HTTP/2.0');
    u.send('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    await c.see('weft-reason: UpstreamProtocol');
    expect(c.text).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('that is not there: UpstreamConnect', async () => {
    pod.close();
    const c = await client();
    c.send(get());
    await c.see('weft-reason: UpstreamConnect');
  });

  test('that resets the stream after the head is not asked again', async () => {
    const c = await client();
    c.send(request('POST /', 'Content-Length: 0'));
    const call = await pod.accept();
    call.stream.close(2);
    await c.see('weft-reason: UpstreamReset');
  });
});

/** An empty SETTINGS frame, as every peer begins. */
const settings = frameText(4, 0, 0);
const ok = frameText(1, 5, 1, '\x88');
const post = request('POST /', 'Content-Length: 2') + 'hi';

/** The head of the next request has come on this connection. */
async function seeHead(u: Peer, count = 1): Promise<void> {
  const heads = (): number => framesOf(u.text.slice(24)).filter(({ type }) => type === 1).length;
  await u.until(() => heads() >= count, 'a request');
}

describe('what the pod has not looked at is sent again, whatever the method', () => {
  test('a stream that is refused', async () => {
    const upstream = await startRaw();
    const c = await client();
    c.send(post);
    const u = await upstream.accept();
    await seeHead(u);
    u.send(settings + frameText(3, 0, 1, word(7)));
    await seeHead(u, 2);
    u.send(frameText(1, 5, 3, '\x88'));
    await c.see('HTTP/1.1 200');
  });

  test('a stream above the last one of GOAWAY, on a new connection', async () => {
    const upstream = await startRaw();
    const c = await client();
    c.send(post);
    const u = await upstream.accept();
    await seeHead(u);
    u.send(settings + frameText(7, 0, 0, word(0) + word(0)));
    const next = await upstream.accept();
    await seeHead(next);
    next.send(settings + ok);
    await c.see('HTTP/1.1 200');
  });

  test('but no other stream that is reset', async () => {
    const upstream = await startRaw();
    const c = await client();
    c.send(post);
    const u = await upstream.accept();
    await seeHead(u);
    u.send(settings + frameText(3, 0, 1, word(2)));
    await c.see('weft-reason: UpstreamReset');
  });
});

describe('answers to clients of HTTP/1.1 that come in one read', () => {
  const bodies = ['y'.repeat(16_384), 'z'.repeat(4_000)];

  test.each(['plain', 'direct'])('do not touch each other: %s sockets', async (kind) => {
    const upstream = await startRaw(kind === 'plain' ? { network: nodeNetwork() } : {});
    const clients = [await client(), await client()];
    clients.forEach((one, index) => one.send(get(`/${index}`)));
    const u = await upstream.accept();
    await seeHead(u, 2);
    const answers = [1, 3].map((id, index) => {
      return frameText(1, 4, id, '\x88') + frameText(0, 0, id, bodies[index]);
    });
    const ending = frameText(0, 1, 1) + frameText(0, 1, 3);
    // Answers that have not ended leave when all of the read has been looked at.
    u.send(settings + answers.join(''));
    await Promise.all(clients.map((one) => one.see('HTTP/1.1 200')));
    u.send(ending);
    const ends = clients.map((one) => one.until(() => one.text.endsWith('0\r\n\r\n'), 'the end'));
    await Promise.all(ends);
    const got = clients.map(({ text }) => text.slice(text.indexOf('\r\n\r\n')));
    expect(got.map((text) => text.replace(/[\r\n0-9a-f]/g, '')).sort()).toEqual(bodies);
  });
});

test('a body that waits for its pod with its end is forgotten once it has left', async () => {
  await start();
  const call = caller().open({ ':method': 'POST', ':path': '/' });
  call.end('b'.repeat(200_000));
  const { stream, ended } = await pod.accept().then((one) => {
    one.stream.pause();
    return one;
  });
  const { dataplane } = harness;
  await eventually(() => dataplane.state().bufferedBytes > 100_000, 'the body waits');
  stream.resume();
  await ended;
  // The answer has not begun: nothing else ends the waiting.
  await eventually(() => dataplane.state().bufferedBytes === 0, 'nothing waits');
  stream.respond({ ':status': 200 }, { endStream: true });
  await call.reply;
});

describe('retry-on: unavailable', () => {
  const grpc = { 'content-type': 'application/grpc' };
  const rules = { retryAttempts: 1, retryOn: ['unavailable'] } as const;

  test('asks again where the answer is nothing but UNAVAILABLE', async () => {
    await start({ rules });
    const call = caller().open({ ':method': 'POST', ':path': '/', ...grpc });
    call.end('m');
    const first = await pod.accept();
    first.stream.respond({ ':status': 200, 'grpc-status': '14' }, { endStream: true });
    const second = await pod.accept();
    second.answer('ok', {}, { 'grpc-status': '0' });
    const reply = await call.reply;
    expect([reply.body, reply.trailers['grpc-status']]).toEqual(['ok', '0']);
  });

  test('hands on UNAVAILABLE that comes behind a message', async () => {
    await start({ rules });
    const call = caller().open({ ':method': 'POST', ':path': '/', ...grpc });
    call.end('m');
    (await pod.accept()).answer('part', {}, { 'grpc-status': '14' });
    const reply = await call.reply;
    expect([reply.body, reply.trailers['grpc-status']]).toEqual(['part', '14']);
  });
});
