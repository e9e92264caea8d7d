// Is the client of a connection still there? Two cases in which its socket does not tell by itself:
// it has sent FIN and may wait for its answer (departure-probe.ts), or it is not read from
// (paused-look.ts). Both are rare, so what they need is made when it is first needed.
import type { NetworkSocket } from '../lib/network.ts';
import type { Deadlines } from './deadlines.ts';
import { DepartureProbe } from './departure-probe.ts';
import type { ProbeHalves } from './departure-probe.ts';
import { PausedLook } from './paused-look.ts';

export class ClientWatch {
  readonly #socket: NetworkSocket;
  readonly #deadlines: Deadlines;
  readonly #guard: (step: () => void) => void;
  #probe: DepartureProbe | undefined;
  #look: PausedLook | undefined;

  /** `guard` runs what expires. */
  constructor(
    socket: NetworkSocket,
    deadlines: Deadlines,
    guard: (step: () => void) => void,
  ) {
    this.#socket = socket;
    this.#deadlines = deadlines;
    this.#guard = guard;
  }

  /** From now on the client is not read from, or is again. */
  setPaused(isPaused: boolean): void {
    this.#look ??= new PausedLook(this.#deadlines, this.#socket, this.#guard);
    this.#look.set(isPaused);
  }

  /** It has sent FIN, and its answer has not come. */
  startProbe(halves: ProbeHalves): void {
    this.#probe = new DepartureProbe(this.#socket, this.#deadlines, halves);
    this.#probe.start();
  }

  stopProbe(): void {
    this.#probe?.stop();
    this.#probe = undefined;
  }

  /** The connection is gone. */
  end(): void {
    this.stopProbe();
    this.#look?.end();
  }
}
