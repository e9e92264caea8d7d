// `npm run bench -- limits`: what limits and times of seconds come to in real time, counted at the
// pod and at the clients while two workers on threads serve: 100 requests a second, a breaker that
// is open 10 s, an endpoint that is ejected 1 to 1.5 s as its cell says, and how long a stop takes
// that cuts a thousand TCP connections.
import { setTimeout as sleep } from 'node:timers/promises';
import { endpointCells } from '../../src/dataplane/endpoint-cells.ts';
import { Breakers } from '../../src/proxy/breakers.ts';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import { CountingPod } from '../support/counting-pod.ts';
import { meshTable, testRuntime } from '../support/dataplane-harness.ts';
import { connectTo, freePort, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { startTcpHarness } from '../support/tcp-mesh.ts';
import { WorkerThreads } from '../support/worker-threads.ts';

export async function benchLimits(): Promise<readonly string[]> {
  const stops = [await stop(100), await stop(500), await stop(1_000)];
  return [await rate(), await breaker(), await ejection(), ...stops];
}

type Seen = (status: string, atMs: number) => void;

/** Callers at both workers ask until they are told to end. */
function ask(workers: WorkerThreads, callers: number, seen: Seen): () => Promise<void> {
  let isOver = false;
  const peers: Peer[] = [];
  const one = async (port: number): Promise<void> => {
    const peer = await connectTo(port);
    peers.push(peer);
    while (!isOver) {
      peer.clear();
      peer.send(request('GET /'));
      await peer.until(() => isOver || /ok|weft:/.test(peer.text), 'an answer');
      seen(peer.text.slice(9, 12), performance.now());
      await sleep(2);
    }
  };
  const all = workers.ports.flatMap((port) => Array.from({ length: callers }, () => one(port)));
  return async (): Promise<void> => {
    isOver = true;
    await Promise.all(all);
    for (const { socket } of peers) socket.destroy();
    await workers.close();
  };
}

function percent(got: number, wanted: number): string {
  return `${(((got - wanted) / wanted) * 100).toFixed(2)} %`;
}

async function rate(): Promise<string> {
  const pod = await CountingPod.start('127.0.0.2', { serviceMs: 0 });
  const burst = 10;
  const rules = { shaping: { rateLimit: { average: 100, burst } } };
  const workers = await WorkerThreads.start({ endpoints: [pod.endpoint], rules });
  const seconds = 10;
  let firstMs = 0;
  const end = ask(workers, 4, (_, atMs) => {
    firstMs ||= atMs;
  });
  while (firstMs === 0) await sleep(1);
  await sleep(firstMs + seconds * 1_000 - performance.now());
  const got = pod.requests.total - burst;
  await end();
  pod.close();
  return `rate limit: ${got / seconds}/s of 100/s over ${seconds} s (${percent(got, 1_000)})`;
}

async function breaker(): Promise<string> {
  const gone = { address: '127.0.0.2', port: await freePort('127.0.0.2') };
  const rules: Partial<ServiceRules> = {
    retryAttempts: 0,
    shaping: {
      breaker: { expression: 'NetworkErrorRatio() > 0.5', ratios: [] },
      keepsOutliers: true,
    },
  };
  const workers = await WorkerThreads.start({ endpoints: [gone], rules });
  const breakers = new Breakers({
    ...testRuntime,
    log: silentLog,
    cellsOf: (key) => workers.slots.breaker(key),
  });
  const { sections } = meshTable({ endpoints: [gone], rules });
  breakers.follow({ version: '', sections, runs: new Map() });
  let openedMs = 0;
  let againMs = 0;
  const end = ask(workers, 4, (status, atMs) => {
    if (status === '503') openedMs ||= atMs;
    else if (openedMs > 0) againMs ||= atMs;
  });
  while (againMs === 0) await sleep(5);
  await end();
  breakers.close();
  const took = againMs - openedMs;
  return `breaker: ${Math.round(took)} ms open of 10000 (${percent(took, 10_000)})`;
}

async function ejection(): Promise<string> {
  const well = await CountingPod.start('127.0.0.2', { serviceMs: 0 });
  const gone = { address: '127.0.0.3', port: await freePort('127.0.0.3') };
  const endpoints = [well.endpoint, gone];
  const workers = await WorkerThreads.start({ endpoints });
  const { slots } = workers;
  const offset = slots.offset('endpoint', `${gone.address}:${gone.port}`);
  const state = (): number => Atomics.load(slots.cells.endpoint, offset + endpointCells.ejection);
  const end = ask(workers, 4, () => undefined);
  while (state() !== 1) await sleep(1);
  const ejectedMs = performance.now();
  const until = (): number =>
    Atomics.load(slots.cells.endpoint, offset + endpointCells.ejectedUntil);
  const untilMs = until();
  const told = (untilMs - (Math.floor(Date.now()) | 0)) | 0;
  // Whoever finds out writes the next time, since this endpoint goes on refusing.
  while (until() === untilMs) await sleep(1);
  const took = performance.now() - ejectedMs;
  await end();
  well.close();
  return `ejection: ${Math.round(took)} ms of the ${told} drawn (${percent(took, told)})`;
}

async function stop(count: number): Promise<string> {
  const pod = await RawUpstream.start('127.0.0.2');
  const mesh = { endpoints: { db: [pod.endpoint] } };
  const harness = await startTcpHarness(mesh, { connectionsMax: 2_000 });
  const clients: Peer[] = [];
  for (let n = 0; n < count; n += 1) clients.push(await connectTo(harness.port));
  while (harness.counted.opened < clients.length) await sleep(5);
  const beganMs = performance.now();
  harness.publish({ ...mesh, rules: { isStopped: true } });
  const inForceMs = performance.now() - beganMs;
  await Promise.all(clients.map((one) => one.until(() => one.isClosed, 'a reset')));
  const allMs = performance.now() - beganMs;
  pod.close();
  harness.dataplane.close();
  const times = `${inForceMs.toFixed(1)} ms, and all clients knew after ${allMs.toFixed(1)} ms`;
  return `stop of ${count} TCP connections: in force after ${times}`;
}
