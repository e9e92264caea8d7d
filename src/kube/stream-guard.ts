// Watches over one open stream: aborts it when it was silent for too long or is not wanted any
// more, and then says which of the two it was. The check looks at the time of the last byte, so
// that a busy stream costs no timer per chunk.
import type { Runtime, Timer } from '../lib/clock.ts';
import { KubeFailure, failureOfError } from './client.ts';

export class StreamGuard {
  readonly #runtime: Runtime;
  readonly #abort = new AbortController();
  #silenceMaxMs: number;
  #lastMs: number;
  #timer: Timer;
  #wasSilent = false;

  constructor(runtime: Runtime, silenceMaxMs: number) {
    this.#runtime = runtime;
    this.#silenceMaxMs = silenceMaxMs;
    this.#lastMs = runtime.clock.nowMs();
    this.#timer = runtime.timers.after(silenceMaxMs, () => this.#check());
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Something arrived. */
  touch(): void {
    this.#lastMs = this.#runtime.clock.nowMs();
  }

  /** From now on this silence is allowed. */
  allow(silenceMaxMs: number): void {
    this.#silenceMaxMs = silenceMaxMs;
  }

  cancel(): void {
    this.#abort.abort();
  }

  /** The stream is over; idempotent. */
  end(): void {
    this.#timer.cancel();
  }

  /** The failure that the stream's error means. */
  explain(error: unknown): unknown {
    if (!this.#abort.signal.aborted) return error;
    if (!this.#wasSilent) return failureOfError('a watch', this.#abort.signal.reason);
    const message = `a watch was silent for ${this.#silenceMaxMs}ms (hint: the connection is dead)`;
    return new KubeFailure('Timeout', message, { cause: error });
  }

  #check(): void {
    const silentMs = this.#runtime.clock.nowMs() - this.#lastMs;
    if (silentMs < this.#silenceMaxMs) {
      // Rounded up: a rest of a picosecond would come due at the same instant for ever.
      const leftMs = Math.ceil(this.#silenceMaxMs - silentMs);
      this.#timer = this.#runtime.timers.after(leftMs, () => this.#check());
      return;
    }
    this.#wasSilent = true;
    this.#abort.abort();
  }
}
