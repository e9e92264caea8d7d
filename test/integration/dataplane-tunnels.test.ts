// Upgraded connections: bytes both ways under back-pressure, counted while they last, ended one way
// at a time; and what becomes of the connection when the pod does not want to switch.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fastestNetwork } from '../../src/dataplane/index.ts';
import type { NetworkSocket } from '../../src/lib/network.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
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

/** Accepted connections whose kernel was told to ask whether the peer is still there. */
let asked: unknown[];

beforeEach(async () => {
  asked = [];
  const { network } = await fastestNetwork();
  upstream = await RawUpstream.start('127.0.0.2');
  harness = await startHarness({
    endpoints: [upstream.endpoint],
    network: {
      listen: (options, events) =>
        network.listen(options, {
          ...events,
          accepted: (socket) => events.accepted(noting(socket)),
        }),
    },
  });
});

function noting(socket: NetworkSocket): NetworkSocket {
  return new Proxy(socket, {
    get: (target, name: keyof NetworkSocket) => {
      const value: unknown = target[name];
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'setKeepAlive') asked.push(args);
        return value.apply(target, args) as unknown;
      };
    },
  });
}

afterEach(async () => {
  for (const peer of clients.splice(0)) peer.socket.destroy();
  upstream.close();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0, bodyBuffers: 0 });
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
});

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

const upgrade = request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket');
const switched = 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';

type Tunnel = { readonly client: Peer; readonly pod: Peer };

async function openTunnel(): Promise<Tunnel> {
  const c = await client();
  c.send(upgrade);
  const u = await upstream.accept();
  await u.see('\r\n\r\n');
  u.send(switched);
  await c.see('\r\n\r\n');
  return { client: c, pod: u };
}

const pieceBytes = 64 * 1024;
const longBytes = 512 * pieceBytes;

function sendLong(peer: Peer): void {
  let left = longBytes;
  const more = (): void => {
    while (left > 0) {
      left -= pieceBytes;
      if (peer.socket.write('x'.repeat(pieceBytes), 'latin1')) continue;
      peer.socket.once('drain', more);
      return;
    }
  };
  more();
}

describe('a tunnel', () => {
  test.each<[string, (tunnel: Tunnel) => readonly [from: Peer, to: Peer]]>([
    ['client', (tunnel) => [tunnel.pod, tunnel.client]],
    ['pod', (tunnel) => [tunnel.client, tunnel.pod]],
  ])('holds up the other side while its %s does not read, and counts what waits', async (_, of) => {
    const [from, to] = of(await openTunnel());
    const before = to.receivedBytes;
    to.keepsText = false;
    to.socket.pause();
    sendLong(from);
    const buffered = (): number => harness.dataplane.state().bufferedBytes;
    await eventually(() => buffered() > 0, 'bytes wait');
    expect(buffered()).toBeLessThanOrEqual(256 * 1024);
    to.socket.resume();
    await to.until(() => to.receivedBytes - before === longBytes, 'all of it');
    await eventually(() => buffered() === 0, 'nothing waits');
  });

  test('that is cut while bytes wait leaves none counted', async () => {
    const { client: c, pod } = await openTunnel();
    c.socket.pause();
    sendLong(pod);
    await eventually(() => harness.dataplane.state().bufferedBytes > 0, 'bytes wait');
    c.reset();
    await eventually(() => harness.dataplane.state().bufferedBytes === 0, 'nothing is counted');
  });

  test.each<[string, (tunnel: Tunnel) => readonly [first: Peer, last: Peer]]>([
    ['client', (tunnel) => [tunnel.client, tunnel.pod]],
    ['pod', (tunnel) => [tunnel.pod, tunnel.client]],
  ])('goes on the other way when its %s has ended', async (_, of) => {
    const [first, last] = of(await openTunnel());
    first.send('bye').end();
    await last.until(() => last.text.endsWith('bye') && last.hasEnded, 'the end');
    expect(harness.dataplane.state().exchanges).toBe(1);
    last.send('still here').end();
    await first.until(() => first.text.endsWith('still here') && first.hasEnded, 'the end');
    await eventually(() => harness.dataplane.state().exchanges === 0, 'the exchange is over');
  });

  test('has the kernel ask whether a silent client is still there', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('plain'));
    await (await client()).send(request('GET /')).see('plain');
    expect(asked).toEqual([]);
    upstream.answer = (peer) => peer.send(switched);
    await (await client()).send(upgrade).see('101');
    expect(asked).toEqual([[true, 30_000]]);
  });

  test('is cut when the drain is over, on both sides', async () => {
    const { client: c, pod } = await openTunnel();
    await harness.dataplane.drain({ delayMs: 10, timeoutMs: 50 });
    harness.dataplane.close();
    await c.until(() => c.isClosed || c.hasEnded, 'the cut');
    await pod.until(() => pod.isClosed || pod.hasEnded, 'the cut');
  });
});

describe('an upgrade that the pod refuses', () => {
  test.each([403, 426, 200])('with %i leaves both connections usable', async (status) => {
    const refusal = `HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`;
    upstream.answer = (peer, head) => {
      peer.send(head.includes('upgrade: websocket') ? refusal : okAnswer('next'));
    };
    const c = await client();
    await c.send(upgrade).see('\r\n\r\nno');
    await c.send(request('GET /next')).see('\r\n\r\nnext');
    expect(upstream.connections).toHaveLength(1);
  });

  test('what came behind it is the next request', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('answer'));
    const c = await client();
    await c.send(upgrade + request('GET /next')).seeTimes('answer', 2);
    expect(upstream.connections[0]?.text).toContain('GET /next');
  });
});

describe('an upgrade that the proxy refuses', () => {
  test('leaves the connection usable', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('next'));
    const c = await client();
    await c.send(upgrade.replace('h1.t.mesh', 'no.t.mesh')).see('UnknownService');
    await c.send(request('GET /next')).see('\r\n\r\nnext');
  });
});
