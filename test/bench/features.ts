// `npm run bench -- features [--keys KEY,…] [--starts N] [--rounds N] [--seconds N] [--alone]`:
// what the settings of a service cost while none of them has anything to do. Two proxies with the
// same objects, one of which finds every setting on the namespace, with values that nothing
// reaches; and a third one without settings, whose distance to the first says what chance does. GET
// 200 B, one worker each, same core and flags, many short rounds, each in the opposite order of the
// one before; proxies are started anew a few times, because two runs of one program are compiled
// differently. Ratios within a round count, and their median, since others on the machine disturb
// single rounds. With --alone one proxy has a service for each setting (features-alone.ts).
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { measuredService, podPort, servedPods, startBenchMesh } from './dataplane-mesh.ts';
import { startWeft, type BenchMesh, type MeshSize, type RunningWeft } from './dataplane-mesh.ts';
import { median } from './dataplane-rows.ts';
import { buildTools, loadCore, moveToLoadCore, startChild } from './dataplane-tools.ts';
import { until, type LoadResult } from './dataplane-tools.ts';
import { inTurn, judge, loadOf, podsOfServices, spreadOf } from './features-alone.ts';
import { measureAlone, spreadText, type Spread } from './features-alone.ts';

const size: MeshSize = { services: 100, endpointsPerService: 2 };
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
  ['mirror', 'svc-001@0%'],
]);

const names = ['off', 'on', 'control'] as const;
type Name = (typeof names)[number];

type Wish = {
  readonly keys: readonly string[];
  readonly isAlone: boolean;
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
    const pods = servedPods.count + podsOfServices * (wish.keys.length + 3);
    const command = [tools.up, String(podPort), servedPods.first, String(pods)];
    const up = startChild({ core: loadCore, command, logFile: join(directory, 'up.log') });
    stops.push(() => up.stop());
    await until('the pods listen', () => up.lastLines().endsWith('ready'));
    if (wish.isAlone) {
      const settings = wish.keys.map((key) => [key, quietSettings.get(key) ?? ''] as const);
      for (const line of await measureAlone({ ...wish, directory, tool: tools.load, settings })) {
        console.log(line);
      }
      return 0;
    }
    const plain = await startBenchMesh(directory, size);
    stops.push(() => plain.stop());
    const annotations = annotationsOf(wish.keys);
    const full = await startBenchMesh(directory, size, { apiAddress: '127.90.0.4', annotations });
    stops.push(() => full.stop());
    const meshes = { off: plain, on: full, control: plain };
    const rounds: Round[] = [];
    for (let start = 0; start < wish.starts; start += 1) {
      const ofStart = await measureStart(tools.load, { directory, meshes, wish });
      console.log(`start ${start + 1}: ${spreadText(costOf(ofStart, 'on'))}`);
      rounds.push(...ofStart);
    }
    for (const line of report(rounds)) console.log(line);
    return rounds.length > 0 && costOf(rounds, 'on').median <= costMax ? 0 : 1;
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function annotationsOf(keys: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(keys.map((key) => [`weft.dev/${key}`, quietSettings.get(key) ?? '']));
}

function wishOf(argv: readonly string[]): Wish | undefined {
  const given = new Map<string, string>();
  const words = argv.flatMap((one) => one.split('=')).filter((one) => one !== '--alone');
  for (let at = 0; at < words.length; at += 2) given.set(words[at] ?? '', words[at + 1] ?? '');
  const keys = given.get('--keys')?.split(',') ?? [...quietSettings.keys()];
  const known = ['--keys', '--starts', '--rounds', '--seconds', '--warm-up'];
  const wrong = [...given.keys()].find((flag) => !known.includes(flag));
  if (wrong !== undefined || keys.some((key) => !quietSettings.has(key))) {
    console.error(
      `usage: npm run bench -- features [--alone] [${known.join(' X] [')} X]; ` +
        `keys: ${[...quietSettings.keys()].join(' ')}`,
    );
    return undefined;
  }
  const isAlone = argv.includes('--alone');
  return {
    keys,
    isAlone,
    starts: Number(given.get('--starts') ?? 3),
    rounds: Number(given.get('--rounds') ?? (isAlone ? 9 : 20)),
    seconds: Number(given.get('--seconds') ?? 0.5),
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
    for (const weft of proxies.values()) {
      await loadOf(tool, weft, { service: measuredService, seconds: wish.warmUpSeconds });
    }
    for (let round = 0; round < wish.rounds; round += 1) {
      const results = new Map<Name, LoadResult>();
      for (const name of inTurn(names, round)) {
        const weft = proxies.get(name);
        const asked = { service: measuredService, seconds: wish.seconds };
        if (weft !== undefined) results.set(name, await loadOf(tool, weft, asked));
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

/** CPU per request of a proxy by that of the one without settings, over the rounds. */
function costOf(rounds: readonly Round[], name: Name): Spread {
  return spreadOf(rounds.map((round) => round[name].cpuUs / round.off.cpuUs));
}

function report(rounds: readonly Round[]): readonly string[] {
  if (rounds.length === 0) return ['features: no round counted'];
  const cpu = (name: Name): string => median(rounds.map((one) => one[name].cpuUs)).toFixed(2);
  const cost = costOf(rounds, 'on');
  return [
    `GET 200 B, ${rounds.length} rounds, CPU per request:`,
    `  every setting on: ${cpu('on')} µs, none: ${cpu('off')} µs, ` +
      `ratio ${spreadText(cost)} ≤ ${costMax} ${cost.median <= costMax ? 'yes' : '**no**'}`,
    `  none beside none: ${cpu('control')} µs, ratio ${spreadText(costOf(rounds, 'control'))}`,
  ];
}
