// How long the compiler takes, and how much travels when little changes. Medians and best runs
// after a warm-up, in one process; figures are this machine's, the budgets are in the lines.
import type { ClusterState } from '../../src/api/index.ts';
import { compileTable, decide, type RequestHead, type RouteTable } from '../../src/route/index.ts';
import {
  applyDelta,
  diffSnapshot,
  type NodePart,
  type Snapshot,
  type SnapshotDelta,
} from '../../src/snapshot/index.ts';
import { buildTopology, compileSnapshot, type Topology } from '../../src/topology/index.ts';
import { bigCluster, bigSlice, servicePath, type ClusterSize } from '../support/big-cluster.ts';
import {
  groupOf,
  namespaceOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
} from '../support/builders.ts';

const settings = settingsOf();
const nowhere: NodePart = { nodeName: 'node-1', bindings: new Map() };

export async function benchCompiler(): Promise<readonly string[]> {
  const lines: string[] = [];
  const small = { services: 1_000, endpointsPerService: 10, splits: 500, targets: 2_000 };
  const large = { services: 10_000, endpointsPerService: 10, splits: 5_000, targets: 20_000 };
  lines.push(...benchSize('1 000 services / 10 000 endpoints', small, 40));
  await pause();
  lines.push(...benchSize('10 000 services / 100 000 endpoints', large, 5));
  await pause();
  lines.push(...benchDecide());
  return lines;
}

/** Lets garbage and pending work of others settle between two measurements. */
function pause(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

type Compiled = { readonly topology: Topology; readonly snapshot: Snapshot };

function compileAll(state: ClusterState, previous?: Compiled): Compiled {
  const topology = buildTopology(state, settings, previous?.topology).value;
  return { topology, snapshot: compileSnapshot(topology, settings, previous?.snapshot).value };
}

function benchSize(title: string, size: ClusterSize, runs: number): readonly string[] {
  const state = bigCluster(size);
  const heapBefore = heapBytes();
  const first = compileAll(state);
  const heapMb = (heapBytes() - heapBefore) / 1e6;
  const moved = withMoreEndpoints(state, size);
  const shifted = withOtherWeights(state);
  const cold = timesOf(runs, () => compileAll(state));
  const slice = timesOf(runs, () => compileAll(moved, first));
  const split = timesOf(runs, () => compileAll(shifted, first));
  const delta = diffSnapshot(first.snapshot, compileAll(moved, first).snapshot);
  const applied = timesOf(runs, () => applyDelta(first.snapshot, delta));
  const table = timesOf(Math.min(runs, 5), () => compileTable(first.snapshot.sections, nowhere));
  return [
    `${title}: build + compile from nothing ${cold} (budget 40 ms at 1 000)`,
    `${title}: one changed EndpointSlice ${slice}, one changed TrafficSplit ${split}`,
    `${title}: the delta of that slice has ${deltaBytes(delta)} bytes (budget 20 000)`,
    `${title}: a worker applies it in ${applied}; route table from nothing ${table}`,
    `${title}: topology and snapshot hold ${heapMb.toFixed(1)} MB`,
  ];
}

function withMoreEndpoints(state: ClusterState, size: ClusterSize): ClusterState {
  const path = servicePath(1);
  const endpointSlices = new Map(state.endpointSlices);
  endpointSlices.set(`${path}-slice`, bigSlice(path, 1, size.endpointsPerService + 1));
  return { ...state, endpointSlices };
}

function withOtherWeights(state: ClusterState): ClusterState {
  const trafficSplits = new Map(state.trafficSplits);
  const [key, split] = [...trafficSplits][0] ?? [];
  if (key === undefined || split === undefined) return state;
  const backends = split.backends.map(({ service, weight }) => ({ service, weight: weight + 1 }));
  trafficSplits.set(key, { ...split, backends });
  return { ...state, trafficSplits };
}

function deltaBytes(delta: SnapshotDelta): number {
  return delta.changed.reduce((sum, { id, text }) => sum + id.length + text.length, 0);
}

function benchDecide(): readonly string[] {
  const table = hostsWithRoutes(1_000, 20);
  const literal = requestHeads((host) => `/literal/${host % 20}`);
  const prefix = requestHeads((host) => `/prefix/${host % 20}/some/thing?x=1`);
  return [
    `decide, 1 000 hosts × 20 routes: literal ${ns(decideNs(table, literal))} (budget 1 000 ns)`,
    `decide, 1 000 hosts × 20 routes: prefix ${ns(decideNs(table, prefix))} (budget 1 000 ns)`,
  ];
}

function hostsWithRoutes(hosts: number, routes: number): RouteTable {
  const objects = [];
  objects.push(namespaceOf('big'));
  for (let host = 0; host < hosts; host += 1) {
    objects.push(serviceOf(`big/host-${host}`), sliceOf(`big/host-${host}`));
    for (let route = 0; route < routes / 2; route += 1) {
      objects.push(
        groupOf(`big/group-${host}-${route}`, [
          { name: 'literal', pathRegex: `/literal/${route * 2 + (host % 2)}$` },
          { name: 'prefix', pathRegex: `/prefix/${route * 2 + (host % 2)}/` },
        ]),
        splitOf(
          `big/split-${host}-${route}`,
          `host-${host}`,
          { [`host-${host}`]: 1 },
          {
            matches: [`group-${host}-${route}`],
          },
        ),
      );
    }
  }
  return compileTable(compileAll(stateOf(...objects)).snapshot.sections, nowhere);
}

function requestHeads(pathOf: (host: number) => string): readonly RequestHead[] {
  return Array.from({ length: 1_000 }, (_, host) => ({
    servicePort: 80,
    hostname: `host-${host}.big.mesh`,
    method: 'GET',
    path: pathOf(host),
    fieldValues: () => [],
  }));
}

function decideNs(table: RouteTable, heads: readonly RequestHead[]): number {
  const rounds = 200;
  const { median } = timed(7, () => {
    for (let round = 0; round < rounds; round += 1) for (const head of heads) decide(table, head);
  });
  return (median * 1e6) / (rounds * heads.length);
}

/** Median and best of several runs, after two that do not count. */
function timesOf(runs: number, work: () => unknown): string {
  const { median, best } = timed(runs, work);
  return `${median.toFixed(1)} ms (best ${best.toFixed(1)})`;
}

function timed(
  runs: number,
  work: () => unknown,
): { readonly median: number; readonly best: number } {
  work();
  work();
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  times.sort((left, right) => left - right);
  return { median: times[Math.floor(runs / 2)] ?? 0, best: times[0] ?? 0 };
}

function heapBytes(): number {
  // Only with --expose-gc is the figure free of garbage.
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function ns(value: number): string {
  return `${value.toFixed(0)} ns`;
}
