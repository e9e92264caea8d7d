// `npm run bench -- storm`: a peer restarts under 2 000 client connections that all ask again at
// once. Every tunnel is gone, the gate gives out handshakes by its pace, and whoever asks for what
// may be repeated should be answered. Clients, both data planes and the pod share one process, so
// that the time is an upper bound; what fails is what counts.
import { setTimeout as wait } from 'node:timers/promises';
import { okAnswer, RawUpstream, request, type Peer } from '../support/dataplane-sockets.ts';
import { serverPod, TestNode, TunnelMesh, worldTable } from '../support/tunnel-mesh.ts';

const callers = 2_000;
const limits = { connectionsMax: 16_384 };

function askAll(clients: readonly Peer[]): void {
  for (const client of clients) {
    client.clear();
    client.send(request('GET /'));
  }
}

async function allAnswered(clients: readonly Peer[]): Promise<void> {
  for (const client of clients) while (!/hello$|weft:/.test(client.text)) await wait(5);
}

export async function benchStorm(): Promise<readonly string[]> {
  const pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => peer.send(okAnswer('hello'));
  const world = { endpoints: [{ ...pod.endpoint, node: 'node-b' }] };
  const mesh = await TunnelMesh.start(world, { limits });
  const clients = await Promise.all(Array.from({ length: callers }, () => mesh.client()));
  askAll(clients);
  await allAnswered(clients);
  mesh.a.handshakes.length = 0;
  mesh.b.dataplane.close();
  const startedMs = performance.now();
  askAll(clients);
  const after = await TestNode.start('node-b', { tunnelPort: mesh.tunnelPort, limits });
  await after.identify(mesh.authority, 't/server');
  await after.publish(worldTable('node-b', world));
  const upMs = performance.now() - startedMs;
  await allAnswered(clients);
  const allMs = performance.now() - startedMs;
  const failed = clients.filter(({ text }) => !text.startsWith('HTTP/1.1 200 ')).length;
  const results = mesh.a.results('client');
  const opened = results.filter((result) => result === 'ok').length;
  after.dataplane.close();
  mesh.close();
  pod.close();
  return [
    `peer back after ${upMs.toFixed(0)} ms, all ${callers} answered after ${allMs.toFixed(0)} ms`,
    `${failed} failed; ${results.length} handshakes tried, ${opened} made`,
  ];
}
