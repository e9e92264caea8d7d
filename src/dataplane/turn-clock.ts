// The clock of a worker. What happens in answer to one read happens at one time: the clock is read
// once when it begins, because a request asks for the time a dozen times and each reading costs as
// much as parsing a field. Outside of such a turn every question reads the real clock.
import type { Clock } from '../lib/clock.ts';

/** Wall time is for the Date field and for budgets that count seconds. */
const wallPrecisionMs = 10;

export class TurnClock implements Clock {
  readonly #clock: Clock;
  #isInTurn = false;
  #nowMs = 0;
  #wallMs = 0;
  #wallReadMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(): void {
    this.#nowMs = this.#clock.nowMs();
    this.#isInTurn = true;
  }

  end(): void {
    this.#isInTurn = false;
  }

  nowMs(): number {
    return this.#isInTurn ? this.#nowMs : this.#clock.nowMs();
  }

  wallMs(): number {
    if (!this.#isInTurn) return this.#clock.wallMs();
    if (this.#nowMs - this.#wallReadMs > wallPrecisionMs) {
      this.#wallMs = this.#clock.wallMs();
      this.#wallReadMs = this.#nowMs;
    }
    return this.#wallMs;
  }
}
