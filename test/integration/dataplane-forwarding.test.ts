// How the data plane carries one exchange, byte for byte, between a client and an upstream that the
// tests play on raw sockets: bodies, interim answers, aborts on either side, order, fields.
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

let upstream: RawUpstream;
let harness: Harness;
const clients: Peer[] = [];

async function start(options: Omit<HarnessOptions, 'endpoints'> = {}): Promise<void> {
  harness?.dataplane.close();
  harness = await startHarness({ ...options, endpoints: [upstream.endpoint] });
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

beforeEach(async () => {
  upstream = await RawUpstream.start();
  await start();
});

/** Whatever a test did, nothing of it may be left (A10). */
afterEach(async () => {
  for (const peer of clients.splice(0)) peer.socket.destroy();
  await expectNothingLeft(harness, [upstream]);
});

describe('bodies', () => {
  test('a body with a length is forwarded with that length', async () => {
    const c = await client();
    c.send(request('POST /a', 'Content-Length: 5') + 'hello');
    const u = await upstream.accept();
    const got = await u.see('hello');
    expect(got).toContain('content-length: 5\r\n');
    u.send(okAnswer('fine'));
    expect(await c.see('fine')).toContain('content-length: 4\r\n');
  });

  test('a chunked body keeps its trailers, both ways', async () => {
    const c = await client();
    c.send(request('POST /a', 'Transfer-Encoding: chunked', 'Trailer: X-Sum'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    c.send('5;ext=1\r\nhello\r\n3\r\nyou\r\n0\r\nX-Sum: 42\r\n\r\n');
    const got = await u.see('42\r\n\r\n');
    expect(got).toContain('transfer-encoding: chunked\r\n');
    expect(got).toContain('5\r\nhello\r\n3\r\nyou\r\n0\r\nX-Sum: 42\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n');
    expect(await c.see('X-End: 1\r\n\r\n')).toContain('2\r\nok\r\n0\r\n');
  });

  test('a body that ends with the connection becomes chunked for HTTP/1.1', async () => {
    const c = await client();
    c.send(request('GET /'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\n\r\nall of it').end();
    expect(await c.see('0\r\n\r\n')).toContain('9\r\nall of it\r\n');
    expect(c.isClosed).toBe(false);
  });

  test('… and stays as it is for HTTP/1.0, where the connection ends', async () => {
    const c = await client();
    c.send('GET / HTTP/1.0\r\nHost: h1.t.mesh\r\nConnection: keep-alive\r\n\r\n');
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\n\r\nall of it').end();
    const got = await c.closed();
    expect(got).toMatch(/connection: close\r\n/);
    expect(got.endsWith('\r\n\r\nall of it')).toBe(true);
  });

  test.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'content-length: 9'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', ' 204 '],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', 'content-length: 9'],
  ])('%s answered without a body leaves the connection usable', async (method, answer, part) => {
    const c = await client();
    c.send(request(`${method} /`));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send(answer);
    expect(await c.see('\r\n\r\n')).toContain(part);
    c.clear();
    u.clear();
    c.send(request('GET /next'));
    await u.see('GET /next');
    u.send(okAnswer('next'));
    await c.see('next');
  });
});

describe('interim answers and upgrades', () => {
  test('100-continue is asked of the pod, and its 100 is passed on', async () => {
    const c = await client();
    c.send(request('POST /', 'Expect: 100-continue', 'Content-Length: 2'));
    const u = await upstream.accept();
    expect(await u.see('\r\n\r\n')).toMatch(/expect: 100-continue/i);
    u.send('HTTP/1.1 100 Continue\r\n\r\n');
    await c.see('HTTP/1.1 100 Continue\r\n\r\n');
    c.send('ok');
    await u.see('\r\n\r\nok');
    u.send(okAnswer('done'));
    await c.see('done');
  });

  test('103 is passed on, but not to a client of HTTP/1.0', async () => {
    upstream.answer = (peer) =>
      peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' + okAnswer('done'));
    const c = await client();
    expect(await c.send(request('GET /')).see('done')).toContain('HTTP/1.1 103 ');
    const old = await client();
    old.send('GET / HTTP/1.0\r\nHost: h1.t.mesh\r\n\r\n');
    expect(await old.see('done')).not.toContain(' 103 ');
  });

  test('an upgrade becomes a tunnel both ways, with bytes that came too early', async () => {
    const c = await client();
    c.send(request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket') + 'early-client');
    const u = await upstream.accept();
    expect(await u.see('\r\n\r\n')).toContain('upgrade: websocket\r\n');
    u.send('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly-pod');
    expect(await c.see('early-pod')).toContain('upgrade: websocket\r\n');
    await u.see('early-client');
    c.send('ping');
    await u.see('early-clientping');
    expect(harness.dataplane.state().exchanges).toBe(1);
    // A half-close passes through; the other direction goes on.
    c.end();
    await u.closed();
    u.send('last words').end();
    await c.see('last words');
    await eventually(() => harness.dataplane.state().exchanges === 0, 'the tunnel ended');
    await eventually(() => harness.dataplane.state().upstreamOpen === 0, 'upstream closed');
  });

  test('a tunnel that is reset on one side is reset on the other', async () => {
    const c = await client();
    c.send(request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await c.see('101');
    u.reset();
    await c.until(() => c.isClosed, 'a reset');
    expect(c.errorCode).toBe('ECONNRESET');
  });
});

describe('who leaves first', () => {
  test('a client that resets cancels the upstream request at once', async () => {
    const c = await client();
    c.send(request('GET /slow'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    c.reset();
    await u.closed();
    await eventually(() => harness.dataplane.state().exchanges === 0, 'exchange over');
  });

  test('a client that resets while its pod does not read cancels the request, too', async () => {
    const c = await client();
    c.send(request('POST /', 'Content-Length: 100000000'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.socket.pause();
    const more = (): void => {
      while (!c.isClosed && c.socket.write('x'.repeat(65_536), 'latin1'));
    };
    c.socket.on('drain', more);
    more();
    await eventually(() => harness.dataplane.state().bufferedBytes > 0, 'the client is held up');
    c.reset();
    await eventually(() => harness.dataplane.state().exchanges === 0, 'exchange over');
    expect(harness.dataplane.state().upstreamOpen).toBe(0);
  });

  test('a client that just closes cancels the upstream request within a second', async () => {
    const c = await client();
    c.send(request('GET /slow'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    c.socket.destroy();
    await u.closed();
    await eventually(() => harness.dataplane.state().exchanges === 0, 'exchange over');
  });

  test('a client that only half-closes gets its late answer, behind an interim one', async () => {
    const c = await client();
    c.send(request('GET /slow')).end();
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    await c.see('HTTP/1.1 100 Continue\r\n');
    u.send(okAnswer('late'));
    const text = await c.closed();
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*late$/);
  });

  test('a client that closes in the middle of an answer in chunks cancels it, too', async () => {
    const c = await client();
    c.send(request('GET /stream'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n');
    await c.see('part\r\n');
    c.socket.destroy();
    // The pod says no more, so that nothing but the end of the client can end this.
    await u.closed();
    await eventually(() => harness.dataplane.state().exchanges === 0, 'exchange over');
  });

  test('a client that half-closes gets all of an answer in chunks, however slow', async () => {
    const c = await client();
    c.send(request('GET /stream')).end();
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n');
    await c.see('part\r\n00');
    u.send('4\r\nmore\r\n');
    await c.see('004\r\nmore\r\n00');
    u.send('0\r\n\r\n');
    expect(await c.closed()).toMatch(/\r\n4\r\npart\r\n004\r\nmore\r\n000\r\n\r\n$/);
  });

  test('a client that ends in the middle of its body is never completed', async () => {
    const c = await client();
    c.send(request('POST /', 'Transfer-Encoding: chunked') + '5\r\nhel');
    const u = await upstream.accept();
    await u.see('hel');
    c.end();
    expect(await u.closed()).not.toContain('0\r\n\r\n');
  });

  test('a half-close after a complete request is no abort', async () => {
    const c = await client();
    c.send(request('GET /')).end();
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send(okAnswer('still here'));
    expect(await c.closed()).toMatch(/^HTTP\/1\.1 200 [^]*still here$/);
  });

  test.each([
    ['length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('a pod that dies in a body with %s leaves a visibly broken answer', async (_, begin) => {
    const c = await client();
    c.send(request('GET /'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send(begin);
    await c.see('half');
    u.end();
    await c.until(() => c.isClosed, 'the cut');
    expect(c.text).not.toContain('0\r\n\r\n');
    expect(c.errorCode).toBe('ECONNRESET');
  });

  test('an answer before the end of the body is relayed, and ends the connection', async () => {
    const c = await client();
    c.send(request('POST /', 'Content-Length: 1000000') + 'x'.repeat(1000));
    const u = await upstream.accept();
    await u.see('xxx');
    u.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig');
    const got = await c.closed();
    expect(got).toContain('HTTP/1.1 413 ');
    expect(got).toContain('connection: close\r\n');
    expect(got.endsWith('big')).toBe(true);
    await u.closed();
  });
});

describe('pipelining and reuse', () => {
  test('pipelined requests are answered in order over one upstream connection', async () => {
    upstream.answer = (peer, head) => peer.send(okAnswer(`<${head.split(' ')[1]}>`));
    const c = await client();
    const all = Array.from({ length: 50 }, (_, n) => `/${n}`);
    c.send(all.map((path) => request(`GET ${path}`)).join(''));
    const text = await c.see('</49>');
    expect([...text.matchAll(/<(.*?)>/g)].map((match) => match[1])).toEqual(all);
    expect(upstream.connections).toHaveLength(1);
  });

  test('reading pauses when too much is pipelined, and goes on', async () => {
    const c = await client();
    c.send(request('GET /first'));
    const u = await upstream.accept();
    await u.see('/first');
    const filler = `X-Filler: ${'f'.repeat(1000)}`;
    for (let n = 0; n < 2_000; n += 1) c.send(request('GET /many', filler));
    const { dataplane } = harness;
    await eventually(() => dataplane.state().bufferedBytes > 32 * 1024, 'requests wait');
    // 2 MB were offered; what waits is the bound and at most one read of the socket more.
    expect(dataplane.state().bufferedBytes).toBeLessThan(128 * 1024);
    upstream.answer = (peer) => peer.send(okAnswer('many'));
    u.send(okAnswer('first'));
    await c.seeTimes('many', 2_000);
  });

  test('a bad request behind a good one gets its answer, nothing after it does', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('good'));
    const c = await client();
    c.send(request('GET /') + 'BAD\r\n\r\n' + request('GET /after'));
    const text = await c.closed();
    expect(text).toMatch(/good.*HTTP\/1\.1 400 [^]*weft-reason: BadRequestSyntax/s);
    expect(upstream.connections[0]?.text).not.toContain('/after');
  });

  test('an idle upstream connection that closes is not used again', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('one'));
    const c = await client();
    await c.send(request('GET /1')).see('one');
    upstream.connections[0]?.end();
    await eventually(() => harness.dataplane.state().upstreamOpen === 0, 'noticed');
    c.clear();
    await c.send(request('POST /2', 'Content-Length: 0')).see('one');
    expect(upstream.connections).toHaveLength(2);
  });

  test('an upstream connection with bytes behind the answer is closed', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('one') + 'HTTP/1.1 200 OK\r\n');
    const c = await client();
    await c.send(request('GET /1')).see('one');
    await eventually(() => harness.dataplane.state().upstreamOpen === 0, 'closed');
  });

  test('Keep-Alive of the pod is honoured: a time of zero means no reuse', async () => {
    upstream.answer = (peer) =>
      peer.send('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 3\r\n\r\none');
    const c = await client();
    await c.send(request('GET /1')).see('one');
    expect(harness.dataplane.state().upstreamIdle).toBe(0);
  });
});

describe('fields', () => {
  async function seen(...lines: string[]): Promise<string> {
    upstream.answer = (peer) => peer.send(okAnswer('x'));
    const c = await client();
    await c.send(request('GET /', ...lines)).see('\r\n\r\nx');
    return upstream.connections.at(-1)?.text ?? '';
  }

  test('what a client says about forwarding and identity is replaced', async () => {
    const head = await seen('X-Forwarded-For: 1.2.3.4', 'Forwarded: for=x', 'Weft-Load: 1');
    expect(head).toContain('x-forwarded-for: 127.0.0.1\r\n');
    expect(head).toContain('x-forwarded-host: h1.t.mesh\r\n');
    expect(head).toContain('x-forwarded-port: 80\r\n');
    expect(head).not.toMatch(/1\.2\.3\.4|for=x|weft-load/i);
    expect(head).toContain('via: 1.1 weft\r\n');
  });

  const trusted = [['t/client'], ['127.0.0.0/8']];
  test.each(trusted)('a trusted source (%s) is appended to', async (who = '') => {
    await start({ trustedSources: [who] });
    const head = await seen('X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Proto: https');
    expect(head).toContain('x-forwarded-for: 1.2.3.4, 127.0.0.1\r\n');
    expect(head).toContain('x-forwarded-proto: https\r\n');
  });

  test('ids pass when they are sane, and are made when they are not', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const passed = await seen('X-Request-Id: mine', `Traceparent: ${traceparent}`);
    expect(passed).toContain('x-request-id: mine\r\n');
    expect(passed).toContain(`traceparent: ${traceparent}\r\n`);
    const made = await seen('X-Request-Id: two words', 'Traceparent: nonsense');
    expect(made).toMatch(/x-request-id: request-\d+\r\n/);
    expect(made).toMatch(/traceparent: 00-0af7/);
  });

  test('the pod sees the Host that the service asks for', async () => {
    await start({ rules: { upstreamHost: 'h1.t.svc.cluster.local' } });
    const head = await seen();
    expect(head).toContain('host: h1.t.svc.cluster.local\r\n');
    expect(head).toContain('x-forwarded-host: h1.t.mesh\r\n');
  });
});
