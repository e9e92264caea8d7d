// Certificates, roots and peers are replaced under load without a failed request; nothing is used
// beyond its time; many who call at once are held to a pace and all served.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import {
  clientPod,
  nodeAddress,
  proxyId,
  serverPod,
  spiffe,
  TestAuthority,
  TestNode,
  TunnelMesh,
  worldTable,
} from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start({ endpoints: [{ ...pod.endpoint, node: 'node-b' }] });
});

afterEach(() => {
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

/** Clients that ask again as soon as they are answered, until they are told to stop. */
class Load {
  answers = 0;
  failures: string[] = [];
  #isOver = false;
  readonly #ends: Promise<void>[] = [];

  constructor(clients: number, method = 'GET') {
    for (let index = 0; index < clients; index += 1) this.#ends.push(this.#run(method));
  }

  async #run(method: string): Promise<void> {
    const client = await mesh.client();
    const body = method === 'POST' ? 'body' : '';
    const lines = method === 'POST' ? ['Content-Length: 4'] : [];
    while (!this.#isOver) {
      client.clear();
      client.send(request(`${method} /`, ...lines) + body);
      const text = await client.until(() => /hello$|weft:/.test(client.text), 'an answer')
        .then(() => client.text);
      if (!text.startsWith('HTTP/1.1 200 ')) this.failures.push(text);
      this.answers += 1;
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#ends);
  }
}

function identify(node: TestNode, trust: readonly TestAuthority[], by: TestAuthority): void {
  node.dataplane.identify({
    trustPem: trust.map(({ rootPem }) => rootPem).join(''),
    own: by.credential(proxyId, node.name),
    set: [by.credential(spiffe('t/client'), node.name)],
    removed: [],
  });
}

describe.each(['GET', 'POST'])('under load of %s', (method) => {
  test('certificates of both sides are replaced 20 times without a failed request', async () => {
    const load = new Load(8, method);
    for (let round = 1; round <= 20; round += 1) {
      const seen = load.answers;
      identify(mesh.a, [mesh.authority], mesh.authority);
      identify(mesh.b, [mesh.authority], mesh.authority);
      await eventually(() => load.answers > seen + 50, 'it goes on');
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.answers).toBeGreaterThan(1_000);
  }, 30_000);

  test('the root is replaced: added, switched, removed', async () => {
    const next = new TestAuthority();
    const old = mesh.authority;
    const load = new Load(8, method);
    const steps: readonly (readonly [readonly TestAuthority[], TestAuthority])[] = [
      [[old, next], old],
      [[next, old], next],
      [[next], next],
    ];
    for (const [trust, by] of steps) {
      for (const node of [mesh.a, mesh.b]) {
        const seen = load.answers;
        identify(node, trust, by);
        await eventually(() => load.answers > seen + 100, 'it goes on');
      }
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(new Set(mesh.a.results('client'))).toEqual(new Set(['ok']));
  }, 30_000);
});

test('a proxy that drains is left in order, and the one that follows is dialled', async () => {
  const load = new Load(4, 'POST');
  await eventually(() => load.answers > 50, 'it goes on');
  const after = await TestNode.startAt('127.0.0.4', 'node-b', { tunnelPort: mesh.tunnelPort });
  await after.identify(mesh.authority);
  const world = {
    endpoints: [{ ...pod.endpoint, node: 'node-b' }],
    peers: {
      nodes: new Map([
        [nodeAddress['node-a'], ['node-a']],
        [nodeAddress['node-b'], ['node-b']],
        ['127.0.0.4', ['node-b']],
      ]),
      dial: new Map([['node-b', ['127.0.0.4', nodeAddress['node-b']]]]),
      bare: new Set<string>(),
      deaf: new Set<string>(),
      knowsAllPods: true,
    },
  };
  await after.publish(worldTable('node-b', world));
  await mesh.a.publish(worldTable('node-a', world));
  const drained = mesh.b.dataplane.drain({ delayMs: 50, timeoutMs: 20_000 });
  await drained;
  expect(mesh.b.dataplane.state().tunnels?.accepted).toBe(0);
  const seen = load.answers;
  await eventually(() => load.answers > seen + 50, 'it goes on');
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(after.results('server')).toContain('ok');
  expect(after.bugs).toEqual([]);
  after.dataplane.close();
}, 30_000);

test('400 clients at once are all served, at no more than 8 handshakes at a time', async () => {
  let most = 0;
  const clients = await Promise.all(Array.from({ length: 400 }, () => mesh.client(clientPod)));
  for (const client of clients) client.send(request('GET /'));
  await Promise.all(
    clients.map(async (client) => {
      await client.see('hello');
      most = Math.max(most, mesh.b.dataplane.state().tunnels?.unauthenticated ?? 0);
    }),
  );
  expect(most).toBeLessThanOrEqual(8);
  expect(new Set(mesh.a.results('client'))).toEqual(new Set(['ok']));
  expect(mesh.a.results('client').length).toBeLessThanOrEqual(400);
}, 30_000);

test('a tunnel ends with its certificate', async () => {
  mesh.a.dataplane.identify({
    trustPem: mesh.authority.rootPem,
    own: mesh.authority.credential(proxyId, 'node-a'),
    set: [mesh.authority.credential(spiffe('t/client'), 'node-a', 3_000)],
    removed: [],
  });
  const client = await mesh.client();
  client.send(request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket'));
  pod.answer = (peer) => {
    peer.send('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
  };
  await client.see('101');
  await client.closed();
  await eventually(() => mesh.a.dataplane.state().tunnels?.dialled === 0, 'the tunnel is gone');
  await eventually(() => mesh.b.dataplane.state().tunnels?.accepted === 0, 'there as well');
});

test('a certificate that was taken away opens nothing more', async () => {
  const client = await mesh.client();
  await client.send(request('GET /')).see('hello');
  mesh.a.dataplane.identify({
    trustPem: mesh.authority.rootPem,
    own: mesh.authority.credential(proxyId, 'node-a'),
    set: [],
    removed: [spiffe('t/client')],
  });
  await eventually(() => mesh.a.dataplane.state().tunnels?.dialled === 0, 'the tunnel is gone');
  client.clear();
  await client.send(request('GET /')).see('IdentityPending');
}, 30_000);

test('a connection of a pod whose address another one has is closed', async () => {
  const client = await mesh.client();
  await client.send(request('GET /')).see('hello');
  const endpoints = [{ ...pod.endpoint, node: 'node-b' }];
  const heir = { ...clientPod, account: 't/heir' };
  await mesh.publish({ endpoints, pods: [clientPod, serverPod] });
  expect(client.isClosed || client.hasEnded).toBe(false);
  await mesh.publish({ endpoints, pods: [heir, serverPod] });
  await client.closed();
});
