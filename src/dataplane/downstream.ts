// One connection that a client opened: it cuts the bytes into requests, gives them to one exchange
// after the other, and decides how the connection ends. Pipelined requests wait as bytes and are
// answered in order. A client's half-close is no abort once its request is complete.
// Invariant: at most one exchange at a time; nothing behind a rejected request is ever parsed.
import type { NetworkSocket, SocketReader } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import { ArrivedPlan } from './arrived-plan.ts';
import type { ArrivedFrom } from './arrived-plan.ts';
import type { Answer } from './answer.ts';
import type { Client, ConnectionFate } from './client.ts';
import { ClientWatch } from './client-watch.ts';
import type { Engine } from './engine.ts';
import { ExchangeWaits } from './exchange-waits.ts';
import { Exchange } from './exchange.ts';
import type { Plan } from './hop.ts';
import { Http1Answer, renderFinalRefusal } from './http1-answer.ts';
import type { Fields } from './http1/fields.ts';
import type { Reject } from './http1/reject.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { discardBytesMax, firstRequestMs, idleTunnelMs, lingerMs, lingeringMax } from './limits.ts';
import { pipelinedRequestBytes, tunnelKeepAliveMs, unsentBytesMax } from './limits.ts';
import { Linger } from './linger.ts';
import { PendingBytes, WaitingBytes } from './pending-bytes.ts';
import { PhaseDeadline } from './phase-deadline.ts';
import type { Phase } from './phase-deadline.ts';
import { longReadBytes, ReadBuffer } from './read-buffers.ts';
import { headTimedOut } from './refusals.ts';
import type { HeadReject } from './refusals.ts';
import { RequestIntake } from './request-intake.ts';
import type { RequestTaker } from './request-intake.ts';
import { RequestPlan } from './request-plan.ts';

/** `cut`: destroyed, and not told yet that it is closed. */
type Mode = 'requests' | 'tunnel' | 'closing' | 'cut' | 'closed';

export type DownstreamOptions = {
  readonly engine: Engine;
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly servicePort: number;
  /** Of a tunnel. */
  readonly arrived?: ArrivedFrom;
  readonly closed: (connection: DownstreamConnection) => void;
};

export class DownstreamConnection implements Client, SocketReader, RequestTaker {
  readonly #engine: Engine;
  readonly #socket: NetworkSocket;
  readonly #intake: RequestIntake;
  readonly remoteAddress: string;
  readonly #servicePort: number;
  readonly #arrived: ArrivedFrom | undefined;
  readonly #closed: (connection: DownstreamConnection) => void;
  readonly #wait: PhaseDeadline;
  #mode: Mode = 'requests';
  #exchange: Exchange | undefined;
  /** Of the last request. */
  #plan: Plan | undefined;
  /** Bytes behind the current request, unparsed. */
  readonly #pending: PendingBytes;
  /** Of an answer whose exchange is over. */
  readonly #unsent: WaitingBytes;
  readonly buffer: ReadBuffer;
  #skippedBytes = 0;
  #linger: Linger | undefined;
  #isBodyPaused = false;
  #isPaused = false;
  #watch: ClientWatch | undefined;
  #isCorked = false;
  /** No request has come yet. */
  #isNew = true;
  /** When it was accepted, or has had its last answer. */
  #quietSinceMs: number;
  readonly waits: ExchangeWaits;
  forwarded: Client['forwarded'];
  isReading = false;
  isLeaving = false;
  place = -1;
  hasEnded = false;

  constructor(options: DownstreamOptions) {
    const { engine, socket } = options;
    this.#engine = engine;
    this.#socket = socket;
    this.remoteAddress = options.remoteAddress;
    this.#servicePort = options.servicePort;
    this.#arrived = options.arrived;
    this.#closed = options.closed;
    this.#pending = new PendingBytes(engine.counts);
    this.#unsent = new WaitingBytes(engine.counts);
    this.buffer = new ReadBuffer(engine.buffers);
    this.#wait = new PhaseDeadline(engine.deadlines, (phase) => {
      this.#guard(() => this.#expired(phase));
    });
    this.waits = new ExchangeWaits(engine.deadlines, (step) => this.#guard(step));
    this.#quietSinceMs = engine.clock.nowMs();
    this.#intake = new RequestIntake(this, engine.headLimits, options.servicePort);
    socket.on('end', () => this.#guard(() => this.#clientEnded()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    // What matters of an error is that the connection closes, which follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#guard(() => this.#gone()));
    this.#wait.begin('head', engine.limits.headTimeoutMs);
    if (socket.readInto === undefined) socket.on('data', (data) => this.read(data, data.length));
    else socket.readInto(this);
  }

  // ---- what an exchange may do ----------------------------------------------------------------

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get canSkipBody(): boolean {
    return this.#intake.canSkipBody;
  }

  answerTo(request: HttpRequestHead): Answer {
    return new Http1Answer(this, this.#engine, request);
  }

  write(data: Uint8Array | string): boolean {
    this.#watch?.stopProbe();
    if (this.hasEnded && this.#exchange?.status !== 0) this.#probeDeparture();
    return typeof data === 'string'
      ? this.#socket.write(data, 'latin1')
      : this.#socket.write(data);
  }

  cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
  }

  flush(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket.uncork();
  }

  get isListenedTo(): boolean {
    return !this.#isPaused;
  }

  pauseReading(): void {
    this.#isBodyPaused = true;
    this.#updateFlow();
  }

  resumeReading(): void {
    if (!this.#isBodyPaused) return;
    this.#isBodyPaused = false;
    this.#wait.touch();
    this.#updateFlow();
    if (!this.isReading) this.#advance();
  }

  startTunnel(): readonly Buffer[] {
    this.#mode = 'tunnel';
    this.#wait.end();
    // A tunnel has no time-outs: only the kernel finds out that a silent client is gone.
    this.#socket.setKeepAlive?.(true, tunnelKeepAliveMs);
    const early = this.#pending.takeAll();
    this.#updateFlow();
    return early;
  }

  endTunnel(): void {
    this.flush();
    this.#socket.end();
  }

  exchangeEnded(fate: ConnectionFate): void {
    this.#exchange = undefined;
    this.#quietSinceMs = this.#engine.clock.nowMs();
    this.#intake.forgetHead();
    this.#watch?.stopProbe();
    this.flush();
    if (this.#mode === 'closed') return;
    if (this.isFull) this.#unsent.set(this.unsentBytes);
    if (fate === 'cut') {
      // What is left of the read that led here must not become a request.
      this.#mode = 'cut';
      this.#socket.resetAndDestroy();
    } else if (fate === 'close') {
      this.#closeAfterAnswer();
    } else {
      this.resumeReading();
      if (!this.isReading) this.#advance();
    }
  }

  // ---- what the worker does -------------------------------------------------------------------

  /** The next answer ends the connection. */
  leave(): void {
    this.isLeaving = true;
  }

  /** Ends the connection if no request is on it; a new one is given time for its first. */
  closeIfIdle(): void {
    const quietMs = this.#arrived ? idleTunnelMs : this.#isNew ? firstRequestMs : 0;
    if (this.#engine.clock.nowMs() < this.#quietSinceMs + quietMs) return;
    const isIdle = this.#mode === 'requests' && this.#exchange === undefined
      && !this.#intake.isInBody && !this.#intake.hasPartialHead && this.#pending.bytes === 0;
    if (isIdle) this.#closeAfterAnswer();
  }

  /** Cuts an upgraded connection that the new table does not allow any more. */
  recheck(table: RouteTable): void {
    // Idle connections keep no old table alive.
    this.#plan = undefined;
    if (this.#mode === 'tunnel' && this.#exchange?.isTunnelAllowed(table) === false) this.destroy();
  }

  /** Cuts the connection; an answer that is on its way must not look complete. */
  destroy(): void {
    if (this.#exchange === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  // ---- reading --------------------------------------------------------------------------------

  readBuffer(): Buffer {
    return this.buffer.current;
  }

  read(buffer: Buffer, bytes: number): void {
    this.#engine.clock.begin();
    try {
      if (this.#mode === 'tunnel') this.#exchange?.tunnelFromClient(buffer, 0, bytes);
      else if (this.#mode === 'requests') this.#take(buffer, bytes);
    } catch (error) {
      this.#endAfterBug(error);
    }
    this.#engine.clock.end();
  }

  #take(buffer: Buffer, bytes: number): void {
    const mustWait = this.#pending.bytes > 0
      || (this.#exchange !== undefined && !this.#intake.isInBody);
    if (mustWait) this.#pending.push(buffer, 0, bytes);
    else this.#consume(buffer, bytes);
    if (!this.#intake.isInBody) this.buffer.release();
    else if (bytes >= longReadBytes) this.buffer.own();
    this.#updateFlow();
    this.#settle();
  }

  #consume(buffer: Buffer, end: number): void {
    this.isReading = true;
    let at = 0;
    while (at >= 0 && this.#mode === 'requests') at = this.#step(buffer, at, end);
    this.isReading = false;
    this.#exchange?.clientReadEnded();
  }

  /** Where to go on in the buffer; negative when there is no more to do with it. */
  #step(buffer: Buffer, at: number, end: number): number {
    if (this.#intake.isInBody) return this.#intake.step(buffer, at, end);
    if (at === end) return -1;
    if (this.#mayConsume()) return this.#intake.step(buffer, at, end);
    this.#pending.putBack(buffer, at, end);
    return -1;
  }

  requestBegan(head: HttpRequestHead, isBodyComplete: boolean): void {
    const table = this.#engine.table;
    if (table === undefined) {
      this.#socket.destroy();
      return;
    }
    this.#isNew = false;
    this.#skippedBytes = 0;
    this.#unsent.set(0);
    if (isBodyComplete) this.#wait.end();
    else this.#wait.begin('body', this.#engine.limits.bodyTimeoutMs);
    const engine = this.#engine;
    const remoteAddress = this.remoteAddress;
    let plan = this.#plan;
    if (plan?.isOf(table, head) !== true) {
      plan = this.#arrived === undefined
        ? new RequestPlan({ engine, client: this, table, head, remoteAddress })
        : new ArrivedPlan({ ...this.#arrived, table, head, remoteAddress });
      this.#plan = this.#intake.remembers(head) ? plan : undefined;
    }
    this.#exchange = new Exchange({ engine, client: this, plan, isBodyComplete });
    this.#exchange.start();
  }

  bodyEnded(trailers: Fields | undefined): void {
    this.#wait.end();
    this.#exchange?.requestEnded(trailers);
  }

  bodyRejected(reject: Reject | undefined): void {
    this.#exchange?.refuse(reject?.reason ?? 'BadRequestFraming');
    this.#closeAfterAnswer();
  }

  bodyArrived(buffer: Buffer, start: number, end: number): void {
    if (this.#exchange !== undefined) {
      this.#wait.touch();
      this.#exchange.requestData(buffer, start, end);
      return;
    }
    // No progress: what nobody wants may not take longer than what is not sent at all.
    this.#skippedBytes += end - start;
    if (this.#skippedBytes > discardBytesMax) this.destroy();
  }

  /** Answers, and ends the connection: a reject is final. */
  headRejected({ reason, status, detail }: HeadReject): void {
    const remoteAddress = this.remoteAddress;
    const servicePort = this.#servicePort;
    const { observer } = this.#engine;
    observer.requestRejected({ reason, status, remoteAddress, servicePort, detail });
    this.write(renderFinalRefusal(this.#engine, reason, status));
    this.#closeAfterAnswer();
  }

  // ---- waiting requests, flow -----------------------------------------------------------------

  /** Goes on with what waited: the rest of a body, or the requests behind one that has ended. */
  #advance(): void {
    while (this.#mayConsume()) {
      const chunk = this.#pending.take();
      if (chunk === undefined) break;
      this.#consume(chunk, chunk.length);
    }
    this.#updateFlow();
    this.#settle();
  }

  #mayConsume(): boolean {
    if (this.#mode !== 'requests') return false;
    if (this.#intake.isInBody) return !this.#isBodyPaused;
    return this.#exchange === undefined && this.unsentBytes <= unsentBytesMax;
  }

  /** Chooses what the connection waits for, once everything that came has been looked at. */
  #settle(): void {
    if (this.#mode !== 'requests' || this.#exchange !== undefined) return;
    if (this.#intake.isInBody) return;
    const { headTimeoutMs, keepAliveTimeoutMs } = this.#engine.limits;
    if (this.#pending.bytes > 0) {
      // The next request waits until its client has read the last answer, but not for ever.
      if (this.#wait.phase === 'none') this.#wait.begin('keep-alive', keepAliveTimeoutMs);
    } else if (this.hasEnded && this.unsentBytes === 0) this.#socket.destroy();
    else if (this.hasEnded) this.#closeAfterAnswer();
    else if (!this.#intake.hasPartialHead) this.#wait.begin('keep-alive', keepAliveTimeoutMs);
    else if (this.#wait.phase !== 'head') this.#wait.begin('head', headTimeoutMs);
  }

  #updateFlow(): void {
    const pendingMax = this.#engine.limits.pipelinedMax * pipelinedRequestBytes;
    const mustPause = this.#isBodyPaused || this.#pending.bytes > pendingMax;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#socket.pause();
    else this.#socket.resume();
    this.#watching().setPaused(mustPause);
  }

  #drained(): void {
    this.buffer.drained();
    this.#unsent.set(0);
    if (this.#exchange !== undefined) this.#exchange.clientDrained();
    else if (this.#mode === 'requests') this.#advance();
  }

  // ---- ends -----------------------------------------------------------------------------------

  #clientEnded(): void {
    this.hasEnded = true;
    if (this.#mode === 'tunnel') {
      this.#exchange?.tunnelEndedByClient();
    } else if (this.#intake.isInBody && this.#mode === 'requests') {
      // A body that is cut short must not be completed, and nobody waits for an answer to it.
      if (this.#exchange !== undefined) this.#exchange.clientGone();
      else this.destroy();
    } else if (this.#intake.hasPartialHead && this.#mode === 'requests') {
      this.destroy();
    } else {
      this.#settle();
      this.#probeDeparture();
    }
  }

  /** The request is complete: does anybody still wait for (the rest of) its answer? */
  #probeDeparture(): void {
    const halves = this.#exchange?.probeHalves;
    if (halves === undefined || this.#mode !== 'requests') return;
    this.#watching().startProbe(halves);
  }

  #watching(): ClientWatch {
    const { deadlines } = this.#engine;
    this.#watch ??= new ClientWatch(this.#socket, deadlines, (step) => this.#guard(step));
    return this.#watch;
  }

  /** FIN, then a while in which the client may read (linger.ts). */
  #closeAfterAnswer(): void {
    if (this.#mode !== 'requests' && this.#mode !== 'tunnel') return;
    const { counts, limits } = this.#engine;
    this.#mode = 'closing';
    counts.lingering += 1;
    this.#intake.forgetBody();
    this.#pending.takeAll();
    this.#isBodyPaused = false;
    this.#updateFlow();
    this.flush();
    this.#socket.end();
    this.#linger = new Linger(this.unsentBytes, limits.keepAliveTimeoutMs);
    if (counts.lingering > lingeringMax) this.destroy();
    else this.#wait.begin('linger', lingerMs);
  }

  #gone(): void {
    if (this.#mode === 'closed') return;
    this.buffer.close();
    if (this.#mode === 'closing') this.#engine.counts.lingering -= 1;
    this.#mode = 'closed';
    this.#watch?.end();
    this.#wait.end();
    this.#pending.takeAll();
    this.#unsent.set(0);
    this.#intake.forgetBody();
    this.#exchange?.clientGone();
    this.#closed(this);
  }

  // ---- deadlines ------------------------------------------------------------------------------

  #expired(phase: Phase): void {
    switch (phase) {
      case 'head':
        // Silence is no request: a 408 could be taken for the answer to a later one (RQ-295).
        if (this.#intake.hasPartialHead) this.headRejected(headTimedOut);
        else this.#closeAfterAnswer();
        return;
      case 'keep-alive':
        this.#closeAfterAnswer();
        return;
      case 'body':
        this.#bodyTimedOut();
        return;
      case 'linger':
        if (this.#linger?.isOver(this.unsentBytes) === false) this.#wait.begin('linger', lingerMs);
        else this.destroy();
        return;
      case 'none':
        return;
    }
  }

  /** The client is only late for what we were ready to read. */
  #bodyTimedOut(): void {
    if (this.#isPaused) this.#wait.begin('body', this.#engine.limits.bodyTimeoutMs);
    else if (this.#exchange !== undefined) this.#exchange.refuse('BadRequestTimeout');
    else this.destroy();
  }

  /** A bug on this connection ends this connection, not the worker. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  #endAfterBug(bug: unknown): void {
    this.#engine.observer.bugFound(bug);
    this.isReading = false;
    try {
      this.#exchange?.refuse('Bug');
      this.#closeAfterAnswer();
    } catch (error) {
      this.#engine.observer.bugFound(error);
      this.destroy();
    }
  }
}
