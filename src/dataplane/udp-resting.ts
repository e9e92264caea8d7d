// Sockets of flows that have ended while an answer of the pod may still be on its way. The kernel
// would give their ports to the next flows, perhaps of another client to the same pod, and the late
// answer would be that client's; so a socket that has sent lately keeps its port for a while, and
// what comes to it is dropped.
// Invariant: never more than `max`; the one that has rested longest goes for another.
import type { ConnectedDatagrams } from '../lib/datagrams.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { leavingMs } from './udp-limits.ts';

export class RestingSockets {
  readonly #deadlines: Deadlines;
  readonly #max: number;
  /** Until when, oldest first: all rest for the same time. */
  readonly #untilMs = new Map<ConnectedDatagrams, number>();
  readonly #deadline = new Deadline(() => this.#closeOver());

  constructor(deadlines: Deadlines, max: number) {
    this.#deadlines = deadlines;
    this.#max = max;
  }

  get size(): number {
    return this.#untilMs.size;
  }

  nowMs(): number {
    return this.#deadlines.nowMs();
  }

  /** Closes it now if nothing is answered any more to what it sent at `sentMs`, or else later. */
  closeLater(socket: ConnectedDatagrams, sentMs: number): void {
    const nowMs = this.nowMs();
    if (nowMs - sentMs >= leavingMs) {
      socket.close();
      return;
    }
    if (this.#untilMs.size >= this.#max) this.#closeOldest();
    this.#untilMs.set(socket, nowMs + leavingMs);
    if (!this.#deadline.isArmed) this.#deadlines.arm(this.#deadline, leavingMs);
  }

  close(): void {
    this.#deadlines.disarm(this.#deadline);
    for (const socket of this.#untilMs.keys()) socket.close();
    this.#untilMs.clear();
  }

  #closeOldest(): void {
    for (const oldest of this.#untilMs.keys()) {
      this.#untilMs.delete(oldest);
      oldest.close();
      return;
    }
  }

  #closeOver(): void {
    const nowMs = this.nowMs();
    for (const untilMs of this.#untilMs.values()) {
      if (untilMs > nowMs) {
        this.#deadlines.arm(this.#deadline, untilMs - nowMs);
        return;
      }
      this.#closeOldest();
    }
  }
}
