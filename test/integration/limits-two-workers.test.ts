// Limits that hold for a proxy, counted at the pod while two workers on threads of their own serve
// its callers: never one more than may be, all of it used, and nobody is refused who could wait.
// Rates and times of seconds are measured by `npm run bench -- limits`.
import { afterEach, expect, test } from 'vitest';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { CountingPod, type PodHabits } from '../support/counting-pod.ts';
import { connectTo, eventually, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { WorkerThreads } from '../support/worker-threads.ts';

let pod: CountingPod;
let workers: WorkerThreads;
const peers: Peer[] = [];

afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.destroy();
  await eventually(() => inFlight() === 0, 'nothing is in flight');
  const states = await workers.states();
  await workers.close();
  pod.close();
  expect(states.flatMap(({ bugs }) => bugs)).toEqual([]);
});

function inFlight(): number {
  const { address, port } = pod.endpoint;
  return workers.slots.inFlight(workers.slots.offset('endpoint', `${address}:${port}`));
}

async function start(
  habits: PodHabits,
  shaping: ServiceRules['shaping'],
  scheme?: 'http',
): Promise<void> {
  pod = await CountingPod.start('127.0.0.2', habits);
  const options = { endpoints: [pod.endpoint], rules: { shaping } };
  workers = await WorkerThreads.start(scheme === undefined ? options : { ...options, scheme });
}

/** So many callers at each worker ask so many times; all statuses. */
async function load(callers: number, times: number): Promise<readonly string[]> {
  const one = async (port: number): Promise<readonly string[]> => {
    const peer = await connectTo(port);
    peers.push(peer);
    const seen: string[] = [];
    for (let n = 0; n < times; n += 1) {
      peer.clear();
      peer.send(request('GET /'));
      await peer.until(() => /ok|weft:/.test(peer.text), 'an answer');
      seen.push(peer.text.slice(9, 12));
    }
    return seen;
  };
  const all = workers.ports.flatMap((port) => Array.from({ length: callers }, () => one(port)));
  return (await Promise.all(all)).flat();
}

test('max-requests: 4 is never 5, and reaches 4', async () => {
  await start({ serviceMs: 1 }, { maxRequests: 4 });
  const seen = await load(10, 25);
  expect(seen.filter((status) => status !== '200')).toEqual([]);
  expect(pod.requests).toMatchObject({ most: 4, total: 500, now: 0 });
});

test('max-connections: 3 is never 4, and reaches 3', async () => {
  await start({ serviceMs: 1 }, { maxConnections: 3 });
  const seen = await load(8, 25);
  expect(seen.filter((status) => status !== '200')).toEqual([]);
  expect(pod.connections.most).toBe(3);
  expect(pod.requests).toMatchObject({ most: 3, total: 400 });
});

test('max-connections: 3 is never 4 at a pod that closes each', async () => {
  await start({ serviceMs: 1, closes: true }, { maxConnections: 3 });
  const seen = await load(8, 15);
  expect(seen.filter((status) => status !== '200')).toEqual([]);
  expect(pod.connections).toMatchObject({ most: 3, total: 240 });
});

test('both together', async () => {
  await start({ serviceMs: 1 }, { maxRequests: 2, maxConnections: 3 });
  const seen = await load(6, 25);
  expect(seen.filter((status) => status !== '200')).toEqual([]);
  expect(pod.requests.most).toBe(2);
  expect(pod.connections.most).toBeLessThanOrEqual(3);
});

test('a rate limit gives no caller twice what it may have', async () => {
  // One more place every hundred seconds: nothing is refilled while this runs.
  await start({ serviceMs: 0 }, { rateLimit: { average: 0.01, burst: 50 } });
  const seen = await load(5, 20);
  expect(seen.filter((status) => status === '200').length).toBe(50);
  expect(seen.filter((status) => status === '429').length).toBe(150);
  expect(pod.requests.total).toBe(50);
});
