// The body of one request on its way from the client to whichever endpoint an attempt uses. It
// holds a copy while there is no connection to write to, and goes on holding up to 64 kB of what
// was sent while the request may still be sent again; longer bodies are sent once. Invariant:
// everything that came is either held, or was written to the one current connection.
import type { Client } from './client.ts';
import type { Counts } from './engine.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { replayBytesMax } from './limits.ts';
import type { Carriage } from './tunnel-wait.ts';

/** Who copies a body: told of all of it, and of one of two ends. */
export type BodyTaker = {
  add(buffer: Buffer, start: number, end: number): void;
  complete(trailers: Fields | undefined): void;
  /** What came will never be a whole request. */
  abandon(): void;
};

/** Less than half of what Node cuts small buffers from: anything else costs an allocation of C. */
const smallestHold = 512;
const nothing = Buffer.alloc(0);

export class RequestBody {
  /** Names that the request's Connection lists. */
  readonly #nominated: ReadonlySet<string>;
  readonly #counts: Counts;
  #target: Carriage | undefined;
  #held = nothing;
  #heldBytes = 0;
  #isHolding = true;
  #isComplete: boolean;
  #trailers: Fields | undefined;
  #bytes = 0;
  /** Sent, but not taken by the kernel yet. */
  #waitingBytes = 0;
  #copy: BodyTaker | undefined;
  readonly #client: Client;

  constructor(client: Client, head: HttpRequestHead, isComplete: boolean, counts: Counts) {
    this.#client = client;
    this.#nominated = head.nominated;
    this.#isComplete = isComplete;
    this.#counts = counts;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Nothing came but its end; the same can be said to another connection. */
  get isEmpty(): boolean {
    return this.#isComplete && this.#bytes === 0 && this.#trailers === undefined;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All that came so far can be sent to another connection. */
  get isReplayable(): boolean {
    return this.#isHolding;
  }

  /** Takes a piece; false: wait for `upstreamDrained`, or for the connection, before more. */
  add(buffer: Buffer, start: number, end: number): boolean {
    this.#bytes += end - start;
    this.#copy?.add(buffer, start, end);
    const target = this.#target;
    if (target === undefined) {
      this.#hold(buffer, start, end);
      return this.#heldBytes < replayBytesMax;
    }
    if (this.#heldBytes + end - start > replayBytesMax) this.stopHolding();
    else if (this.#isHolding) this.#hold(buffer, start, end);
    return target.sendBody(buffer, start, end);
  }

  /** Everything written leaves; what the kernel does not take holds up the client. */
  flush(connection: Carriage): void {
    connection.flush();
    if (connection.unsentBytes === 0) return;
    this.#client.buffer.lend(connection.buffer);
    if (!connection.isFull) return;
    this.#countWaiting(connection.unsentBytes);
    this.#client.pauseReading();
  }

  /** The kernel has taken what it had not. */
  drained(): void {
    this.clearWaiting();
    this.#client.buffer.reclaim();
  }

  /** What waited for the endpoint has gone, or nobody waits any more. Idempotent. */
  clearWaiting(): void {
    this.#countWaiting(0);
  }

  complete(trailers: Fields | undefined): void {
    this.#isComplete = true;
    this.#trailers = trailers;
    this.#target?.endBody(trailers, this.#nominated);
    this.#copy?.complete(trailers);
    this.#copy = undefined;
  }

  /** Before the first connection, while all that came is held. */
  copyTo(copy: BodyTaker): void {
    if (this.#heldBytes > 0) copy.add(this.#held, 0, this.#heldBytes);
    if (this.#isComplete) copy.complete(this.#trailers);
    else this.#copy = copy;
  }

  /**
   * Writes what is held to the connection, which is corked; later pieces follow by themselves.
   * `isRepeatable`: keep the copy for another attempt.
   */
  sendTo(connection: Carriage, isRepeatable: boolean): void {
    this.#target = connection;
    if (this.#heldBytes > 0) connection.sendBody(this.#held, 0, this.#heldBytes);
    if (!isRepeatable || this.#heldBytes > replayBytesMax) this.stopHolding();
    if (this.#isComplete) connection.endBody(this.#trailers, this.#nominated);
  }

  /** The attempt is over: what comes now is held again. */
  detach(): void {
    this.#target = undefined;
    this.clearWaiting();
  }

  /** Nobody wants it any more. Idempotent. */
  end(): void {
    this.stopHolding();
    this.clearWaiting();
    this.#copy?.abandon();
    this.#copy = undefined;
  }

  /** Frees the copy; the body cannot be sent again. Idempotent. */
  stopHolding(): void {
    this.#isHolding = false;
    this.#counts.bufferedBytes -= this.#heldBytes;
    this.#held = nothing;
    this.#heldBytes = 0;
  }

  #countWaiting(bytes: number): void {
    this.#counts.bufferedBytes += bytes - this.#waitingBytes;
    this.#waitingBytes = bytes;
  }

  /** Copies, because a small piece would keep the whole buffer of its read alive. */
  #hold(buffer: Buffer, start: number, end: number): void {
    const needed = this.#heldBytes + end - start;
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(smallestHold, needed, 2 * this.#held.length));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    buffer.copy(this.#held, this.#heldBytes, start, end);
    this.#heldBytes = needed;
    this.#counts.bufferedBytes += end - start;
  }
}
