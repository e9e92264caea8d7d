// Bytes of a client that wait for their turn, unparsed: pipelined requests behind the current
// one, or the rest of a body that its pod is not ready for. Counted with everything else that is
// buffered.
import type { Counts } from './engine.ts';

export class PendingBytes {
  readonly #counts: Counts;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#count(chunk.length);
  }

  /** Puts back what is left of a chunk that was taken. */
  putBack(rest: Buffer): void {
    this.#chunks.unshift(rest);
    this.#count(rest.length);
  }

  take(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#count(-chunk.length);
    return chunk;
  }

  takeAll(): readonly Buffer[] {
    const taken = this.#chunks;
    this.#chunks = [];
    this.#count(-this.#bytes);
    return taken;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#counts.bufferedBytes += bytes;
  }
}
