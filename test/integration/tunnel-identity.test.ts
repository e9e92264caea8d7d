// Calls between nodes: a real tunnel between two data planes, with real certificates; who calls is
// what the certificate says, the pod's node judges, and no field changes anything.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { otherPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start({
    endpoints: [{ ...pod.endpoint, node: 'node-b' }],
    policy: 'enforce',
    allowedPath: '/open',
  });
});

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  await eventually(() => mesh.a.dataplane.state().exchanges === 0, 'all exchanges ended at a');
  await eventually(() => mesh.b.dataplane.state().exchanges === 0, 'all exchanges ended at b');
  expect(mesh.a.dataplane.state()).toMatchObject({ bufferedBytes: 0, bodyBuffers: 0 });
  expect(mesh.b.dataplane.state()).toMatchObject({ bufferedBytes: 0, bodyBuffers: 0 });
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

describe('a call to a pod of another node', () => {
  test('is made through a tunnel and allowed there', async () => {
    const client = await mesh.client();
    await client.send(request('GET /open')).see('hello');
    expect(mesh.a.results('client')).toEqual(['ok']);
    expect(mesh.b.results('server')).toEqual(['ok']);
    expect(mesh.a.verdicts).toEqual([]);
    expect(mesh.b.verdicts).toMatchObject([{ kind: 'allow' }]);
    expect(mesh.a.exchanges).toHaveLength(1);
    expect(mesh.b.exchanges).toHaveLength(0);
  });

  test('keeps its tunnel for the next one', async () => {
    const client = await mesh.client();
    for (const _ of [1, 2, 3]) {
      await client.send(request('GET /open')).see('hello');
      client.clear();
    }
    expect(mesh.a.results('client')).toEqual(['ok']);
  });

  test('of another account is denied there, and the tunnel stays', async () => {
    const client = await mesh.client(otherPod);
    await client.send(request('GET /open')).see('SourceNotAllowed');
    client.clear();
    await client.send(request('GET /open')).see('SourceNotAllowed');
    expect(client.text).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.a.results('client')).toEqual(['ok']);
    expect(mesh.b.verdicts).toMatchObject([{ kind: 'deny' }, { kind: 'deny' }]);
    expect(pod.connections).toHaveLength(0);
  });
});
