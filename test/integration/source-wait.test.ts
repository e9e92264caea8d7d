// A pod that calls before anybody has told of it: over real sockets its first request waits for its
// object, and is judged as its own then.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { clientPod, otherPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';
import type { WorldOptions } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;

const world = (said: Partial<WorldOptions> = {}): WorldOptions => ({
  endpoints: [{ ...pod.endpoint, node: 'node-b' }],
  policy: 'enforce',
  ...said,
});
const untold = { pods: [otherPod, serverPod] };

beforeEach(async () => {
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  mesh = await TunnelMesh.start(world(untold));
});

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  await eventually(() => mesh.a.dataplane.state().connections === 0, 'all connections ended');
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

test('a request waits until its pod is told', async () => {
  const client = await mesh.client(clientPod);
  client.send(request('GET /'));
  await eventually(() => mesh.a.dataplane.state().waitingSources === 1, 'it waits');
  expect(mesh.a.dataplane.state().exchanges).toBe(0);
  await mesh.publish(world());
  await client.see('hello');
});

test('a request of nobody is refused in the end, and the next at once', async () => {
  const client = await mesh.client(clientPod);
  await client.send(request('GET /')).see('SourceUnknown');
  await (await mesh.client(clientPod)).send(request('GET /')).see('SourceUnknown');
  expect(mesh.a.dataplane.state().waitingSources).toBe(0);
});

test('a client that leaves meanwhile, and the end of the proxy, leave nothing behind', async () => {
  const one = await mesh.client(clientPod);
  await mesh.client(clientPod);
  const waiting = (): number => mesh.a.dataplane.state().waitingSources;
  await eventually(() => waiting() === 2, 'both wait');
  one.socket.destroy();
  mesh.a.dataplane.close();
  expect(waiting()).toBe(0);
});
