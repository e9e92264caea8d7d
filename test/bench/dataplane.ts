// `npm run bench -- dataplane` (flags: see `usage`): our proxy, with everything on, beside nginx,
// HAProxy and http-proxy in one run: CPU per request of the proxy's process, all of its threads,
// same core, same load, rounds interleaved in shuffled order. Figures are this machine's; the
// ratios are what counts. With `--against` two builds of ours are compared, and a loss of more than
// 5 % ends with exit code 1. Loopback addresses only.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { buildOther, type OtherBuild } from './dataplane-against.ts';
import {
  complaintOf,
  hostOf,
  measuredService,
  sources,
  startBenchMesh,
  startWeft,
  type BenchMesh,
  type MeshSize,
} from './dataplane-mesh.ts';
import { startRival, type RivalName } from './dataplane-rivals.ts';
import {
  idleRow,
  latencyRow,
  latencyTarget,
  median,
  ratioOf,
  ratioText,
  rows,
  tableLines,
  valuesOf,
  type Row,
  type Samples,
} from './dataplane-rows.ts';
import {
  buildTools,
  holdIdle,
  loadCore,
  moveToLoadCore,
  processTree,
  runLoad,
  startChild,
  until,
  type IdleResult,
  type LoadResult,
  type Work,
} from './dataplane-tools.ts';
import { podPort, servedPods } from './dataplane-mesh.ts';

const rivals: readonly RivalName[] = ['nginx', 'haproxy', 'http-proxy'];
const installHints: ReadonlyMap<RivalName, string> = new Map([
  ['nginx', 'apt-get install nginx'],
  ['haproxy', 'apt-get install haproxy'],
]);
const size: MeshSize = { services: 100, endpointsPerService: 2 };
const lossMax = 1.05;
const triesPerRound = 3;
const idleConnections = 4000;
const longWarmUpSeconds = 8;
const rowWarmUpSeconds = 2;
const podsAttempts = 300;
const podsRetryMs = 2_000;
const usage =
  'usage: npm run bench -- dataplane [--quick] [--only ROW] [--with PROXY] [--against REF] ' +
  `[--rounds N] [--seconds N]; proxies: ${rivals.join(' ')}; ` +
  `rows: ${[...rows, latencyRow, idleRow].map(({ name }) => name).join(' ')}`;
/** For profiles (tools/profile-worker.cjs); with them, figures do not count and logs are kept. */
const nodeFlags = (process.env['WEFT_BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean);

type Wish = {
  /** Rows; empty = all. */
  readonly only: readonly string[];
  /** Other proxies that take part. */
  readonly with: readonly string[];
  readonly against: string | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
};

type BenchProxy = {
  readonly name: string;
  readonly version: string;
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  /** Begins to watch a run; the answer says why it does not count, if so. */
  readonly watch: () => Promise<(sent: number) => Promise<string | undefined>>;
  readonly stop: () => Promise<void>;
};

/** Runs to the end and prints; the answer is the exit code. */
export async function benchDataplane(argv: readonly string[]): Promise<number> {
  const wish = wishOf(argv);
  if (typeof wish === 'string') {
    console.error(wish);
    return 2;
  }
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    console.error('dataplane: needs Linux and two cores, one for the proxy and one for the load');
    return 2;
  }
  const bench = new Bench(wish);
  try {
    await bench.start();
    return await bench.run();
  } finally {
    await bench.stop();
  }
}

function wishOf(argv: readonly string[]): Wish | string {
  const isQuick = argv.includes('--quick');
  const given = new Map<string, string>();
  const words = argv.flatMap((one) => one.split('=')).filter((one) => one !== '--quick');
  for (let at = 0; at < words.length; at += 2) given.set(words[at] ?? '', words[at + 1] ?? '');
  const known = ['--only', '--with', '--against', '--rounds', '--seconds'];
  if ([...given.keys()].some((flag) => !known.includes(flag))) return usage;
  const only = given.get('--only')?.split(',') ?? [];
  const names = [...rows, latencyRow, idleRow].map(({ name }) => name);
  if (only.some((name) => !names.includes(name))) return usage;
  const against = given.get('--against');
  const rounds = Number(given.get('--rounds') ?? (isQuick ? 3 : against === undefined ? 5 : 9));
  const seconds = Number(given.get('--seconds') ?? (isQuick ? 1 : 1.5));
  if (!(rounds >= 1 && seconds > 0) || against === '') return usage;
  const others = given.get('--with')?.split(',') ?? (against === undefined ? rivals : []);
  return { only, with: others, against, rounds, seconds, warmUpSeconds: isQuick ? 0.3 : 0.5 };
}

class Bench {
  readonly #wish: Wish;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  readonly #proxies: BenchProxy[] = [];
  readonly #samples = new Map<string, Samples>();
  readonly #idle = new Map<string, IdleResult>();
  readonly #stops: (() => Promise<void> | void)[] = [];
  #load = '';
  #voids = 0;

  constructor(wish: Wish) {
    this.#wish = wish;
  }

  async start(): Promise<void> {
    const tools = buildTools();
    this.#load = tools.load;
    const other = this.#wish.against === undefined ? undefined : buildOther(this.#wish.against);
    if (other !== undefined) this.#stops.push(other.remove);
    moveToLoadCore();
    await this.#startPods(tools.up);
    const mesh = await startBenchMesh(this.#directory, size);
    this.#stops.push(() => mesh.stop());
    await this.#addWeft(mesh, 'weft', '127.90.0.1');
    if (other !== undefined) await this.#addWeft(mesh, 'base', '127.90.0.2', other);
    for (const name of rivals) if (this.#wish.with.includes(name)) await this.#addRival(name);
  }

  /** Two benches at once would measure each other: the second waits for the first one's pods. */
  async #startPods(tool: string): Promise<void> {
    const logFile = join(this.#directory, 'up.log');
    const command = [tool, String(podPort), servedPods.first, String(servedPods.count)];
    for (let attempt = 0; attempt < podsAttempts; attempt += 1) {
      const up = startChild({ core: loadCore, command, logFile });
      await until('the pods listen', () => up.hasEnded() || up.lastLines().endsWith('ready'));
      if (!up.hasEnded()) {
        this.#stops.push(() => up.stop());
        return;
      }
      if (!up.lastLines().includes('in use')) throw new Error(`up ended: ${up.lastLines()}`);
      if (attempt === 0) console.log('dataplane: another bench is running; waiting for its end');
      await wait(podsRetryMs);
    }
    throw new Error(`port ${podPort} stays taken on ${servedPods.first}`);
  }

  async run(): Promise<number> {
    for (const proxy of this.#proxies) {
      console.log(`${proxy.name}: ${proxy.version}`);
      // The compiler of a Node proxy goes on improving the code for seconds.
      await this.#warmUp(proxy, rows[0]?.work, longWarmUpSeconds);
    }
    for (const row of rows) if (this.#isAsked(row.name)) await this.#runRow(row.name, row.work);
    if (this.#isAsked(latencyRow.name)) await this.#runLatency();
    if (this.#isAsked(idleRow.name)) await this.#runIdle();
    for (const line of this.#report()) console.log(line);
    this.#writeResults();
    return this.#voids > 0 || this.#hasLost() ? 1 : 0;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    if (nodeFlags.length > 0) console.log(`logs: ${this.#directory}`);
    else rmSync(this.#directory, { recursive: true, force: true });
  }

  #isAsked(name: string): boolean {
    return this.#wish.only.length === 0 || this.#wish.only.includes(name);
  }

  // ---- who takes part -----------------------------------------------------------------------

  async #addWeft(
    mesh: BenchMesh,
    name: string,
    address: string,
    other?: OtherBuild,
  ): Promise<void> {
    const weft = await startWeft({
      kubeconfig: mesh.kubeconfig,
      directory: this.#directory,
      address,
      program: other?.program ?? 'dist/weft.js',
      nodeFlags,
    });
    this.#stops.push(() => weft.child.stop());
    this.#proxies.push({
      name,
      version: `${other === undefined ? 'this tree' : other.commit} on Node ${process.version}`,
      address,
      port: weft.port,
      pid: weft.child.pid,
      watch: async () => {
        const before = await weft.counters();
        return async (sent) => complaintOf(before, await weft.counters(), sent);
      },
      stop: () => weft.child.stop(),
    });
  }

  async #addRival(name: RivalName): Promise<void> {
    const rival = await startRival(name, this.#directory, size);
    if (rival === undefined) {
      console.log(`${name}: not found, its column stays empty (${installHints.get(name) ?? ''})`);
      return;
    }
    this.#stops.push(() => rival.child.stop());
    this.#proxies.push({
      ...rival,
      pid: rival.child.pid,
      watch: () => Promise.resolve(() => Promise.resolve(undefined)),
      stop: () => rival.child.stop(),
    });
  }

  // ---- measuring ----------------------------------------------------------------------------

  async #runRow(name: string, work: Work, only?: readonly string[]): Promise<void> {
    const row = rows.find((one) => one.name === name);
    // http-proxy is here for one comparison; waiting for it in each row teaches nothing.
    const proxies = this.#proxies.filter(
      (proxy) =>
        only?.includes(proxy.name) ??
        (proxy.name !== 'http-proxy' || row?.targets['http-proxy'] !== undefined),
    );
    const samples = new Map<string, (LoadResult | undefined)[]>(
      proxies.map((proxy) => [proxy.name, []]),
    );
    this.#samples.set(name, samples);
    for (const proxy of proxies) await this.#warmUp(proxy, work, rowWarmUpSeconds);
    for (let round = 0; round < this.#wish.rounds; round += 1) {
      for (const proxy of shuffled(proxies)) {
        samples.get(proxy.name)?.push(await this.#measure(proxy, work, this.#wish.warmUpSeconds));
      }
    }
    const said = proxies.map((proxy) => {
      const cpu = median(valuesOf(samples, proxy.name, (one) => one.cpuUs));
      return `${proxy.name} ${cpu.toFixed(2)}`;
    });
    console.log(`  ${name}: ${said.join(', ')} µs`);
  }

  /** Whatever comes of it: a proxy that fails says so in the first round. */
  async #warmUp(proxy: BenchProxy, work: Work | undefined, seconds: number): Promise<void> {
    if (work === undefined) return;
    const target = this.#targetOf(proxy);
    await runLoad(this.#load, { work, target, sources, pids: [], seconds, warmUpSeconds: 0 });
  }

  /** A run that does not count is repeated, a few times. */
  async #measure(
    proxy: BenchProxy,
    work: Work,
    warmUpSeconds: number,
  ): Promise<LoadResult | undefined> {
    let complaint = '';
    for (let attempt = 0; attempt < triesPerRound; attempt += 1) {
      const judge = await proxy.watch();
      const result = await runLoad(this.#load, {
        work,
        target: this.#targetOf(proxy),
        sources,
        pids: processTree(proxy.pid),
        seconds: this.#wish.seconds,
        warmUpSeconds,
      });
      const wrong = result.errors > 0 ? `${result.errors} errors, first: ${result.firstError}` : '';
      complaint = wrong !== '' ? wrong : ((await judge(result.total)) ?? '');
      if (complaint === '' && result.requests > 0) return result;
    }
    this.#voids += 1;
    console.log(`  void: ${proxy.name} ${work.path}: ${complaint}`);
    return undefined;
  }

  #targetOf({ address, port }: BenchProxy) {
    return { address, port, host: hostOf(measuredService) };
  }

  /** The same rate for all: half of what the slower of ours and nginx can do. */
  async #runLatency(): Promise<void> {
    const work = rows[0]?.work;
    if (work === undefined) return;
    const names = this.#proxies.map(({ name }) => name).filter((name) => name !== 'http-proxy');
    if (!this.#samples.has('get-200')) await this.#runRow('get-200', work, names);
    const samples = this.#samples.get('get-200') ?? new Map();
    const rates = ['weft', 'base', 'nginx'].flatMap((name) => {
      const values = valuesOf(samples, name, (one) => one.rps);
      return values.length === 0 ? [] : [median(values)];
    });
    const rate = Math.round(Math.min(...rates) / 2);
    console.log(`  latency: at ${rate} requests/s`);
    await this.#runRow(latencyRow.name, { ...work, rate }, names);
  }

  async #runIdle(): Promise<void> {
    for (const proxy of this.#proxies) {
      const target = this.#targetOf(proxy);
      const pids = processTree(proxy.pid);
      const result = await holdIdle(this.#load, idleConnections, { target, sources, pids });
      if (result.errors > 0) {
        this.#voids += 1;
        console.log(`  void: ${proxy.name} idle: ${result.firstError}`);
      } else {
        this.#idle.set(proxy.name, result);
      }
    }
  }

  // ---- reporting ----------------------------------------------------------------------------

  #report(): readonly string[] {
    const others = this.#proxies.map(({ name }) => name).filter((name) => name !== 'weft');
    const head = ['work', 'weft µs (user + system), core', ...others.map((name) => `${name} µs`)];
    const cells = [[...head, ...others.map((name) => `weft / ${name}`)]];
    for (const row of rows) {
      const samples = this.#samples.get(row.name);
      if (samples !== undefined) cells.push(this.#rowCells(row, samples, others));
    }
    const lines = ['', ...(cells.length > 1 ? tableLines(cells) : [])];
    const latency = this.#samples.get(latencyRow.name);
    if (latency !== undefined) lines.push('', ...this.#latencyLines(latency, others));
    for (const [name, { rssBeforeKb, rssKb, idle }] of this.#idle) {
      const [before, after] = [rssBeforeKb, rssKb].map((kb) => (kb / 1024).toFixed(0));
      lines.push('', `${name}: RSS ${after} MB with ${idle} idle connections (${before} before)`);
    }
    return lines;
  }

  #rowCells(row: Row, samples: Samples, others: readonly string[]): string[] {
    const of = (name: string, value: (one: LoadResult) => number): number =>
      median(valuesOf(samples, name, value));
    const cpu = (one: LoadResult): number => one.cpuUs;
    const number = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(2));
    const [user, system] = [of('weft', (one) => one.userUs), of('weft', (one) => one.systemUs)];
    const core = of('weft', (one) => one.utilisation);
    return [
      row.title,
      `${number(of('weft', cpu))} (${number(user)} + ${number(system)}), ${number(core)}`,
      ...others.map((name) => number(of(name, cpu))),
      ...others.map((theirs) => {
        const target = theirs === 'base' ? lossMax : row.targets[theirs];
        return ratioText(ratioOf(samples, { ours: 'weft', theirs }, cpu), target);
      }),
    ];
  }

  #latencyLines(samples: Samples, others: readonly string[]): readonly string[] {
    const names = [...samples.keys()];
    const quantiles = [
      ['p50', (one: LoadResult) => one.p50Us],
      ['p99', (one: LoadResult) => one.p99Us],
      ['p99.9', (one: LoadResult) => one.p999Us],
    ] as const;
    const cells = [
      [
        latencyRow.title,
        ...names.map((name) => `${name} µs`),
        ...others.map((name) => `weft / ${name}`),
      ],
    ];
    for (const [title, value] of quantiles) {
      cells.push([
        title,
        ...names.map((name) => median(valuesOf(samples, name, value)).toFixed(0)),
        ...others.map((theirs) => {
          const hasTarget = theirs === 'nginx' && title !== 'p99.9';
          const ratio = ratioOf(samples, { ours: 'weft', theirs }, value);
          return ratioText(ratio, hasTarget ? latencyTarget : undefined);
        }),
      ]);
    }
    return tableLines(cells);
  }

  /** Whether a row costs more than it did in the build that we are compared with. */
  #hasLost(): boolean {
    if (this.#wish.against === undefined) return false;
    const pair = { ours: 'weft', theirs: 'base' };
    const lost = rows.filter(({ name }) => {
      const ratio = ratioOf(this.#samples.get(name) ?? new Map(), pair, (one) => one.cpuUs);
      return ratio !== undefined && ratio.median > lossMax;
    });
    for (const { title } of lost) console.log(`lost more than 5 %: ${title}`);
    return lost.length > 0;
  }

  #writeResults(): void {
    const directory = 'bench/results';
    mkdirSync(directory, { recursive: true });
    const stamp = new Date().toISOString();
    const file = join(directory, `dataplane-${stamp.replace(/[:.]/g, '-')}.json`);
    const content = {
      date: stamp,
      machine: { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() },
      proxies: this.#proxies.map(({ name, version }) => ({ name, version })),
      rounds: this.#wish.rounds,
      seconds: this.#wish.seconds,
      voids: this.#voids,
      rows: Object.fromEntries(
        [...this.#samples].map(([name, samples]) => [name, Object.fromEntries(samples)]),
      ),
      idle: Object.fromEntries(this.#idle),
    };
    writeFileSync(file, `${JSON.stringify(content, undefined, 1)}\n`);
    console.log(`\nwritten: ${file}`);
  }
}

function shuffled<T>(values: readonly T[]): readonly T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((left, right) => left.order - right.order)
    .map(({ value }) => value);
}
