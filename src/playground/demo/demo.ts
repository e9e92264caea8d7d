// `npm run demo`: the whole mesh on one machine. An embedded API server and simulated nodes; the
// production controller and proxies as children; a small shop under load. It is ready when callers
// get what the YAML says, and with `--for` it ends 0 only if the pods received what the YAML says.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConnection, type Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { startSimulator, type Simulator } from '../cluster/simulator.ts';
import { startApiServer, type ApiServer } from '../server/api-server.ts';
import type { Child } from './child.ts';
import { applyAll, readManifests } from './manifests.ts';
import { isMeshReady, readMeshPort, readPending, readWeights } from './mesh-view.ts';
import { reservePlaces, type Places, type Reservation } from './places.ts';
import { installedObjects, meshObjects, pause, Production } from './production.ts';
import { invitation, measurements, statistics, step, welcome, type Screen } from './screen.ts';
import { ShareMeter, Traffic } from './traffic.ts';
import { judge, type DemoFacts } from './verdict.ts';

/** What `scripts/demo.ts` gives: the real clock, the terminal, Ctrl-C. */
export type DemoOptions = {
  readonly runtime: Runtime;
  /** Command-line arguments: `--for 20s`. */
  readonly argv: readonly string[];
  /** Where smi/ is. */
  readonly root: string;
  /** Program and first arguments of `weft`: Node and dist/weft.js. */
  readonly program: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly screen: Screen;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
};

/** After which the demo gives up waiting for a step of its start. */
const stepTimeoutMs = 15_000;
const lookMs = 30;
const statisticsMs = 1000;
/** Not a terminal: a line now and then is enough. */
const quietStatisticsEvery = 5;

type DemoWishes = {
  /** Absent: until Ctrl-C. */
  readonly durationMs: number | undefined;
  /** As on a machine where only 127.0.0.1 can be bound. */
  readonly isOneAddress: boolean;
};

const unitsMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
]);

/** What the command line asks for; a text says what is wrong with it. */
function demoWishes(argv: readonly string[]): DemoWishes | string {
  let durationMs: number | undefined;
  let isOneAddress = false;
  const words = argv.flatMap((word) => (word.startsWith('--for=') ? word.split('=') : word));
  for (let index = 0; index < words.length; index += 1) {
    if (words[index] === '--one-address') {
      isOneAddress = true;
      continue;
    }
    const parts =
      words[index] === '--for' ? /^(\d{1,6})(ms|s|m)$/.exec(words[index + 1] ?? '') : null;
    if (parts === null) {
      return `usage: npm run demo [-- --for 20s] [--one-address] (got: ${argv.join(' ')})`;
    }
    durationMs = Number(parts[1]) * (unitsMs.get(parts[2] ?? '') ?? 1);
    index += 1;
  }
  return { durationMs, isOneAddress };
}

/** Runs the demo to its end; resolves with the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const wishes = demoWishes(options.argv);
  if (typeof wishes === 'string') {
    options.screen.write(`${wishes}\n`);
    return 2;
  }
  const { durationMs, isOneAddress } = wishes;
  const demo = new RunningDemo(options);
  try {
    await demo.start(isOneAddress);
    await demo.run(durationMs);
    return await demo.finish(durationMs !== undefined);
  } catch (error) {
    // The last stop of a failed start or of a child that died: said once, with the children's
    // words.
    if (options.signal.aborted) return 0;
    options.screen.write(
      `\nthe demo failed: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    options.screen.write(demo.lastLines());
    return 1;
  } finally {
    await demo.close();
  }
}

class RunningDemo {
  readonly #options: DemoOptions;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-demo-'));
  readonly #startedMs: number;
  readonly #shares = new ShareMeter();
  #reservation: Reservation | undefined;
  #server: ApiServer | undefined;
  #connection: Connection | undefined;
  #simulator: Simulator | undefined;
  #traffic: Traffic | undefined;
  #production: Production | undefined;
  #isClosing = false;
  #died: string | undefined;

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#startedMs = options.runtime.clock.nowMs();
  }

  async start(isOneAddress: boolean): Promise<void> {
    const { runtime, root, screen } = this.#options;
    this.#reservation = await reservePlaces(isOneAddress ? 'one-address' : 'any');
    const { places } = this.#reservation;
    screen.write(welcome(places));
    const server = await startApiServer({ runtime });
    this.#server = server;
    const kubeconfig = join(this.#directory, 'kubeconfig');
    writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 });
    const source = { kind: 'kubeconfig', file: kubeconfig, context: undefined } as const;
    const connection = await openConnection(source, runtime);
    this.#connection = connection;
    this.#production = this.#makeProduction(server, places);
    const programs = this.#production;
    const simulator = startSimulator({ connection, runtime, ...places, programs });
    this.#simulator = simulator;
    await applyAll(connection, readManifests(join(root, 'smi/crds')));
    this.#say(`API server with the SMI kinds on ${server.url}`);
    await applyAll(connection, [
      ...meshObjects(places.nodes),
      ...installedObjects(join(root, 'manifests/weft.yaml')),
    ]);
    await applyAll(connection, readManifests(join(root, 'smi/examples')));
    await this.#until(async () => ((await isMeshReady(connection)) ? undefined : 'not ready'));
    this.#say(`controller and ${places.nodes.length} proxies, processes ${this.#pids()}`);
    await simulator.settled();
    this.#say(`shop: ${simulator.pods().size} pods`);
    const traffic = new Traffic({ runtime, simulator, places });
    this.#traffic = traffic;
    await this.#until(() => traffic.probe());
    this.#say('names resolve, calls are routed, the prying one is denied');
    await this.#until(async () => (await readPending(connection))[0]);
    this.#say('every SMI object is Programmed: the proxies say so');
    const elapsedMs = runtime.clock.nowMs() - this.#startedMs;
    const meshPort = await readMeshPort(connection);
    const callerAddress =
      [...simulator.pods().values()].find(
        (pod) => pod.facts.labels.get('app') === 'front' && pod.facts.nodeName === 'node-1',
      )?.facts.address ?? '127.0.0.1';
    screen.write(
      invitation({ places, kubeconfig, apiUrl: server.url, elapsedMs, callerAddress, meshPort }),
    );
  }

  /** Load and statistics until the time is over, Ctrl-C, or a child that dies. */
  async run(durationMs: number | undefined): Promise<void> {
    const { runtime, signal, screen } = this.#options;
    const traffic = this.#traffic;
    const connection = this.#connection;
    if (traffic === undefined || connection === undefined) return;
    const endMs = runtime.clock.nowMs() + (durationMs ?? Number.POSITIVE_INFINITY);
    const interrupted = aborted(signal);
    let last = { sent: 0, atMs: runtime.clock.nowMs() };
    for (let tick = 1; !signal.aborted && runtime.clock.nowMs() < endMs; tick += 1) {
      traffic.follow();
      const leftMs = Math.max(0, endMs - runtime.clock.nowMs());
      await Promise.race([pause(runtime, Math.min(statisticsMs, leftMs)), interrupted]);
      if (this.#died !== undefined) throw new Error(this.#died);
      const now = { sent: traffic.sent, atMs: runtime.clock.nowMs() };
      const perSecond = ((now.sent - last.sent) / (now.atMs - last.atMs)) * 1000;
      last = now;
      const line = statistics(await this.#facts(traffic, connection), perSecond);
      if (screen.isTerminal) screen.write(`\r\u001b[K${line}`);
      else if (tick % quietStatisticsEvery === 0) screen.write(`${line}\n`);
    }
  }

  /** Stops the load and judges; the exit code. */
  async finish(isJudged: boolean): Promise<number> {
    const { screen, signal } = this.#options;
    const traffic = this.#traffic;
    const connection = this.#connection;
    if (traffic === undefined || connection === undefined || signal.aborted || !isJudged) {
      screen.write('\n');
      return 0;
    }
    await traffic.stop();
    const facts = await this.#facts(traffic, connection);
    const faults = judge(facts);
    screen.write(`\nin all: ${measurements(facts)}\n`);
    if (faults.length === 0) {
      screen.write('the pods received what the YAML asks for\n');
      return 0;
    }
    for (const fault of faults) screen.write(`NOT as the YAML asks: ${fault}\n`);
    const failure = traffic.lastFailure();
    if (failure !== '') screen.write(`last failure: ${failure}\n`);
    screen.write(this.lastLines());
    return 1;
  }

  lastLines(): string {
    return this.#children().map((child) => `--- ${child.name}\n${child.lastLines()}\n`).join('');
  }

  /** Leaves nothing behind: no process, no socket, no file. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#traffic?.close();
    await this.#simulator?.close();
    await this.#connection?.close();
    await this.#server?.close();
    this.#reservation?.release();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #makeProduction(server: ApiServer, places: Places): Production {
    const { runtime, program, environment } = this.#options;
    return new Production({
      runtime,
      places,
      kubeconfig: (token) => server.kubeconfig(token),
      program,
      environment,
      directory: this.#directory,
      onEnd: (child, how) => this.#noteEnd(child, how),
    });
  }

  #children(): readonly Child[] {
    return this.#production?.children ?? [];
  }

  #pids(): string {
    return this.#children()
      .map((child) => child.pid)
      .join(', ');
  }

  #say(what: string): void {
    const { screen, runtime } = this.#options;
    screen.write(step(what, runtime.clock.nowMs() - this.#startedMs));
  }

  #noteEnd(child: Child, how: string): void {
    if (!this.#isClosing && !this.#options.signal.aborted) this.#died = `${child.name} ${how}`;
  }

  /** Looks again and again until nothing is missing any more. */
  async #until(missing: () => Promise<string | undefined>): Promise<void> {
    const { runtime, signal } = this.#options;
    const deadlineMs = runtime.clock.nowMs() + stepTimeoutMs;
    let fault = await missing();
    while (fault !== undefined) {
      if (signal.aborted || this.#died !== undefined) throw new Error(this.#died ?? 'aborted');
      if (runtime.clock.nowMs() > deadlineMs) {
        throw new Error(`still after ${stepTimeoutMs}ms: ${fault}`);
      }
      await pause(runtime, lookMs);
      fault = await missing();
    }
  }

  async #facts(traffic: Traffic, connection: Connection): Promise<DemoFacts> {
    const weights = await readWeights(connection);
    const shares = this.#shares.measure(weights, (backends) => traffic.receivedByBackend(backends));
    return { shares, callers: traffic.callerFacts(), pending: await readPending(connection) };
  }

}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
