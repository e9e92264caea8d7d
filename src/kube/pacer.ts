// Shares the event loop: whoever works through thousands of objects adds up the time that it worked
// and pauses when it has had its slice, so that probes, DNS and timers never wait for a list.
import type { Runtime } from '../lib/clock.ts';

/** With one more object and a collection of garbage still below the 20 ms that are allowed. */
const sliceMs = 5;

export class Pacer {
  readonly #runtime: Runtime;
  #workedMs = 0;
  #startedMs = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  begin(): void {
    this.#startedMs = this.#runtime.clock.nowMs();
  }

  /** True when the slice is used up: await `pause` then. */
  end(): boolean {
    this.#workedMs += this.#runtime.clock.nowMs() - this.#startedMs;
    return this.#workedMs >= sliceMs;
  }

  pause(): Promise<void> {
    this.#workedMs = 0;
    return new Promise((resolve) => {
      this.#runtime.timers.after(0, resolve);
    });
  }
}
