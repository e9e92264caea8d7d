// `npm run bench -- faults [--only NAME,…] [--faults WORD,…] [--seconds N] [--rounds N]
// [--by-load]`: one of five pods begins to refuse, to hang, to reset, to answer 503 or to take 20
// times as long while they get 1 000 requests a second: what do callers see of it, behind ours,
// HAProxy and nginx (faults-rivals.ts)? And how much of what follows does that pod get? Requests
// are due whatever the answers do, so that who keeps connections busy with waiting is seen to;
// times are those of good answers. Proxies are started anew for each fault and round, because ours
// remembers for a minute who has failed, and take turns in being the first; of several rounds the
// medians count.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { hostOf, podPort, sources, startBenchMesh, startWeft } from './dataplane-mesh.ts';
import type { BenchMesh } from './dataplane-mesh.ts';
import { median, tableLines } from './dataplane-rows.ts';
import { buildTools, get, loadCore, moveToLoadCore, runLoad } from './dataplane-tools.ts';
import { startChild, until, type LoadResult } from './dataplane-tools.ts';
import { startFaultsRival, type FaultsPlan } from './faults-rivals.ts';

const faults = ['refuses', 'hangs', 'resets', 'answers 503', 'is 20 × slower'] as const;
const proxies = ['weft', 'haproxy', 'nginx'] as const;
type ProxyName = (typeof proxies)[number];

/** One without a split. */
const service = 7;
const pods = ['127.91.0.11', '127.91.0.12', '127.91.0.13', '127.91.0.14', '127.91.0.15'];
const control = `http://127.91.0.10:${podPort}`;
const work = { path: '/bytes/200', answerBytes: 200, connections: 256, rate: 1_000 };
const wellSeconds = 1;
/** From the start of the load, so that it begins within the window. */
const faultAfterMs = 1_500;
const settings = {
  'weft.dev/retry-attempts': '2',
  'weft.dev/per-try-timeout': '1s',
  'weft.dev/connect-timeout': '1s',
};

type Wish = {
  readonly only: readonly string[];
  /** Numbers of faults, which are numbers of pods as well. */
  readonly faults: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
  readonly isByLoad: boolean;
};

type Target = {
  readonly name: ProxyName;
  readonly version: string;
  readonly address: string;
  readonly port: number;
};

/** What callers saw of one fault behind one proxy. */
type Seen = {
  readonly fault: string;
  readonly name: ProxyName;
  readonly result: LoadResult;
  /** What the pod that fails got of all requests from then on, in percent. */
  readonly share: number;
};

/** Runs to the end and prints; the answer is the exit code. */
export async function benchFaults(argv: readonly string[]): Promise<number> {
  const wish = wishOf(argv);
  if (wish === undefined) return 2;
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    console.error('faults: needs Linux and two cores, one for the proxies and one for the load');
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), 'weft-faults-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const tools = buildTools();
    moveToLoadCore();
    const script = 'test/bench/tools/faulty-pods.mjs';
    const command = [process.execPath, script, String(podPort), pods[0] ?? '', `${pods.length}`];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'pods.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    const mesh = await startMesh(directory);
    stops.push(() => mesh.stop());
    const seen: Seen[] = [];
    for (let round = 0; round < wish.rounds; round += 1) {
      for (const pod of wish.faults) {
        const place = { directory, mesh, wish };
        seen.push(...(await measureFault(tools.load, place, { pod, round }, stops)));
      }
    }
    for (const line of report(seen)) console.log(line);
    return 0;
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Trouble = { readonly pod: number; readonly round: number };

async function measureFault(
  tool: string,
  place: Place,
  { pod, round }: Trouble,
  stops: (() => Promise<void>)[],
): Promise<readonly Seen[]> {
  const running: (() => Promise<void>)[] = [];
  stops.push(async () => {
    for (const stop of running.splice(0)) await stop();
  });
  const targets = await startTargets(place, running);
  const first = round % Math.max(1, targets.length);
  const inTurn = [...targets.slice(first), ...targets.slice(0, first)];
  for (const target of inTurn) {
    if (round === 0 && pod === place.wish.faults[0]) {
      console.log(`${target.name}: ${target.version}`);
    }
    await run(tool, target, target.name === 'weft' ? 3 : 0.5);
  }
  const seen: Seen[] = [];
  for (const target of inTurn) seen.push(await suffer(tool, target, pod, place.wish));
  await stops.pop()?.();
  return seen;
}

function wishOf(argv: readonly string[]): Wish | undefined {
  const given = new Map<string, string>();
  const words = argv.flatMap((one) => one.split('=')).filter((one) => one !== '--by-load');
  for (let at = 0; at < words.length; at += 2) given.set(words[at] ?? '', words[at + 1] ?? '');
  const only = given.get('--only')?.split(',') ?? proxies;
  const seconds = Number(given.get('--seconds') ?? 5);
  const rounds = Number(given.get('--rounds') ?? 1);
  const asked = given.get('--faults')?.split(',');
  const wanted = faults.flatMap((fault, pod) =>
    asked?.some((word) => fault.includes(word)) === false ? [] : [pod],
  );
  const known = ['--only', '--faults', '--seconds', '--rounds'];
  const isWrong = [...given.keys()].some((flag) => !known.includes(flag));
  if (isWrong || wanted.length === 0 || !(seconds >= 2) || !(rounds >= 1)) {
    console.error(
      'usage: npm run bench -- faults [--only PROXY,…] [--faults WORD,…] ' +
        '[--seconds N] [--rounds N] [--by-load]',
    );
    return undefined;
  }
  return { only, faults: wanted, seconds, rounds, isByLoad: argv.includes('--by-load') };
}

function startMesh(directory: string): Promise<BenchMesh> {
  const addresses = new Map([[service, pods]]);
  const size = { services: service + 1, endpointsPerService: 1, addresses };
  return startBenchMesh(directory, size, { annotations: settings });
}

type Place = { readonly directory: string; readonly mesh: BenchMesh; readonly wish: Wish };

async function startTargets(
  { directory, mesh, wish }: Place,
  stops: (() => Promise<void>)[],
): Promise<readonly Target[]> {
  const targets: Target[] = [];
  const { only, isByLoad } = wish;
  if (only.includes('weft')) {
    const { kubeconfig } = mesh;
    const [address, program] = ['127.90.0.1', 'dist/weft.js'];
    const weft = await startWeft({ kubeconfig, directory, address, program, service });
    stops.push(() => weft.child.stop());
    const version = `this tree on Node ${process.version}`;
    targets.push({ name: 'weft', version, address, port: weft.port });
  }
  const pod = pods.map((address) => `${address}:${podPort}`);
  const plan: FaultsPlan = { directory, host: hostOf(service), pods: pod, isByLoad };
  for (const name of ['haproxy', 'nginx'] as const) {
    const rival = only.includes(name) ? await startFaultsRival(name, plan) : undefined;
    if (rival === undefined) continue;
    stops.push(() => rival.child.stop());
    targets.push({ ...rival, name });
  }
  return targets;
}

function run(tool: string, { address, port }: Target, seconds: number): Promise<LoadResult> {
  const target = { address, port, host: hostOf(service) };
  const tolerant = { ...work, isTolerant: true };
  const how = { work: tolerant, target, sources, pids: [], seconds, warmUpSeconds: wellSeconds };
  return runLoad(tool, how);
}

async function setFault(pod: number, fault: string): Promise<void> {
  const answer = await get(`${control}/set?pod=${pod}&fault=${encodeURIComponent(fault)}`);
  if (answer.status !== 200) throw new Error(`pod ${pod} does not become one that ${fault}`);
}

/** Requests that each pod has got since this was asked last. */
async function taken(): Promise<readonly number[]> {
  const { body } = await get(`${control}/taken`);
  const counts: unknown = JSON.parse(body);
  return Array.isArray(counts) ? counts.map(Number) : [];
}

async function suffer(tool: string, target: Target, pod: number, { seconds }: Wish): Promise<Seen> {
  const fault = faults[pod] ?? 'none';
  const running = run(tool, target, seconds);
  await wait(faultAfterMs);
  await taken();
  await setFault(pod, fault);
  const result = await running;
  const counts = await taken();
  await setFault(pod, 'none');
  const all = counts.reduce((sum, one) => sum + one, 0);
  return { fault, name: target.name, result, share: (100 * (counts[pod] ?? 0)) / all };
}

function report(seen: readonly Seen[]): readonly string[] {
  const names = proxies.filter((name) => seen.some((one) => one.name === name));
  const ms = (us: number): string => (us / 1_000).toFixed(us < 100_000 ? 1 : 0);
  const cells = faults.map((fault) => {
    const of = names.map((name) => {
      const rounds = seen.filter((one) => one.fault === fault && one.name === name);
      if (rounds.length === 0) return '–';
      const sum = (of: keyof LoadResult): number =>
        rounds.reduce((all, { result }) => all + Number(result[of]), 0);
      const [failed, late] = [sum('failed'), sum('late')];
      const unsent = late === 0 ? '' : `, ${late} not sent in time`;
      const middle = (of: 'p50Us' | 'p99Us' | 'maxUs'): string =>
        ms(median(rounds.map(({ result }) => result[of])));
      const times = [middle('p50Us'), middle('p99Us'), middle('maxUs')].join(' / ');
      const share = median(rounds.map((one) => one.share)).toFixed(2);
      return `${failed} of ${failed + sum('requests')}${unsent}; ${times}; ${share} %`;
    });
    return [fault, ...of];
  });
  const isWanted = (fault: string): boolean => seen.some((one) => one.fault === fault);
  const rows = cells.filter(([fault = '']) => isWanted(fault));
  return tableLines([['one of five', ...names], ...rows]);
}
