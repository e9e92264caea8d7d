// Where reads go. Between bodies all connections of a worker share one buffer, because each read is
// looked at before the next one comes; while a long body flows its connection owns a large one, so
// that pieces are written on from where they were read, uncopied. Invariant: a buffer goes back to
// the pool only when no write queue holds bytes of it. One that is still lent when its body ends
// goes back when the borrower's queue is empty, and counts as owned till then; where a connection
// is cut it is left to the garbage collector.
import { latin1Text } from './http1/bytes.ts';

/** As much as a read of a small message can bring. */
const sharedBytes = 64 * 1024;
/** Four times as much per system call as Node's own reads: a fifth off the cost of long bodies. */
const bodyBytes = 256 * 1024;
/** Bodies in flight that own a buffer at the same time (64 MiB); more of them share and copy. */
const ownersMax = 256;
/** Kept for the next bodies (8 MiB). */
const idleMax = 32;

/** A read that brings as much says that more of the body is coming than the next few packets. */
export const longReadBytes = 16_000;

/** Up to here copying a piece into a text is cheaper than handing the kernel another buffer. */
export const joinBytesMax = 16_000;

/** What every connection reads into that owns nothing; its bytes are gone when the read is over. */
const sharedBuffer = Buffer.allocUnsafeSlow(sharedBytes);

/** The next read of any connection overwrites it. */
export function isShared(buffer: Buffer): boolean {
  return buffer === sharedBuffer;
}

/** `buffer[start, end)` as something that may wait in a write queue. */
export function writable(buffer: Buffer, start: number, end: number): Buffer | string {
  if (end - start <= joinBytesMax) return latin1Text(buffer, start, end);
  const piece = buffer.subarray(start, end);
  return isShared(buffer) ? Buffer.from(piece) : piece;
}

/** The large buffers of a worker. */
export class BodyBuffers {
  readonly #idle: Buffer[] = [];
  readonly #returned: ((buffer: Buffer) => void) | undefined;
  #owners = 0;

  /** `returned` is told of each buffer that comes back: tests poison it. */
  constructor(returned?: (buffer: Buffer) => void) {
    this.#returned = returned;
  }

  get owners(): number {
    return this.#owners;
  }

  /** Undefined when there are too many owners. */
  take(): Buffer | undefined {
    if (this.#owners >= ownersMax) return undefined;
    this.#owners += 1;
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(bodyBytes);
  }

  /** Nobody holds bytes of it any more. */
  give(buffer: Buffer): void {
    this.#owners -= 1;
    this.#returned?.(buffer);
    if (this.#idle.length < idleMax) this.#idle.push(buffer);
  }

  /** Somebody may still hold bytes of it. */
  abandon(): void {
    this.#owners -= 1;
  }
}

/**
 * The buffer of one connection: the shared one, or its own while a long body flows. And what the
 * peers of that connection have read for it: buffers whose bytes are in its write queue.
 */
export class ReadBuffer {
  readonly #pool: BodyBuffers;
  #own: Buffer | undefined;
  /** Its write queue holds bytes of the last read. */
  #borrower: ReadBuffer | undefined;
  /** Hardly ever more than one. */
  readonly #borrowed: Buffer[] = [];
  #isClosed = false;

  constructor(pool: BodyBuffers) {
    this.#pool = pool;
  }

  /** Where the next read goes. */
  get current(): Buffer {
    if (this.#own === undefined) return sharedBuffer;
    if (this.#borrower === undefined) return this.#own;
    this.release();
    this.own();
    return this.#own ?? sharedBuffer;
  }

  /** A long body flows from here on. */
  own(): void {
    if (!this.#isClosed) this.#own ??= this.#pool.take();
  }

  /** The write queue of `borrower`'s connection may hold bytes of the last read. */
  lend(borrower: ReadBuffer): void {
    this.#borrower = borrower;
  }

  /** Whoever it was lent to has an empty write queue. */
  reclaim(): void {
    this.#borrower = undefined;
  }

  /** The body is over; what is lent now is returned by the borrower. Idempotent. */
  release(): void {
    const own = this.#own;
    const borrower = this.#borrower;
    this.#own = undefined;
    this.#borrower = undefined;
    if (own === undefined) return;
    if (borrower === undefined) this.#pool.give(own);
    else borrower.#keep(own);
  }

  /** The write queue of this connection is empty. */
  drained(): void {
    for (let one = this.#borrowed.pop(); one !== undefined; one = this.#borrowed.pop()) {
      this.#pool.give(one);
    }
  }

  /** The connection is gone: nobody knows where the bytes are that it read or was to write. */
  close(): void {
    this.#isClosed = true;
    if (this.#borrower !== undefined) this.release();
    else if (this.#own !== undefined) this.#pool.abandon();
    this.#own = undefined;
    for (; this.#borrowed.length > 0; this.#borrowed.pop()) this.#pool.abandon();
  }

  #keep(buffer: Buffer): void {
    if (this.#isClosed) this.#pool.abandon();
    else this.#borrowed.push(buffer);
  }
}
