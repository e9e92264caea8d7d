// One stream of a session (RFC 9113 section 5): what its user does with it, and the state that the
// session keeps of it. What is sent leaves at once where both windows and the transport allow it
// and is copied into a queue where they do not; what was received is granted again as the user says
// that it has been passed on. Invariant: after `isClosed` nothing is sent and nothing is told.
import type { HeaderField } from './hpack-table.ts';
import type { MessageFacts } from './message-rules.ts';

/** What a stream asks of its session. */
export type StreamLink<User> = {
  sendHead(stream: Http2Stream<User>, fields: readonly HeaderField[]): void;
  /** How many of the bytes could leave. */
  sendNow(stream: Http2Stream<User>, buffer: Buffer, start: number, end: number): number;
  sendEnd(stream: Http2Stream<User>, trailers: readonly HeaderField[] | undefined): void;
  resetByUser(stream: Http2Stream<User>, code: number): void;
  grant(stream: Http2Stream<User>, bytes: number): void;
};

/** Never added to: most streams never wait. */
const noPieces: Buffer[] = [];

export class Http2Stream<User> {
  /** 0 until a client has sent the head of its request. */
  id = 0;
  /** Whose it is; undefined until a server has set it. */
  user: User | undefined;
  /** The peer has sent its last frame of this stream. */
  hasEnded = false;
  /** We have sent ours. */
  isSendingOver = false;
  /** Over, in whatever way. */
  isClosed = false;
  // The session's, from here on.
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** Received, and not passed on yet. */
  unconsumed = 0;
  /** Passed on, and not granted again yet. */
  ungranted = 0;
  /** Content received, and how much content-length says that there is. */
  contentBytes = 0;
  contentLength: number | undefined;
  /** The head of the message has come, and not only an interim one. */
  hasHead = false;
  /** The answer to it has no content, whatever its content-length. */
  asksHead = false;
  /** Of the list that it is in (stream-index.ts). */
  older: Http2Stream<User> | undefined;
  newer: Http2Stream<User> | undefined;
  isListed = false;
  readonly openedMs: number;
  readonly #link: StreamLink<User>;
  #queue: Buffer[] = noPieces;
  #queuedBytes = 0;
  #isEndQueued = false;
  #trailers: readonly HeaderField[] | undefined;

  constructor(link: StreamLink<User>, user: User | undefined, start: StreamStart) {
    this.#link = link;
    this.user = user;
    this.id = start.id;
    this.sendWindow = start.sendWindow;
    this.receiveWindow = start.receiveWindow;
    this.openedMs = start.nowMs;
  }

  /** Bytes that wait for a window or for the transport. */
  get unsentBytes(): number {
    return this.#queuedBytes;
  }

  /** No more should be sent now: `drained` tells when. */
  get isFull(): boolean {
    return this.#queuedBytes > 0;
  }

  /** The peer may take more of it at once, but for the window of the connection. */
  get isSendable(): boolean {
    return this.#queuedBytes > 0 && this.sendWindow > 0;
  }

  get isTooLong(): boolean {
    return this.contentLength !== undefined && this.contentBytes > this.contentLength;
  }

  get isTooShort(): boolean {
    return this.contentLength !== undefined && this.contentBytes < this.contentLength;
  }

  /** The session's: takes the head of a message; false: it cannot end here, or must. */
  expects({ status, contentLength }: MessageFacts, endsStream: boolean): boolean {
    // Interim, and the final one is still to come.
    if (status > 0 && status < 200) return !endsStream;
    const isEmpty = this.asksHead || status === 204 || status === 304;
    this.contentLength = isEmpty ? 0 : contentLength;
    this.hasHead = true;
    this.hasEnded = endsStream;
    return !endsStream || !this.isTooShort;
  }

  /** A head; a server may send interim ones before the final one. */
  sendHeaders(fields: readonly HeaderField[]): void {
    if (!this.isClosed && !this.isSendingOver) this.#link.sendHead(this, fields);
  }

  /** Copies what cannot leave now. False: full, wait for `drained`. */
  sendData(buffer: Buffer, start: number, end: number): boolean {
    if (this.isClosed || this.isSendingOver || this.#isEndQueued || start === end) return true;
    const sent = this.#queuedBytes > 0 ? 0 : this.#link.sendNow(this, buffer, start, end);
    if (start + sent === end) return true;
    const rest = Buffer.from(buffer.subarray(start + sent, end));
    if (this.#queue === noPieces) this.#queue = [rest];
    else this.#queue.push(rest);
    this.#queuedBytes += rest.length;
    return false;
  }

  /** Ends what we send, behind what is queued; with trailers, where there are any. */
  end(trailers?: readonly HeaderField[]): void {
    if (this.isClosed || this.isSendingOver || this.#isEndQueued) return;
    if (this.#queuedBytes > 0) {
      this.#isEndQueued = true;
      this.#trailers = trailers;
    } else {
      this.#link.sendEnd(this, trailers);
    }
  }

  /** Ends both ways at once; the user hears nothing more of it but `closed`. Idempotent. */
  reset(code: number): void {
    if (!this.isClosed) this.#link.resetByUser(this, code);
  }

  /** So many bytes of what was received are no longer held by anybody here. */
  consumed(bytes: number): void {
    if (!this.isClosed) this.#link.grant(this, Math.min(bytes, this.unconsumed));
  }

  /** The session's: sends what is queued, as far as it goes and not more than `most` bytes. */
  pump(most: number): void {
    let left = most;
    while (left > 0) {
      const piece = this.#queue[0];
      if (piece === undefined) break;
      const sent = this.#link.sendNow(this, piece, 0, Math.min(piece.length, left));
      if (sent === 0) return;
      left -= sent;
      this.#queuedBytes -= sent;
      if (sent === piece.length) this.#queue.shift();
      else this.#queue[0] = piece.subarray(sent);
    }
    if (this.#queuedBytes === 0 && this.#isEndQueued) this.#link.sendEnd(this, this.#trailers);
  }

  /** The session's: forgets what is queued. */
  drop(): void {
    this.#queue = noPieces;
    this.#queuedBytes = 0;
    this.#isEndQueued = false;
    this.#trailers = undefined;
  }
}

export type StreamStart = {
  readonly id: number;
  readonly sendWindow: number;
  readonly receiveWindow: number;
  readonly nowMs: number;
};
