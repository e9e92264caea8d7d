// One stream of an HTTP/2 connection as the client of one exchange. It lives as long as its stream:
// the exchange may be over while the end of its answer still waits for the peer's window. What the
// peer sends is handed on at once and granted again only when the pod has taken it, so that a slow
// pod holds up its own stream, within that stream's window, and no other.
import type { Client, ConnectionFate } from './client.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { ExchangeWaits } from './exchange-waits.ts';
import type { Exchange } from './exchange.ts';
import { isGrpc } from './grpc.ts';
import type { Fields } from './http1/fields.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RenderedForwarded } from './http1/serialise.ts';
import { Http2Answer } from './http2-answer.ts';
import { errorCode } from './http2/frames.ts';
import type { Http2Stream } from './http2/stream.ts';
import { WaitingBytes } from './pending-bytes.ts';
import type { BytesCount } from './pending-bytes.ts';
import type { ReadBuffer } from './read-buffers.ts';

/** As many as are of use to a connection that is busy. */
const idleWaitsMax = 64;

/** What the streams of one connection share. */
export type StreamOwner = {
  readonly engine: Engine;
  readonly buffer: ReadBuffer;
  /** Of exchanges that are over: the next ones use them again. */
  readonly idleWaits: ExchangeWaits[];
  readonly guarded: (step: () => void) => void;
  /** What waits of all their answers. */
  readonly waiting: BytesCount;
  readonly isReading: boolean;
  readonly isLeaving: boolean;
  /** Of the last request of any of its streams. */
  forwarded: RenderedForwarded | undefined;
  /** A stream has heard something in the read that is under way. */
  touched(client: Http2Client): void;
  /** An exchange is over. */
  answered(): void;
};

export class Http2Client implements Client {
  readonly waits: ExchangeWaits;
  /** In the list of its connection. */
  place = -1;
  readonly hasEnded = false;
  readonly canSkipBody = true;
  /** Everything is copied into frames: nobody's read buffer is in a queue of ours. */
  readonly unsentBytes = 0;
  readonly #owner: StreamOwner;
  readonly #stream: Http2Stream<Http2Client>;
  /** Made when the end of an answer has to wait. */
  #unsent: WaitingBytes | undefined;
  #exchange: Exchange | undefined;
  #answer: Http2Answer | undefined;
  #isPaused = false;
  #isTouched = false;
  /** How long the peer may send, or take, nothing. */
  #wait: Deadline | undefined;
  #activeMs = 0;

  constructor(owner: StreamOwner, stream: Http2Stream<Http2Client>) {
    const { engine, guarded, idleWaits } = owner;
    this.#owner = owner;
    this.#stream = stream;
    this.waits = idleWaits.pop() ?? new ExchangeWaits(engine, guarded);
  }

  // ---- what an exchange may do ----------------------------------------------------------------

  get forwarded(): RenderedForwarded | undefined {
    return this.#owner.forwarded;
  }

  set forwarded(rendered: RenderedForwarded | undefined) {
    this.#owner.forwarded = rendered;
  }

  get buffer(): ReadBuffer {
    return this.#owner.buffer;
  }

  get isFull(): boolean {
    return this.#stream.isFull;
  }

  get isLeaving(): boolean {
    return this.#owner.isLeaving;
  }

  get isReading(): boolean {
    return this.#owner.isReading;
  }

  get isListenedTo(): boolean {
    return !this.#isPaused;
  }

  answerTo(request: HttpRequestHead): Http2Answer {
    const { engine, waiting } = this.#owner;
    this.#answer = new Http2Answer(this.#stream, engine, request, waiting);
    return this.#answer;
  }

  /** The session writes by itself, at the end of the turn. */
  cork(): void {}

  flush(): void {}

  pauseReading(): void {
    this.#isPaused = true;
  }

  resumeReading(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#activeMs = this.#nowMs();
    this.#grant();
  }

  write(): boolean {
    return neverUpgraded();
  }

  startTunnel(): readonly Buffer[] {
    return neverUpgraded();
  }

  endTunnel(): void {
    neverUpgraded();
  }

  exchangeEnded(fate: ConnectionFate): void {
    this.#exchange = undefined;
    const { idleWaits } = this.#owner;
    this.waits.close();
    if (idleWaits.length < idleWaitsMax) idleWaits.push(this.waits);
    this.#disarm();
    // An answer that has begun must not look complete.
    const isCut = fate === 'cut' && this.#answer?.isToldBroken !== true;
    if (isCut) this.#stream.reset(errorCode.internalError);
    else this.#leaveStream();
    this.#owner.answered();
  }

  // ---- what the session tells -----------------------------------------------------------------

  begin(exchange: Exchange, isBodyComplete: boolean): void {
    this.#exchange = exchange;
    this.#touch();
    exchange.start();
    this.#activeMs = this.#nowMs();
    // A gRPC stream may be silent for as long as its exchange may.
    if (isBodyComplete || this.#exchange === undefined || isGrpc(exchange.request.fields)) return;
    this.#waitFor(this.#owner.engine.limits.bodyTimeoutMs, () => this.#bodyTimedOut());
  }

  dataCame(buffer: Buffer, start: number, end: number): void {
    this.#activeMs = this.#nowMs();
    this.#touch();
    // What nobody wants any more is not granted again: the window bounds it.
    this.#exchange?.requestData(buffer, start, end);
  }

  ended(trailers: Fields | undefined): void {
    if (this.#exchange === undefined) return;
    this.#touch();
    this.#disarm();
    this.#exchange.requestEnded(trailers);
  }

  /** All that one read brought has been told. */
  readEnded(): void {
    this.#isTouched = false;
    this.#exchange?.clientReadEnded();
    if (!this.#isPaused) this.#grant();
  }

  drained(): void {
    if (this.#exchange !== undefined) this.#exchange.clientDrained();
    else this.#leaveStream();
  }

  /** The stream is over, in whatever way. */
  closed(): void {
    this.#disarm();
    this.#unsent?.set(0);
    // One that we have ended is told while its exchange is about to finish.
    if (!this.#stream.isSendingOver) this.#exchange?.clientGone();
  }

  get exchange(): Exchange | undefined {
    return this.#exchange;
  }

  get streamId(): number {
    return this.#stream.id;
  }

  /** Of its answer, and not taken by the peer. */
  get waitingBytes(): number {
    return this.#stream.unsentBytes;
  }

  /** Gives up what waits. */
  shed(): void {
    this.#stream.reset(errorCode.enhanceYourCalm);
  }

  // ---- ends -------------------------------------------------------------------------------------

  /** Nothing follows: the peer need not send on, but may take what it has not got yet. */
  #leaveStream(): void {
    const stream = this.#stream;
    if (stream.isClosed) return;
    if (stream.isFull) {
      const { engine, waiting } = this.#owner;
      const { keepAliveTimeoutMs } = engine.limits;
      this.#unsent ??= new WaitingBytes(waiting);
      this.#unsent.set(stream.unsentBytes);
      this.#waitFor(keepAliveTimeoutMs, () => stream.reset(errorCode.cancel));
    } else if (stream.isSendingOver) stream.reset(errorCode.noError);
  }

  #bodyTimedOut(): void {
    const exchange = this.#exchange;
    const { bodyTimeoutMs } = this.#owner.engine.limits;
    const leftMs = this.#isPaused ? bodyTimeoutMs : this.#activeMs + bodyTimeoutMs - this.#nowMs();
    if (leftMs > 0) this.#waitFor(leftMs, () => this.#bodyTimedOut());
    else if (this.#answer?.hasBegun !== true) exchange?.refuse('BadRequestTimeout');
  }

  #grant(): void {
    const { unconsumed, isClosed } = this.#stream;
    if (unconsumed > 0 && !isClosed && this.#exchange !== undefined) {
      this.#stream.consumed(unconsumed);
    }
  }

  #touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    this.#owner.touched(this);
  }

  #waitFor(delayMs: number, expired: () => void): void {
    this.#disarm();
    this.#wait = new Deadline(() => this.#owner.guarded(expired));
    this.#owner.engine.deadlines.arm(this.#wait, delayMs);
  }

  #disarm(): void {
    if (this.#wait !== undefined) this.#owner.engine.deadlines.disarm(this.#wait);
  }

  #nowMs(): number {
    return this.#owner.engine.clock.nowMs();
  }
}

/** HTTP/2 has no `Upgrade`, so nothing is ever written beside the frames of a stream. */
function neverUpgraded(): never {
  throw new Error('BUG: a stream of HTTP/2 was upgraded');
}
