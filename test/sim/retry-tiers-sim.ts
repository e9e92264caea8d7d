// Calls through two services, each behind a proxy that retries: callers ask the first, which asks
// the second for each request that reaches it, and has nothing to answer with when that fails. The
// second one's pods go down for a while: how many attempts do they get for each request of a
// caller? Budgets and rules are the production code (Retries, RetryBudgets, retry-policy.ts); time,
// arrivals and back-offs are the simulation's own, with one seed.
import { Retries, RetryBudgets } from '../../src/dataplane/retries.ts';
import { isGood, type AttemptFailure } from '../../src/dataplane/retry-policy.ts';
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';
import type { VirtualHost } from '../../src/route/index.ts';
import { createSlotMemory, SlotView } from '../../src/telemetry/index.ts';
import { plainRules } from '../support/sections.ts';
import { Agenda } from './agenda.ts';

export type TiersScenario = {
  /** Of callers. */
  readonly requestsPerSecond: number;
  /** `retry-attempts` of both services. */
  readonly retries: number;
  readonly downSeconds: number;
  readonly seed: number;
};

export type TiersOutcome = {
  /** Requests of callers while the pods were down. */
  readonly requests: number;
  /** Attempts that the pods got of one such request, on average. */
  readonly amplification: number;
  /** The same in the first ten seconds, while budgets that were saved up before are spent. */
  readonly atFirst: number;
  /** And in the rest. */
  readonly later: number;
};

/** Some Sunday; budgets count seconds of the wall clock. */
const startMs = 1_790_000_000_000;
const wellSeconds = 20;
const atFirstSeconds = 10;
const answerMs = 5;
const refuseMs = 0.2;

/** What callers of a service are told when the service behind it fails. */
const toldFailure: AttemptFailure = { kind: 'status', status: 503, isUnsent: false };
/** Its pods are gone. */
const refusal: AttemptFailure = { kind: 'connect', status: 502, isUnsent: true };

type Done = (failure: AttemptFailure | undefined) => void;

/** Runs the scenario; the same arguments give the same outcome. */
export function simulateTiers(scenario: TiersScenario): TiersOutcome {
  const { requestsPerSecond, downSeconds, seed } = scenario;
  const agenda = new Agenda(startMs);
  const arrivals = seededRandom(seed);
  const downMs = startMs + wellSeconds * 1_000;
  const endMs = downMs + downSeconds * 1_000;
  const [requests, attempts] = [new Periods(downMs), new Periods(downMs)];
  const pods = (done: Done): void => {
    const isDown = agenda.nowMs >= downMs;
    if (isDown) attempts.count(agenda.nowMs);
    const failure = isDown ? refusal : undefined;
    agenda.after(isDown ? refuseMs : answerMs, () => done(failure));
  };
  const random = seededRandom(seed + 1);
  const second = new Tier({ name: 'second', agenda, random, retries: scenario.retries }, pods);
  const first = new Tier({ name: 'first', agenda, random, retries: scenario.retries }, (done) =>
    second.send((failure) => done(failure && toldFailure)),
  );
  const arrive = (): void => {
    if (agenda.nowMs >= endMs) return;
    if (agenda.nowMs >= downMs) requests.count(agenda.nowMs);
    first.send(() => undefined);
    agenda.after((-Math.log(1 - arrivals()) * 1_000) / requestsPerSecond, arrive);
  };
  agenda.after(0, arrive);
  agenda.run();
  return {
    requests: requests.atFirst + requests.later,
    amplification: (attempts.atFirst + attempts.later) / (requests.atFirst + requests.later),
    atFirst: attempts.atFirst / requests.atFirst,
    later: attempts.later / requests.later,
  };
}

/** Counts before and after the first seconds from a moment. */
class Periods {
  atFirst = 0;
  later = 0;
  readonly #fromMs: number;

  constructor(fromMs: number) {
    this.#fromMs = fromMs;
  }

  count(nowMs: number): void {
    if (nowMs < this.#fromMs + atFirstSeconds * 1_000) this.atFirst += 1;
    else this.later += 1;
  }
}

type TierOptions = {
  readonly name: string;
  readonly agenda: Agenda;
  readonly random: Random;
  readonly retries: number;
};

/** A service, its proxy, and what it calls for each request. */
class Tier {
  readonly #agenda: Agenda;
  readonly #engine: ConstructorParameters<typeof Retries>[0];
  readonly #host: VirtualHost;
  readonly #behind: (done: Done) => void;

  constructor({ name, agenda, random, retries }: TierOptions, behind: (done: Done) => void) {
    const memory = createSlotMemory({ split: 2, endpoint: 2, service: 2 });
    const slots = new SlotView(memory, { index: 0, count: 1 });
    slots.apply({ set: [['service', `t/${name}`, 1]], freed: [] });
    const clock = { wallMs: () => agenda.nowMs };
    const budgets = new RetryBudgets(slots, clock);
    const observer = { retryBudgetExhausted: () => undefined };
    this.#engine = { budgets, clock, random, observer };
    const retryOn = ['connect-failure', 'reset', 'gateway-error'] as const;
    const rules = { ...plainRules, retryAttempts: retries, retryOn };
    this.#host = { namespace: 't', service: name, rules };
    this.#agenda = agenda;
    this.#behind = behind;
  }

  /** One request, with its retries. */
  send(done: Done): void {
    const retries = new Retries(this.#engine, this.#host, true);
    const attempt = (): void =>
      this.#behind((failure) => {
        const status = failure?.status ?? 200;
        if (isGood(status)) this.#engine.budgets.deposit(this.#host);
        if (failure === undefined || retries.ask(failure) !== 'granted') return done(failure);
        retries.begin(failure, undefined);
        // As where others seem to be well: what no budget held back would come at once.
        this.#agenda.after(retries.isFirst ? 0 : retries.waitMs(), attempt);
      });
    attempt();
  }
}
