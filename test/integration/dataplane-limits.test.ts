// What the data plane says itself, where it stops, how it drains: refusals with their reasons,
// time- outs, bounded memory under slow peers, connection and memory limits, listeners that
// follow the table.
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RejectFacts } from '../../src/dataplane/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness, HarnessOptions } from '../support/dataplane-harness.ts';
import {
  connectTo,
  eventually,
  freePort,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

let upstream: RawUpstream;
let harness: Harness;
const clients: Peer[] = [];

async function start(options: Partial<HarnessOptions> = {}): Promise<void> {
  harness = await startHarness({ endpoints: [upstream.endpoint], ...options });
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

async function ask(text: string): Promise<string> {
  const peer = await client();
  peer.send(text);
  await peer.see('\r\n\r\n');
  return peer.text;
}

beforeEach(async () => {
  upstream = await RawUpstream.start('127.0.0.2');
});

afterEach(async () => {
  for (const peer of clients.splice(0)) peer.socket.destroy();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state().exchanges).toBe(0);
  expect(dataplane.state().bufferedBytes).toBe(0);
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
});

describe('refusals', () => {
  const post = (host: string): string =>
    `POST /a HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n\r\nhello`;

  test('an unknown name is a 404 that says so and leaves the connection usable', async () => {
    await start();
    upstream.answer = (peer) => peer.send(okAnswer('well'));
    const c = await client();
    c.send(post('nobody.t.mesh') + request('GET /'));
    const text = await c.see('well');
    expect(text).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    expect(text).toContain('weft-reason: UnknownService\r\n');
    expect(text).toContain('content-type: text/plain');
    expect(text).toMatch(/UnknownService\); next: weft explain t\/client POST http:\/\/nobody/);
  });

  test.each<[string, Partial<HarnessOptions>, number, string]>([
    ['no endpoint', { endpoints: [] }, 503, 'NoEndpoints'],
    ['stopped by its owner', { rules: { isStopped: true } }, 503, 'Stopped'],
    ['no weight', { weight: 0 }, 503, 'NoBackendWeight'],
    ['a path that no rule allows', { allowedPath: '/public' }, 403, 'RouteNotAllowed'],
    ['a body over the limit', { rules: { maxRequestBodyBytes: 3 } }, 413, 'BadRequestBodyTooLarge'],
    ['memory used up', { limits: { bufferedBytesMax: -1 } }, 503, 'Shedding'],
  ])('%s', async (_, options, status, reason) => {
    await start(options);
    const text = await ask(post('h1.t.mesh'));
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toContain(`weft-reason: ${reason}\r\n`);
    expect(upstream.connections).toHaveLength(0);
  });

  test('HEAD gets the head of a refusal and nothing of its body', async () => {
    await start({ rules: { isStopped: true } });
    const text = await ask(request('HEAD /'));
    expect(text).toMatch(/content-length: [1-9]/);
    expect(text.endsWith('\r\n\r\n')).toBe(true);
  });

  test('a chunked body over the limit is refused when it passes it', async () => {
    await start({ rules: { maxRequestBodyBytes: 8 } });
    const c = await client();
    c.send(request('POST /', 'Transfer-Encoding: chunked') + '5\r\nhello\r\n');
    const u = await upstream.accept();
    await u.see('hello');
    c.send('5\r\nhello\r\n');
    expect(await c.closed()).toContain('413');
    expect(await u.closed()).not.toContain('0\r\n\r\n');
  });

  test('a refusal of a long body ends the connection', async () => {
    await start({ rules: { isStopped: true } });
    const c = await client();
    c.send(request('POST /', 'Content-Length: 100000000') + 'x');
    expect(await c.closed()).toContain('connection: close\r\n');
  });

  test('a loop is found, CONNECT and TRACE are refused', async () => {
    await start();
    const via = Array.from({ length: 8 }, () => '1.1 weft').join(', ');
    expect(await ask(request('GET /', `Via: ${via}`))).toContain('weft-reason: Loop\r\n');
    expect(await ask(request('TRACE /'))).toContain('weft-reason: BadRequestUnsupported\r\n');
    const connect = await client();
    connect.send('CONNECT h1.t.mesh:80 HTTP/1.1\r\nHost: h1.t.mesh:80\r\n\r\n');
    expect(await connect.closed()).toMatch(/^HTTP\/1\.1 501 /);
  });

  test('what is no request is told to the observer', async () => {
    const rejects: RejectFacts[] = [];
    await start({ observer: { requestRejected: (facts) => rejects.push(facts) } });
    const c = await client();
    c.send('GET / HTTP/1.1\r\nHost: a b\r\n\r\n');
    expect(await c.closed()).toContain('weft-reason: BadRequestHost\r\n');
    expect(rejects.map(({ reason, status }) => ({ reason, status }))).toEqual([
      { reason: 'BadRequestHost', status: 400 },
    ]);
  });
});

describe('time-outs', () => {
  test.each<[string, Partial<HarnessOptions>, string, RegExp]>([
    ['half a head', { limits: { headTimeoutMs: 60 } }, 'GET / HT', /408 .*BadRequestTimeout/s],
    ['no byte at all', { limits: { headTimeoutMs: 60 } }, '', /^$/],
    [
      'a body that stops',
      { limits: { bodyTimeoutMs: 60 } },
      request('POST /', 'Content-Length: 5') + 'he',
      /408 .*BadRequestTimeout/s,
    ],
    [
      'a body that stops for as long as anything may be idle',
      { limits: { bodyTimeoutMs: 5_000, idleTimeoutMs: 60 } },
      request('POST /', 'Content-Length: 5') + 'he',
      /408 .*BadRequestTimeout/s,
    ],
  ])('%s ends the connection', async (_, options, text, expected) => {
    await start(options);
    const c = await client();
    if (text !== '') c.send(text);
    expect(await c.closed()).toMatch(expected);
  });

  test('a kept connection without a request is closed in silence', async () => {
    await start({ limits: { keepAliveTimeoutMs: 60 } });
    upstream.answer = (peer) => peer.send(okAnswer('x'));
    const c = await client();
    await c.send(request('GET /')).see('\r\n\r\nx');
    c.clear();
    expect(await c.closed()).toBe('');
  });

  test.each<[string, Partial<HarnessOptions>, string]>([
    ['the service’s timeout', { rules: { timeoutMs: 60 } }, 'TimeoutRequest'],
    ['the service’s idle timeout', { rules: { idleTimeoutMs: 60 } }, 'TimeoutIdle'],
    ['the proxy’s idle timeout', { limits: { idleTimeoutMs: 60 } }, 'TimeoutIdle'],
  ])('a pod that never answers: %s', async (_, options, reason) => {
    await start(options);
    const c = await client();
    c.send(request('GET /'));
    const u = await upstream.accept();
    const text = await c.see('\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 504 /);
    expect(text).toContain(`weft-reason: ${reason}\r\n`);
    await u.closed();
  });

  test('a pod whose address swallows everything: three connects, then 504', async () => {
    const dialled: string[] = [];
    await start({
      endpoints: [upstream.endpoint],
      limits: { connectTimeoutMs: 60 },
      network: {
        connect: ({ address, port }) => {
          dialled.push(`${address}:${port}`);
          return new net.Socket();
        },
      },
    });
    const text = await ask(request('POST /', 'Content-Length: 0'));
    expect(text).toMatch(/^HTTP\/1\.1 504 [^]*weft-reason: TimeoutConnect\r\n/);
    const { address, port } = upstream.endpoint;
    expect(dialled).toEqual(new Array(3).fill(`${address}:${port}`));
    expect(harness.dataplane.state().upstreamOpen).toBe(0);
  });

  test('a pod that stops in the middle of its answer is cut off', async () => {
    await start({ rules: { idleTimeoutMs: 60 } });
    const c = await client();
    c.send(request('GET /'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    await c.see('half');
    await c.until(() => c.isClosed, 'the cut');
    await u.closed();
  });
});

describe('slow peers', () => {
  const bodyBytes = 100 * 1024 * 1024;
  const piece = 'x'.repeat(64 * 1024);

  /** Writes pieces as long as the socket takes them; returns how many bytes were offered. */
  function offer(peer: Peer, untilBytes: number): { readonly bytes: () => number } {
    let bytes = 0;
    const more = (): void => {
      while (bytes < untilBytes) {
        bytes += piece.length;
        if (!peer.socket.write(piece, 'latin1')) {
          peer.socket.once('drain', more);
          return;
        }
      }
    };
    more();
    return { bytes: () => bytes };
  }

  /** Resolves when a count has not changed over several looks. */
  async function settled(count: () => number): Promise<number> {
    let last = -1;
    let same = 0;
    await eventually(() => {
      same = count() === last ? same + 1 : 0;
      last = count();
      return same > 20;
    }, 'the count stands still');
    return last;
  }

  test('a client that does not read 100 MB holds less than 256 kB', async () => {
    await start();
    const c = await client();
    c.send(request('GET /big'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    c.socket.pause();
    u.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bodyBytes}\r\n\r\n`);
    const offered = offer(u, bodyBytes);
    expect(await settled(offered.bytes)).toBeLessThan(bodyBytes);
    expect(harness.dataplane.state().bufferedBytes).toBeGreaterThan(0);
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(256 * 1024);
    c.keepsText = false;
    c.socket.resume();
    await c.until(() => c.receivedBytes >= bodyBytes, 'the whole body');
  });

  test('a pod that does not read 100 MB holds less than 256 kB', async () => {
    await start();
    const c = await client();
    c.send(request('POST /big', `Content-Length: ${bodyBytes}`));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.socket.pause();
    const offered = offer(c, bodyBytes);
    expect(await settled(offered.bytes)).toBeLessThan(bodyBytes);
    expect(harness.dataplane.state().bufferedBytes).toBeGreaterThan(0);
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(256 * 1024);
    u.keepsText = false;
    u.socket.resume();
    await u.until(() => u.receivedBytes >= bodyBytes, 'the whole body');
    u.send(okAnswer('got it'));
    await c.see('got it');
  });
});

describe('faults of ours', () => {
  test.each(['exchangeStarted', 'policyDecided'] as const)(
    'one in %s is a 500 for this request, and nothing for the next',
    async (event) => {
      let isBroken = true;
      await start({
        observer: {
          [event]: () => {
            if (isBroken) throw new Error('BUG: planted');
          },
        },
      });
      upstream.answer = (peer) => peer.send(okAnswer('x'));
      const c = await client();
      c.send(request('GET /'));
      expect(await c.closed()).toMatch(/^HTTP\/1\.1 500 [^]*weft-reason: Bug\r\n/);
      expect(harness.bugs.splice(0)).toHaveLength(1);
      isBroken = false;
      expect(await ask(request('GET /'))).toContain(' 200 ');
    },
  );

  test('one while an answer is read is a 500, too', async () => {
    await start({
      observer: {
        attemptFinished: () => {
          throw new Error('BUG: planted');
        },
      },
    });
    upstream.answer = (peer) => peer.send('HTTP/1.1 999 What\r\n\r\n');
    const c = await client();
    c.send(request('GET /'));
    expect(await c.see('\r\n\r\n')).toContain('weft-reason: Bug\r\n');
    expect(harness.bugs.splice(0).length).toBeGreaterThan(0);
  });
});

describe('limits, listeners and draining', () => {
  test('connections over the limit are told and closed', async () => {
    let shed = 0;
    await start({
      limits: { connectionsMax: 1 },
      observer: { connectionShed: () => (shed += 1) },
    });
    const first = await client();
    await eventually(() => harness.dataplane.state().connections === 1, 'the first is open');
    const second = await client();
    expect(await second.closed()).toContain('weft-reason: Shedding\r\n');
    expect(shed).toBe(1);
    upstream.answer = (peer) => peer.send(okAnswer('x'));
    await first.send(request('GET /')).see('\r\n\r\nx');
  });

  test('a published table is in force for the next request on an open connection', async () => {
    await start();
    upstream.answer = (peer) => peer.send(okAnswer('old'));
    const other = await RawUpstream.start('127.0.0.3');
    other.answer = (peer) => peer.send(okAnswer('new'));
    const c = await client();
    await c.send(request('GET /')).see('old');
    harness.publish({ endpoints: [other.endpoint] });
    await c.send(request('GET /')).see('new');
    other.close();
  });

  test('an upgraded connection that is no longer allowed is cut', async () => {
    const endpoints = [upstream.endpoint];
    await start({ allowedPath: '/ws' });
    const c = await client();
    c.send(request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    u.send('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await c.see('101');
    harness.publish({ endpoints, allowedPath: '/.*' });
    c.send('still');
    await u.see('still');
    harness.publish({ endpoints, allowedPath: '/other' });
    await c.until(() => c.isClosed, 'the cut');
    await u.closed();
  });

  test('listeners open and close as tables say; open connections live on', async () => {
    await start();
    upstream.answer = (peer) => peer.send(okAnswer('x'));
    const c = await client();
    await c.send(request('GET /')).see('\r\n\r\nx');
    const port = await freePort('127.0.0.1');
    harness.publish({ endpoints: [upstream.endpoint], targetPort: port });
    await eventually(() => harness.dataplane.state().listeners[0]?.isOpen === true, 'open');
    const onNew = await connectTo(port);
    clients.push(onNew);
    await onNew.send(request('GET /')).see('\r\n\r\nx');
    await expect(connectTo(harness.port)).rejects.toThrow('ECONNREFUSED');
    c.clear();
    await c.send(request('GET /')).see('\r\n\r\nx');
  });

  test('a port that is taken is reported, and opened when it is free', async () => {
    await start();
    const squatter = await RawUpstream.start('127.0.0.1');
    harness.publish({ endpoints: [], targetPort: squatter.endpoint.port });
    await eventually(
      () => harness.dataplane.state().listeners[0]?.failure?.includes('EADDRINUSE') === true,
      'reported',
    );
    squatter.close();
    await eventually(() => harness.dataplane.state().listeners[0]?.isOpen === true, 'opened');
  });

  test('draining: accepting, every answer says close, over when nothing is left', async () => {
    await start();
    const kept = await client();
    kept.send(request('GET /slow'));
    const u = await upstream.accept();
    await u.see('\r\n\r\n');
    let isOver = false;
    const drained = harness.dataplane.drain({ delayMs: 50, timeoutMs: 5_000 }).then(() => {
      isOver = true;
    });
    upstream.answer = (peer) => peer.send(okAnswer('new'));
    const late = await client();
    late.send(request('GET /late'));
    expect(await late.closed()).toMatch(/connection: close\r\n[^]*new/);
    expect(isOver).toBe(false);
    u.send(okAnswer('slow'));
    expect(await kept.closed()).toMatch(/connection: close\r\n[^]*slow/);
    for (const peer of clients) peer.end();
    await drained;
    expect(harness.dataplane.state().connections).toBe(0);
  });

  test('a drain ends at its timeout, whatever is in flight', async () => {
    await start();
    const c = await client();
    c.send(request('GET /for-ever'));
    await upstream.accept();
    await harness.dataplane.drain({ delayMs: 10, timeoutMs: 100 });
    expect(harness.dataplane.state().exchanges).toBe(1);
    harness.dataplane.close();
    await c.until(() => c.isClosed, 'the cut');
  });
});
