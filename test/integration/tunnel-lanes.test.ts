// Requests between nodes on lanes: connections of HTTP/1.1 that are streams of one session
// (docs/design/0013). What passes on them is in tunnel-flow.test.ts, for lanes and for tunnels of
// one request each; here is what is new: what they share, what they do not, and older builds.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { olderNetwork, serverPod, spiffe, TestNode } from '../support/tunnel-mesh.ts';
import { TunnelMesh, worldTable } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
});

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  for (const { dataplane } of [mesh.a, mesh.b]) {
    await eventually(() => dataplane.state().exchanges === 0, 'all exchanges ended');
    expect(dataplane.state()).toMatchObject({ bufferedBytes: 0 });
  }
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

const here = () => ({ endpoints: [{ ...pod.endpoint, node: 'node-b' as const }] });

const tunnels = (node: TestNode) => node.dataplane.state().tunnels;

/** That many clients ask at the same time, and the pod has all of their requests. */
async function askAtOnce(count: number): Promise<readonly Peer[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => mesh.client()));
  for (const client of clients) client.send(request('GET /'));
  await eventually(() => pod.connections.length === count, 'the pod has them all');
  await Promise.all(pod.connections.map((peer) => peer.see('\r\n\r\n')));
  return clients;
}

describe('requests of one identity', () => {
  test('share one tunnel, however many there are at once', async () => {
    mesh = await TunnelMesh.start(here());
    const clients = await askAtOnce(40);
    expect(mesh.a.results('client')).toEqual(['ok']);
    expect([tunnels(mesh.a)?.dialled, tunnels(mesh.b)?.accepted]).toEqual([1, 1]);
    for (const peer of pod.connections) peer.send(okAnswer('hello'));
    await Promise.all(clients.map((client) => client.see('hello')));
  });

  test('take another one where a session has no room', async () => {
    mesh = await TunnelMesh.start(here());
    await askAtOnce(300);
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
  }, 20_000);

  test('end by themselves: one that is given up is cancelled at its pod, no other', async () => {
    mesh = await TunnelMesh.start(here());
    const [first, second] = await askAtOnce(2);
    first?.reset();
    const isOver = (peer: Peer): boolean => peer.isClosed || peer.hasEnded;
    await eventually(() => pod.connections.some(isOver), 'a pod is told');
    expect(pod.connections.filter(isOver)).toHaveLength(1);
    pod.connections.find((peer) => !isOver(peer))?.send(okAnswer('hello'));
    await second?.see('hello');
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('do not wait for an answer that its client does not read', async () => {
    mesh = await TunnelMesh.start(here());
    const slow = await mesh.client();
    slow.socket.pause();
    slow.send(request('GET /long'));
    const long = await pod.accept();
    const bytes = 64 * 1024 * 1024;
    long.send(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${bytes}\r\n\r\n`);
    long.socket.write(Buffer.alloc(bytes));
    await eventually(() => mesh.b.dataplane.state().bufferedBytes > 0, 'the lane holds it up');
    const client = await mesh.client();
    client.send(request('GET /short'));
    const short = await pod.accept();
    for (let round = 0; round < 50; round += 1) {
      client.clear();
      if (round > 0) client.send(request('GET /short'));
      await short.until(() => short.text.split('GET /short').length > round + 1, 'asked');
      short.send(okAnswer('hello'));
      await client.see('hello');
    }
    expect(mesh.a.results('client')).toEqual(['ok']);
    // It is the pod that waits: between it and its client there is a window, and what kernels hold.
    const held = mesh.a.dataplane.state().bufferedBytes + mesh.b.dataplane.state().bufferedBytes;
    expect(held).toBeLessThan(2 * 1024 * 1024);
    expect(long.socket.writableLength).toBeGreaterThan(bytes / 2);
  });
});

describe('a session that breaks', () => {
  test('cuts what has begun, so that it looks like no whole answer', async () => {
    mesh = await TunnelMesh.start(here());
    const clients = await askAtOnce(3);
    for (const peer of pod.connections) {
      peer.send('HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 10\r\n\r\nhalf');
    }
    await Promise.all(clients.map((client) => client.see('half')));
    mesh.b.dataplane.close();
    await Promise.all(clients.map((client) => client.closed()));
    for (const { text } of clients) expect(text).toMatch(/half$/);
  });

  test('is replaced for what may be asked again', async () => {
    mesh = await TunnelMesh.start(here());
    const client = await mesh.client();
    pod.answer = (peer) => peer.send(okAnswer('hello'));
    await client.send(request('GET /')).see('hello');
    mesh.b.dataplane.close();
    await eventually(() => tunnels(mesh.a)?.dialled === 0, 'the caller has noticed');
    const { tunnelPort, authority } = mesh;
    const next = await TestNode.start('node-b', { tunnelPort });
    await next.identify(authority, 't/server');
    await next.publish(worldTable('node-b', here()));
    client.clear();
    await client.send(request('GET /')).see('hello');
    next.dataplane.close();
  });
});

describe('a lane for which there is no room', () => {
  test('is refused unread: a POST goes to nobody, and the caller is told', async () => {
    mesh = await TunnelMesh.start(here(), {}, { limits: { connectionsMax: 4 } });
    const [first] = await askAtOnce(1);
    const client = await mesh.client();
    client.send(`${request('POST /', 'Content-Length: 4')}body`);
    const answer = await client.see('weft:');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('weft-reason: TunnelUnavailable');
    expect(pod.connections).toHaveLength(1);
    pod.connections[0]?.send(okAnswer('hello'));
    await first?.see('hello');
  });
});

describe('long bodies', () => {
  const long = 'x'.repeat(200_000);

  test('of answers have tunnels of their own, once they are known', async () => {
    mesh = await TunnelMesh.start(here());
    pod.answer = (peer) => peer.send(okAnswer(long));
    const client = await mesh.client();
    for (let round = 0; round < 3; round += 1) {
      client.clear();
      await client.send(request('GET /')).until(() => client.text.endsWith(long), 'the answer');
    }
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
  });

  test('of requests have them at once', async () => {
    mesh = await TunnelMesh.start(here());
    const small = await mesh.client();
    pod.answer = (peer) => peer.send(okAnswer('hello'));
    await small.send(request('GET /')).see('hello');
    const client = await mesh.client();
    await client.send(`${request('PUT /', `Content-Length: ${long.length}`)}${long}`).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
    small.clear();
    await small.send(request('GET /')).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
  });
});

describe('a session leaves in order', () => {
  test('when its proxy drains: what is on it is served, and nothing is lost', async () => {
    mesh = await TunnelMesh.start(here());
    const [client] = await askAtOnce(1);
    const drained = mesh.b.dataplane.drain({ delayMs: 0, timeoutMs: 5_000 });
    pod.connections[0]?.send(okAnswer('hello'));
    await client?.see('hello');
    await drained;
    await eventually(() => tunnels(mesh.a)?.dialled === 0, 'the caller has left as well');
  });

  test('when its certificate is another one: the next request takes a new session', async () => {
    mesh = await TunnelMesh.start(here());
    pod.answer = (peer) => peer.send(okAnswer('hello'));
    const client = await mesh.client();
    await client.send(request('GET /')).see('hello');
    mesh.a.dataplane.identify({
      trustPem: mesh.authority.rootPem,
      own: undefined,
      set: [],
      removed: [spiffe('t/client')],
    });
    await eventually(() => tunnels(mesh.a)?.dialled === 0, 'nothing is left under it');
    await mesh.a.identify(mesh.authority, 't/client');
    client.clear();
    await client.send(request('GET /')).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok', 'ok']);
  });
});

describe('sessions that serve long answers to the end', () => {
  /** A new session each time, of which one lane stays busy. */
  async function leaveBusy(): Promise<void> {
    const long = await mesh.client();
    const before = pod.connections.length;
    long.send(request('GET /long'));
    await eventually(() => pod.connections.length > before, 'the pod is asked');
    const at = pod.connections[before];
    await at?.see('\r\n\r\n');
    at?.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await long.see('x');
    const removed = [spiffe('t/client')];
    const { rootPem } = mesh.authority;
    mesh.a.dataplane.identify({ trustPem: rootPem, own: undefined, set: [], removed });
    await mesh.a.identify(mesh.authority, 't/client');
  }

  test('keep nobody out of new ones', async () => {
    mesh = await TunnelMesh.start(here());
    for (let round = 0; round < 16; round += 1) await leaveBusy();
    expect(tunnels(mesh.a)?.dialled).toBe(16);
    const client = await mesh.client();
    pod.answer = (peer) => peer.send(okAnswer('hello'));
    await client.send(request('GET /short')).see('hello');
    expect(tunnels(mesh.a)?.dialled).toBe(17);
  }, 20_000);

  test('are no more than 64', async () => {
    mesh = await TunnelMesh.start(here(), { limits: { connectTimeoutMs: 500 } });
    for (let round = 0; round < 64; round += 1) await leaveBusy();
    const client = await mesh.client();
    await client.send(request('GET /short')).see('weft-reason: TunnelUnavailable');
    expect(tunnels(mesh.a)?.dialled).toBe(64);
  }, 20_000);
});

describe('a build that knows no lanes', () => {
  test.each([
    ['calls one that does', 'old', 'new'],
    ['is called by one that does', 'new', 'old'],
  ] as const)('%s: each request has a tunnel', async (_, caller, called) => {
    const older = { secureNetwork: await olderNetwork() };
    const of = { old: older, new: {} };
    mesh = await TunnelMesh.start(here(), of[caller], of[called]);
    const clients = await askAtOnce(5);
    for (const peer of pod.connections) peer.send(okAnswer('hello'));
    await Promise.all(clients.map((client) => client.see('hello')));
    expect(mesh.a.results('client')).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  });

  test('is replaced while requests flow, and back: none fails', async () => {
    const older = { secureNetwork: await olderNetwork() };
    mesh = await TunnelMesh.start(here(), {}, older);
    pod.answer = (peer) => peer.send(okAnswer('hello'));
    let isOver = false;
    const statuses = new Set<string>();
    const ask = async (): Promise<number> => {
      const client = await mesh.client();
      let asked = 0;
      for (; !isOver; asked += 1) {
        client.clear();
        await client
          .send(request('GET /'))
          .until(() => client.text.includes('\r\n\r\n'), 'an answer');
        statuses.add(client.text.slice(9, 12));
      }
      return asked;
    };
    const asking = Array.from({ length: 8 }, ask);
    const { tunnelPort, authority } = mesh;
    let last = mesh.b;
    for (const options of [{}, older]) {
      await last.dataplane.drain({ delayMs: 0, timeoutMs: 2_000 });
      last.dataplane.close();
      last = await TestNode.start('node-b', { tunnelPort, ...options });
      await last.identify(authority, 't/server');
      await last.publish(worldTable('node-b', here()));
      const before = last.results('server').length;
      await eventually(() => last.results('server').length > before, 'it is called');
    }
    isOver = true;
    const counts = await Promise.all(asking);
    last.dataplane.close();
    expect([...statuses]).toEqual(['200']);
    expect(Math.min(...counts)).toBeGreaterThan(1);
  }, 20_000);
});
