// One connection that a client opened: it cuts the bytes into requests, gives them to one exchange
// after the other, and decides how the connection ends. Pipelined requests wait as bytes and are
// answered in order. A client's half-close is no abort once its request is complete.
// Invariant: at most one exchange at a time; nothing behind a rejected request is ever parsed.
import type { NetworkSocket } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import type { Client, ConnectionFate } from './client.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { DepartureProbe } from './departure-probe.ts';
import { Exchange } from './exchange.ts';
import type { BodyDecoder } from './http1/body-decoder.ts';
import { createBodyDecoder } from './http1/body-decoder.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { RequestHeadParser } from './http1/request-head.ts';
import { renderSimpleResponse } from './http1/serialise.ts';
import {
  discardBytesMax,
  firstRequestMs,
  lingerMs,
  lingeringMax,
  pipelinedRequestBytes,
  unsentBytesMax,
} from './limits.ts';
import { Linger } from './linger.ts';
import { PendingBytes } from './pending-bytes.ts';
import type { Reason } from './refusals.ts';
import { refusalText } from './refusals.ts';

type Mode = 'requests' | 'tunnel' | 'closing' | 'closed';

/** What the connection's deadline waits for. */
type Phase = 'none' | 'head' | 'keep-alive' | 'body' | 'linger';

export type DownstreamOptions = {
  readonly engine: Engine;
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly servicePort: number;
  readonly closed: (connection: DownstreamConnection) => void;
};

export class DownstreamConnection implements Client {
  readonly #engine: Engine;
  readonly #socket: NetworkSocket;
  readonly #parser: RequestHeadParser;
  readonly #remoteAddress: string;
  readonly #servicePort: number;
  readonly #closed: (connection: DownstreamConnection) => void;
  readonly #deadline = new Deadline(() => this.#guard(() => this.#expired()));
  #mode: Mode = 'requests';
  #phase: Phase = 'none';
  #exchange: Exchange | undefined;
  /** Of a request body that has not ended yet, whether somebody still wants it or not. */
  #decoder: BodyDecoder | undefined;
  #head: HttpRequestHead | undefined;
  /** Bytes behind the current request, unparsed. */
  readonly #pending: PendingBytes;
  #skippedBytes = 0;
  #bodyActiveMs = 0;
  #linger: Linger | undefined;
  #isBodyPaused = false;
  #isPaused = false;
  #probe: DepartureProbe | undefined;
  #isCorked = false;
  /** No request has come yet. */
  #isNew = true;
  readonly #acceptedMs: number;
  isReading = false;
  hasEnded = false;

  constructor(options: DownstreamOptions) {
    const { engine, socket } = options;
    this.#engine = engine;
    this.#socket = socket;
    this.#remoteAddress = options.remoteAddress;
    this.#servicePort = options.servicePort;
    this.#closed = options.closed;
    this.#pending = new PendingBytes(engine.counts);
    this.#acceptedMs = engine.clock.nowMs();
    this.#parser = new RequestHeadParser({
      limits: engine.headLimits,
      servicePort: options.servicePort,
    });
    socket.on('data', (data) => this.#guard(() => this.#read(data)));
    socket.on('end', () => this.#guard(() => this.#clientEnded()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    // What matters of an error is that the connection closes, which follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#guard(() => this.#gone()));
    this.#wait('head', engine.limits.headTimeoutMs);
  }

  // ---- what an exchange may do ----------------------------------------------------------------

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** A client that waits for 100 may or may not send the body after a refusal: nobody can tell. */
  get canSkipBody(): boolean {
    const head = this.#head;
    if (this.#decoder === undefined || head === undefined) return true;
    if (head.framing.kind !== 'length' || head.expectsContinue) return false;
    return head.framing.length <= discardBytesMax;
  }

  write(data: Uint8Array | string): boolean {
    this.#stopProbe();
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

  pauseReading(): void {
    this.#isBodyPaused = true;
    this.#updateFlow();
  }

  resumeReading(): void {
    if (!this.#isBodyPaused) return;
    this.#isBodyPaused = false;
    this.#bodyActiveMs = this.#engine.clock.nowMs();
    this.#updateFlow();
    if (!this.isReading) this.#advance();
  }

  startTunnel(): readonly Buffer[] {
    this.#mode = 'tunnel';
    this.#waitForNothing();
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
    this.flush();
    if (this.#mode === 'closed') return;
    if (fate === 'cut') {
      this.#socket.resetAndDestroy();
    } else if (fate === 'close') {
      this.#closeAfterAnswer();
    } else {
      this.resumeReading();
      if (!this.isReading) this.#advance();
    }
  }

  // ---- what the worker does -------------------------------------------------------------------

  /**
   * Ends the connection if no request is on it. One that is new is given time for its first: it was
   * opened by somebody who wants to send.
   */
  closeIfIdle(): void {
    if (this.#isNew && this.#engine.clock.nowMs() < this.#acceptedMs + firstRequestMs) return;
    const isIdle = this.#mode === 'requests' && this.#exchange === undefined
      && this.#decoder === undefined && !this.#parser.hasPartialHead && this.#pending.bytes === 0;
    if (isIdle) this.#closeAfterAnswer();
  }

  /** Cuts an upgraded connection that the new table does not allow any more. */
  recheck(table: RouteTable): void {
    if (this.#mode === 'tunnel' && this.#exchange?.isTunnelAllowed(table) === false) this.destroy();
  }

  /** Cuts the connection; an answer that is on its way must not look complete. */
  destroy(): void {
    if (this.#exchange === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  // ---- reading --------------------------------------------------------------------------------

  #read(chunk: Buffer): void {
    if (this.#mode === 'tunnel') {
      this.#exchange?.tunnelFromClient(chunk);
    } else if (this.#mode === 'requests') {
      const mustWait = this.#pending.bytes > 0
        || (this.#exchange !== undefined && this.#decoder === undefined);
      if (mustWait) this.#pending.push(chunk);
      else this.#consume(chunk);
      this.#updateFlow();
      this.#settle();
    }
  }

  #consume(chunk: Buffer): void {
    this.isReading = true;
    let at = 0;
    while (at >= 0 && this.#mode === 'requests') at = this.#step(chunk, at);
    this.isReading = false;
    this.#exchange?.clientReadEnded();
  }

  /** Where to go on in the chunk; negative when there is no more to do with it. */
  #step(chunk: Buffer, at: number): number {
    if (this.#decoder !== undefined) return this.#stepBody(this.#decoder, chunk, at);
    if (at === chunk.length) return -1;
    if (this.#mayConsume()) return this.#stepHead(chunk, at);
    this.#pending.putBack(chunk.subarray(at));
    return -1;
  }

  #stepHead(chunk: Buffer, at: number): number {
    const result = this.#parser.parse(chunk, at, chunk.length);
    switch (result.kind) {
      case 'incomplete':
        return -1;
      case 'reject':
        this.#refuse(result.reason, result.status, result.detail);
        return -1;
      case 'head':
        this.#begin(result.head);
        return result.end;
    }
  }

  #begin(head: HttpRequestHead): void {
    const table = this.#engine.table;
    if (table === undefined) {
      this.#socket.destroy();
      return;
    }
    const decoder = createBodyDecoder(head.framing, {
      limits: this.#engine.headLimits,
      headBytes: head.bytes,
      headFields: head.fields.size,
    });
    const isBodyComplete = decoder.advance(noBytes, 0, 0) === 'end';
    this.#isNew = false;
    this.#head = head;
    this.#decoder = isBodyComplete ? undefined : decoder;
    this.#skippedBytes = 0;
    if (isBodyComplete) this.#waitForNothing();
    else this.#waitForBody();
    this.#exchange = new Exchange({
      engine: this.#engine,
      client: this,
      table,
      head,
      remoteAddress: this.#remoteAddress,
      isBodyComplete,
    });
    this.#exchange.start();
  }

  #stepBody(decoder: BodyDecoder, chunk: Buffer, at: number): number {
    switch (decoder.advance(chunk, at, chunk.length)) {
      case 'data':
        this.#bodyActiveMs = this.#engine.clock.nowMs();
        this.#bodyData(chunk, decoder.dataStart, decoder.dataEnd);
        return decoder.position;
      case 'end':
        this.#decoder = undefined;
        this.#waitForNothing();
        this.#exchange?.requestEnded(decoder.trailers);
        return decoder.position;
      case 'incomplete':
        return -1;
      case 'reject':
        // The message must not be completed for the pod, and nothing behind it is parsed.
        this.#exchange?.refuse(decoder.reject?.reason ?? 'BadRequestFraming');
        this.#closeAfterAnswer();
        return -1;
    }
  }

  #bodyData(chunk: Buffer, start: number, end: number): void {
    if (this.#exchange !== undefined) {
      this.#exchange.requestData(chunk, start, end);
      return;
    }
    this.#skippedBytes += end - start;
    if (this.#skippedBytes > discardBytesMax) this.destroy();
  }

  /** Answers bytes that are no request, and ends the connection: a reject is final. */
  #refuse(reason: Reason, status: number, detail: string): void {
    const { observer } = this.#engine;
    observer.requestRejected({
      reason,
      status,
      remoteAddress: this.#remoteAddress,
      servicePort: this.#servicePort,
      detail,
    });
    const text = refusalText(reason, undefined);
    const date = this.#engine.httpDate();
    const connection = 'close';
    this.write(renderSimpleResponse({ status, reason, text, connection, isHead: false, date }));
    this.#closeAfterAnswer();
  }

  // ---- waiting requests, flow -----------------------------------------------------------------

  /** Goes on with what waited: the rest of a body, or the requests behind one that has ended. */
  #advance(): void {
    while (this.#mayConsume()) {
      const chunk = this.#pending.take();
      if (chunk === undefined) break;
      this.#consume(chunk);
    }
    this.#updateFlow();
    this.#settle();
  }

  #mayConsume(): boolean {
    if (this.#mode !== 'requests') return false;
    if (this.#decoder !== undefined) return !this.#isBodyPaused;
    return this.#exchange === undefined && this.unsentBytes <= unsentBytesMax;
  }

  /** Chooses what the connection waits for, once everything that came has been looked at. */
  #settle(): void {
    if (this.#mode !== 'requests' || this.#exchange !== undefined) return;
    if (this.#decoder !== undefined || this.#pending.bytes > 0) return;
    const { headTimeoutMs, keepAliveTimeoutMs } = this.#engine.limits;
    if (this.hasEnded) this.#closeAfterAnswer();
    else if (!this.#parser.hasPartialHead) this.#wait('keep-alive', keepAliveTimeoutMs);
    else if (this.#phase !== 'head') this.#wait('head', headTimeoutMs);
  }

  #updateFlow(): void {
    const pendingMax = this.#engine.limits.pipelinedMax * pipelinedRequestBytes;
    const mustPause = this.#isBodyPaused || this.#pending.bytes > pendingMax;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#socket.pause();
    else this.#socket.resume();
  }

  #drained(): void {
    if (this.#exchange !== undefined) this.#exchange.clientDrained();
    else if (this.#mode === 'requests') this.#advance();
  }

  // ---- ends -----------------------------------------------------------------------------------

  #clientEnded(): void {
    this.hasEnded = true;
    if (this.#mode === 'tunnel') {
      this.#exchange?.tunnelEndedByClient();
    } else if (this.#decoder !== undefined && this.#mode === 'requests') {
      // A body that is cut short must not be completed, and nobody waits for an answer to it.
      if (this.#exchange !== undefined) this.#exchange.clientGone();
      else this.destroy();
    } else if (this.#parser.hasPartialHead && this.#mode === 'requests') {
      this.destroy();
    } else {
      this.#settle();
      this.#probeDeparture();
    }
  }

  /** The request is complete and its answer has not begun: does anybody still wait for it? */
  #probeDeparture(): void {
    if (this.#exchange === undefined || this.#exchange.status !== 0) return;
    if (this.#head?.version !== 11 || this.#mode !== 'requests') return;
    this.#probe = new DepartureProbe(this.#socket, this.#engine.deadlines);
    this.#probe.start();
  }

  #stopProbe(): void {
    this.#probe?.stop();
    this.#probe = undefined;
  }

  /** FIN, then a while in which the client may read (linger.ts). */
  #closeAfterAnswer(): void {
    if (this.#mode === 'closing' || this.#mode === 'closed') return;
    const { counts, limits } = this.#engine;
    this.#mode = 'closing';
    counts.lingering += 1;
    this.#decoder = undefined;
    this.#pending.takeAll();
    this.#isBodyPaused = false;
    this.#updateFlow();
    this.flush();
    this.#socket.end();
    this.#linger = new Linger(this.unsentBytes, limits.keepAliveTimeoutMs);
    if (counts.lingering > lingeringMax) this.destroy();
    else this.#wait('linger', lingerMs);
  }

  #gone(): void {
    if (this.#mode === 'closed') return;
    if (this.#mode === 'closing') this.#engine.counts.lingering -= 1;
    this.#mode = 'closed';
    this.#stopProbe();
    this.#waitForNothing();
    this.#pending.takeAll();
    this.#decoder = undefined;
    this.#exchange?.clientGone();
    this.#closed(this);
  }

  // ---- deadlines ------------------------------------------------------------------------------

  #expired(): void {
    const phase = this.#phase;
    this.#phase = 'none';
    switch (phase) {
      case 'head':
        // Silence is no request: a 408 could be taken for the answer to a later one (RQ-295).
        if (this.#parser.hasPartialHead) this.#refuse('BadRequestTimeout', 408, 'head timed out');
        else this.#closeAfterAnswer();
        return;
      case 'keep-alive':
        this.#closeAfterAnswer();
        return;
      case 'body':
        this.#bodyTimedOut();
        return;
      case 'linger':
        if (this.#linger?.isOver(this.unsentBytes) === false) this.#wait('linger', lingerMs);
        else this.destroy();
        return;
      case 'none':
        return;
    }
  }

  /** The client is only late for what we were ready to read. */
  #bodyTimedOut(): void {
    const { bodyTimeoutMs } = this.#engine.limits;
    const leftMs = this.#bodyActiveMs + bodyTimeoutMs - this.#engine.clock.nowMs();
    if (this.#isPaused) this.#wait('body', bodyTimeoutMs);
    else if (leftMs > 0) this.#wait('body', leftMs);
    else if (this.#exchange !== undefined) this.#exchange.refuse('BadRequestTimeout');
    else this.destroy();
  }

  #waitForBody(): void {
    this.#bodyActiveMs = this.#engine.clock.nowMs();
    this.#wait('body', this.#engine.limits.bodyTimeoutMs);
  }

  #wait(phase: Phase, delayMs: number): void {
    this.#phase = phase;
    this.#engine.deadlines.arm(this.#deadline, delayMs);
  }

  #waitForNothing(): void {
    this.#phase = 'none';
    this.#engine.deadlines.disarm(this.#deadline);
  }

  #endAfterBug(): void {
    try {
      this.#exchange?.refuse('Bug');
      this.#closeAfterAnswer();
    } catch (error) {
      this.#engine.observer.bugFound(error);
      this.destroy();
    }
  }

  /** A bug on this connection ends this connection, not the worker. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#engine.observer.bugFound(error);
      this.isReading = false;
      this.#endAfterBug();
    }
  }
}

const noBytes = Buffer.alloc(0);
