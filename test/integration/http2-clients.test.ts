// Clients of HTTP/2 in front of pods of HTTP/1.1: translation both ways, refusals, cancellation,
// back-pressure, drain. The pods are raw sockets, the clients Node's own or raw frames.
import type { Settings } from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import {
  connectTo,
  eventually,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { expectNothingLeft } from '../support/nothing-left.ts';
import {
  beginRaw,
  blockText,
  frameText,
  framesOf,
  getFields,
  Http2Caller,
  prefaceText,
} from '../support/http2-client.ts';

let upstream: RawUpstream;
let harness: Harness;
const callers: Http2Caller[] = [];
const peers: Peer[] = [];

async function start(options: Omit<HarnessOptions, 'endpoints'> = {}): Promise<void> {
  harness?.dataplane.close();
  harness = await startHarness({ ...options, endpoints: [upstream.endpoint] });
}

function caller(settings: Settings = {}): Http2Caller {
  const made = new Http2Caller(harness.port, settings);
  callers.push(made);
  return made;
}

async function rawClient(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  peers.push(peer);
  return peer;
}

beforeEach(async () => {
  upstream = await RawUpstream.start();
  await start();
});

/** Whatever a test did, nothing of it may be left (A10). */
afterEach(async () => {
  for (const one of callers.splice(0)) one.session.destroy();
  for (const peer of peers.splice(0)) peer.socket.destroy();
  await expectNothingLeft(harness, [upstream]);
});

describe('requests', () => {
  test('a GET reaches the pod as HTTP/1.1, with what every forwarded request carries', async () => {
    const reply = caller().get('/a?b=c', { 'X-Mine': '1', te: 'trailers' });
    const u = await upstream.accept();
    const text = await u.see('\r\n\r\n');
    expect(text).toMatch(/^GET \/a\?b=c HTTP\/1\.1\r\nhost: h1\.t\.mesh\r\n/);
    for (const line of [
      'x-mine: 1',
      'te: trailers',
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-host: h1.t.mesh',
      'x-forwarded-proto: http',
      'x-forwarded-port: 80',
      'via: 2.0 weft',
    ]) {
      expect(text).toContain(`\r\n${line}\r\n`);
    }
    expect(text).not.toMatch(/transfer-encoding|content-length|connection/);
    u.send('HTTP/1.1 200 Fine\r\nX-Pod: 7\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok');
    const got = await reply;
    expect(got).toMatchObject({ status: 200, body: 'ok' });
    expect(got.headers['x-pod']).toBe('7');
    expect(got.headers['content-length']).toBe('2');
    expect(got.headers['date']).toMatch(/GMT$/);
    expect(got.headers['keep-alive']).toBeUndefined();
  });

  test('a body of unknown length becomes chunks, and trailers of the answer pass', async () => {
    const call = caller().open({ ':method': 'POST', ':path': '/up' });
    const u = await upstream.accept();
    call.send('hello');
    const text = await u.see('hello');
    expect(text).toContain('transfer-encoding: chunked\r\n');
    call.end('you');
    await u.see('3\r\nyou\r\n0\r\n');
    u.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n');
    const got = await call.reply;
    expect(got).toMatchObject({ status: 200, body: 'ok', resetCode: 0 });
    expect(got.trailers['x-end']).toBe('1');
  });

  test('trailers of a request reach the pod', async () => {
    const c = beginRaw(await rawClient());
    const post = [[':method', 'POST'], ...getFields.slice(1)] as const;
    c.send(frameText(1, 4, 1, blockText(post)) + frameText(0, 0, 1, 'hi'));
    c.send(frameText(1, 5, 1, blockText([['x-sum', '42']])));
    const u = await upstream.accept();
    await u.see('2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n');
    u.send(okAnswer(''));
    await c.until(() => framesOf(c.text).some(({ type }) => type === 1), 'an answer');
  });

  test('a body with a length keeps it', async () => {
    const call = caller().open({ ':method': 'PUT', ':path': '/', 'content-length': '5' });
    const u = await upstream.accept();
    call.end('hello');
    const text = await u.see('\r\n\r\nhello');
    expect(text).toContain('content-length: 5\r\n');
    expect(text).not.toContain('chunked');
    u.send(okAnswer('fine'));
    expect(await call.reply).toMatchObject({ status: 200, body: 'fine' });
  });

  test('crumbs of a cookie are one field, and host may stand for :authority', async () => {
    const c = beginRaw(await rawClient());
    const fields = [
      ...getFields.filter(([name]) => name !== ':authority'),
      ['host', 'h1.t.mesh'],
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ] as const;
    c.send(frameText(1, 5, 1, blockText(fields)));
    const u = await upstream.accept();
    const text = await u.see('\r\n\r\n');
    expect(text).toContain('\r\ncookie: a=1; b=2\r\n');
    expect(text.match(/host: /g)).toHaveLength(2);
    u.send(okAnswer(''));
    await c.until(() => framesOf(c.text).some(({ type }) => type === 1), 'an answer');
  });

  test.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n', 200, '1234'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204, undefined],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n', 304, '9'],
  ])('%s answered without a body: %s', async (method, answer, status, length) => {
    upstream.answer = (peer) => peer.send(answer);
    const one = caller();
    const got = await one.get('/', { ':method': method });
    expect(got).toMatchObject({ status, body: '', resetCode: 0 });
    expect(got.headers['content-length']).toBe(length);
    upstream.answer = (peer) => peer.send(okAnswer('next'));
    expect(await one.get('/')).toMatchObject({ status: 200, body: 'next' });
  });

  test('an interim answer comes before the final one', async () => {
    const call = caller().open({ ':method': 'POST', ':path': '/', expect: '100-continue' });
    const early: unknown[] = [];
    call.stream.on('headers', (headers) => early.push(headers[':status']));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    await eventually(() => early.length === 2, 'two interim answers');
    call.end('body');
    await u.see('body');
    u.send(okAnswer('done'));
    expect(await call.reply).toMatchObject({ status: 200, body: 'done' });
    expect(early).toEqual([100, 103]);
  });

  test('requests that follow each other use one connection to the pod', async () => {
    const outcomes: string[] = [];
    const exchangeFinished = (_: unknown, outcome: string): unknown => outcomes.push(outcome);
    await start({ observer: { exchangeFinished } });
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const one = caller();
    for (let count = 0; count < 5; count += 1) expect((await one.get('/')).body).toBe('ok');
    expect(upstream.connections).toHaveLength(1);
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => 'answered'));
  });

  test('two hundred streams of one connection are answered, each its own', async () => {
    upstream.answer = (peer) => {
      const path = /(?:^|\r\n\r\n)GET (\/\d+) /.exec(peer.text)?.[1] ?? '';
      peer.send(okAnswer(path));
      peer.clear();
    };
    const one = caller();
    const paths = Array.from({ length: 200 }, (_, index) => `/${index}`);
    const replies = await Promise.all(paths.map((path) => one.get(path)));
    expect(replies.map(({ body }) => body)).toEqual(paths);
  });

  test('the answer may begin before the request ends, and both go on', async () => {
    const one = caller();
    const call = one.open({ ':method': 'POST', ':path': '/chat' });
    const u = await upstream.accept();
    u.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect((await call.head)[':status']).toBe(200);
    for (const word of ['one', 'two', 'three']) {
      call.send(word);
      await u.see(word);
      u.send(`${word.length.toString(16)}\r\n${word}\r\n`);
      await eventually(() => call.text.endsWith(word), `an echo of ${word}`);
    }
    call.end();
    await u.see('0\r\n\r\n');
    u.send('0\r\n\r\n');
    expect(await call.reply).toMatchObject({ status: 200, body: 'onetwothree', resetCode: 0 });
    upstream.answer = (peer) => peer.send(okAnswer('again'));
    expect((await one.get('/')).body).toBe('again');
  });

  test('an answer that ends before its request asks for no more of it', async () => {
    const one = caller();
    const call = one.open({ ':method': 'POST', ':path': '/' });
    const u = await upstream.accept();
    u.send(okAnswer('enough'));
    expect(await call.reply).toMatchObject({ status: 200, body: 'enough', resetCode: 0 });
    upstream.answer = (peer) => peer.send(okAnswer('again'));
    expect((await one.get('/')).body).toBe('again');
  });
});

describe('which HTTP a connection speaks', () => {
  test('a preface that comes byte by byte is HTTP/2', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const c = await rawClient();
    for (const byte of prefaceText + frameText(4, 0, 0)) c.send(byte);
    c.send(frameText(1, 5, 1, blockText(getFields)));
    await c.until(() => framesOf(c.text).some(({ type }) => type === 0), 'an answer');
  });

  test.each(['POST', 'PUT', 'PROPFIND', 'PRIM'])('%s byte by byte is HTTP/1.1', async (method) => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const c = await rawClient();
    for (const byte of request(`${method} /`)) c.send(byte);
    expect(await c.see('\r\n\r\nok')).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('Upgrade: h2c is answered in HTTP/1.1', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const c = await rawClient();
    const lines = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: '];
    c.send(request('GET /', ...lines));
    expect(await c.see('\r\n\r\nok')).toMatch(/^HTTP\/1\.1 200 /);
    expect(upstream.connections[0]?.text).not.toMatch(/upgrade|http2-settings/i);
  });

  test('what is no HTTP at all is closed without an answer', async () => {
    const c = await rawClient();
    c.send('SET colour blue\r\n');
    expect(await c.closed()).toBe('');
  });
});

describe('refusals', () => {
  test('an unknown host is refused on its stream, and the connection goes on', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const one = caller();
    const refused = await one.get('/', { ':authority': 'nobody.t.mesh' });
    expect(refused).toMatchObject({ status: 404, resetCode: 0 });
    expect(refused.headers['weft-reason']).toBe('UnknownService');
    expect(refused.body).toContain('weft explain');
    expect((await one.get('/')).body).toBe('ok');
  });

  test.each([
    ['a dot segment', { ':path': '/a/../b' }, 400, 'BadRequestSyntax'],
    ['no host', { ':authority': 'a b' }, 400, 'BadRequestHost'],
    ['two hosts', { host: 'other.t.mesh' }, 400, 'BadRequestHost'],
    ['a long target', { ':path': `/${'a'.repeat(9_000)}` }, 414, 'BadRequestTargetTooLong'],
    ['TRACE', { ':method': 'TRACE' }, 501, 'BadRequestUnsupported'],
  ])('%s is refused as in HTTP/1.1', async (_, headers, status, reason) => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const one = caller();
    const refused = await one.get('/', headers);
    expect(refused.status).toBe(status);
    expect(refused.headers['weft-reason']).toBe(reason);
    expect((await one.get('/')).body).toBe('ok');
    expect(upstream.connections).toHaveLength(1);
  });

  test('a head over the limit is refused, and the connection goes on', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const one = caller();
    const refused = await one.get('/', { 'x-big': 'b'.repeat(40_000) });
    expect(refused).toMatchObject({ status: 431, resetCode: 0 });
    expect(refused.headers['weft-reason']).toBe('BadRequestHeadTooLarge');
    expect((await one.get('/')).body).toBe('ok');
  });

  test('a client is told how many streams it may have', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    await start({ limits: { streamsMax: 2 } });
    const one = caller();
    await one.get('/');
    expect(one.session.remoteSettings.maxConcurrentStreams).toBe(2);
  });

  test('a body over the limit is refused while it comes', async () => {
    await start({ rules: { maxRequestBodyBytes: 1_000 } });
    const call = caller().open({ ':method': 'POST', ':path': '/' });
    call.send('a'.repeat(2_000));
    const got = await call.reply;
    expect(got.status).toBe(413);
    expect(got.headers['weft-reason']).toBe('BadRequestBodyTooLarge');
  });

  test('a pod that breaks off in mid-answer resets the stream', async () => {
    const call = caller().open({ ':path': '/' }).end();
    const u = await upstream.accept();
    u.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    await call.head;
    u.reset();
    expect(await call.reply).toMatchObject({ status: 200, resetCode: 2 });
  });

  test('a pod that answers nothing is a 502', async () => {
    upstream.answer = (peer) => peer.reset();
    const got = await caller().get('/');
    expect(got.status).toBe(502);
    expect(got.headers['weft-reason']).toBe('UpstreamReset');
  });
});

describe('cancellation and back-pressure', () => {
  test('RST_STREAM cuts the attempt at once, and no other stream', async () => {
    const one = caller();
    const other = one.open({ ':method': 'POST', ':path': '/other' });
    const otherPod = await upstream.accept();
    const call = one.open({ ':method': 'POST', ':path': '/gone' });
    const pod = await upstream.accept();
    await pod.see('/gone');
    call.stream.close(8);
    await pod.closed();
    other.end('on');
    await otherPod.see('on');
    otherPod.send(okAnswer('still here'));
    expect((await other.reply).body).toBe('still here');
  });

  test('a client that goes away cancels everything on its connection', async () => {
    const one = caller();
    one.open({ ':method': 'POST', ':path': '/a' });
    one.open({ ':method': 'POST', ':path': '/b' });
    const pods = [await upstream.accept(), await upstream.accept()];
    one.session.destroy();
    for (const pod of pods) await pod.closed();
    expect(harness.dataplane.state().exchanges).toBe(0);
  });

  test('a client that reads slowly holds up its own stream only', async () => {
    const one = caller({ initialWindowSize: 1_000 });
    const slow = one.open({ ':path': '/slow' }).end();
    slow.stream.pause();
    const pod = await upstream.accept();
    pod.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${4 << 20}\r\n\r\n`);
    pod.socket.write(Buffer.alloc(4 << 20, 'x'));
    await slow.head;
    await eventually(() => pod.socket.writableLength > 0, 'the pod is held up');
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(600 * 1024);
    upstream.answer = (peer) => peer.send(okAnswer('quick'));
    expect((await one.get('/')).body).toBe('quick');
    slow.stream.resume();
    expect((await slow.reply).body).toHaveLength(4 << 20);
  });

  test('a window that SETTINGS open is used as soon as they are acknowledged', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('x'.repeat(1_000)));
    const one = caller({ initialWindowSize: 0 });
    const call = one.open({ ':path': '/' }).end();
    await call.head;
    one.session.settings({ initialWindowSize: 70_000 });
    expect(await call.reply).toMatchObject({ body: 'x'.repeat(1_000), resetCode: 0 });
  });

  test('a pod that reads slowly holds up its client within one window', async () => {
    const one = caller();
    const call = one.open({ ':method': 'POST', ':path': '/', 'content-length': String(8 << 20) });
    const pod = await upstream.accept();
    pod.keepsText = false;
    pod.socket.pause();
    call.end('x'.repeat(8 << 20));
    upstream.answer = (peer) => peer.send(okAnswer('quick'));
    expect((await one.get('/')).body).toBe('quick');
    upstream.answer = undefined;
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(600 * 1024);
    pod.socket.resume();
    await pod.until(() => pod.receivedBytes > 8 << 20, 'the whole body');
    pod.send(okAnswer('got it'));
    expect((await call.reply).body).toBe('got it');
  });
});

describe('drain', () => {
  test('GOAWAY comes twice, what is on its way is served, then the connection ends', async () => {
    const one = caller();
    upstream.answer = (peer) => peer.send(okAnswer('before'));
    await one.get('/');
    upstream.answer = undefined;
    const call = one.open({ ':path': '/' }).end();
    const pod = await upstream.accept();
    await pod.seeTimes('GET /', 2);
    const drained = harness.dataplane.drain({ delayMs: 50, timeoutMs: 8_000 });
    await eventually(() => one.goAways.length >= 1, 'the first GOAWAY');
    pod.send(okAnswer('served'));
    expect((await call.reply).body).toBe('served');
    await drained;
    await eventually(() => one.isClosed, 'the end of the connection');
    expect(one.goAways.every((code) => code === 0)).toBe(true);
  });

  test('no call is lost by clients that go on calling', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const second = await startHarness({ endpoints: [upstream.endpoint] });
    let isDrained = false;
    const lost: unknown[] = [];
    // As a client library does it: after GOAWAY the next call goes on another connection, and one
    // that was not looked at is called again.
    const goOn = async (): Promise<number> => {
      let one = caller();
      let served = 0;
      for (let more = 0; more < 20; more += isDrained ? 1 : 0) {
        if (one.session.closed || one.session.destroyed) {
          one = new Http2Caller(isDrained ? second.port : harness.port);
          callers.push(one);
        }
        const { status, resetCode } = await one.get('/').catch(() => ({ status: 0, resetCode: 7 }));
        if (status === 200) served += 1;
        else if (resetCode !== 7) lost.push({ status, resetCode });
        await new Promise((done) => setImmediate(done));
      }
      return served;
    };
    const clients = [goOn(), goOn(), goOn(), goOn()];
    await eventually(() => harness.dataplane.state().connections === 4, 'four clients');
    const drained = harness.dataplane.drain({ delayMs: 300, timeoutMs: 10_000 });
    const told = (): number => callers.filter(({ goAways }) => goAways.length > 0).length;
    await eventually(() => told() >= 12, 'GOAWAY on the connections of the drain, too');
    isDrained = true;
    const served = await Promise.all(clients);
    await drained;
    expect(lost).toEqual([]);
    expect(Math.min(...served)).toBeGreaterThan(20);
    for (const one of callers) one.session.destroy();
    await eventually(() => second.dataplane.state().connections === 0, 'all connections closed');
    second.dataplane.close();
  });

  test('a connection that is idle is told and closed', async () => {
    const one = caller();
    upstream.answer = (peer) => peer.send(okAnswer('before'));
    await one.get('/');
    await harness.dataplane.drain({ delayMs: 0, timeoutMs: 8_000 });
    await eventually(() => one.isClosed, 'the end of the connection');
    expect(one.goAways.length).toBeGreaterThan(0);
  });
});

describe('deadlines', () => {
  test('a connection that is idle for too long is told and closed', async () => {
    await start({ limits: { keepAliveTimeoutMs: 100 } });
    const one = caller();
    upstream.answer = (peer) => peer.send(okAnswer('once'));
    await one.get('/');
    await eventually(() => one.isClosed, 'the end of the connection');
    expect(one.goAways).toEqual([0]);
  });

  test.each([
    ['the preface', prefaceText.slice(0, 16)],
    ['SETTINGS', prefaceText],
    ['a header block', prefaceText + frameText(4, 0, 0) + frameText(1, 1, 1, blockText(getFields))],
    ['a frame', prefaceText + frameText(4, 0, 0) + frameText(1, 5, 1, 'abc').slice(0, 10)],
  ])('%s that is not completed ends the connection', async (_, bytes) => {
    await start({ limits: { headTimeoutMs: 100, keepAliveTimeoutMs: 60_000 } });
    const c = await rawClient();
    c.send(bytes);
    await c.closed();
  });

  test('a body that stops coming is a 408', async () => {
    await start({ limits: { bodyTimeoutMs: 100 } });
    const call = caller().open({ ':method': 'POST', ':path': '/' }).send('some');
    const got = await call.reply;
    expect(got.status).toBe(408);
  });
});
