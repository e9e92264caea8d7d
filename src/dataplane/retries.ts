// The retries of one exchange: what it has tried, whether another attempt is allowed – by the rules
// (retry-policy.ts) and by the service's budget – and how long to wait before it.
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Endpoint, VirtualHost } from '../route/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import type { Engine } from './engine.ts';
import type { ExchangeFacts, ExchangeObserver } from './observer.ts';
import { depositRequest, withdrawRetry } from './retry-budget.ts';
import type { BudgetPlace } from './retry-budget.ts';
import type { ExchangeWaits } from './exchange-waits.ts';
import { retryAfterMaxMs } from './retry-after.ts';
import { mayRetry } from './retry-policy.ts';
import type { AttemptFailure } from './retry-policy.ts';

/**
 * Wait before a retry, with full jitter (contract §4: 25 to 250 ms). It is for an endpoint that has
 * to be asked again, and for a service that fails as a whole (exchange-retries.ts).
 */
const retryBackoff = { baseMs: 25, maxMs: 250 } as const;

/** Who has set no time for the whole request is told of a longer wait, not held up by it. */
const unboundedAskedMaxMs = 1_000;

/** Where the budgets of services are; looked up once per virtual host of a table. */
export class RetryBudgets {
  readonly #slots: SlotView;
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #places = new WeakMap<VirtualHost, BudgetPlace>();

  constructor(slots: SlotView, clock: Pick<Clock, 'wallMs'>) {
    this.#slots = slots;
    this.#clock = clock;
  }

  of(host: VirtualHost): BudgetPlace {
    let place = this.#places.get(host);
    if (place === undefined) {
      const offset = this.#slots.offset('service', `${host.namespace}/${host.service}`);
      place = { cells: this.#slots.cells.service, offset };
      // Slot 0 is nobody's: the service may get its own later.
      if (offset !== 0) this.#places.set(host, place);
    }
    return place;
  }

  /**
   * Each request that got a good answer earns a part of a retry. One that failed earns nothing:
   * while all fail, retries would otherwise go on at the full share in every tier of a call chain,
   * and multiply.
   */
  deposit(host: VirtualHost | undefined): void {
    if (host === undefined) return;
    depositRequest(this.of(host), host.rules.retryBudgetPercent, this.#clock.wallMs());
  }
}

/** What of the engine retries need. */
export type RetryEngine = Pick<Engine, 'budgets' | 'random'> & {
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly observer: Pick<ExchangeObserver, 'retryBudgetExhausted'>;
};

export const noneTried: ReadonlySet<string> = new Set<string>([]);

const noneDone = { total: 0, afterSent: 0 };

export class Retries {
  #tried: Set<string> | undefined;
  readonly #engine: RetryEngine;
  readonly #host: VirtualHost;
  readonly #budget: BudgetPlace;
  readonly #isRepeatable: boolean;
  readonly #done = { total: 0, afterSent: 0 };

  /** `isRepeatable`: sending the request twice does no more than sending it once. */
  constructor(engine: RetryEngine, host: VirtualHost, isRepeatable: boolean) {
    this.#engine = engine;
    this.#host = host;
    this.#isRepeatable = isRepeatable;
    this.#budget = engine.budgets.of(host);
  }

  /** Ids of endpoints that failed; avoided while there are others. */
  get tried(): ReadonlySet<string> {
    return this.#tried ?? noneTried;
  }

  /** One attempt has failed, and no other. */
  get isFirst(): boolean {
    return this.#done.total === 1;
  }

  /** Whether another attempt may follow; asking takes it out of the service's budget. */
  take(failure: AttemptFailure, facts: ExchangeFacts): boolean {
    const answer = this.ask(failure);
    if (answer === 'exhausted') this.#engine.observer.retryBudgetExhausted(facts);
    return answer === 'granted';
  }

  /** Whether a second attempt may be made beside one that is under way: as a retry costs. */
  takeHedge(facts: ExchangeFacts): boolean {
    const isGranted = withdrawRetry(this.#budget, this.#engine.clock.wallMs());
    if (!isGranted) this.#engine.observer.retryBudgetExhausted(facts);
    return isGranted;
  }

  /** Whether an answer of this kind would be tried again, had nothing been tried yet. */
  isRetried(failure: AttemptFailure): boolean {
    return mayRetry(this.#host.rules, this.#isRepeatable, noneDone, failure);
  }

  /** The same for who tells of it himself. */
  ask(failure: AttemptFailure): 'granted' | 'refused' | 'exhausted' {
    const { rules } = this.#host;
    if (!mayRetry(rules, this.#isRepeatable, this.#done, failure)) return 'refused';
    const nowMs = this.#engine.clock.wallMs();
    return withdrawRetry(this.#budget, nowMs) ? 'granted' : 'exhausted';
  }

  /** Another attempt follows the failed one. */
  begin(failure: AttemptFailure, endpoint: Endpoint | undefined): void {
    this.#done.total += 1;
    if (!failure.isUnsent) this.#done.afterSent += 1;
    if (endpoint !== undefined) this.avoid(endpoint);
  }

  /** It has failed; others are tried first. */
  avoid(endpoint: Endpoint): void {
    this.#tried ??= new Set();
    this.#tried.add(endpoint.id);
  }

  /** Whether a wait that an endpoint asks for (0: none) and the back-off find their time. */
  canWait(askedMs: number, waits: Pick<ExchangeWaits, 'hasTimeFor' | 'totalLeftMs'>): boolean {
    if (askedMs === 0) return true;
    const isBounded = waits.totalLeftMs !== Infinity;
    const mostMs = isBounded ? retryAfterMaxMs : unboundedAskedMaxMs;
    return askedMs <= mostMs && waits.hasTimeFor(askedMs + retryBackoff.maxMs);
  }

  waitMs(): number {
    return backoffMs(this.#done.total, retryBackoff, this.#engine.random);
  }
}
