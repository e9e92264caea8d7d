// What is left when an exchange ends in the wrong place: read buffers, requests behind a cut,
// answers that nobody reads or that come too early, connections that must not be used again.
import { afterEach, describe, expect, test } from 'vitest';
import { fastestNetwork } from '../../src/dataplane/index.ts';
import type { Network, NetworkSocket } from '../../src/lib/network.ts';
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

let upstream: RawUpstream;
let harness: Harness;
const clients: Peer[] = [];

async function start(options: Partial<HarnessOptions> = {}): Promise<void> {
  upstream = await RawUpstream.start('127.0.0.2');
  harness = await startHarness({ endpoints: [upstream.endpoint], ...options });
}

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

afterEach(async () => {
  for (const peer of clients.splice(0)) peer.socket.destroy();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0, bodyBuffers: 0 });
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
});

const chunked = 'Transfer-Encoding: chunked';
const head = (status: number, ...lines: readonly string[]): string =>
  [`HTTP/1.1 ${status} Some Reason`, ...lines, '', ''].join('\r\n');
const longBytes = 48 * 1024;
/** Long enough for its connection to take a read buffer of its own. */
const longChunk = `${longBytes.toString(16)}\r\n${'x'.repeat(longBytes)}\r\n`;

describe('read buffers', () => {
  test('an answer that breaks in a long read leaves none behind', async () => {
    await start();
    upstream.answer = (peer) => peer.send(`${head(200, chunked)}${longChunk}ZZ\r\n`);
    const c = await client();
    c.send(request('POST /', 'Content-Length: 0'));
    await c.closed();
    expect(harness.dataplane.state().bodyBuffers).toBe(0);
  });

  test('a long answer that is tried again leaves none behind', async () => {
    await start({ rules: { retryAttempts: 1, retryOn: ['5xx'] } });
    const answers = [`${head(503, chunked)}${longChunk}`, okAnswer('fine')];
    upstream.answer = (peer) => peer.send(answers.shift() ?? '');
    const c = await client();
    await c.send(request('GET /')).see('fine');
    expect(harness.dataplane.state().bodyBuffers).toBe(0);
  });
});

describe('a cut is final', () => {
  test('an answer that ends with its connection is not whole when that is reset', async () => {
    await start();
    upstream.answer = (peer) => {
      peer.send(`${head(200)}part`);
      peer.reset();
    };
    for (let n = 0; n < 5; n += 1) {
      const c = await client();
      c.send(request('POST /', 'Content-Length: 0'));
      await c.closed();
      expect(c.text).not.toContain('0\r\n\r\n');
    }
  });

  test('nothing behind a request that is cut is forwarded', async () => {
    await start({ rules: { maxRequestBodyBytes: 8 } });
    const c = await client();
    c.send(`${request('POST /', chunked)}5\r\nhello\r\n`);
    const u = await upstream.accept();
    await u.see('hello');
    u.send(`${head(200, 'Content-Length: 100')}part`);
    await c.see('part');
    // A kept connection: what is forwarded over it leaves at once.
    upstream.answer = (peer) => peer.send(okAnswer('kept'));
    await (await client()).send(request('GET /other')).see('kept');
    c.send(`5\r\nhello\r\n0\r\n\r\n${request('POST /behind', 'Content-Length: 0')}`);
    await c.closed();
    await (await client()).send(request('GET /last')).see('kept');
    const seen = upstream.connections.map((peer) => peer.text).join('');
    expect(seen).toContain('/last');
    expect(seen).not.toContain('/behind');
  });
});

describe('an answer before the end of the request', () => {
  test.each<[string, (peer: Peer) => unknown]>([
    ['ends', (peer) => peer.end()],
    ['closes', (peer) => peer.socket.destroy()],
    ['resets', (peer) => peer.reset()],
  ])('is relayed when the pod %s at once, whatever is still being sent', async (_, leave) => {
    await start();
    upstream.answer = (peer) => {
      peer.send(`${head(413, 'Content-Length: 7')}too big`);
      leave(peer);
    };
    for (let n = 0; n < 5; n += 1) {
      const c = await client();
      c.send(request('POST /', 'Content-Length: 100000000'));
      const more = (): void => {
        while (!c.hasEnded && !c.isClosed && c.socket.write('x'.repeat(65_536), 'latin1'));
      };
      c.socket.on('drain', more);
      more();
      await c.see('too big');
      c.socket.destroy();
    }
  });
});

type Said = Partial<Record<keyof NetworkSocket, () => unknown>>;

/** A socket that says something else about itself than it is. */
function saying(socket: NetworkSocket, said: Said): NetworkSocket {
  return new Proxy(socket, {
    get: (target, name: keyof NetworkSocket) => {
      if (said[name] !== undefined) return said[name]();
      const value: unknown = target[name];
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Accepted sockets of which `of` says how many bytes wait for a client that does not read. */
async function withUnsentBytes(of: () => number): Promise<Pick<Network, 'listen'>> {
  const { network } = await fastestNetwork();
  const said = { writableLength: of, writableNeedDrain: () => of() > 0 };
  return {
    listen: (options, events) =>
      network.listen(options, {
        ...events,
        accepted: (socket) => events.accepted(saying(socket, said)),
      }),
  };
}

describe('a client that was refused', () => {
  test('has no longer for the rest of its body than any body may be silent', async () => {
    await start({ limits: { bodyTimeoutMs: 150 } });
    const c = await client();
    c.send(request('POST /', 'Content-Length: 1000').replace('h1.', 'no.'));
    await c.see('UnknownService');
    const timer = setInterval(() => c.send('x'), 20);
    await c.closed();
    clearInterval(timer);
    expect(c.text).not.toContain('408');
  });
});

describe('a kept connection', () => {
  /** Opened sockets that say that they could not send all of it yet. */
  async function withUnsentRequests(): Promise<Pick<Network, 'connect'>> {
    const { network } = await fastestNetwork();
    return {
      connect: (options) => saying(network.connect(options), { writableNeedDrain: () => true }),
    };
  }

  test('is none while the pod has not taken the whole request', async () => {
    await start({ network: await withUnsentRequests() });
    upstream.answer = (peer) => peer.send(okAnswer('early'));
    const c = await client();
    await c.send(request('GET /1')).see('early');
    await c.send(request('GET /2')).seeTimes('early', 2);
    expect(upstream.connections).toHaveLength(2);
  });
});

describe('a client that does not read', () => {
  test('what it has not taken counts as buffered after its answer has ended, too', async () => {
    let unsentBytes = 0;
    const network = await withUnsentBytes(() => unsentBytes);
    await start({ network });
    upstream.answer = (peer) => {
      unsentBytes = 10_000;
      peer.send(okAnswer('ok'));
    };
    const c = await client();
    await c.send(request('GET /1')).see('ok');
    expect(harness.dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 10_000 });
    await c.send(request('GET /2')).seeTimes('ok', 2);
    expect(harness.dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 10_000 });
  });

  test('and has sent a further request is ended', async () => {
    let unsentBytes = 0;
    const network = await withUnsentBytes(() => unsentBytes);
    await start({ network, limits: { keepAliveTimeoutMs: 100 } });
    upstream.answer = (peer) => {
      unsentBytes = 100_000;
      peer.send(okAnswer('ok'));
    };
    const c = await client();
    await c.send(request('GET /1') + request('GET /2')).see('ok');
    await c.closed();
    expect(upstream.connections.map((peer) => peer.text).join('')).not.toContain('/2');
  });
});
