// A service and its endpoints as a queueing model, run on a clock of its own with one seed:
// requests come by chance at 60 % of what the endpoints can serve, each endpoint serves two at a
// time and queues the rest; the node of the proxy may stall. The chooser under test is the
// production code (EndpointLoads with its shared cells); beside it run random choice and strict
// turns, which know nothing of latency or failure.
import { EndpointLoads } from '../../src/dataplane/endpoint-load.ts';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';
import type { Backend, Endpoint } from '../../src/route/index.ts';
import { backendId, endpointId } from '../../src/snapshot/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { Agenda } from './agenda.ts';

export type Chooser = 'weft' | 'random' | 'round-robin';
export type Trouble = 'none' | 'slow' | 'flapping' | 'refusing' | 'swallowing' | 'tails';

export type Scenario = {
  readonly chooser: Chooser;
  /** What the first endpoint suffers from; `tails`: all of them. */
  readonly trouble: Trouble;
  readonly endpoints: number;
  readonly seconds: number;
  readonly seed: number;
  /** Absent: the usual pods. */
  readonly pods?: Pods;
  /** The proxy's node does nothing for a while, again and again. */
  readonly stalls?: { readonly everyMs: number; readonly forMs: number };
};

/** What the endpoints are like, and how busy. */
export type Pods = {
  readonly serviceMs: number;
  /** How many times as long the slow one takes. */
  readonly slowFactor: number;
  /** Of what all of them can serve, when they are well. */
  readonly utilisation: number;
};

export type Outcome = {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errorPercent: number;
  /** What the first endpoint got of all attempts. */
  readonly firstPercent: number;
};

const usualPods: Pods = { serviceMs: 50, slowFactor: 10, utilisation: 0.6 };
const servedAtOnce = 2;
/** A client's per-try timeout. */
const patienceMs = 1_000;
const retriesMax = 2;

type Server = { busy: number; readonly queue: Try[] };
type Try = {
  readonly startedMs: number;
  readonly sentMs: number;
  readonly endpoint: Endpoint;
  readonly at: number;
  readonly cell: number;
  readonly tried: ReadonlySet<string>;
  isOver: boolean;
};

/** Runs the scenario; the same arguments give the same outcome. */
export function simulate(scenario: Scenario): Outcome {
  return new Simulation(scenario).run();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #chance: Random;
  readonly #agenda = new Agenda();
  readonly #backend: Backend;
  readonly #loads: EndpointLoads;
  readonly #servers: Server[] = [];
  readonly #latencies: number[] = [];
  readonly #pods: Pods;
  #attempts = 0;
  #firstAttempts = 0;
  #errors = 0;
  #turn = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#pods = scenario.pods ?? usualPods;
    this.#random = seededRandom(scenario.seed);
    this.#chance = seededRandom(scenario.seed + 1);
    const endpoints: Endpoint[] = [];
    for (let at = 0; at < scenario.endpoints; at += 1) {
      const address = `10.0.${at >> 8}.${at & 255}`;
      const id = endpointId(address, 80);
      endpoints.push({ id, namespace: 't', address, port: 80, nodeName: '', podName: '' });
      this.#servers.push({ busy: 0, queue: [] });
    }
    const id = backendId('t', 'web', 80);
    this.#backend = { id, namespace: 't', service: 'web', port: 80, scheme: 'http', endpoints };
    const slots = new SlotView(
      createSlotMemory({ split: 2, endpoint: scenario.endpoints + 1, service: 2 }),
      { index: 0, count: 1 },
    );
    const set = endpoints.map((one, at) => ['endpoint', one.id, at + 1] as const);
    slots.apply({ set, freed: [] });
    const nowMs = () => this.#agenda.nowMs;
    this.#loads = new EndpointLoads(slots, { nowMs, wallMs: nowMs });
  }

  run(): Outcome {
    const { endpoints, seconds } = this.#scenario;
    const { utilisation, serviceMs } = this.#pods;
    const perMs = (utilisation * endpoints * servedAtOnce) / serviceMs;
    const arrive = (): void => {
      if (this.#agenda.nowMs > seconds * 1_000) return;
      const startedMs = this.#agenda.nowMs;
      this.#afterStall(() => this.#send(startedMs, new Set()));
      this.#agenda.after(-Math.log(1 - this.#random()) / perMs, arrive);
    };
    this.#agenda.after(0, arrive);
    this.#agenda.run();
    const sorted = this.#latencies.sort((a, b) => a - b);
    const quantile = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
    const requests = sorted.length;
    const errorPercent = (100 * this.#errors) / requests;
    const firstPercent = (100 * this.#firstAttempts) / this.#attempts;
    return { requests, p50Ms: quantile(0.5), p99Ms: quantile(0.99), errorPercent, firstPercent };
  }

  /** What comes to a node that does nothing waits in its kernel. */
  #afterStall(run: () => void): void {
    const { everyMs = 1, forMs = 0 } = this.#scenario.stalls ?? {};
    const leftMs = forMs - (this.#agenda.nowMs % everyMs);
    if (leftMs > 0) this.#agenda.after(leftMs, run);
    else run();
  }

  #choose(tried: ReadonlySet<string>): Endpoint | undefined {
    const { endpoints } = this.#backend;
    const { chooser } = this.#scenario;
    if (chooser === 'weft') return this.#loads.pick(this.#backend, tried, this.#chance);
    for (let step = 0; step < 100; step += 1) {
      this.#turn += 1;
      const at = chooser === 'random' ? Math.floor(this.#chance() * endpoints.length) : this.#turn;
      const endpoint = endpoints[at % endpoints.length];
      if (endpoint !== undefined && !tried.has(endpoint.id)) return endpoint;
    }
    return endpoints[0];
  }

  #send(startedMs: number, tried: ReadonlySet<string>): void {
    const endpoint = this.#choose(tried);
    if (endpoint === undefined) return this.#fail();
    const at = this.#backend.endpoints.indexOf(endpoint);
    this.#attempts += 1;
    if (at === 0) this.#firstAttempts += 1;
    const { trouble } = this.#scenario;
    // Whose probe is due is found out by the attempt, though it is over at once.
    const cell = this.#loads.countUp(endpoint);
    if (trouble === 'refusing' && at === 0) {
      this.#loads.countDown(cell);
      this.#loads.failed(endpoint, 'refused', this.#chance);
      if (tried.size >= retriesMax) this.#fail();
      else this.#send(startedMs, new Set([...tried, endpoint.id]));
      return;
    }
    const sentMs = this.#agenda.nowMs;
    const one: Try = { startedMs, sentMs, endpoint, at, cell, tried, isOver: false };
    this.#agenda.after(patienceMs, () => this.#giveUp(one));
    if (trouble === 'swallowing' && at === 0) return;
    const server = this.#servers[at];
    if (server === undefined) return;
    if (server.busy < servedAtOnce) this.#serve(server, one);
    else server.queue.push(one);
  }

  #serve(server: Server, one: Try): void {
    server.busy += 1;
    this.#agenda.after(this.#serviceMs(one.at), () => {
      server.busy -= 1;
      this.#afterStall(() => this.#answer(one));
      const next = server.queue.shift();
      if (next !== undefined) this.#serve(server, next);
    });
  }

  #serviceMs(at: number): number {
    const { trouble } = this.#scenario;
    const { serviceMs, slowFactor } = this.#pods;
    const mean = trouble === 'slow' && at === 0 ? serviceMs * slowFactor : serviceMs;
    const drawn = -Math.log(1 - this.#random()) * mean;
    // One request of fifty takes eight times as long.
    if (trouble === 'tails') return this.#random() < 0.02 ? drawn * 8 : drawn * 0.877;
    return drawn;
  }

  #answer(one: Try): void {
    if (one.isOver) return;
    one.isOver = true;
    this.#loads.countDown(one.cell);
    const isDown = Math.floor(this.#agenda.nowMs / 5_000) % 2 === 1;
    if (this.#scenario.trouble === 'flapping' && one.at === 0 && isDown) {
      this.#loads.measured(one.endpoint, 5_000);
      this.#loads.failed(one.endpoint, 'hard', this.#chance);
      this.#fail();
      return;
    }
    this.#loads.measured(one.endpoint, this.#agenda.nowMs - one.sentMs);
    this.#loads.succeeded(one.endpoint);
    this.#latencies.push(this.#agenda.nowMs - one.startedMs);
  }

  #giveUp(one: Try): void {
    if (one.isOver) return;
    one.isOver = true;
    this.#loads.countDown(one.cell);
    this.#loads.measured(one.endpoint, 5_000);
    this.#loads.failed(one.endpoint, 'hard', this.#chance);
    this.#fail();
  }

  /** Counts as long as a caller would have waited: a failure is no fast answer. */
  #fail(): void {
    this.#errors += 1;
    this.#latencies.push(patienceMs);
  }
}

export const choosers: readonly Chooser[] = ['weft', 'random', 'round-robin'];

/** The same requests under each chooser. */
export function compareChoosers(
  trouble: Trouble,
  endpoints: number,
): Readonly<Record<Chooser, Outcome>> {
  const seconds = endpoints > 100 ? 20 : 60;
  const under = (chooser: Chooser): Outcome =>
    simulate({ chooser, trouble, endpoints, seconds, seed: 7 });
  return { weft: under('weft'), random: under('random'), 'round-robin': under('round-robin') };
}
