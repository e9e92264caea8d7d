// TCP connections between nodes: each a stream of one session of mutual TLS, judged where the pod
// is. What cannot go that way goes nowhere: nothing here is ever plain text.
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fastestTlsNetwork } from '../../src/dataplane/index.ts';
import type { SecureNetwork } from '../../src/lib/network.ts';
import { eventually, freePort, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { watchTcp } from '../support/tcp-mesh.ts';
import { connectFrom, nodeAddress, otherPod, TunnelMesh } from '../support/tunnel-mesh.ts';
import { clientPod, serverPod, worldTable } from '../support/tunnel-mesh.ts';
import type { NodeOptions, WorldOptions } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let tcpPort: number;
let mesh: TunnelMesh | undefined;
let a: ReturnType<typeof watchTcp>;
let b: ReturnType<typeof watchTcp>;
const clients: Peer[] = [];

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  tcpPort = await freePort(nodeAddress['node-a']);
  a = watchTcp();
  b = watchTcp();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.reset();
  const ended = mesh;
  mesh = undefined;
  if (ended !== undefined) await expectQuiet(ended);
  pod.close();
});

/** Nothing is left of any connection; sessions without streams may stay. */
async function expectQuiet({ a: one, b: other }: TunnelMesh): Promise<void> {
  for (const { dataplane, bugs } of [one, other]) {
    const isQuiet = (): boolean => {
      const { exchanges, bufferedBytes, bodyBuffers, tcpConnections } = dataplane.state();
      return [exchanges, bufferedBytes, bodyBuffers, tcpConnections].every((count) => count === 0);
    };
    await eventually(isQuiet, 'everything back to zero').catch((error: unknown) => {
      throw new Error(JSON.stringify(dataplane.state()), { cause: error });
    });
    dataplane.close();
    await eventually(() => dataplane.state().connections === 0, 'all sessions gone');
    expect(dataplane.state().deadlines).toBe(0);
    expect(bugs).toEqual([]);
  }
}

function worldOf(said: Partial<WorldOptions> = {}): WorldOptions {
  return { endpoints: [{ ...pod.endpoint, node: 'node-b' }], tcpPort, ...said };
}

async function start(
  said: Partial<WorldOptions> = {},
  ofB: Partial<NodeOptions> = {},
): Promise<TunnelMesh> {
  mesh = await TunnelMesh.start(
    worldOf(said),
    { tcp: a.observer },
    { tcp: b.observer, ...ofB },
  );
  return mesh;
}

async function client(from = clientPod): Promise<Peer> {
  const peer = await connectFrom(from.address, nodeAddress['node-a'], tcpPort);
  clients.push(peer);
  return peer;
}

async function opened(said: Partial<WorldOptions> = {}) {
  await start(said);
  return connected();
}

async function connected(from = clientPod) {
  const before = a.seen.counted.opened;
  const peer = await client(from);
  const server = await pod.accept();
  await eventually(() => a.seen.counted.opened > before, 'it is open');
  return { peer, server };
}

async function isReset(peer: Peer): Promise<void> {
  await peer.until(() => peer.isClosed, 'a reset');
  expect([peer.errorCode, peer.hasEnded]).toEqual(['ECONNRESET', false]);
}

async function isRefused(from = clientPod): Promise<void> {
  try {
    await isReset(await client(from));
  } catch (error) {
    expect(String(error)).toContain('ECONNRESET');
  }
}

describe('a connection between nodes', () => {
  test('passes bytes and half-closes both ways', async () => {
    const { peer, server } = await opened();
    server.send('server first');
    await peer.see('server first');
    peer.send('all of mine').end();
    await server.until(() => server.hasEnded, 'a FIN');
    expect(server.text).toBe('all of mine');
    server.send(', and an answer').end();
    await peer.closed();
    expect(peer.text).toBe('server first, and an answer');
    await eventually(() => a.seen.ended.length === 1, 'the end');
    expect(a.seen.ended).toEqual([
      { end: 'ended', reason: undefined, bytes: [11, 27], attempts: 1 },
    ]);
    // Counted by the caller's proxy alone.
    expect(b.seen.counted.opened).toBe(0);
  });

  test('what a client sends at once waits for the pod', async () => {
    await start();
    const peer = await client();
    peer.send('early').end();
    const server = await pod.accept();
    await server.until(() => server.hasEnded, 'a FIN');
    expect(server.text).toBe('early');
    server.end();
    await peer.closed();
  });

  test('a new one costs no handshake, and identities never share a session', async () => {
    await start();
    for (let round = 0; round < 5; round += 1) await connected();
    expect(mesh?.a.results('client')).toEqual(['ok']);
    await connected(otherPod);
    expect(mesh?.a.results('client')).toEqual(['ok', 'ok']);
    expect(mesh?.a.dataplane.state().tunnels?.sessions).toBe(2);
  });

  test('more than a session has places for open another one', async () => {
    await start();
    for (let round = 0; round < 260; round += 1) await client();
    await eventually(() => pod.connections.length === 260, 'all connections');
    expect(mesh?.a.dataplane.state().tunnels?.sessions).toBeGreaterThan(1);
  });

  test('resets are passed on, both ways', async () => {
    const first = await opened();
    first.peer.reset();
    await isReset(first.server);
    const second = await connected();
    second.server.reset();
    await isReset(second.peer);
    // Others on the session are unharmed, however many there are.
    for (let round = 0; round < 200; round += 1) (await client()).reset();
    const { peer, server } = await connectedAnyhow();
    peer.send('fine');
    await server.see('fine');
    expect(mesh?.a.results('client')).toEqual(['ok']);
  });

  /** Among many that were given up before, the one that says something. */
  async function connectedAnyhow() {
    const peer = await client();
    peer.send('hello');
    const said = (): Peer | undefined => pod.connections.find(({ text }) => text === 'hello');
    await eventually(() => said() !== undefined, 'its connection');
    const server = said();
    if (server === undefined) throw new Error('it was there');
    return { peer, server };
  }

  test('32 MB to a slow reader are the same bytes and hold up nobody else', async () => {
    const { peer, server } = await opened();
    const other = await connected();
    peer.socket.pause();
    peer.keepsText = false;
    const sent = createHash('sha256');
    const got = createHash('sha256');
    for (let part = 0; part < 32; part += 1) {
      const chunk = Buffer.alloc(1024 * 1024, `${part} of many `);
      sent.update(chunk);
      server.socket.write(chunk);
    }
    server.socket.end();
    const buffered = (): number => mesh?.b.dataplane.state().bufferedBytes ?? 0;
    await eventually(() => buffered() > 0, 'it is held up');
    for (let round = 0; round < 20; round += 1) {
      other.peer.send('still quick');
      await other.server.seeTimes('still quick', round + 1);
      const atA = mesh?.a.dataplane.state().bufferedBytes ?? 0;
      expect([atA, buffered()].every((bytes) => bytes <= 1024 * 1024)).toBe(true);
    }
    peer.socket.on('data', (data: Buffer) => got.update(data));
    peer.socket.resume();
    await peer.until(() => peer.hasEnded, 'all of it');
    expect(peer.receivedBytes).toBe(32 * 1024 * 1024);
    expect(got.digest('hex')).toBe(sent.digest('hex'));
    peer.end();
  });
});

describe('who may', () => {
  test('is judged where the pod is, on the identity that the certificate proves', async () => {
    const { peer, server } = await opened({ policy: 'enforce', tcp: { ports: undefined } });
    peer.send('x');
    await server.see('x');
    expect([a.seen.verdicts, b.seen.verdicts]).toEqual([[], ['allow']]);
    await isRefused(otherPod);
    expect(b.seen.verdicts).toEqual(['allow', 'deny SourceNotAllowed']);
    await eventually(() => a.seen.ended.length === 1, 'it is told');
    expect(a.seen.ended[0]).toMatchObject({ reason: 'SourceNotAllowed', attempts: 1 });
  });

  test('a pod without TCPRoute is closed to it, and nothing is dialled', async () => {
    await start({ policy: 'enforce' });
    await isRefused();
    await eventually(() => a.seen.ended.length === 1, 'it is told');
    expect(a.seen.ended[0]?.reason).toBe('RouteNotAllowed');
    expect(pod.connections).toEqual([]);
  });

  test('a change of policy there cuts what is open', async () => {
    const { peer, server } = await opened({ policy: 'enforce', tcp: { ports: undefined } });
    await mesh?.publish(worldOf({ policy: 'enforce', tcp: { ports: [1] } }));
    await isReset(peer);
    await isReset(server);
    expect(b.seen.verdicts).toEqual(['allow', 'deny RouteNotAllowed']);
  });

  test('stopped traffic is the word of the caller’s node, where it was routed', async () => {
    const { peer, server } = await opened();
    const stopped = worldOf({ rules: { isStopped: true } });
    await mesh?.b.publish(worldTable('node-b', stopped));
    peer.send('split to a stopped backend');
    await server.see('split to a stopped backend');
    await mesh?.a.publish(worldTable('node-a', stopped));
    await isReset(peer);
    await isReset(server);
    expect(a.seen.ended[0]).toMatchObject({ end: 'cut', reason: 'Stopped' });
  });
});

describe('no tunnel', () => {
  test('a pod without its certificate waits for it', async () => {
    const late = { address: '127.0.1.3', account: 't/late', node: 'node-a' } as const;
    const running = await start({ pods: [clientPod, late, serverPod] });
    const peer = await client(late);
    await eventually(() => running.a.dataplane.state().tunnels?.waiting === 1, 'it waits');
    await running.a.identify(running.authority, 't/late');
    const server = await pod.accept();
    peer.send('in time').end();
    await server.see('in time');
    server.end();
    await peer.closed();
  });

  test('a peer that does not know these tunnels: refused, and never plain', async () => {
    const { network } = await fastestTlsNetwork();
    const older: SecureNetwork = {
      ...network,
      context: (terms) => network.context({ ...terms, alpn: ['weft-h1/1'] }),
    };
    await start({ mtls: 'permissive' }, { secureNetwork: older });
    await isRefused();
    await eventually(() => a.seen.ended.length === 1, 'it is told');
    expect(a.seen.ended[0]).toMatchObject({ end: 'refused', reason: 'TunnelUnavailable' });
    expect(pod.connections).toEqual([]);
  });

  test('what went plain is cut when nothing may any more, and not before', async () => {
    const { peer, server } = await opened({ mtls: 'off' });
    expect(mesh?.a.results('client')).toEqual([]);
    await mesh?.publish(worldOf({ mtls: 'permissive' }));
    peer.send('still there');
    await server.see('still there');
    await mesh?.publish(worldOf({ mtls: 'strict' }));
    await isReset(peer);
    await isReset(server);
    expect(a.seen.ended[0]).toMatchObject({ end: 'cut', reason: 'TunnelUnavailable' });
    await connected();
    expect(mesh?.a.results('client')).toEqual(['ok']);
  });

  test('a drain waits for what came by tunnel, and takes nothing new at its end', async () => {
    const { peer, server } = await opened();
    let isDrained = false;
    const drained = mesh?.b.dataplane.drain({ delayMs: 25, timeoutMs: 8_000 }).then(() => {
      isDrained = true;
    });
    peer.send('in peace').end();
    await server.see('in peace');
    expect(isDrained).toBe(false);
    server.end();
    await peer.closed();
    await drained;
    expect(a.seen.ended[0]?.end).toBe('ended');
  });

  test('a pod that is not there any more: refused after other endpoints', async () => {
    const gone = { address: serverPod.address, port: await freePort(serverPod.address) };
    await start({ endpoints: [{ ...gone, node: 'node-b' }, { ...pod.endpoint, node: 'node-b' }] });
    for (let round = 0; round < 4; round += 1) {
      const peer = await client();
      const server = await pod.accept();
      peer.send('found').end();
      await server.see('found');
      server.end();
      await peer.closed();
    }
    expect(a.seen.ended.every(({ end }) => end === 'ended')).toBe(true);
  });

  test('a proxy that goes away resets what it carried, and the next call is refused', async () => {
    const { peer, server } = await opened();
    mesh?.b.dataplane.close();
    await isReset(peer);
    await isReset(server);
    await isRefused();
    await eventually(() => a.seen.ended.length === 2, 'it is told');
    expect(a.seen.ended[1]?.reason).toBe('TunnelUnavailable');
  });
});
