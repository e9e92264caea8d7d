// One connection to an endpoint, used by one attempt at a time. It parses the answer and tells its
// user; it decides nothing about retries. Whatever arrives while nobody uses it closes it: such
// bytes answer no request of ours (RFC 9112 9.2, the response-queue poisoning class).
// Invariant: after `release`, `destroy` or `upstreamFailed` the former user hears nothing any more.
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { BodyDecoder } from './http1/body-decoder.ts';
import { createBodyDecoder } from './http1/body-decoder.ts';
import type { Fields } from './http1/fields.ts';
import type { HeadLimits } from './http1/limits.ts';
import type { AnsweredRequest, HttpResponseHead } from './http1/response-head.ts';
import { ResponseHeadParser } from './http1/response-head.ts';
import { upstreamIdleMs } from './limits.ts';
import { errorCode } from './node-error.ts';

export type UpstreamFailure = {
  readonly kind: 'connect' | 'connect-timeout' | 'reset' | 'protocol' | 'bug';
  /** No byte of the request was taken by the kernel. */
  readonly isUnsent: boolean;
  /** For logs: an error code, or what was wrong with the answer. */
  readonly detail: string;
};

/** The attempt that a connection works for. */
export type UpstreamUser = {
  readonly answeredRequest: AnsweredRequest;
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
  /** 101: from here on bytes; `rest` came with the head. */
  switched(head: HttpResponseHead, rest: Buffer): void;
  tunnelData(data: Buffer): void;
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
  readonly endpointId: string;
  readonly limits: HeadLimits;
  readonly owner: UpstreamOwner;
};

export class UpstreamConnection {
  readonly endpointId: string;
  /** While connecting: the connect timeout. While idle: the end of its life. */
  readonly deadline: Deadline;
  readonly #socket: NetworkSocket;
  readonly #owner: UpstreamOwner;
  readonly #limits: HeadLimits;
  readonly #parser: ResponseHeadParser;
  #user: UpstreamUser | undefined;
  #decoder: BodyDecoder | undefined;
  #head: HttpResponseHead | undefined;
  #isConnected = false;
  #isSent = false;
  #isCorked = false;
  #isTunnel = false;
  #isReusable = false;
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.endpointId = options.endpointId;
    this.#socket = options.socket;
    this.#owner = options.owner;
    this.#limits = options.limits;
    this.#parser = new ResponseHeadParser(options.limits);
    this.deadline = new Deadline(() => this.#expired());
    const socket = options.socket;
    socket.on('connect', () => this.#guard(() => this.#connected()));
    socket.on('data', (data) => this.#guard(() => this.#read(data)));
    socket.on('end', () => this.#guard(() => this.#peerEnded()));
    socket.on('drain', () => this.#guard(() => this.#user?.upstreamDrained()));
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

  get isSent(): boolean {
    return this.#isSent;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Begins an attempt; the connection is idle or new. */
  use(user: UpstreamUser): void {
    this.#user = user;
    this.#isSent = false;
    this.#isReusable = false;
    this.#head = undefined;
    this.#decoder = undefined;
  }

  /** Collects what is written until `flush`, so that head and body leave in one system call. */
  cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
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
    if (!keep || !this.#isReusable || this.#isClosed || this.#socket.errored !== null) {
      this.destroy();
      return;
    }
    this.#socket.resume();
    this.#owner.keepIdle(this, idleTimeMs(this.#head));
  }

  /** Cuts the connection; its user hears nothing. Idempotent. */
  destroy(): void {
    this.#user = undefined;
    if (this.#isClosed) return;
    this.#isClosed = true;
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

  #read(chunk: Buffer): void {
    const user = this.#user;
    if (user === undefined) {
      this.destroy();
      return;
    }
    if (this.#isTunnel) {
      user.tunnelData(chunk);
      return;
    }
    if (this.#isSent) this.#parse(user, chunk);
    else this.#fail('protocol', 'bytes before the request');
    user.upstreamReadEnded();
  }

  #parse(user: UpstreamUser, chunk: Buffer): void {
    let at = 0;
    while (this.#user === user && !this.#isTunnel) {
      if (this.#decoder !== undefined) {
        if (!this.#parseBody(user, this.#decoder, chunk, at)) return;
        at = this.#decoder.position;
        continue;
      }
      if (at === chunk.length) return;
      const result = this.#parser.parse(chunk, at, chunk.length, user.answeredRequest);
      if (result.kind === 'incomplete') return;
      if (result.kind === 'reject') {
        this.#fail('protocol', result.detail);
        return;
      }
      at = result.end;
      this.#acceptHead(user, result.head, chunk, at);
    }
  }

  /** One step through the body; false when there is nothing more to do with this chunk. */
  #parseBody(user: UpstreamUser, decoder: BodyDecoder, chunk: Buffer, at: number): boolean {
    const step = decoder.advance(chunk, at, chunk.length);
    switch (step) {
      case 'data':
        user.answerData(chunk, decoder.dataStart, decoder.dataEnd);
        return true;
      case 'end':
        this.#complete(user, decoder, decoder.position === chunk.length);
        return false;
      case 'incomplete':
        return false;
      case 'reject':
        this.#fail('protocol', decoder.reject?.detail ?? 'malformed body');
        return false;
    }
  }

  #acceptHead(user: UpstreamUser, head: HttpResponseHead, chunk: Buffer, at: number): void {
    if (head.status === 101) {
      this.#isTunnel = true;
      user.switched(head, chunk.subarray(at));
      return;
    }
    if (head.status < 200) {
      user.interimAnswered(head);
      return;
    }
    this.#head = head;
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

  #broke(error: Error | null): void {
    if (this.#user === undefined) {
      this.destroy();
      return;
    }
    this.#fail(this.#isConnected ? this.#cutKind() : 'connect', errorCode(error) ?? 'closed');
  }

  #fail(kind: UpstreamFailure['kind'], detail: string): void {
    const user = this.#user;
    const isUnsent = !this.#isSent;
    this.destroy();
    user?.upstreamFailed({ kind, isUnsent, detail });
  }

  /** A bug on this connection ends this connection and its exchange, not the worker. */
  #guard(step: () => void): void {
    const user = this.#user;
    try {
      step();
    } catch (error) {
      this.#owner.bugFound(error);
      this.destroy();
      this.#tellBug(user);
    }
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
