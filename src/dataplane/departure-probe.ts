// Has a client that sent FIN left, or does it only send no more and wait for its answer? TCP
// says the same in both cases, until something is written to it: a client that is gone answers
// with RST. So a client that waits gets an interim answer, `100 Continue`, which every client of
// HTTP/1.1 must understand at any time (RFC 9110 15.2). It goes out in two writes, because a
// socket that has read FIN is not watched: the second write is the one that learns of the RST.
// Quick answers come before the probe, and nobody sees it.
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

/** An answer that comes within this makes the probe needless. */
const patienceMs = 400;
/** Between the two writes: an RST has a round trip on a node's own network to arrive. */
const gapMs = 50;

const firstHalf = 'HTTP/1.1 100 Continue\r\n';
const secondHalf = '\r\n';

export class DepartureProbe {
  readonly #socket: NetworkSocket;
  readonly #deadlines: Deadlines;
  readonly #deadline = new Deadline(() => this.#next());
  #isHalfSent = false;

  constructor(socket: NetworkSocket, deadlines: Deadlines) {
    this.#socket = socket;
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
    if (this.#isHalfSent) {
      this.#isHalfSent = false;
      this.#socket.write(secondHalf, 'latin1');
    } else {
      this.#isHalfSent = true;
      this.#socket.write(firstHalf, 'latin1');
      this.#deadlines.arm(this.#deadline, gapMs);
    }
  }
}
