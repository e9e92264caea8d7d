// Idle connections on both sides of a tunnel's end: what the other proxy keeps is not closed under
// it, what a pod has closed is not the caller's loss, and a proxy that leaves opens nothing again.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { dialTunnel } from '../support/tunnel-client.ts';
import {
  connectFrom,
  nodeAddress,
  proxyId,
  serverPod,
  spiffe,
  TunnelMesh,
} from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

/** Clients that are no proxies are given little time. */
const impatient = { limits: { headTimeoutMs: 100, keepAliveTimeoutMs: 100 } };

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
});

async function start(options: Parameters<typeof TunnelMesh.start>[1] = {}): Promise<void> {
  mesh = await TunnelMesh.start({ endpoints: [{ ...pod.endpoint, node: 'node-b' }] }, options);
}

afterEach(() => {
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

/** Resolves when the proxy of node-b has lost its patience with somebody who says nothing. */
async function patienceOver(): Promise<void> {
  const silent = await connectFrom('127.0.2.9', nodeAddress['node-b'], mesh.b.port);
  await silent.until(() => silent.hasEnded, 'it is closed');
  silent.socket.destroy();
}

describe('a tunnel that the other proxy may use any moment stays open', () => {
  beforeEach(() => start(impatient));

  test('after a request', async () => {
    await (await mesh.client()).send(request('GET /')).see('hello');
    await patienceOver();
    await patienceOver();
    expect(mesh.b.dataplane.state().tunnels?.accepted).toBe(1);
    const post = `${request('POST /', 'Content-Length: 4')}body`;
    await (await mesh.client()).send(post).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('before its first one', async () => {
    const socket = dialTunnel({
      port: mesh.tunnelPort,
      credential: mesh.authority.credential(spiffe('t/client'), 'node-a'),
      trustPem: mesh.authority.rootPem,
    });
    let isClosed = false;
    socket.on('data', () => undefined);
    socket.on('end', () => (isClosed = true));
    await eventually(() => mesh.b.dataplane.state().tunnels?.accepted === 1, 'it is greeted');
    await patienceOver();
    await patienceOver();
    expect(isClosed).toBe(false);
    socket.destroy();
  });
});

describe('connections to a pod that it has given up', () => {
  beforeEach(() => start());

  test('cost a call nothing, however many there are', async () => {
    // All but the first round of requests find connections that were closed under them.
    let isStale = false;
    let isFresh = (_: unknown): boolean => true;
    const waiting: (() => void)[] = [];
    pod.answer = (peer) => {
      if (isStale && !isFresh(peer)) peer.reset();
      else if (isStale) peer.send(okAnswer('hello'));
      else waiting.push(() => peer.send(okAnswer('hello')));
    };
    const clients = await Promise.all(Array.from({ length: 6 }, () => mesh.client()));
    for (const client of clients) client.send(request('GET /'));
    await eventually(() => waiting.length === clients.length, 'each has a connection of its own');
    for (const answer of waiting) answer();
    for (const client of clients) await client.see('hello');
    const old = new Set<unknown>(pod.connections);
    expect(old.size).toBe(clients.length);
    isFresh = (peer) => !old.has(peer);
    isStale = true;
    const [client] = clients;
    client?.clear();
    await client?.send(request('GET /')).see('hello');
    const tried = mesh.a.exchanges.map(({ facts }) => facts.attempts);
    expect(tried.at(-1)).toBe(1);
  });

  test('are no reason to ask a pod twice that has refused on a fresh one', async () => {
    pod.answer = (peer) => peer.reset();
    await (await mesh.client()).send(request('POST /', 'Content-Length: 0')).see('UpstreamReset');
    expect(pod.connections).toHaveLength(1);
  });
});

test('a proxy that has stopped accepting opens its port for no new certificate', async () => {
  await start();
  const drained = mesh.b.dataplane.drain({ delayMs: 0, timeoutMs: 0 });
  await drained;
  mesh.b.dataplane.identify({
    trustPem: mesh.authority.rootPem,
    own: mesh.authority.credential(proxyId, 'node-b'),
    set: [],
    removed: [],
  });
  expect(mesh.b.dataplane.state().tunnels?.listeners).toEqual([]);
});
