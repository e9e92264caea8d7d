// How long a connection stays after its last answer. Closing with unread bytes in the kernel would
// turn FIN into RST and may destroy the answer on its way (RFC 9112 9.6), so what still arrives is
// read and dropped for a while. A slow reader may take its time, as long as it takes something.
import { lingerMs } from './limits.ts';

export class Linger {
  readonly #patienceMs: number;
  #leftMs: number;
  #unsentBytes: number;

  /** `patienceMs`: how long a client may take nothing of what it has not got yet. */
  constructor(unsentBytes: number, patienceMs: number) {
    this.#patienceMs = patienceMs;
    this.#leftMs = patienceMs;
    this.#unsentBytes = unsentBytes;
  }

  /** Asked every `lingerMs`. */
  isOver(unsentBytes: number): boolean {
    if (unsentBytes < this.#unsentBytes) this.#leftMs = this.#patienceMs;
    else this.#leftMs -= lingerMs;
    this.#unsentBytes = unsentBytes;
    return unsentBytes === 0 || this.#leftMs <= 0;
  }
}
