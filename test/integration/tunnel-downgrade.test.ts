// A tunnel that fails is never a reason for plain text: whatever happens to the tunnels' port, the
// pod sees nothing, in `permissive` as in `strict`. Plain text is what objects say, and only that.
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MtlsMode } from '../../src/snapshot/index.ts';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import {
  clientPod,
  nodeAddress,
  otherPod,
  proxyId,
  serverPod,
  spiffe,
  TunnelMesh,
} from '../support/tunnel-mesh.ts';
import type { WorldOptions } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;
const servers: net.Server[] = [];

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start(
    { endpoints: [{ ...pod.endpoint, node: 'node-b' }] },
    { limits: { connectTimeoutMs: 600 } },
  );
});

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  for (const server of servers.splice(0)) server.close();
  await eventually(() => mesh.a.dataplane.state().exchanges === 0, 'all exchanges ended');
  expect(mesh.a.dataplane.state()).toMatchObject({ bufferedBytes: 0, bodyBuffers: 0 });
  expect(mesh.a.dataplane.state().tunnels).toMatchObject({ waiting: 0 });
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

function world(said: Partial<WorldOptions> = {}): WorldOptions {
  return { endpoints: [{ ...pod.endpoint, node: 'node-b' }], ...said };
}

/** Something else listens where the peer's proxy should. */
async function instead(accepted: (socket: net.Socket) => void): Promise<void> {
  mesh.b.dataplane.close();
  const server = net.createServer(accepted);
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(mesh.tunnelPort, nodeAddress['node-b'], resolve);
  });
}

const modes: readonly MtlsMode[] = ['permissive', 'strict'];

describe.each(modes)('in mode %s a tunnels’ port that', (mtls) => {
  beforeEach(() => mesh.publish(world({ mtls })));

  test.each<[string, () => void | Promise<void>]>([
    ['refuses', () => mesh.b.dataplane.close()],
    ['resets', () => instead((socket) => socket.resetAndDestroy())],
    ['closes', () => instead((socket) => socket.end())],
    ['says nothing', () => instead((socket) => socket.resume())],
    ['speaks plain text', () => instead((socket) => socket.end('ok 1.0\r\n'))],
    ['speaks HTTP', () => instead((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))],
  ])('%s is 503, and the pod sees nothing', async (_, fault) => {
    await fault();
    const client = await mesh.client();
    const answer = await client.send(request('GET /', 'X-Marker: secret')).see('weft:');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('weft-reason: TunnelUnavailable');
    expect(answer).not.toContain('weft-tunnel');
    expect(pod.connections).toHaveLength(0);
    expect(mesh.a.plain).toEqual([]);
  });
});

describe('another endpoint', () => {
  test('is tried where a node cannot be reached, for any method', async () => {
    const near = await RawUpstream.start('127.0.1.7');
    near.answer = (peer) => peer.send(okAnswer('near'));
    const pods = [clientPod, serverPod, { ...otherPod, address: '127.0.1.7' }];
    const endpoints = [
      { ...pod.endpoint, node: 'node-b' },
      { ...near.endpoint, node: 'node-a' },
    ];
    await mesh.publish(world({ endpoints, pods }));
    mesh.b.dataplane.close();
    const client = await mesh.client();
    for (let round = 1; round <= 8; round += 1) {
      client.send(`${request('POST /', 'Content-Length: 4')}body`);
      await client.seeTimes('near', round);
    }
    expect(client.text).not.toContain('503');
    near.close();
  });

  test('is tried where the pod is not on the node that its slice names', async () => {
    const near = await RawUpstream.start('127.0.1.7');
    near.answer = (peer) => peer.send(okAnswer('near'));
    const pods = [clientPod, { ...otherPod, address: '127.0.1.7' }];
    const endpoints = [
      { ...pod.endpoint, node: 'node-b' },
      { ...near.endpoint, node: 'node-a' },
    ];
    await mesh.publish(world({ endpoints, pods }));
    const client = await mesh.client();
    for (let round = 1; round <= 8; round += 1) {
      client.send(`${request('POST /', 'Content-Length: 4')}body`);
      await client.seeTimes('near', round);
    }
    expect(client.text).not.toContain('503');
    expect(pod.connections).toHaveLength(0);
    near.close();
  });
});

describe('plain text', () => {
  const known = { nodes: new Map(), knowsAllPods: true };
  const nobody = { ...known, dial: new Map(), deaf: new Set<string>() };
  const far = { ...known, dial: new Map([['node-b', ['127.0.0.3']]]) };

  test('is what `off` says, and judged here', async () => {
    await mesh.publish(world({ mtls: 'off', policy: 'enforce' }));
    await (await mesh.client()).send(request('GET /')).see('hello');
    await (await mesh.client(otherPod)).send(request('GET /')).see('SourceNotAllowed');
    expect(mesh.a.plain).toEqual(['mtls_off']);
    expect(mesh.a.verdicts.map(({ kind }) => kind)).toEqual(['allow', 'deny']);
    expect(mesh.a.handshakes).toEqual([]);
  });

  test('is what `permissive` allows to a node that is bare', async () => {
    const peers = { ...nobody, bare: new Set(['node-b']) };
    await mesh.publish(world({ mtls: 'permissive', peers }));
    await (await mesh.client()).send(request('GET /')).see('hello');
    expect(mesh.a.plain).toEqual(['bare_node']);
  });

  test('is what `permissive` allows to a node whose proxy accepts no tunnels', async () => {
    const peers = { ...far, bare: new Set<string>(), deaf: new Set(['node-b']) };
    await mesh.publish(world({ mtls: 'permissive', peers }));
    await (await mesh.client()).send(request('GET /')).see('hello');
    expect(mesh.a.plain).toEqual(['deaf_node']);
  });

  test.each<[string, MtlsMode, readonly string[]]>([
    ['`strict`, even to a bare node', 'strict', ['node-b']],
    ['`permissive`, while the node may have a proxy', 'permissive', []],
  ])('is never used in %s', async (_, mtls, bare) => {
    await mesh.publish(world({ mtls, peers: { ...nobody, bare: new Set(bare) } }));
    await (await mesh.client()).send(request('GET /')).see('TunnelUnavailable');
    expect(pod.connections).toHaveLength(0);
  });

  test('goes to nobody on the word of a slice alone', async () => {
    await mesh.publish(world({ mtls: 'off', pods: [clientPod] }));
    await (await mesh.client()).send(request('GET /')).see('TunnelUnavailable');
    expect(pod.connections).toHaveLength(0);
  });
});

describe('a certificate that has not come yet', () => {
  const late = { address: '127.0.1.5', account: 't/late', node: 'node-a' } as const;

  beforeEach(() => mesh.publish(world({ pods: [clientPod, late, serverPod] })));

  test('is waited for', async () => {
    const client = await mesh.client(late);
    client.send(`${request('POST /', 'Content-Length: 4')}body`);
    await eventually(() => mesh.a.dataplane.state().tunnels?.waiting === 1, 'it waits');
    mesh.a.dataplane.identify({
      trustPem: mesh.authority.rootPem,
      own: mesh.authority.credential(proxyId, 'node-a'),
      set: [mesh.authority.credential(spiffe('t/late'), 'node-a')],
      removed: [],
    });
    await client.see('hello');
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('is 503 after two seconds, never another identity', async () => {
    const client = await mesh.client(late);
    const answer = await client.send(request('GET /')).see('IdentityPending');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.a.handshakes).toEqual([]);
    expect(pod.connections).toHaveLength(0);
  });

  test('is not waited for when the client has left', async () => {
    const client = await mesh.client(late);
    client.send(request('GET /'));
    await eventually(() => mesh.a.dataplane.state().tunnels?.waiting === 1, 'it waits');
    client.reset();
    await eventually(() => mesh.a.dataplane.state().tunnels?.waiting === 0, 'nobody waits');
  });
});
