// The circuit breakers of a proxy, on its control thread: one state machine (opossum) for each
// service with an expression, driven by what the workers have counted. It never fires anything
// through opossum: traffic reads one word of state in shared memory. Open for 10 s, then half-open
// while the share of requests grows over 10 s; a breaker is reset by a change of its expression
// alone, whatever else of the mesh changes.
import CircuitBreaker from 'opossum';
import { parseBreakerExpression, type BreakerExpression } from '../lib/breaker-expression.ts';
import type { Clock, Timer, Timers } from '../lib/clock.ts';
import type { BreakerRule, Snapshot } from '../snapshot/index.ts';
import type { BreakerCells, BreakerState, Log } from '../telemetry/index.ts';
import { holds, requestsMin } from './breaker-verdict.ts';

const lookMs = 100;
const openMs = 10_000;
const rampMs = 10_000;

export type BreakersOptions = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Of `namespace/service`; undefined: it has no slot. */
  readonly cellsOf: (key: string) => BreakerCells | undefined;
};

type Breaker = {
  readonly rule: BreakerRule;
  readonly expression: BreakerExpression;
  readonly cells: BreakerCells;
  readonly machine: CircuitBreaker;
};

export type BreakerSample = {
  readonly labels: {
    readonly destination_namespace: string;
    readonly destination_service: string;
  };
  readonly value: number;
};

const stateValues: Readonly<Record<BreakerState, number>> = {
  closed: 0,
  'half-open': 1,
  open: 2,
};

export class Breakers {
  readonly #options: BreakersOptions;
  readonly #breakers = new Map<string, Breaker>();
  #timer: Timer | undefined;

  constructor(options: BreakersOptions) {
    this.#options = options;
  }

  /** Breakers for the services of `snapshot`, and for no others. Slots follow it before. */
  follow(snapshot: Snapshot): void {
    const wanted = new Map<string, BreakerRule>();
    for (const { section } of snapshot.sections.values()) {
      if (section.kind !== 'service') continue;
      const rule = section.rules.shaping?.breaker;
      if (rule !== undefined) wanted.set(`${section.namespace}/${section.name}`, rule);
    }
    for (const [key, breaker] of this.#breakers) {
      const isSame = wanted.get(key)?.expression === breaker.rule.expression;
      const slot = this.#options.cellsOf(key)?.slot;
      if (isSame && slot === breaker.cells.slot) wanted.delete(key);
      else this.#remove(key, breaker);
    }
    for (const [key, rule] of wanted) this.#add(key, rule);
    if (this.#timer === undefined && this.#breakers.size > 0) this.#lookAgain();
  }

  /** Opens those whose expression holds, closes those that have been well; ten times a second. */
  look(): void {
    const wallMs = this.#options.clock.wallMs();
    for (const { rule, expression, cells, machine } of this.#breakers.values()) {
      if (machine.opened) continue;
      const { ratios } = rule;
      const isBusy = cells.total(wallMs) >= requestsMin;
      if (isBusy && holds({ expression, ratios, window: cells.window(wallMs) })) machine.open();
      else if (machine.halfOpen && cells.stateAgeMs(wallMs) >= rampMs) machine.close();
    }
  }

  /** Of `weft_circuit_state`. */
  samples(): readonly BreakerSample[] {
    return [...this.#breakers].map(([key, { cells }]) => {
      const [destination_namespace = '', destination_service = ''] = key.split('/');
      const labels = { destination_namespace, destination_service };
      return { labels, value: stateValues[cells.state] };
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const [key, breaker] of this.#breakers) this.#remove(key, breaker);
  }

  #add(key: string, rule: BreakerRule): void {
    const expression = parseBreakerExpression(rule.expression);
    const cells = this.#options.cellsOf(key);
    if (expression === undefined || cells === undefined) return;
    // The defaults of opossum are for promises that it fires; none is.
    const machine = new CircuitBreaker(neverFired, {
      name: key,
      timeout: false,
      resetTimeout: openMs,
      rollingCountBuckets: 1,
    });
    const enter = (state: BreakerState): void => {
      // Each state judges by what happens in it.
      cells.clearWindow();
      cells.enter(state, this.#options.clock.wallMs());
      this.#options.log.warn('circuit breaker changed', { service: key, state });
    };
    machine.on('open', () => enter('open'));
    machine.on('halfOpen', () => enter('half-open'));
    machine.on('close', () => enter('closed'));
    this.#breakers.set(key, { rule, expression, cells, machine });
  }

  #remove(key: string, { cells, machine }: Breaker): void {
    machine.removeAllListeners();
    machine.shutdown();
    cells.clearWindow();
    cells.enter('closed', this.#options.clock.wallMs());
    this.#breakers.delete(key);
  }

  #lookAgain(): void {
    this.#timer = this.#options.timers.after(lookMs, () => {
      this.#timer = undefined;
      this.look();
      if (this.#breakers.size > 0) this.#lookAgain();
    });
  }
}

function neverFired(): Promise<never> {
  return Promise.reject(new Error('BUG: a breaker was fired'));
}
