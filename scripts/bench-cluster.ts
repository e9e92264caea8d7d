// Measurements on a real kube-apiserver with three simulated nodes (run by `npm run bench` inside a
// pod network): how long from writing an object until it is in force on every node, under load, and
// what a proxy costs with 10 000 pods.
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startLoad } from '../test/kube/support/load.ts';
import {
  startMeshCluster,
  type MeshCluster,
  type SimulatedPod,
} from '../test/kube/support/mesh-cluster.ts';
import { until } from '../test/kube/support/until.ts';
import { resourcePath } from '../src/kube/index.ts';

const nodes = [1, 2, 3];
const changes = Number(process.env['WEFT_BENCH_CHANGES'] ?? 200);
const pods = Number(process.env['WEFT_BENCH_PODS'] ?? 10_000);
const splitPath = {
  group: 'split.smi-spec.io',
  version: 'v1alpha4',
  plural: 'trafficsplits',
  namespace: 'shop',
  name: 'reviews',
};

function trafficSplit(winner: 'blue' | 'green') {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace: 'shop', name: 'reviews' },
    spec: {
      service: 'reviews',
      backends: [
        { service: 'reviews-blue', weight: winner === 'blue' ? 1 : 0 },
        { service: 'reviews-green', weight: winner === 'green' ? 1 : 0 },
      ],
    },
  };
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

async function shop(mesh: MeshCluster): Promise<readonly SimulatedPod[]> {
  const path = { group: '', version: 'v1', plural: 'namespaces' };
  await mesh.create(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  const pod = (name: string, node: number) =>
    mesh.startPod({ namespace: 'shop', name: `${name}-${node}`, node, serviceAccount: name });
  const front = await Promise.all(nodes.map((node) => pod('front', node)));
  const blue = await Promise.all(nodes.map((node) => pod('blue', node)));
  const green = await Promise.all(nodes.map((node) => pod('green', node)));
  await mesh.serve('shop', 'reviews', blue);
  await mesh.serve('shop', 'reviews-blue', blue);
  await mesh.serve('shop', 'reviews-green', green);
  return front;
}

async function says(mesh: MeshCluster, from: SimulatedPod, winner: string): Promise<boolean> {
  const answer = await mesh.call({ from, host: 'reviews.shop.mesh' }).catch(() => undefined);
  return answer?.body.startsWith(winner) === true;
}

/** Asks again at once: a pause between two looks would be a part of what is measured. */
async function untilSays(mesh: MeshCluster, from: SimulatedPod, winner: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await says(mesh, from, winner))) {
    if (performance.now() > deadlineMs) throw new Error(`${from.name} never said ${winner}`);
  }
}

function spread(times: number[]): string {
  times.sort((left, right) => left - right);
  const [median, most, max] = [0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(1));
  return `p50 ${median} ms (budget 25), p99 ${most} ms (budget 60), max ${max} ms`;
}

async function measureChanges(mesh: MeshCluster, front: readonly SimulatedPod[]): Promise<void> {
  const load = startLoad(mesh, front, { pauseMs: 5 });
  const fromWrite: number[] = [];
  const fromAnswer: number[] = [];
  for (let change = 0; change < changes; change += 1) {
    const winner = change % 2 === 0 ? 'green' : 'blue';
    const writtenMs = performance.now();
    let answeredMs = Number.POSITIVE_INFINITY;
    const written = mesh.apply(splitPath, trafficSplit(winner)).then(() => {
      answeredMs = performance.now();
    });
    await Promise.all(front.map((from) => untilSays(mesh, from, winner)));
    const enforcedMs = performance.now();
    await written;
    fromWrite.push(enforcedMs - writtenMs);
    // Watches may be told before the writer is answered.
    fromAnswer.push(Math.max(0, enforcedMs - answeredMs));
    await wait(20);
  }
  const result = await load.stop();
  const title =
    `object written -> enforced on ${nodes.length} nodes, ` + `${changes} changes under load`;
  console.log(`${title}, from before the write is sent: ${spread(fromWrite)}`);
  console.log(`${title}, from the API server's answer: ${spread(fromAnswer)}`);
  const { requests, posts, newConnections, failures } = result;
  console.log(
    `requests meanwhile: ${requests}, POST ${posts}, new connections ${newConnections}; ` +
      `failed ${failures.length} ${failures.slice(0, 3).join(' | ')}`,
  );
  if (failures.length > 0) process.exitCode = 1;
}

/** Resident memory of a child and its peak, in MB. */
function memoryOf(pid: number): { readonly nowMb: number; readonly peakMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
  return { nowMb: read('VmRSS'), peakMb: read('VmHWM') };
}

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function createPods(mesh: MeshCluster, count: number): Promise<void> {
  const path = { group: '', version: 'v1', plural: 'pods', namespace: 'shop' };
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const name = `crowd-${index}`;
      await mesh.create(path, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: 'shop', name, labels: { app: 'crowd', tier: 'many' } },
        spec: {
          nodeName: `node-${(index % 3) + 1}`,
          serviceAccountName: 'crowd',
          containers: [{ name: 'app', image: 'registry.example/crowd/app:1.2.3' }],
        },
      });
      const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
      const status = { phase: 'Running', podIP: address, podIPs: [{ ip: address }] };
      await mesh.connection.patch(resourcePath({ ...path, name, subresource: 'status' }), {
        kind: 'merge',
        body: { status },
      });
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

async function measureCrowd(mesh: MeshCluster): Promise<void> {
  const startedMs = performance.now();
  await createPods(mesh, pods);
  console.log(`made ${pods} pods in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  await measureTurns(mesh);
  const { child, readyMs } = await restarted(mesh);
  console.log(`proxy with ${pods} pods: spawned -> ready ${readyMs.toFixed(0)} ms`);
  await measureRest(child.pid ?? 0);
}

type Restarted = { readonly child: ChildProcess; readonly readyMs: number };

async function restarted(mesh: MeshCluster): Promise<Restarted> {
  mesh.proxyOf(1).kill('SIGKILL');
  await wait(200);
  const spawnedMs = performance.now();
  const child = mesh.restartProxy(1);
  await until('the proxy is ready again', async () => {
    const answer = await mesh.admin(1, '/readyz').catch(() => undefined);
    return answer?.status === 200;
  });
  return { child, readyMs: performance.now() - spawnedMs };
}

/** How long probes and DNS wait while a proxy reads everything, once it listens for them. */
async function measureTurns(mesh: MeshCluster): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-turns-'));
  const file = join(folder, 'turns.json');
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `--require ${resolve('test/bench/tools/longest-turn.cjs')}`;
  process.env['WEFT_TURNS_FILE'] = file;
  for (let round = 1; round <= 3; round += 1) {
    const { readyMs } = await restarted(mesh);
    await until('turns are written', () => existsSync(file), 20_000);
    const turns = JSON.parse(readFileSync(file, 'utf8')) as readonly Turn[];
    rmSync(file);
    const worst = turns.toSorted((left, right) => right.onCoreMs - left.onCoreMs).slice(0, 4);
    const shown = worst.map(
      ({ atMs, wallMs, onCoreMs }) =>
        `${wallMs.toFixed(1)} (${onCoreMs.toFixed(1)} on a core) at ${atMs.toFixed(0)}`,
    );
    const ready = `ready after ${readyMs.toFixed(0)} ms`;
    console.log(`longest turns (budget 20 ms) of a sync, ${ready}: ${shown.join(', ')}`);
  }
  if (before === undefined) delete process.env['NODE_OPTIONS'];
  else process.env['NODE_OPTIONS'] = before;
  rmSync(folder, { recursive: true });
}

type Turn = { readonly atMs: number; readonly wallMs: number; readonly onCoreMs: number };

async function measureRest(pid: number): Promise<void> {
  await wait(5_000);
  const before = cpuMs(pid);
  await wait(20_000);
  const memory = memoryOf(pid);
  console.log(
    `idle CPU ${(((cpuMs(pid) - before) / 20_000) * 100).toFixed(2)} % (budget 1), ` +
      `RSS ${memory.nowMb.toFixed(0)} MB (budget 160), ` +
      `peak ${memory.peakMb.toFixed(0)} MB (budget 200), ` +
      'one worker',
  );
}

const mesh = await startMeshCluster({ nodes: nodes.length, proxyFlags: ['--workers', '1'] });
try {
  const front = await shop(mesh);
  await until('every node routes', async () => {
    const said = await Promise.all(front.map((from) => says(mesh, from, 'blue')));
    return said.every(Boolean);
  });
  await measureChanges(mesh, front);
  if (pods > 0) await measureCrowd(mesh);
} finally {
  await mesh.stop();
}
