// TCP services on real sockets: whom a connection reaches, what passes and how it ends. Whatever
// ends it, nothing of it is left behind, which `expectQuiet` looks at after every test.
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectTo, eventually, freePort, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { startTcpHarness } from '../support/tcp-mesh.ts';
import type { TcpHarness, TcpMesh } from '../support/tcp-mesh.ts';

let upstream: RawUpstream;
let harness: TcpHarness | undefined;

beforeEach(async () => {
  upstream = await RawUpstream.start('127.0.0.2');
});

afterEach(async () => {
  upstream.close();
  await harness?.expectQuiet();
  harness = undefined;
});

async function start(mesh: Partial<TcpMesh> = {}, limits = {}): Promise<TcpHarness> {
  harness = await startTcpHarness(meshOf(mesh), limits);
  return harness;
}

function meshOf(mesh: Partial<TcpMesh> = {}): TcpMesh {
  return { endpoints: { db: [upstream.endpoint] }, ...mesh };
}

async function opened(mesh: Partial<TcpMesh> = {}) {
  const { port } = await start(mesh);
  const client = await connectTo(port);
  const server = await upstream.accept();
  await eventually(() => harness?.counted.opened === 1, 'it is open');
  return { client, server };
}

/** A new connection is broken off, perhaps before its client has seen that there is one. */
async function isRefused(): Promise<void> {
  let peer: Peer;
  try {
    peer = await connectTo(harness?.port ?? 0);
  } catch (error) {
    expect(String(error)).toContain('ECONNRESET');
    return;
  }
  await isReset(peer);
}

async function isReset(peer: Peer): Promise<void> {
  await peer.until(() => peer.isClosed, 'a reset');
  expect([peer.errorCode, peer.hasEnded]).toEqual(['ECONNRESET', false]);
}

describe('bytes', () => {
  test('pass both ways as they are', async () => {
    const { client, server } = await opened();
    client.send('\u0000SELECT\u00ff');
    await server.see('\u0000SELECT\u00ff');
    server.send('1 row');
    await client.see('1 row');
    client.end();
    server.end();
    await client.closed();
    await eventually(() => harness?.ended.length === 1, 'the end');
    expect(harness?.ended).toEqual([
      { end: 'ended', reason: undefined, bytes: [8, 5], attempts: 1 },
    ]);
    expect(harness?.counted).toMatchObject({ opened: 1, closed: 1, received: 8, sent: 5 });
  });

  test('a server that speaks first is heard before the client has said anything', async () => {
    const { client, server } = await opened();
    server.send('220 mail.shop.mesh ESMTP');
    await client.see('ESMTP');
    client.send('QUIT');
    await server.see('QUIT');
    server.end();
    client.end();
  });

  test('a client that has sent all still gets what follows', async () => {
    const { client, server } = await opened();
    client.send('all that I have').end();
    await server.until(() => server.hasEnded, 'a FIN');
    expect(server.text).toBe('all that I have');
    server.send('an answer').end();
    await client.closed();
    expect(client.text).toBe('an answer');
  });

  test('a server that has sent all still gets what follows', async () => {
    const { client, server } = await opened();
    server.send('bye').end();
    await client.until(() => client.hasEnded, 'a FIN');
    client.send('late words').end();
    await server.until(() => server.hasEnded, 'a FIN');
    expect(server.text).toBe('late words');
  });

  test('what a client sends at once waits for the pod', async () => {
    const { port } = await start();
    const client = await connectTo(port);
    client.send('early').end();
    const server = await upstream.accept();
    await server.until(() => server.hasEnded, 'a FIN');
    expect(server.text).toBe('early');
    server.end();
  });

  test('100 MB to a slow reader are the same bytes and wait in nobody\'s memory', async () => {
    const { client, server } = await opened();
    const mebibytes = 100;
    client.socket.pause();
    const before = process.memoryUsage().rss;
    const sent = createHash('sha256');
    const got = createHash('sha256');
    let bufferedMax = 0;
    let written = 0;
    const write = (): void => {
      while (written < mebibytes) {
        const chunk = Buffer.alloc(1024 * 1024, `${written} of many `);
        written += 1;
        sent.update(chunk);
        if (!server.socket.write(chunk)) {
          server.socket.once('drain', write);
          return;
        }
      }
      server.socket.end();
    };
    write();
    // It is held up until somebody reads.
    await eventually(() => (harness?.dataplane.state().bufferedBytes ?? 0) > 0, 'bytes that wait');
    let paused = 0;
    client.keepsText = false;
    client.socket.on('data', (data: Buffer) => {
      got.update(data);
      bufferedMax = Math.max(bufferedMax, harness?.dataplane.state().bufferedBytes ?? 0);
      // Now and then it does not read for a turn of the loop.
      paused += data.length;
      if (paused < 4 * 1024 * 1024) return;
      paused = 0;
      client.socket.pause();
      setImmediate(() => client.socket.resume());
    });
    client.socket.resume();
    await client.until(() => client.hasEnded, 'all of it');
    expect(client.receivedBytes).toBe(mebibytes * 1024 * 1024);
    expect(got.digest('hex')).toBe(sent.digest('hex'));
    expect(bufferedMax).toBeLessThanOrEqual(512 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    client.end();
  });
});

describe('a side that breaks', () => {
  test('a client that resets resets the pod\'s side', async () => {
    const { client, server } = await opened();
    client.send('x');
    await server.see('x');
    client.reset();
    await isReset(server);
    await eventually(() => harness?.ended[0]?.end === 'reset', 'it is told');
  });

  test('a pod that resets resets the client', async () => {
    const { client, server } = await opened();
    server.reset();
    await isReset(client);
  });

  test('a reset behind a half-close is a reset', async () => {
    const { client, server } = await opened();
    client.send('all').end();
    await server.until(() => server.hasEnded, 'a FIN');
    server.reset();
    await isReset(client);
  });

  test('a client that resets while it is not read from is noticed', async () => {
    const { client, server } = await opened();
    server.socket.pause();
    client.socket.write(Buffer.alloc(32 * 1024 * 1024));
    await eventually(() => (harness?.dataplane.state().bufferedBytes ?? 0) > 0, 'bytes that wait');
    client.reset();
    await eventually(() => harness?.ended[0]?.end === 'reset', 'it is told');
    server.socket.destroy();
  });
});

describe('which pod', () => {
  test('an endpoint that refuses is passed over, and nobody notices', async () => {
    const gone = { address: '127.0.0.3', port: await freePort('127.0.0.3') };
    await start({ endpoints: { db: [gone, upstream.endpoint] } });
    for (let round = 0; round < 8; round += 1) {
      const client = await connectTo(harness?.port ?? 0);
      const server = await upstream.accept();
      client.send('hello').end();
      await server.see('hello');
      server.end();
      await client.closed();
    }
    await eventually(() => harness?.ended.length === 8, 'all ends');
    expect(harness?.ended.some(({ attempts }) => attempts === 2)).toBe(true);
    expect(harness?.ended.every(({ end }) => end === 'ended')).toBe(true);
  });

  test('an endpoint that refuses again and again is ejected', async () => {
    const gone = { address: '127.0.0.3', port: await freePort('127.0.0.3') };
    await start({ endpoints: { db: [gone, upstream.endpoint] } });
    for (let round = 0; (harness?.counted.ejected ?? 0) === 0 && round < 64; round += 1) {
      (await connectTo(harness?.port ?? 0)).reset();
      await eventually(() => harness?.ended.length === round + 1, 'its end');
    }
    expect(harness?.counted.ejected).toBe(1);
    const before = harness?.ended.length ?? 0;
    for (let round = 0; round < 8; round += 1) {
      const client = await connectTo(harness?.port ?? 0);
      client.send('x').end();
    }
    const spoken = () => upstream.connections.filter(({ text }) => text === 'x');
    await eventually(() => spoken().length === 8, 'all');
    for (const { socket } of upstream.connections) socket.end();
    await eventually(() => harness?.ended.length === before + 8, 'all ends');
    expect(harness?.ended.slice(before).every(({ attempts }) => attempts === 1)).toBe(true);
  });

  test('the endpoint with the fewest connections gets the next one', async () => {
    const second = await RawUpstream.start('127.0.0.3');
    const { port } = await start({ endpoints: { db: [upstream.endpoint, second.endpoint] } });
    const clients: Peer[] = [];
    for (let round = 1; round <= 6; round += 1) {
      clients.push(await connectTo(port));
      const all = (): number => upstream.connections.length + second.connections.length;
      await eventually(() => all() === round, 'a connection');
    }
    expect([upstream.connections.length, second.connections.length]).toEqual([3, 3]);
    for (const client of clients) client.reset();
    second.close();
  });

  test.each([
    ['no endpoint', { endpoints: { db: [] } }, 'NoEndpoints', 0],
    ['weights of zero', { weights: { db: 0 } }, 'NoBackendWeight', 0],
    ['stopped traffic', { rules: { isStopped: true } }, 'Stopped', 0],
    ['a service that speaks HTTP now', { isTcp: false }, 'UnknownService', 0],
  ] as const)('%s: reset, and nothing is dialled', async (_, mesh, reason, attempts) => {
    await start(mesh);
    await isRefused();
    expect(harness?.ended).toEqual([{ end: 'refused', reason, bytes: [0, 0], attempts }]);
    expect(upstream.connections).toEqual([]);
  });

  test('an endpoint that refuses and no other: reset after the tries allowed', async () => {
    const gone = { address: '127.0.0.3', port: await freePort('127.0.0.3') };
    await start({ endpoints: { db: [gone] } });
    await isRefused();
    expect(harness?.ended[0]).toMatchObject({ reason: 'UpstreamConnect', attempts: 3 });
  });

  test('connections follow the weights of a split (chi-square at 1 in 1 000)', async () => {
    const canary = await RawUpstream.start('127.0.0.3');
    const mesh = {
      endpoints: { old: [upstream.endpoint], new: [canary.endpoint] },
      weights: { old: 9, new: 1 },
    };
    const { port } = await start(mesh);
    const total = 400;
    for (let round = 0; round < total; round += 1) {
      const client = await connectTo(port);
      client.reset();
    }
    const seen = (): number => upstream.connections.length + canary.connections.length;
    await eventually(() => seen() + refusedCount() >= total, 'all connections');
    const expected = [seen() * 0.9, seen() * 0.1];
    const counts = [upstream.connections.length, canary.connections.length];
    const chi = counts.reduce((sum, count, index) => {
      const wanted = expected[index] ?? 0;
      return sum + (count - wanted) ** 2 / wanted;
    }, 0);
    // One degree of freedom.
    expect(chi).toBeLessThan(10.83);
    canary.close();
  });

  /** Clients that left before their pod was dialled. */
  function refusedCount(): number {
    return harness?.ended.filter(({ attempts, end }) => attempts === 0 || end === 'refused').length
      ?? 0;
  }
});

describe('policy', () => {
  const open = { tcp: { ports: undefined } };

  test('who is not allowed is reset before anything is dialled', async () => {
    await start({ policy: 'enforce', permission: { sources: ['shop/other'], ...open } });
    await isRefused();
    expect(harness?.ended[0]).toMatchObject({ end: 'refused', reason: 'SourceNotAllowed' });
    expect(harness?.verdicts).toEqual(['deny SourceNotAllowed']);
    expect(upstream.connections).toEqual([]);
  });

  test('a target that opens HTTP alone opens no TCP (R-11)', async () => {
    const permission = { http: { ports: undefined, matches: undefined } };
    await start({ policy: 'enforce', permission });
    await isRefused();
    expect(harness?.ended[0]?.reason).toBe('RouteNotAllowed');
  });

  test('who is allowed is told once, and bytes pass', async () => {
    const { client, server } = await opened({ policy: 'enforce', permission: open });
    client.send('x').end();
    await server.see('x');
    server.end();
    expect(harness?.verdicts).toEqual(['allow']);
  });

  test('audit lets pass and tells what it would deny', async () => {
    await start({ policy: 'audit', permission: { tcp: { ports: [1] } } });
    const client = await connectTo(harness?.port ?? 0);
    const server = await upstream.accept();
    client.send('x').end();
    await server.see('x');
    server.end();
    expect(harness?.verdicts).toEqual(['audit RouteNotAllowed']);
  });

  test('a connection that a new table does not allow is reset, others live on', async () => {
    const { client, server } = await opened({ policy: 'enforce', permission: open });
    client.send('x');
    await server.see('x');
    const wider = { sources: ['shop/another', 'shop/client'], ...open };
    harness?.publish(meshOf({ policy: 'enforce', permission: wider }));
    client.send('y');
    await server.see('xy');
    harness?.publish(meshOf({ policy: 'enforce', permission: { tcp: { ports: [1] } } }));
    await isReset(client);
    await isReset(server);
    expect(harness?.ended[0]).toMatchObject({ end: 'cut', reason: 'RouteNotAllowed' });
    expect(harness?.verdicts).toEqual(['allow', 'deny RouteNotAllowed']);
  });

  test('stopped traffic cuts what is open', async () => {
    const { client, server } = await opened();
    harness?.publish(meshOf({ rules: { isStopped: true } }));
    await isReset(client);
    await isReset(server);
    expect(harness?.ended[0]).toMatchObject({ end: 'cut', reason: 'Stopped' });
  });

  test('a weight, an endpoint or a deletion that changes cuts nothing', async () => {
    const { client, server } = await opened({ weights: { db: 1 } });
    harness?.publish(meshOf({ weights: { db: 0 } }));
    harness?.publish(meshOf({ endpoints: { db: [] } }));
    harness?.publish(meshOf({ isTcp: false }));
    harness?.publish(meshOf({ hasListener: false }));
    expect(harness?.dataplane.state().listeners).toEqual([]);
    client.send('still here').end();
    await server.see('still here');
    server.end();
    await client.closed();
  });

  test('a connection of a pod whose address another pod has now is cut', async () => {
    const { client, server } = await opened();
    harness?.publish(meshOf({ clientUid: 'another' }));
    await isReset(client);
    await isReset(server);
  });
});

describe('time and limits', () => {
  test('a silent connection has no time-out unless its service sets one', async () => {
    const { client, server } = await opened();
    // The one deadline is that of telling bytes.
    expect(harness?.dataplane.state().deadlines).toBe(1);
    client.reset();
    await isReset(server);
  });

  test('idle-timeout cuts what is silent for so long', async () => {
    const { client, server } = await opened({ rules: { idleTimeoutMs: 50 } });
    client.send('x');
    await server.see('x');
    await isReset(client);
    await isReset(server);
    expect(harness?.ended[0]).toMatchObject({ end: 'cut', reason: 'TimeoutIdle' });
  });

  test('over the limit of connections a new one is reset', async () => {
    const { port } = await start({}, { connectionsMax: 1 });
    const client = await connectTo(port);
    await upstream.accept();
    await isRefused();
    expect(upstream.connections).toHaveLength(1);
    client.reset();
  });

  test('over the memory budget a new one is reset', async () => {
    await start({}, { bufferedBytesMax: -1 });
    await isRefused();
    expect(harness?.ended[0]?.reason).toBe('Shedding');
  });

  test('a drain waits for what is open, accepts meanwhile, and ends with the last', async () => {
    const { client, server } = await opened();
    let isDrained = false;
    const drained = harness?.dataplane.drain({ delayMs: 25, timeoutMs: 8_000 }).then(() => {
      isDrained = true;
    });
    const late = await connectTo(harness?.port ?? 0);
    const lateServer = await upstream.accept();
    client.send('in peace').end();
    await server.see('in peace');
    server.end();
    await client.closed();
    expect(isDrained).toBe(false);
    late.end();
    await lateServer.until(() => lateServer.hasEnded, 'a FIN');
    lateServer.end();
    await drained;
    expect(harness?.ended.map(({ end }) => end)).toEqual(['ended', 'ended']);
  });

  test('what is open at the end of a drain is cut', async () => {
    const { client, server } = await opened();
    await harness?.dataplane.drain({ delayMs: 0, timeoutMs: 50 });
    harness?.dataplane.close();
    await isReset(client);
    await isReset(server);
  });
});
