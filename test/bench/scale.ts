// `npm run bench -- scale [--only memory|workers]`: what the proxy weighs and how it grows.
// Memory: one worker, 1 000 services with 10 000 endpoints, 4 000 idle connections. Workers: two
// beside one on the same cores, where each has half of the load; with four cores or more their
// throughput is compared, on fewer the CPU per request, which bounds it where cores are free.
// WEFT_BENCH_NODE names the Node of the proxies (two workers need 22.12); they are started with the
// flags and the environment of the image.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  complaintOf,
  hostOf,
  measuredService,
  podPort,
  servedPods,
  sources,
  startBenchMesh,
  startWeft,
  type MeshSize,
  type RunningWeft,
} from './dataplane-mesh.ts';
import { median } from './dataplane-rows.ts';
import {
  buildTools,
  holdIdle,
  loadCore,
  moveToLoadCore,
  processTree,
  runLoad,
  startChild,
  until,
  type LoadResult,
  type Work,
} from './dataplane-tools.ts';

const largeMesh: MeshSize = { services: 1_000, endpointsPerService: 10 };
const smallMesh: MeshSize = { services: 100, endpointsPerService: 2 };
const idleConnections = 4_000;
const memoryMax = 160;
const scalingMin = 1.8;
const rounds = 5;
const warmUpSeconds = 6;
const small: Work = { path: '/bytes/200', answerBytes: 200, connections: 64 };
/** Of what one worker can do: both have idle time then, as where cores are free. */
const rateShare = 0.4;
/** Proxies with two workers need two cores; load and pods have others where there are any. */
const proxyCores = '0,1';
const coresForThroughput = 4;

type Tools = ReturnType<typeof buildTools>;

/** Runs to the end and prints; the answer is the exit code. */
export async function benchScale(argv: readonly string[]): Promise<number> {
  const only = argv[0] === '--only' ? argv[1] : undefined;
  if (argv.length > 0 && only !== 'memory' && only !== 'workers') {
    console.error('usage: npm run bench -- scale [--only memory|workers]');
    return 2;
  }
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    console.error('scale: needs Linux and two cores, one for the proxy and one for the load');
    return 2;
  }
  const tools = buildTools();
  moveToLoadCore();
  const isLight = only === 'workers' || (await inMesh(largeMesh, tools, measureMemory));
  const isScaling = only === 'memory' || (await inMesh(smallMesh, tools, measureWorkers));
  return isLight && isScaling ? 0 : 1;
}

type Bench = {
  readonly tools: Tools;
  /** Starts a proxy that is stopped in the end. */
  readonly start: (address: string, workers: number) => Promise<RunningWeft>;
};

async function inMesh(
  size: MeshSize,
  tools: Tools,
  measure: (bench: Bench) => Promise<boolean>,
): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-scale-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const command = [tools.up, String(podPort), servedPods.first, String(servedPods.count)];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    const mesh = await startBenchMesh(directory, size);
    stops.push(() => mesh.stop());
    const start = async (address: string, workers: number): Promise<RunningWeft> => {
      const weft = await startWeft({
        kubeconfig: mesh.kubeconfig,
        directory,
        address,
        program: 'dist/weft.js',
        workers,
        core: proxyCores,
      });
      stops.push(() => weft.child.stop());
      return weft;
    };
    return await measure({ tools, start });
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function targetOf({ address, port }: RunningWeft) {
  return { address, port, host: hostOf(measuredService) };
}

async function measureMemory({ tools, start }: Bench): Promise<boolean> {
  const weft = await start('127.90.0.1', 1);
  const pids = processTree(weft.child.pid);
  const target = targetOf(weft);
  const held = await holdIdle(tools.load, idleConnections, { target, sources, pids });
  if (held.errors > 0) {
    console.log(`memory: void: ${held.firstError}`);
    return false;
  }
  const [before, after] = [held.rssBeforeKb, held.rssKb].map((kb) => Math.round(kb / 1024));
  const isLight = held.rssKb / 1024 <= memoryMax;
  const endpoints = largeMesh.services * largeMesh.endpointsPerService;
  console.log(
    `memory: ${largeMesh.services} services, ${endpoints} endpoints: RSS ${before} MB, ` +
      `${after} MB with ${held.idle} idle connections ≤ ${memoryMax} ${isLight ? 'yes' : '**no**'}`,
  );
  return isLight;
}

async function measureWorkers({ tools, start }: Bench): Promise<boolean> {
  const proxies = [await start('127.90.0.1', 1), await start('127.90.0.2', 2)];
  const run = (weft: RunningWeft, work: Work, seconds: number): Promise<LoadResult> =>
    runLoad(tools.load, {
      work,
      target: targetOf(weft),
      sources,
      pids: processTree(weft.child.pid),
      seconds,
      warmUpSeconds: 0.3,
    });
  for (const weft of proxies) await run(weft, small, warmUpSeconds);
  const hasCores = availableParallelism() >= coresForThroughput;
  const [alone] = proxies;
  const rate = alone === undefined ? 0 : (await run(alone, small, 1)).rps * rateShare;
  const work = hasCores ? small : { ...small, rate: Math.round(rate) };
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const results: LoadResult[] = [];
    for (const weft of proxies) {
      const before = await weft.counters();
      const result = await run(weft, work, 2);
      const complaint =
        result.errors > 0
          ? result.firstError
          : complaintOf(before, await weft.counters(), result.total);
      if (complaint !== undefined) console.log(`workers: void: ${complaint}`);
      else results.push(result);
    }
    const [one, two] = results;
    if (one === undefined || two === undefined) continue;
    ratios.push(hasCores ? two.rps / one.rps : (2 * one.cpuUs) / two.cpuUs);
    console.log(
      `  one worker ${one.cpuUs.toFixed(1)} µs, two ${two.cpuUs.toFixed(1)} µs per request at ` +
        `${one.rps} and ${two.rps} requests/s; p99 ${one.p99Us} and ${two.p99Us} µs`,
    );
  }
  const scaling = median(ratios);
  const isScaling = scaling >= scalingMin;
  const how = hasCores ? 'measured' : `reckoned from CPU per request, ${rate.toFixed(0)}/s each`;
  console.log(
    `workers: two give ${scaling.toFixed(2)} times the throughput of one ` +
      `(${how}) ≥ ${scalingMin} ${isScaling ? 'yes' : '**no**'}`,
  );
  return isScaling;
}
