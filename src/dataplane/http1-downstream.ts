// The HTTP/1.x side of a client's connection (RFC 9112): it cuts the bytes into requests and gives
// them to one exchange after the other. Pipelined requests wait as bytes and are answered in order.
// A client's half-close is no abort once its request is complete.
// Invariant: at most one exchange at a time; nothing behind a rejected request is ever parsed.
import type { NetworkSocket } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import type { Answer } from './answer.ts';
import type { Client, ConnectionFate } from './client.ts';
import { ClientWatch } from './client-watch.ts';
import type { Engine } from './engine.ts';
import { ExchangeWaits } from './exchange-waits.ts';
import { Exchange } from './exchange.ts';
import type { Plan } from './hop.ts';
import { Http1Answer, renderFinalRefusal } from './http1-answer.ts';
import type { Fields } from './http1/fields.ts';
import { mirrorField } from './http1/forwarding.ts';
import type { Reject } from './http1/reject.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RequestIds } from './http1/serialise.ts';
import {
  discardBytesMax,
  firstRequestMs,
  idleTunnelMs,
  pipelinedRequestBytes,
  tunnelKeepAliveMs,
  unsentBytesMax,
} from './limits.ts';
import { PendingBytes, WaitingBytes } from './pending-bytes.ts';
import type { DownstreamConnection, DownstreamSide } from './downstream.ts';
import type { Phase, PhaseDeadline } from './phase-deadline.ts';
import { longReadBytes } from './read-buffers.ts';
import type { ReadBuffer } from './read-buffers.ts';
import { headTimedOut } from './refusals.ts';
import type { HeadReject } from './refusals.ts';
import { RequestIntake } from './request-intake.ts';
import type { RequestTaker } from './request-intake.ts';
import { RequestPlan } from './request-plan.ts';

type Mode = 'requests' | 'tunnel' | 'over';

export class Http1Downstream implements DownstreamSide, Client, RequestTaker {
  readonly #engine: Engine;
  readonly #socket: NetworkSocket;
  readonly #intake: RequestIntake;
  readonly #connection: DownstreamConnection;
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
  hasEnded = false;

  constructor(connection: DownstreamConnection) {
    const { engine, socket, servicePort } = connection;
    this.#connection = connection;
    this.#engine = engine;
    this.#socket = socket;
    this.#wait = connection.wait;
    this.buffer = connection.buffer;
    this.#pending = new PendingBytes(engine.counts);
    this.#unsent = new WaitingBytes(engine.counts);
    this.waits = new ExchangeWaits(engine, connection.guard);
    this.#quietSinceMs = engine.clock.nowMs();
    this.#intake = new RequestIntake(this, {
      limits: engine.headLimits,
      servicePort,
      known: connection.arrived,
    });
  }

  // ---- what an exchange may do ----------------------------------------------------------------

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get isLeaving(): boolean {
    return this.#connection.isLeaving;
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
    if (this.#mode === 'over') return;
    if (this.isFull) this.#unsent.set(this.unsentBytes);
    if (fate === 'cut') {
      this.#mode = 'over';
      this.#connection.cut();
    } else if (fate === 'close') {
      this.#closeAfterAnswer();
    } else {
      this.resumeReading();
      if (!this.isReading) this.#advance();
    }
  }

  // ---- what the connection tells --------------------------------------------------------------

  get isBusy(): boolean {
    return this.#exchange !== undefined;
  }

  /** The next answer says that it is the last one. */
  drainBegan(): void {}

  closeIfIdle(): void {
    const quietMs = this.#connection.arrived ? idleTunnelMs : this.#isNew ? firstRequestMs : 0;
    if (this.#engine.clock.nowMs() < this.#quietSinceMs + quietMs) return;
    const isIdle = this.#mode === 'requests' && this.#exchange === undefined
      && !this.#intake.isInBody && !this.#intake.hasPartialHead && this.#pending.bytes === 0;
    if (isIdle) this.#closeAfterAnswer();
  }

  /**
   * Cuts what goes on without end – and of tunnels, which carry streams – and is not allowed, and
   * whatever is stopped.
   */
  recheck(table: RouteTable): void {
    // Idle connections keep no old table alive.
    this.#plan = undefined;
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const mayStay = this.#mode !== 'tunnel' && this.#connection.arrived === undefined;
    const isStopped = exchange.isStoppedBy(table);
    if (!isStopped && (mayStay || exchange.isAllowedBy(table))) return;
    if (this.#mode === 'tunnel') this.#connection.destroy();
    else exchange.refuse(isStopped ? 'Stopped' : 'RouteNotAllowed');
  }

  // ---- reading --------------------------------------------------------------------------------

  read(buffer: Buffer, bytes: number): void {
    if (this.#mode === 'tunnel') this.#exchange?.tunnelFromClient(buffer, 0, bytes);
    else if (this.#mode === 'requests') this.#take(buffer, bytes);
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

  requestBegan(head: HttpRequestHead, isBodyComplete: boolean, ids?: RequestIds): void {
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
    const { copies } = this.#engine;
    const engine = copies !== undefined && head.fields.has(mirrorField) ? copies : this.#engine;
    const plan = this.#connection.arrived?.planOf(table, head) ?? this.#planOf(table, head);
    this.#exchange = new Exchange({ engine, client: this, plan, isBodyComplete, ids });
    this.#exchange.start();
  }

  #planOf(table: RouteTable, head: HttpRequestHead): Plan {
    if (this.#plan?.isOf(table, head) === true) return this.#plan;
    const { remoteAddress } = this.#connection;
    const engine = this.#engine;
    const plan = new RequestPlan({ engine, client: this, table, head, remoteAddress });
    this.#plan = this.#intake.remembers(head) ? plan : undefined;
    return plan;
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
    if (this.#skippedBytes > discardBytesMax) this.#connection.destroy();
  }

  /** Answers, and ends the connection: a reject is final. */
  headRejected({ reason, status, detail, isForeign }: HeadReject): void {
    const { remoteAddress, servicePort } = this.#connection;
    const { observer } = this.#engine;
    observer.requestRejected({ reason, status, remoteAddress, servicePort, detail });
    // The first bytes of a connection tell its protocol; later ones are a request gone wrong.
    const isAnswered = isForeign !== true || !this.#isNew;
    if (isAnswered) this.write(renderFinalRefusal(this.#engine, reason, status));
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

  socketDrained(): void {
    this.#unsent.set(0);
    if (this.#exchange !== undefined) this.#exchange.clientDrained();
    else if (this.#mode === 'requests') this.#advance();
  }

  // ---- ends -----------------------------------------------------------------------------------

  peerEnded(): void {
    this.hasEnded = true;
    if (this.#mode === 'tunnel') {
      this.#exchange?.tunnelEndedByClient();
    } else if (this.#intake.isInBody && this.#mode === 'requests') {
      // A body that is cut short must not be completed, and nobody waits for an answer to it.
      if (this.#exchange !== undefined) this.#exchange.clientGone();
      else this.#connection.destroy();
    } else if (this.#intake.hasPartialHead && this.#mode === 'requests') {
      this.#connection.destroy();
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
    const { guard } = this.#connection;
    this.#watch ??= new ClientWatch(this.#socket, deadlines, guard);
    return this.#watch;
  }

  #closeAfterAnswer(): void {
    if (this.#mode === 'over') return;
    this.#mode = 'over';
    this.#intake.forgetBody();
    this.#pending.takeAll();
    this.#isBodyPaused = false;
    this.#updateFlow();
    this.flush();
    this.#connection.close();
  }

  gone(): void {
    this.#mode = 'over';
    this.#watch?.end();
    this.#pending.takeAll();
    this.#unsent.set(0);
    this.#intake.forgetBody();
    this.#exchange?.clientGone();
    this.waits.close();
  }

  /** A bug on this connection ends this connection, not the worker. */
  endAfterBug(): void {
    this.isReading = false;
    this.#exchange?.refuse('Bug');
    this.#closeAfterAnswer();
  }

  // ---- deadlines ------------------------------------------------------------------------------

  expired(phase: Phase): void {
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
      case 'none':
        return;
    }
  }

  /** The client is only late for what we were ready to read. */
  #bodyTimedOut(): void {
    if (this.#isPaused) this.#wait.begin('body', this.#engine.limits.bodyTimeoutMs);
    else if (this.#exchange !== undefined) this.#exchange.refuse('BadRequestTimeout');
    else this.#connection.destroy();
  }
}
