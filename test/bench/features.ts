// `npm run bench -- features [--keys KEY,…] [--starts N] [--rounds N] [--seconds N]`: what the
// settings of a service cost while none of them has anything to do. Two proxies with the same
// objects, one of which finds every setting on the namespace, with values that nothing reaches; and
// a third one without settings, whose distance to the first says what chance does. GET 200 B, one
// worker each, same core, many short rounds in shuffled order; proxies are started anew a few
// times, because two runs of one program are compiled differently. Ratios within a round count, and
// their median, since others on the machine disturb single rounds.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  hostOf,
  measuredService,
  podPort,
  servedPods,
  sources,
  startBenchMesh,
  startWeft,
  type BenchMesh,
  type MeshSize,
  type RunningWeft,
} from './dataplane-mesh.ts';
import { median, type Ratio } from './dataplane-rows.ts';
import {
  buildTools,
  loadCore,
  moveToLoadCore,
  processTree,
  runLoad,
  startChild,
  until,
  type LoadResult,
} from './dataplane-tools.ts';

const size: MeshSize = { services: 100, endpointsPerService: 2 };
const work = { path: '/bytes/200', answerBytes: 200, connections: 64 };
const costMax = 1.03;

/** Every setting of a service that stays quiet with such a value. */
const quietSettings: ReadonlyMap<string, string> = new Map([
  ['rate-limit-average', '1000000'],
  ['rate-limit-burst', '1000000'],
  ['max-requests', '100000'],
  ['max-connections', '100000'],
  [
    'circuit-breaker',
    'NetworkErrorRatio() > 0.9 || LatencyAtQuantileMS(99.0) > 60000 || ' +
      'ResponseCodeRatio(500,600,0,600) > 0.9',
  ],
  ['outlier-detection', 'on'],
  ['retry-attempts', '3'],
  ['retry-on', 'connect-failure,reset,5xx'],
  ['retry-budget', '20'],
  ['timeout', '60s'],
  ['per-try-timeout', '30s'],
  ['connect-timeout', '1s'],
  ['idle-timeout', '90s'],
  ['max-request-body', '10Mi'],
  ['hedge-after', '20s'],
  ['fault', 'abort=503@0%,delay=200ms@0%'],
  ['mirror', 'copy@0%'],
]);

const names = ['off', 'on', 'control'] as const;
type Name = (typeof names)[number];

type Wish = {
  readonly settings: Readonly<Record<string, string>>;
  readonly starts: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
};

/** Runs to the end and prints; the answer is the exit code. */
export async function benchFeatures(argv: readonly string[]): Promise<number> {
  const wish = wishOf(argv);
  if (wish === undefined) return 2;
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    console.error('features: needs Linux and two cores, one for the proxy and one for the load');
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), 'weft-features-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const tools = buildTools();
    moveToLoadCore();
    const command = [tools.up, String(podPort), servedPods.first, String(servedPods.count)];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    const plain = await startBenchMesh(directory, size);
    stops.push(() => plain.stop());
    const annotations = wish.settings;
    const full = await startBenchMesh(directory, size, { apiAddress: '127.90.0.4', annotations });
    stops.push(() => full.stop());
    const meshes = { off: plain, on: full, control: plain };
    const rounds: Round[] = [];
    for (let start = 0; start < wish.starts; start += 1) {
      rounds.push(...(await measureStart(tools.load, { directory, meshes, wish })));
    }
    for (const line of report(rounds)) console.log(line);
    return rounds.length > 0 && costOf(rounds, 'on').median <= costMax ? 0 : 1;
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function wishOf(argv: readonly string[]): Wish | undefined {
  const given = new Map<string, string>();
  const words = argv.flatMap((one) => one.split('='));
  for (let at = 0; at < words.length; at += 2) given.set(words[at] ?? '', words[at + 1] ?? '');
  const keys = given.get('--keys')?.split(',') ?? [...quietSettings.keys()];
  const known = ['--keys', '--starts', '--rounds', '--seconds', '--warm-up'];
  const wrong = [...given.keys()].find((flag) => !known.includes(flag));
  if (wrong !== undefined || keys.some((key) => !quietSettings.has(key))) {
    console.error(
      `usage: npm run bench -- features [${known.join(' X] [')} X]; ` +
        `keys: ${[...quietSettings.keys()].join(' ')}`,
    );
    return undefined;
  }
  return {
    settings: Object.fromEntries(
      keys.map((key) => [`weft.dev/${key}`, quietSettings.get(key) ?? '']),
    ),
    starts: Number(given.get('--starts') ?? 2),
    rounds: Number(given.get('--rounds') ?? 40),
    seconds: Number(given.get('--seconds') ?? 0.3),
    warmUpSeconds: Number(given.get('--warm-up') ?? 4),
  };
}

type Plan = {
  readonly directory: string;
  readonly meshes: Readonly<Record<Name, BenchMesh>>;
  readonly wish: Wish;
};

/** CPU of each in one round, of the same seconds but for their order. */
type Round = Readonly<Record<Name, LoadResult>>;

async function measureStart(tool: string, plan: Plan): Promise<readonly Round[]> {
  const { directory, meshes, wish } = plan;
  const proxies = new Map<Name, RunningWeft>();
  const rounds: Round[] = [];
  try {
    for (const [index, name] of names.entries()) {
      const { kubeconfig } = meshes[name];
      const address = `127.90.0.${21 + index}`;
      const nodeFlags = (process.env['WEFT_BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean);
      const weft = { kubeconfig, directory, address, program: 'dist/weft.js', nodeFlags };
      proxies.set(name, await startWeft(weft));
    }
    for (const weft of proxies.values()) await load(tool, weft, wish.warmUpSeconds);
    for (let round = 0; round < wish.rounds; round += 1) {
      const results = new Map<Name, LoadResult>();
      for (const name of shuffled(names)) {
        const weft = proxies.get(name);
        if (weft !== undefined) results.set(name, await load(tool, weft, wish.seconds));
      }
      const [off, on, control] = names.map((name) => results.get(name));
      if (off !== undefined && on !== undefined && control !== undefined) {
        rounds.push({ off, on, control });
      }
    }
    for (const [name, weft] of proxies)
      await judge(
        weft,
        rounds.map((round) => round[name]),
      );
  } finally {
    for (const { child } of proxies.values()) await child.stop();
  }
  return rounds;
}

async function load(tool: string, weft: RunningWeft, seconds: number): Promise<LoadResult> {
  const { address, port, child } = weft;
  const target = { address, port, host: hostOf(measuredService) };
  const pids = processTree(child.pid);
  return runLoad(tool, { work, target, sources, pids, seconds, warmUpSeconds: 0.05 });
}

/** Nothing may have fired: every request was decided, split and answered as without settings. */
async function judge(weft: RunningWeft, results: readonly LoadResult[]): Promise<void> {
  const failed = results.find(({ errors }) => errors > 0);
  if (failed !== undefined) throw new Error(`not all was answered: ${failed.firstError}`);
  const { bugs, denied } = await weft.counters();
  if (bugs + denied > 0) throw new Error(`${bugs} bugs, ${denied} denied`);
}

/** Ratio of a proxy's CPU per request to that of the one without settings, over the rounds. */
function costOf(rounds: readonly Round[], name: Name): Ratio {
  const ratios = rounds
    .map((round) => round[name].cpuUs / round.off.cpuUs)
    .sort((left, right) => left - right);
  const [low = NaN, high = NaN] = [0.25, 0.75].map(
    (share) => ratios[Math.floor(share * ratios.length)] ?? NaN,
  );
  return { median: median(ratios), low, high };
}

function report(rounds: readonly Round[]): readonly string[] {
  if (rounds.length === 0) return ['features: no round counted'];
  const cpu = (name: Name): string => median(rounds.map((one) => one[name].cpuUs)).toFixed(2);
  const text = ({ median: middle, low, high }: Ratio): string =>
    `${middle.toFixed(3)} (middle half ${low.toFixed(3)}–${high.toFixed(3)})`;
  const cost = costOf(rounds, 'on');
  return [
    `GET 200 B, ${work.connections} connections, ${rounds.length} rounds, CPU per request:`,
    `  every setting on: ${cpu('on')} µs, none: ${cpu('off')} µs, ` +
      `ratio ${text(cost)} ≤ ${costMax} ${cost.median <= costMax ? 'yes' : '**no**'}`,
    `  none beside none: ${cpu('control')} µs, ratio ${text(costOf(rounds, 'control'))}`,
  ];
}

function shuffled<T>(values: readonly T[]): readonly T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((left, right) => left.order - right.order)
    .map(({ value }) => value);
}
