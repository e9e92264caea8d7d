// One attempt's stream of an HTTP/2 connection to a pod: to its exchange it is what a connection of
// HTTP/1.1 is, one request and its answer. What is sent is copied into frames, so that no buffer is
// ever lent; what comes is granted again when the client has taken it, so that a slow client holds
// up its own stream and no other. Invariant: after `release`, `destroy` or `fail` the exchange
// hears nothing any more.
import type { Fields } from './http1/fields.ts';
import type { RequestIds } from './http1/serialise.ts';
import type { Plan } from './hop.ts';
import { trailerLines } from './http2-fields.ts';
import { errorCode } from './http2/frames.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import type { Http2Stream } from './http2/stream.ts';
import type { AnswerHeads, RequestLines } from './http2-heads.ts';
import { ReadBuffer } from './read-buffers.ts';
import type { BodyBuffers } from './read-buffers.ts';
import type { Carriage } from './tunnel-wait.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream.ts';

export type CarriageOwner = {
  readonly buffers: BodyBuffers;
  readonly requests: RequestLines;
  readonly answers: AnswerHeads;
  /** It waits for no connection any more. */
  left(carriage: Http2Carriage): void;
  /** It has heard something in the read that is under way: `readEnded` is due. */
  touched(carriage: Http2Carriage): void;
  bugFound(error: unknown): void;
};

export class Http2Carriage implements Carriage {
  readonly takenMs: number;
  readonly #owner: CarriageOwner;
  #stream: Http2Stream<Http2Carriage> | undefined;
  #user: UpstreamUser | undefined;
  /** Who heard something in the read that is under way, and may be gone by now. */
  #heard: UpstreamUser | undefined;
  #buffer: ReadBuffer | undefined;
  #hasHead = false;
  #isSent = false;
  #isPaused = false;
  #isOver = false;

  constructor(owner: CarriageOwner, takenMs: number) {
    this.#owner = owner;
    this.takenMs = takenMs;
  }

  /** Asked for where something has to wait. */
  get buffer(): ReadBuffer {
    this.#buffer ??= new ReadBuffer(this.#owner.buffers);
    return this.#buffer;
  }

  /** It can be written to. */
  get isReady(): boolean {
    return this.#stream !== undefined;
  }

  get isSent(): boolean {
    return this.#isSent;
  }

  get unsentBytes(): number {
    return this.#stream?.unsentBytes ?? 0;
  }

  get isFull(): boolean {
    return this.#stream?.isFull ?? false;
  }

  use(user: UpstreamUser): void {
    this.#user = user;
  }

  /** The stream is there. */
  begin(stream: Http2Stream<Http2Carriage>): void {
    this.#stream = stream;
  }

  /** Those who waited for the connection are told. */
  connected(): void {
    this.#guard(() => this.#user?.upstreamConnected());
  }

  // ---- what the exchange sends ----------------------------------------------------------------

  sendHead(plan: Plan, ids: RequestIds): void {
    this.#hasHead = true;
    this.#stream?.sendHeaders(this.#owner.requests.of(plan.podParts(), ids));
  }

  sendBody(buffer: Buffer, start: number, end: number): boolean {
    return this.#stream?.sendData(buffer, start, end) ?? true;
  }

  endBody(trailers: Fields | undefined, nominated: ReadonlySet<string>): void {
    const lines = trailers === undefined ? undefined : trailerLines(trailers, nominated);
    this.#stream?.end(lines?.length === 0 ? undefined : lines);
  }

  /** Frames leave at the end of the turn. */
  flush(): void {
    if (this.#hasHead) this.#isSent = true;
  }

  cork(): void {
    return;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#grant();
  }

  /** The answer is complete; a pod that has not taken all of the request need not any more. */
  release(): void {
    const stream = this.#stream;
    this.#detach();
    if (stream?.isSendingOver === false) stream.reset(errorCode.cancel);
  }

  /** Idempotent. */
  destroy(): void {
    const stream = this.#stream;
    this.#detach();
    stream?.reset(errorCode.cancel);
  }

  write(): boolean {
    return neverSwitched();
  }

  endTunnel(): void {
    neverSwitched();
  }

  leaveTunnel(): void {
    neverSwitched();
  }

  // ---- what the session tells -----------------------------------------------------------------

  headCame(fields: readonly DecodedField[], isWhole: boolean): void {
    const user = this.#user;
    if (user === undefined) return;
    this.#touch();
    const head = this.#owner.answers.of(fields, user.request.method === 'HEAD', isWhole);
    // No closures here: this is the way of every call.
    try {
      if (head.status < 200) user.interimAnswered(head);
      else user.answered(head);
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  dataCame(buffer: Buffer, start: number, end: number): void {
    if (this.#user === undefined) return;
    this.#touch();
    try {
      this.#user.answerData(buffer, start, end);
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  ended(trailers: readonly DecodedField[] | undefined): void {
    const user = this.#user;
    if (user === undefined) return;
    this.#touch();
    const fields = trailers === undefined ? undefined : this.#owner.answers.trailersOf(trailers);
    try {
      user.answerEnded(fields);
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  drained(): void {
    this.#buffer?.drained();
    this.#guard(() => this.#user?.upstreamDrained());
  }

  /** All that one read brought has been told. */
  readEnded(): void {
    const user = this.#heard;
    this.#heard = undefined;
    try {
      user?.upstreamReadEnded();
    } catch (error) {
      this.#endAfterBug(error);
    }
    if (!this.#isPaused) this.#grant();
  }

  fail(kind: UpstreamFailure['kind'], detail: string, isUnsent = !this.#isSent): void {
    const user = this.#user;
    if (isUnsent) this.#isSent = false;
    this.#detach();
    this.#guard(() => user?.upstreamFailed({ kind, isUnsent, detail }));
  }

  // ---- ends -----------------------------------------------------------------------------------

  #touch(): void {
    if (this.#heard !== undefined) return;
    this.#heard = this.#user;
    this.#owner.touched(this);
  }

  #grant(): void {
    const stream = this.#stream;
    if (stream !== undefined && stream.unconsumed > 0) stream.consumed(stream.unconsumed);
  }

  #detach(): void {
    this.#user = undefined;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#buffer?.close();
    this.#owner.left(this);
  }

  /** A bug ends this stream and its exchange, not the others of the connection. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  #endAfterBug(error: unknown): void {
    const user = this.#user;
    this.#owner.bugFound(error);
    this.destroy();
    try {
      user?.upstreamFailed({ kind: 'bug', isUnsent: false, detail: 'a fault of the proxy' });
    } catch (again) {
      // Telling failed as well; the exchange ends by its time-out.
      this.#owner.bugFound(again);
    }
  }
}

/** HTTP/2 has no `Upgrade`, and no answer 101. */
function neverSwitched(): never {
  throw new Error('BUG: a stream of HTTP/2 was switched to another protocol');
}
