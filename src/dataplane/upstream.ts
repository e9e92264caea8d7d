// One connection to an endpoint, used by one attempt at a time. It parses the answer and tells its
// user; it decides nothing about retries. Whatever arrives while nobody uses it closes it: such
// bytes answer no request of ours (RFC 9112 9.2, the response-queue poisoning class).
// Invariant: after `release`, `destroy` or `upstreamFailed` the former user hears nothing any more.
import type { NetworkSocket, SocketReader } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { BodyDecoder } from './http1/body-decoder.ts';
import { createBodyDecoder } from './http1/body-decoder.ts';
import type { Fields } from './http1/fields.ts';
import type { HeadLimits } from './http1/limits.ts';
import type { AnsweredRequest, HttpResponseHead } from './http1/response-head.ts';
import { ResponseHeadParser } from './http1/response-head.ts';
import { chunkEnd, renderChunk, renderChunkPrefix, renderLastChunk } from './http1/serialise.ts';
import type { Hop, Plan, Sender } from './hop.ts';
import { upstreamIdleMs } from './limits.ts';
import { errorCode } from './node-error.ts';
import { joinBytesMax, longReadBytes, ReadBuffer, writable } from './read-buffers.ts';
import type { BodyBuffers } from './read-buffers.ts';
import { longBodyBytes } from './tunnel-bodies.ts';
import type { TurnClock } from './turn-clock.ts';

export type UpstreamFailure = {
  readonly kind:
    | 'connect'
    | 'connect-timeout'
    | 'tunnel'
    | 'identity'
    | 'reset'
    /** By a pod of HTTP/2, which has not looked at the request. */
    | 'refused'
    | 'protocol'
    | 'bug';
  /** No byte of the request was taken by the kernel. */
  readonly isUnsent: boolean;
  /** For logs: an error code, or what was wrong with the answer. */
  readonly detail: string;
};

/** The attempt that a connection works for. */
export type UpstreamUser = {
  readonly request: AnsweredRequest;
  upstreamConnected(): void;
  /** 1xx, but not 101. */
  interimAnswered(head: HttpResponseHead): void;
  answered(head: HttpResponseHead): void;
  answerData(buffer: Buffer, start: number, end: number): void;
  /** The last call of an answer; the user releases the connection. */
  answerEnded(trailers: Fields | undefined): void;
  /** All that one read brought has been told. */
  upstreamReadEnded(): void;
  upstreamDrained(): void;
  upstreamFailed(failure: UpstreamFailure): void;
  /** 101: from here on bytes. */
  switched(head: HttpResponseHead): void;
  tunnelData(buffer: Buffer, start: number, end: number): void;
  tunnelEnded(): void;
};

export type UpstreamOwner = {
  /** The connection is open; its connect timeout is over. */
  connected(connection: UpstreamConnection): void;
  /** The connection can serve another request within `idleMs`. */
  keepIdle(connection: UpstreamConnection, idleMs: number): void;
  forget(connection: UpstreamConnection): void;
  /** Destroys the connection unless it closes by itself before long. */
  forgetSoon(connection: UpstreamConnection): void;
  bugFound(error: unknown): void;
};

export type UpstreamOptions = {
  readonly socket: NetworkSocket;
  /** It is open already: `connect` will not be told. */
  readonly isConnected?: boolean;
  readonly endpointId: string;
  readonly limits: HeadLimits;
  readonly buffers: BodyBuffers;
  readonly clock: TurnClock;
  readonly owner: UpstreamOwner;
};

export class UpstreamConnection implements SocketReader {
  readonly endpointId: string;
  /** While connecting: the connect timeout. While idle: the end of its life. */
  readonly deadline: Deadline;
  readonly #socket: NetworkSocket;
  readonly #owner: UpstreamOwner;
  readonly #limits: HeadLimits;
  readonly #parser: ResponseHeadParser;
  /** Whose bytes are in whose write queue. */
  readonly buffer: ReadBuffer;
  readonly #clock: TurnClock;
  #user: UpstreamUser | undefined;
  #decoder: BodyDecoder | undefined;
  #head: HttpResponseHead | undefined;
  #isConnected: boolean;
  #isSent = false;
  #isCorked = false;
  #isChunked = false;
  #isTunnel = false;
  #isReusable = false;
  #isClosed = false;
  #isLong = false;

  constructor(options: UpstreamOptions) {
    this.endpointId = options.endpointId;
    this.#isConnected = options.isConnected === true;
    this.#socket = options.socket;
    this.#owner = options.owner;
    this.#limits = options.limits;
    this.#parser = new ResponseHeadParser(options.limits);
    this.buffer = new ReadBuffer(options.buffers);
    this.#clock = options.clock;
    this.deadline = new Deadline(() => this.#guard(() => this.#expired()));
    const socket = options.socket;
    socket.on('connect', () => this.#guard(() => this.#connected()));
    if (socket.readInto === undefined) socket.on('data', (data) => this.read(data, data.length));
    else socket.readInto(this);
    socket.on('end', () => this.#guard(() => this.#peerEnded()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    socket.on('error', (error) => this.#guard(() => this.#broke(error)));
    socket.on('close', () => this.#guard(() => this.#broke(null)));
  }

  /** Open, and nothing has been heard that would end it. */
  get isUsable(): boolean {
    return this.#isConnected && !this.#isClosed && !this.#socket.destroyed
      && this.#socket.errored === null;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** The body of the last answer was long. */
  get hasBeenLong(): boolean {
    return this.#isLong;
  }

  /** No attempt works with it. */
  get isIdle(): boolean {
    return this.#user === undefined;
  }

  get isSent(): boolean {
    return this.#isSent;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** More than what is unsent should not be written now: `upstreamDrained` tells when. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Begins an attempt; the connection is idle or new. */
  use(user: UpstreamUser): void {
    this.#user = user;
    this.#isSent = false;
    this.#isReusable = false;
    this.#isLong = false;
    this.#head = undefined;
    this.#decoder = undefined;
  }

  /** Collects what is written until `flush`, so that head and body leave in one system call. */
  cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
  }

  /** The head of a request; with what follows at once it leaves in one system call. */
  sendHead(plan: Plan, sender: Sender, hop: Hop): void {
    this.#isChunked = plan.head.framing.kind === 'chunked';
    this.cork();
    this.write(plan.upstreamHead(sender, hop));
  }

  /** A piece of its body; false: full. */
  sendBody(buffer: Buffer, start: number, end: number): boolean {
    this.cork();
    if (!this.#isChunked) return this.write(writable(buffer, start, end));
    if (end - start <= joinBytesMax) return this.write(renderChunk(buffer, start, end));
    this.write(renderChunkPrefix(end - start));
    this.write(writable(buffer, start, end));
    return this.write(chunkEnd);
  }

  /** Its end; `nominated`: names that the request's Connection lists. */
  endBody(trailers: Fields | undefined, nominated: ReadonlySet<string>): void {
    if (!this.#isChunked) return;
    this.cork();
    this.write(renderLastChunk(trailers, nominated));
  }

  write(data: Uint8Array | string): boolean {
    return typeof data === 'string'
      ? this.#socket.write(data, 'latin1')
      : this.#socket.write(data);
  }

  flush(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket.uncork();
    // Node tries the write at once: an error that is known now says that the kernel took nothing.
    if (this.#socket.errored === null) this.#isSent = true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Half-close of a tunnel. */
  endTunnel(): void {
    this.#socket.end();
  }

  /** Both ways of a tunnel have ended: what is unsent may still leave, within `idle` time. */
  leaveTunnel(): void {
    this.#user = undefined;
    this.#owner.forgetSoon(this);
  }

  /** The user is done with a complete answer. `keep`: its request was sent to the end as well. */
  release(keep: boolean): void {
    this.#user = undefined;
    // A pod that has not taken the whole request may never do so, and the next one would wait.
    const isDone = keep && this.#isReusable && !this.isFull;
    if (!isDone || this.#isClosed || this.#socket.errored !== null) {
      this.destroy();
      return;
    }
    this.#socket.resume();
    const idleMs = idleTimeMs(this.#head);
    this.#head = undefined;
    this.#owner.keepIdle(this, idleMs);
  }

  /** Idle, it ends its side: it is closed when the pod has ended the other, or by its deadline. */
  retire(): void {
    this.#socket.end();
  }

  /** Cuts the connection; its user hears nothing. Idempotent. */
  destroy(): void {
    this.#user = undefined;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.buffer.close();
    this.#owner.forget(this);
    this.#socket.destroy();
  }

  #expired(): void {
    if (this.#user !== undefined && !this.#isConnected) this.#fail('connect-timeout', 'timeout');
    else if (this.#user === undefined) this.destroy();
  }

  #connected(): void {
    if (this.#isClosed) return;
    this.#isConnected = true;
    this.#owner.connected(this);
    this.#user?.upstreamConnected();
  }

  #drained(): void {
    this.buffer.drained();
    this.#user?.upstreamDrained();
  }

  readBuffer(): Buffer {
    return this.buffer.current;
  }

  read(buffer: Buffer, bytes: number): void {
    const user = this.#user;
    this.#clock.begin();
    try {
      this.#take(user, buffer, bytes);
    } catch (error) {
      this.#endAfterBug(user, error);
    }
    this.#clock.end();
  }

  #take(user: UpstreamUser | undefined, buffer: Buffer, bytes: number): void {
    if (user === undefined) {
      this.destroy();
      return;
    }
    if (this.#isTunnel) {
      user.tunnelData(buffer, 0, bytes);
      return;
    }
    if (this.#isSent) this.#parse(user, buffer, bytes);
    else this.#fail(this.#unaskedKind(), 'bytes before the request');
    user.upstreamReadEnded();
    // A connection that was cut in this read owns nothing any more.
    if (this.#decoder === undefined || this.#isClosed) this.buffer.release();
    else if (bytes >= longReadBytes) this.#flowLong();
  }

  /** What is told of no length is long when it flows like that. */
  #flowLong(): void {
    this.#isLong ||= this.#head?.framing.kind !== 'length';
    this.buffer.own();
  }

  #parse(user: UpstreamUser, buffer: Buffer, end: number): void {
    let at = 0;
    while (this.#user === user && !this.#isTunnel) {
      if (this.#decoder !== undefined) {
        at = this.#parseBody(user, buffer, at, end);
        if (at < 0) return;
        continue;
      }
      if (at === end) return;
      const result = this.#parser.parse(buffer, at, end, user.request);
      if (result.kind === 'incomplete') return;
      if (result.kind === 'reject') {
        this.#fail('protocol', result.detail);
        return;
      }
      at = result.end;
      this.#acceptHead(user, result.head);
      if (this.#isTunnel) user.tunnelData(buffer, at, end);
    }
  }

  /** One step through the body: where to go on, or -1 when there is nothing more to do. */
  #parseBody(user: UpstreamUser, buffer: Buffer, at: number, end: number): number {
    const decoder = this.#decoder;
    if (decoder === undefined) return -1;
    switch (decoder.advance(buffer, at, end)) {
      case 'data':
        user.answerData(buffer, decoder.dataStart, decoder.dataEnd);
        return decoder.position;
      case 'end':
        this.#complete(user, decoder, decoder.position === end);
        return -1;
      case 'incomplete':
        return -1;
      case 'reject':
        this.#fail('protocol', decoder.reject?.detail ?? 'malformed body');
        return -1;
    }
  }

  #acceptHead(user: UpstreamUser, head: HttpResponseHead): void {
    if (head.status === 101) {
      this.#isTunnel = true;
      user.switched(head);
      return;
    }
    if (head.status < 200) {
      user.interimAnswered(head);
      return;
    }
    this.#head = head;
    this.#isLong = head.framing.kind === 'length' && head.framing.length > longBodyBytes;
    this.#decoder = createBodyDecoder(head.framing, {
      limits: this.#limits,
      headBytes: head.bytes,
      headFields: head.fields.size,
    });
    user.answered(head);
  }

  /** Bytes behind a complete answer belong to nobody: the connection is not used again. */
  #complete(user: UpstreamUser, decoder: BodyDecoder, isClean: boolean): void {
    this.#isReusable = isClean && this.#head?.isKeepAlive === true;
    this.#decoder = undefined;
    user.answerEnded(decoder.trailers);
  }

  #peerEnded(): void {
    const user = this.#user;
    if (user === undefined) {
      this.destroy();
    } else if (this.#isTunnel) {
      user.tunnelEnded();
    } else if (this.#decoder?.close() === 'end') {
      this.#complete(user, this.#decoder, false);
      user.upstreamReadEnded();
    } else {
      this.#fail(this.#cutKind(), 'closed before the answer was complete');
    }
  }

  /** A cut after the first byte of a head is a malformed answer: the pod did act on the request. */
  #cutKind(): 'reset' | 'protocol' {
    return this.#parser.hasPartialHead ? 'protocol' : 'reset';
  }

  /** A request that could not be sent: the bytes belong to what closed the connection. */
  #unaskedKind(): 'reset' | 'protocol' {
    return this.#socket.errored === null ? 'protocol' : 'reset';
  }

  #broke(error: Error | null): void {
    if (this.#user === undefined) {
      this.destroy();
      return;
    }
    const isUnread = this.#socket.isUnread === true;
    const kind = isUnread ? 'tunnel' : this.#isConnected ? this.#cutKind() : 'connect';
    this.#fail(kind, errorCode(error) ?? 'closed');
  }

  #fail(kind: UpstreamFailure['kind'], detail: string): void {
    const user = this.#user;
    const isUnsent = !this.#isSent || this.#socket.isUnread === true;
    this.destroy();
    user?.upstreamFailed({ kind, isUnsent, detail });
  }

  /** A bug on this connection ends this connection and its exchange, not the worker. */
  #guard(step: () => void): void {
    const user = this.#user;
    try {
      step();
    } catch (error) {
      this.#endAfterBug(user, error);
    }
  }

  #endAfterBug(user: UpstreamUser | undefined, error: unknown): void {
    this.#owner.bugFound(error);
    this.destroy();
    this.#tellBug(user);
  }

  #tellBug(user: UpstreamUser | undefined): void {
    try {
      user?.upstreamFailed({ kind: 'bug', isUnsent: false, detail: 'a fault of the proxy' });
    } catch (error) {
      // Telling failed as well; the exchange ends by its time-out.
      this.#owner.bugFound(error);
    }
  }
}

/** Shorter than what the server says it waits, so that we are the ones who close. */
function idleTimeMs(head: HttpResponseHead | undefined): number {
  const said = head?.fields.get('keep-alive');
  const seconds = said === undefined ? undefined : /timeout=(\d{1,6})/i.exec(said)?.[1];
  if (seconds === undefined) return upstreamIdleMs;
  return Math.min(upstreamIdleMs, Math.max(0, Number(seconds) * 1000 - 500));
}
