// Clock, timers and chance that a test moves by hand. Between two timers all promises settle, so
// that a minute of back-off takes a millisecond and happens the same way every time.
import type { Runtime } from '../../../src/lib/clock.ts';
import { seededRandom } from '../../../src/lib/random.ts';

type Pending = { readonly dueMs: number; readonly order: number; readonly callback: () => void };

export class FakeRuntime {
  readonly runtime: Runtime;
  /** Delays of all timers that were ever set, oldest first. */
  readonly delays: number[] = [];
  #nowMs = 0;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(seed = 1) {
    this.runtime = {
      clock: { nowMs: () => this.#nowMs, wallMs: () => 1_700_000_000_000 + this.#nowMs },
      timers: { after: (delayMs, callback) => this.#after(delayMs, callback) },
      random: seededRandom(seed),
    };
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Timers that are set now. */
  get timerCount(): number {
    return this.#pending.size;
  }

  /** Lets time pass: timers run in order, promises settle after each. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await settle();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
      await settle();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  /** Time passes and no timer runs: the machine slept. */
  sleep(byMs: number): void {
    this.#nowMs += byMs;
  }

  #after(delayMs: number, callback: () => void): { readonly cancel: () => void } {
    this.delays.push(delayMs);
    this.#order += 1;
    const pending = { dueMs: this.#nowMs + delayMs, order: this.#order, callback };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  #next(untilMs: number): Pending | undefined {
    let first: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.dueMs > untilMs) continue;
      const isFirst =
        first === undefined ||
        pending.dueMs < first.dueMs ||
        (pending.dueMs === first.dueMs && pending.order < first.order);
      if (isFirst) first = pending;
    }
    return first;
  }
}

/** All promises that can settle without time or network have settled. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
