// Limits that hold for a proxy, counted at the pod while two workers on threads of their own serve
// its callers: never one more than may be, all of it used, and nobody is refused who could wait.
// Rates and times of seconds are measured by `npm run bench -- limits`.
import { afterEach, expect, test } from 'vitest';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { CountingPod, type PodHabits } from '../support/counting-pod.ts';
import { connectTo, eventually, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { WorkerThreads } from '../support/worker-threads.ts';

/** The first one of those that there are. */
let pod: CountingPod;
let pods: CountingPod[] = [];
let workers: WorkerThreads;
const peers: Peer[] = [];

afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.destroy();
  await eventually(() => inFlight() === 0, 'nothing is in flight');
  const states = await workers.states();
  await workers.close();
  for (const one of pods) one.close();
  expect(states.flatMap(({ bugs }) => bugs)).toEqual([]);
});

function inFlight(): number {
  const { slots } = workers;
  const at = pods.map(({ endpoint }) => `${endpoint.address}:${endpoint.port}`);
  return at.reduce((sum, id) => sum + slots.inFlight(slots.offset('endpoint', id)), 0);
}

async function start(
  habits: PodHabits | readonly PodHabits[],
  shaping: ServiceRules['shaping'],
): Promise<void> {
  const all = [habits].flat();
  pods = await Promise.all(all.map((one, at) => CountingPod.start(`127.0.0.${at + 2}`, one)));
  const [first] = pods;
  if (first === undefined) throw new Error('no pod');
  pod = first;
  const endpoints = pods.map(({ endpoint }) => endpoint);
  workers = await WorkerThreads.start({ endpoints, rules: { shaping } });
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

test('who waits goes to whichever pod is free first, though another one hangs', async () => {
  await start([{}, { serviceMs: 1 }, { serviceMs: 1 }], { maxRequests: 1 });
  const statuses = load(5, 20);
  const [, quick, brisk] = pods;
  // One caller waits for the pod that hangs; all others are done.
  await eventually(
    () => (quick?.requests.total ?? 0) + (brisk?.requests.total ?? 0) >= 180,
    'the others are served',
  );
  const ended = statuses.then(() => true);
  let isOver = false;
  void ended.then(() => (isOver = true));
  await eventually(() => {
    pod.answerAll();
    return isOver;
  }, 'the last one is served');
  expect((await statuses).filter((status) => status !== '200')).toEqual([]);
  expect(pods.map(({ requests }) => requests.most)).toEqual([1, 1, 1]);
});

test('the places of a worker that dies are had by who waits elsewhere', async () => {
  await start({}, { maxRequests: 1 });
  const [doomed = 0, surviving = 0] = workers.ports;
  const ask = async (port: number): Promise<Peer> => {
    const peer = await connectTo(port);
    peers.push(peer);
    peer.send(request('GET /'));
    return peer;
  };
  const served = await ask(doomed);
  await eventually(() => pod.requests.now === 1, 'it is served');
  const lost = await ask(doomed);
  const waiting = await ask(surviving);
  const { slots } = workers;
  const at = slots.offset('endpoint', `${pod.endpoint.address}:${pod.endpoint.port}`);
  // Two workers, a bit each.
  await eventually(() => slots.waitingElsewhere(at) === 3, 'somebody waits at each');
  await workers.kill(0);
  for (const peer of [served, lost]) await peer.closed();
  await eventually(() => pod.requests.total === 2, 'the other one is served');
  pod.answerAll();
  await waiting.until(() => waiting.text.includes('ok'), 'an answer');
  await eventually(() => slots.waitingElsewhere(at) === 0, 'nobody waits');
  expect(pod.requests.most).toBe(1);
});

test('a rate limit gives no caller twice what it may have', async () => {
  // One more place every hundred seconds: nothing is refilled while this runs.
  await start({ serviceMs: 0 }, { rateLimit: { average: 0.01, burst: 50 } });
  const seen = await load(5, 20);
  expect(seen.filter((status) => status === '200').length).toBe(50);
  expect(seen.filter((status) => status === '429').length).toBe(150);
  expect(pod.requests.total).toBe(50);
});
