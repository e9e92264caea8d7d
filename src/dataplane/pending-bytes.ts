// What a connection holds in memory between exchanges, counted with everything else that is
// buffered: bytes of a client that wait for their turn, unparsed (pipelined requests behind the
// current one, or the rest of a body that its pod is not ready for), and the end of an answer that
// the client has not taken yet.
import type { Counts } from './engine.ts';

export class PendingBytes {
  readonly #counts: Counts;
  #chunks: Buffer[] = [];
  /** Our own, hence kept without another copy when its rest is put back. */
  #taken: Buffer | undefined;
  #bytes = 0;

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a copy: what was read may be overwritten by the next read. */
  push(buffer: Buffer, start: number, end: number): void {
    this.#chunks.push(Buffer.from(buffer.subarray(start, end)));
    this.#count(end - start);
  }

  /** Puts back what is left of a chunk that was taken, or in front of all others. */
  putBack(buffer: Buffer, start: number, end: number): void {
    const rest = buffer.subarray(start, end);
    // A read full of small requests is put back once per request: copies would cost its square.
    this.#chunks.unshift(buffer === this.#taken ? rest : Buffer.from(rest));
    this.#count(end - start);
  }

  take(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    this.#taken = chunk;
    if (chunk !== undefined) this.#count(-chunk.length);
    return chunk;
  }

  takeAll(): readonly Buffer[] {
    const taken = this.#chunks;
    this.#chunks = [];
    this.#taken = undefined;
    this.#count(-this.#bytes);
    return taken;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#counts.bufferedBytes += bytes;
  }
}

/** Bytes that wait for a peer; whose they are, another object knows. */
export class WaitingBytes {
  readonly #counts: BytesCount;
  #bytes = 0;

  constructor(counts: BytesCount) {
    this.#counts = counts;
  }

  /** So many wait now. */
  set(bytes: number): void {
    this.#counts.bufferedBytes += bytes - this.#bytes;
    this.#bytes = bytes;
  }
}

/** Where bytes that wait are counted. */
export type BytesCount = Pick<Counts, 'bufferedBytes'>;

/** What waits for all streams of one client: counted with everything else, and bounded. */
export class ClientBytes implements BytesCount {
  readonly #all: BytesCount;
  readonly #max: number;
  readonly #exceeded: () => void;
  #bytes = 0;

  /** `exceeded` is told whenever more than `max` wait. */
  constructor(all: BytesCount, max: number, exceeded: () => void) {
    this.#all = all;
    this.#max = max;
    this.#exceeded = exceeded;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  set bufferedBytes(bytes: number) {
    this.#all.bufferedBytes += bytes - this.#bytes;
    this.#bytes = bytes;
    if (bytes > this.#max) this.#exceeded();
  }
}
