// The soak: many thousand mixed exchanges through the running data plane on real sockets, most of
// them whole, many broken off by client or pod in every way of soak-plan.ts. It goes in rounds; in
// between everybody leaves, and nothing may be left: no socket, deadline, listener, pool slot,
// buffered byte or request in flight, and memory as before. Needs `--expose-gc`.
import { fastestNetwork, nodeNetwork } from '../../src/dataplane/index.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import {
  faultsAtRest,
  liveResources,
  measureMemory,
  slopeOf,
  SocketCensus,
} from './soak-census.ts';
import type { Memory, Plant } from './soak-census.ts';
import { playVisit } from './soak-client.ts';
import type { ClientReport } from './soak-client.ts';
import { planVisit } from './soak-plan.ts';
import { startSoakPod } from './soak-pod.ts';
import type { PodReport, SoakPod } from './soak-pod.ts';
import { PodTrace } from './soak-trace.ts';

export type SoakOptions = {
  readonly exchanges: number;
  readonly seed: number;
  /** Ends after so long, with what was played by then; a run that is cut short says so. */
  readonly seconds: number;
  readonly plant: Plant;
  /** Not the direct sockets of the product. */
  readonly plain: boolean;
  readonly print: (line: string) => void;
};

export type SoakResult = { readonly faults: readonly string[]; readonly exchanges: number };

/** Connections at the same time. Stalls hold some of them for as long as the time-outs below. */
const lanes = 320;
const timeouts = {
  headTimeoutMs: 800,
  bodyTimeoutMs: 500,
  idleTimeoutMs: 700,
  keepAliveTimeoutMs: 3_000,
  connectTimeoutMs: 3_000,
};
const podAddresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'];
/** So many local addresses that closed connections in TIME_WAIT never use up the ports. */
const clientAddresses = 100;
/** Everybody has left; what is still open after this is leaked. A planted leak stays anyway. */
const restMs = 8_000;
const plantedRestMs = 500;
const visitMs = 20_000;
const plantedVisitMs = 4_000;
const printMs = 5_000;
/** Leaks show as a slope; this is what measuring itself moves, whatever the length of the run. */
const heapNoiseBytes = 4 * 1024 * 1024;
const rssNoiseBytes = 32 * 1024 * 1024;
/** 1 MB per 100 000 exchanges. */
const slopeBytesMax = 10;
const listenersMax = 4;
/** Of those since the last line. */
const toldViolationsMax = 5;

/**
 * The time-outs are short and the machine may be busy: one that falls due before its answer or its
 * first byte was read ends a connection that did nothing wrong.
 */
const unansweredShareMax = 0.0005;
const unansweredNoise = 10;

type Sample = Memory & { readonly exchanges: number };

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const before = liveResources();
  const podReport: PodReport = { requests: 0, violations: [], trace: new PodTrace() };
  const pods = await Promise.all(podAddresses.map((one) => startSoakPod(one, podReport)));
  const { network, isDirect } = options.plain
    ? { network: nodeNetwork(), isDirect: false }
    : await fastestNetwork();
  options.print(`sockets: ${isDirect ? 'direct' : 'plain'}`);
  const census = new SocketCensus(network, options.plant);
  const harness = await startHarness({
    endpoints: pods.map((pod) => pod.endpoint),
    limits: timeouts,
    network: census.network,
  });
  const soak = new RunningSoak(options, { harness, census, pods, podReport });
  await soak.play();
  await soak.end();
  await soak.compareResources(before);
  return { faults: soak.faults, exchanges: soak.report.exchanges };
}

type Parts = {
  readonly harness: Harness;
  readonly census: SocketCensus;
  readonly pods: readonly SoakPod[];
  readonly podReport: PodReport;
};

class RunningSoak {
  readonly faults: string[] = [];
  readonly report: ClientReport = {
    exchanges: 0,
    answered: 0,
    unanswered: 0,
    refused: new Map(),
    violations: [],
  };
  readonly #options: SoakOptions;
  readonly #parts: Parts;
  readonly #samples: Sample[] = [];
  readonly #startedMs = Date.now();
  #visits = 0;
  #printedMs = Date.now();
  #toldViolations = 0;

  constructor(options: SoakOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
  }

  async play(): Promise<void> {
    const { exchanges } = this.#options;
    const rounds = Math.min(20, Math.max(4, Math.floor(exchanges / 10_000)));
    for (let round = 1; round <= rounds && !this.#isOver; round += 1) {
      const goal = Math.round((exchanges * round) / rounds);
      await Promise.all(Array.from({ length: lanes }, () => this.#playLane(goal)));
      await this.#rest(`after round ${round}`);
      this.#samples.push({ ...measureMemory(), exchanges: this.report.exchanges });
      if (this.faults.length > 0) return;
    }
  }

  /** Pods go, then the data plane; nothing of either may be left. */
  async end(): Promise<void> {
    const { harness, pods, census, podReport } = this.#parts;
    for (const pod of pods) pod.cut();
    await this.#until(() => harness.dataplane.state().upstreamOpen === 0);
    const { upstreamOpen, deadlines } = harness.dataplane.state();
    this.#expectZero('upstream connections when all pods have gone', upstreamOpen);
    this.#expectZero('deadlines when all pods have gone', deadlines);
    harness.dataplane.close();
    for (const pod of pods) pod.close();
    const open = (): number => census.openSockets + sum(pods.map((pod) => pod.openSockets()));
    await this.#until(() => open() === 0);
    this.#expectZero('open sockets', census.openSockets);
    this.#expectZero('listeners', harness.dataplane.state().listeners.length);
    const violations = [...this.report.violations, ...podReport.violations];
    this.faults.push(...violations.slice(0, 10));
    if (violations.length > 10) this.faults.push(`… ${violations.length} violations in all`);
    this.#judgeMemory();
    this.#judgeShare();
    this.#print('end');
  }

  /** Sockets, servers and timers of the whole process. */
  async compareResources(before: ReadonlyMap<string, number>): Promise<void> {
    const leaks = (): string[] =>
      [...liveResources()]
        .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
        .filter(([name, more]) => more > (name === 'Timeout' ? 1 : 0))
        .map(([name, more]) => `${name}: ${more} more than before`);
    // The wait itself is one timer.
    await this.#until(() => leaks().length === 0);
    this.faults.push(...leaks());
  }

  get #isOver(): boolean {
    return Date.now() - this.#startedMs > this.#options.seconds * 1000;
  }

  async #playLane(goal: number): Promise<void> {
    const { seed, plant } = this.#options;
    while (this.report.exchanges < goal && !this.#isOver) {
      const number = (this.#visits += 1);
      await playVisit({
        port: this.#parts.harness.port,
        localAddress: `127.0.1.${1 + (number % clientAddresses)}`,
        visit: planVisit(seed, number),
        report: this.report,
        limitMs: plant === 'none' ? visitMs : plantedVisitMs,
        situation: (id) => this.#situation(id),
      });
      if (Date.now() - this.#printedMs > printMs) this.#print('...');
    }
  }

  async #rest(when: string): Promise<void> {
    const faults = (): string[] => this.#faultsNow();
    await this.#until(() => faults().length === 0);
    this.faults.push(...faults().map((fault) => `${when}: ${fault}`));
  }

  #faultsNow(): string[] {
    const { harness, census } = this.#parts;
    const state = harness.dataplane.state();
    const { inFlight, bugs } = harness;
    const faults = faultsAtRest({ state, inFlight: inFlight(), bugs: bugs.length });
    const open = census.openSockets;
    if (open !== state.upstreamOpen) {
      faults.push(`open sockets: ${open}, not the ${state.upstreamOpen} of the pools`);
    }
    if (census.listenersMax > listenersMax) {
      faults.push(`listeners for one event of one socket: ${census.listenersMax}`);
    }
    return faults;
  }

  /** Memory once everything is warm: growth over the last three quarters of the run. */
  #judgeMemory(): void {
    const [first, ...rest] = this.#samples.slice(Math.floor(this.#samples.length / 4));
    const last = rest.at(-1);
    if (first === undefined || last === undefined) return;
    const samples = [first, ...rest];
    const exchanges = last.exchanges - first.exchanges;
    const heap = slopeOf(samples.map((one) => [one.exchanges, one.heapBytes]));
    const rss = slopeOf(samples.map((one) => [one.exchanges, one.rssBytes]));
    this.#options.print(
      `memory: heap ${megabytes(first.heapBytes)} to ${megabytes(last.heapBytes)} MB, ` +
        `${heap.toFixed(1)} bytes per exchange; ` +
        `RSS ${megabytes(first.rssBytes)} to ${megabytes(last.rssBytes)} MB, ` +
        `${rss.toFixed(1)} bytes per exchange (over ${exchanges} exchanges)`,
    );
    if (heap * exchanges > slopeBytesMax * exchanges + heapNoiseBytes) {
      this.faults.push(`heap grows by ${heap.toFixed(0)} bytes per exchange`);
    }
    if (rss * exchanges > slopeBytesMax * exchanges + rssNoiseBytes) {
      this.faults.push(`RSS grows by ${rss.toFixed(0)} bytes per exchange`);
    }
  }

  /** A soak in which hardly anything is answered would prove nothing. */
  #judgeShare(): void {
    const { answered, unanswered, exchanges } = this.report;
    if (answered < exchanges / 2) {
      this.faults.push(`only ${answered} of ${exchanges} exchanges were answered by a pod`);
    }
    if (unanswered > unansweredShareMax * exchanges + unansweredNoise) {
      this.faults.push(`${unanswered} connections ended without a reason`);
    }
  }

  #expectZero(what: string, count: number): void {
    if (count !== 0) this.faults.push(`${what}: ${count}, not 0`);
  }

  async #until(isSo: () => boolean): Promise<void> {
    const untilMs = Date.now() + (this.#options.plant === 'none' ? restMs : plantedRestMs);
    while (!isSo() && Date.now() < untilMs) {
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** For a visit that hangs: where its last exchange has got to. */
  #situation(id: string): string {
    const { podReport, harness } = this.#parts;
    const { connections, exchanges, lingering, upstreamOpen, upstreamIdle, deadlines } =
      harness.dataplane.state();
    return (
      `${podReport.trace.describe(id)}; data plane: ${connections} connections, ` +
      `${exchanges} exchanges, ${lingering} linger, upstream ${upstreamOpen} open and ` +
      `${upstreamIdle} idle, ${deadlines} deadlines`
    );
  }

  #print(what: string): void {
    this.#printedMs = Date.now();
    const { exchanges, answered, unanswered, refused, violations } = this.report;
    const { state } = this.#parts.harness.dataplane;
    const { connections, upstreamOpen, bufferedBytes } = state();
    const seconds = (Date.now() - this.#startedMs) / 1000;
    const reasons = [...refused].map(([reason, count]) => `${reason} ${count}`).join(', ');
    this.#options.print(
      `${what} ${seconds.toFixed(0)} s: ${exchanges} exchanges on ${this.#visits} connections ` +
        `(${(exchanges / seconds).toFixed(0)}/s), ${answered} answered, own answers: ` +
        `${reasons === '' ? 'none' : reasons}; open ${connections}+${upstreamOpen}, ` +
        `buffered ${bufferedBytes} B, unanswered ${unanswered}, violations ${violations.length}`,
    );
    const toldMax = this.#toldViolations + toldViolationsMax;
    for (const one of violations.slice(this.#toldViolations, toldMax)) {
      this.#options.print(`  ${one}`);
    }
    this.#toldViolations = violations.length;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
