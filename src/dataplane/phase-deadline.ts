// What a client's connection waits for: one phase at a time, each with its time. Made once per
// connection; a phase that begins ends the one before. It knows no phase's meaning. Progress is
// noted, not armed: the deadline looks at the note when it is due, and goes on if there was some.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

export type Phase = 'none' | 'head' | 'keep-alive' | 'body' | 'linger';

export class PhaseDeadline {
  readonly #deadlines: Deadlines;
  readonly #deadline: Deadline;
  #phase: Phase = 'none';
  #delayMs = 0;
  #activeMs = 0;

  /** `expired` is told which phase took too long; by then none is under way. */
  constructor(deadlines: Deadlines, expired: (phase: Phase) => void) {
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(() => {
      const phase = this.#phase;
      const leftMs = this.#activeMs + this.#delayMs - deadlines.nowMs();
      if (leftMs > 0) deadlines.arm(this.#deadline, leftMs);
      else {
        this.#phase = 'none';
        expired(phase);
      }
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  begin(phase: Phase, delayMs: number): void {
    this.#phase = phase;
    this.#delayMs = delayMs;
    this.touch();
    this.#deadlines.arm(this.#deadline, delayMs);
  }

  /** Some of what is waited for has come: its time begins anew. */
  touch(): void {
    this.#activeMs = this.#deadlines.nowMs();
  }

  end(): void {
    this.#phase = 'none';
    this.#deadlines.disarm(this.#deadline);
  }
}
