// What a client's connection waits for: one phase at a time, each with its time. Made once per
// connection; a phase that begins ends the one before. It knows no phase's meaning.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

export type Phase = 'none' | 'head' | 'keep-alive' | 'body' | 'linger';

export class PhaseDeadline {
  readonly #deadlines: Deadlines;
  readonly #deadline: Deadline;
  #phase: Phase = 'none';

  /** `expired` is told which phase took too long; by then none is under way. */
  constructor(deadlines: Deadlines, expired: (phase: Phase) => void) {
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(() => {
      const phase = this.#phase;
      this.#phase = 'none';
      expired(phase);
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  begin(phase: Phase, delayMs: number): void {
    this.#phase = phase;
    this.#deadlines.arm(this.#deadline, delayMs);
  }

  end(): void {
    this.#phase = 'none';
    this.#deadlines.disarm(this.#deadline);
  }
}
