// While a connection is not read from nobody hears that its client is gone; so the kernel is asked
// now and then.
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { pausedLookMs } from './limits.ts';

export class PausedLook {
  readonly #deadlines: Deadlines;
  readonly #socket: NetworkSocket;
  readonly #next: Deadline;

  /** `guard` runs what expires. */
  constructor(
    deadlines: Deadlines,
    socket: NetworkSocket,
    guard: (step: () => void) => void,
  ) {
    this.#deadlines = deadlines;
    this.#socket = socket;
    this.#next = new Deadline(() => guard(() => this.#look()));
  }

  /** From now on it is paused, or no longer. */
  set(isPaused: boolean): void {
    if (isPaused) this.#deadlines.arm(this.#next, pausedLookMs);
    else this.end();
  }

  /** Idempotent. */
  end(): void {
    this.#deadlines.disarm(this.#next);
  }

  #look(): void {
    this.#socket.findFault?.();
    if (!this.#socket.destroyed) this.set(true);
  }
}
