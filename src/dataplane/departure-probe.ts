// Has a client that sent FIN left, or does it only send no more and wait for its answer? TCP
// says the same in both cases, until something is written to it: a client that is gone answers
// with RST. So a client that waits gets something that means nothing to it, in two writes, because
// a socket that has read FIN is not watched: the second write is the one that learns of the RST.
// Before the answer that is an interim one, `100 Continue`, which every client of HTTP/1.1 must
// understand at any time (RFC 9110 15.2); between two chunks it is zeros in front of the next
// chunk-size (RFC 9112 7.1). Nothing can be said between the bytes of a body with a length.
// Quick answers come before the probe, and nobody sees it.
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

/** An answer that comes within this makes the probe needless. */
const patienceMs = 400;
/** Between the two writes: an RST has a round trip on a node's own network to arrive. */
const gapMs = 50;

/** What is written first, and what makes it whole. */
export type ProbeHalves = readonly [string, string];

export const interimHalves: ProbeHalves = ['HTTP/1.1 100 Continue\r\n', '\r\n'];
export const chunkHalves: ProbeHalves = ['0', '0'];

export class DepartureProbe {
  readonly #socket: NetworkSocket;
  readonly #deadlines: Deadlines;
  readonly #halves: ProbeHalves;
  readonly #deadline = new Deadline(() => this.#next());
  #isHalfSent = false;

  constructor(socket: NetworkSocket, deadlines: Deadlines, halves: ProbeHalves) {
    this.#socket = socket;
    this.#halves = halves;
    this.#deadlines = deadlines;
  }

  start(): void {
    this.#deadlines.arm(this.#deadline, patienceMs);
  }

  /** An answer begins, or there is nothing to wait for: what was begun is made whole. */
  stop(): void {
    this.#deadlines.disarm(this.#deadline);
    if (this.#isHalfSent) this.#next();
  }

  #next(): void {
    if (this.#socket.destroyed) return;
    const [first, second] = this.#halves;
    if (this.#isHalfSent) {
      this.#isHalfSent = false;
      this.#socket.write(second, 'latin1');
    } else {
      this.#isHalfSent = true;
      this.#socket.write(first, 'latin1');
      this.#deadlines.arm(this.#deadline, gapMs);
    }
  }
}
