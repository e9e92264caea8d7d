// `npm run bench -- allocation`: bytes that a worker allocates per keep-alive GET, and the share of
// the process's CPU that collecting them takes at saturation. V8 tells of each collection
// (`--trace-gc`): what lay in the heap before it, less what the one before had left, was allocated
// in between. The flags are those of the image.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allocator, nodeFlags } from '../../scripts/image/weft-image.ts';
import {
  hostOf,
  measuredService,
  podPort,
  servedPods,
  sources,
  startBenchMesh,
  startWeft,
} from './dataplane-mesh.ts';
import {
  buildTools,
  loadCore,
  moveToLoadCore,
  processTree,
  runLoad,
  startChild,
  until,
  type LoadResult,
  type Work,
} from './dataplane-tools.ts';

const works: ReadonlyMap<string, Work> = new Map([
  ['GET 200 B', { path: '/bytes/200', answerBytes: 200, connections: 64 }],
  ['GET 10 kB', { path: '/bytes/10240', answerBytes: 10_240, connections: 64 }],
  [
    'GET 200 B, new ids',
    { path: '/bytes/200', answerBytes: 200, connections: 64, hasNewIds: true },
  ],
]);
const proxyAddress = '127.90.0.1';
const gcShareMax = 0.05;
/** With less of its core the machine was busy, or the load too low to be called saturation. */
const utilisationMin = 0.8;
const collectionsMin = 5;
const warmUpSeconds = 5;
const seconds = 4;

/** What V8 said of the collections of one thread. */
export type Collections = {
  readonly count: number;
  readonly allocatedBytes: number;
  readonly pausedMs: number;
};

/** `[4189:0x33e08000] 13 ms: Scavenge 20.1 (26.2) -> 18.2 (26.2) MB, pooled: 0 MB, 0.5 / 0.0 ms` */
const line =
  /^\[\d+:(\w+)\]\s+\d+ ms: .*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB.*?, ([\d.]+) \//;

/** Of the thread that collected most often: the worker, when it is the one that is loaded. */
export function busiestOf(log: string): Collections {
  const threads = new Map<string, { count: number; allocated: number; ms: number; left: number }>();
  for (const text of log.split('\n')) {
    const [, isolate, before, after, ms] = line.exec(text) ?? [];
    if (isolate === undefined) continue;
    const known = threads.get(isolate);
    // The first one tells what there is, not since when.
    const one = known ?? { count: 0, allocated: 0, ms: 0, left: Number(before) };
    one.count += 1;
    one.allocated += Math.max(0, Number(before) - one.left);
    one.ms += Number(ms);
    one.left = Number(after);
    threads.set(isolate, one);
  }
  const [busiest] = [...threads.values()].sort((left, right) => right.count - left.count);
  const { count = 0, allocated = 0, ms = 0 } = busiest ?? {};
  return { count, allocatedBytes: allocated * 1024 * 1024, pausedMs: ms };
}

/** Runs to the end and prints; the answer is the exit code. */
export async function benchAllocation(): Promise<number> {
  const tools = buildTools();
  moveToLoadCore();
  const directory = mkdtempSync(join(tmpdir(), 'weft-allocation-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const command = [tools.up, String(podPort), servedPods.first, String(servedPods.count)];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    const mesh = await startBenchMesh(directory, { services: 100, endpointsPerService: 2 });
    stops.push(() => mesh.stop());
    const weft = await startWeft({
      kubeconfig: mesh.kubeconfig,
      directory,
      address: proxyAddress,
      program: 'dist/weft.js',
      nodeFlags: [...nodeFlags, '--trace-gc'],
      env: allocator,
    });
    stops.push(() => weft.child.stop());
    const load = async (work: Work, length: number): Promise<Loaded> => {
      const file = join(directory, `weft-${proxyAddress}.log`);
      const from = readFileSync(file, 'utf8').length;
      const target = { address: weft.address, port: weft.port, host: hostOf(measuredService) };
      const pids = processTree(weft.child.pid);
      const how = { work, target, sources, pids, seconds: length, warmUpSeconds: 0 };
      const result = await runLoad(tools.load, how);
      return { result, collections: busiestOf(readFileSync(file, 'utf8').slice(from)) };
    };
    let isGood = true;
    for (const [title, work] of works) {
      await load(work, warmUpSeconds);
      isGood = told(title, await load(work, seconds)) && isGood;
    }
    return isGood ? 0 : 1;
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Loaded = { readonly result: LoadResult; readonly collections: Collections };

/** Prints; whether it is as it should be. */
function told(title: string, { result, collections }: Loaded): boolean {
  const { count, allocatedBytes, pausedMs } = collections;
  const { total, cpuUs, requests, utilisation, errors } = result;
  // A collection that waits for its core looks long.
  if (errors > 0 || utilisation < utilisationMin || count < collectionsMin) {
    const share = (utilisation * 100).toFixed(0);
    console.log(`allocation: ${title}: void: ${share} % of a core, ${count} collections`);
    return false;
  }
  const share = (pausedMs * 1000) / (cpuUs * requests);
  console.log(
    `allocation: ${title}: ${(allocatedBytes / total).toFixed(0)} bytes per request ` +
      `(${total} requests, ${count} collections); collecting took ${(share * 100).toFixed(1)} % ` +
      `of the CPU < ${gcShareMax * 100} % ${share < gcShareMax ? 'yes' : '**no**'}`,
  );
  return share < gcShareMax;
}
