// What a kept connection costs while nothing happens on it: not its last request, however large
// that was. Thousands of clients that send the largest head once and then wait must not hold more
// than the budget of buffered bytes knows of.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DataplaneProcess } from '../support/dataplane-process.ts';
import { connectTo, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

const connections = 400;
const limitMs = 60_000;

let mesh: DataplaneProcess;
let pod: RawUpstream;
let peers: Peer[] = [];

beforeEach(async () => {
  pod = await RawUpstream.start('127.0.0.2');
  mesh = await DataplaneProcess.start({ endpoints: [pod.endpoint] });
});

afterEach(async () => {
  for (const peer of peers) peer.socket.destroy();
  await mesh.close();
  pod.close();
});

test('an idle connection holds nothing of a large head', { timeout: limitMs }, async () => {
  pod.answer = (peer) => peer.send(okAnswer('ok'));
  const filler = Array.from({ length: 100 }, (_, index) => `X-${index}: ${'f'.repeat(290)}`);
  peers = await Promise.all(Array.from({ length: connections }, () => connectTo(mesh.port)));
  for (const peer of peers) await peer.send(request('GET /small')).see('\r\n\r\nok');
  const before = await mesh.mark();
  for (const peer of peers) {
    peer.clear();
    await peer.send(request('GET /large', ...filler)).see('\r\n\r\nok');
  }
  const after = await mesh.mark();
  expect(after.state.connections).toBe(connections);
  const perConnection = (after.now.heapBytes - before.now.heapBytes) / connections;
  console.log(`${perConnection.toFixed(0)} bytes more for each idle connection`);
  expect(perConnection).toBeLessThan(8 * 1024);
});
