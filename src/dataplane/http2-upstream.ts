// One HTTP/2 connection to a pod, shared by attempts that hold a stream each: it carries bytes
// between socket and session and tells each stream's carriage what is its own. It decides nothing
// about retries, and says of each failure whether the pod can have seen the request: a refused
// stream, or one above the last id of GOAWAY, was never looked at (RFC 9113 section 8.7).
import type { NetworkSocket } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { BodyBuffers } from './read-buffers.ts';
import { ReadBuffer } from './read-buffers.ts';
import { Http2Carriage } from './http2-carriage.ts';
import type { CarriageOwner } from './http2-carriage.ts';
import type { AnswerHeads, RequestLines } from './http2-heads.ts';
import { errorCode } from './http2/frames.ts';
import type { FrameBuffers, SessionTransport } from './http2/frame-writer.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import { streamsBeforeSettings } from './http2/limits.ts';
import type { SessionLimits } from './http2/limits.ts';
import { Http2Session } from './http2/session.ts';
import type { ResetCause, SessionFailure, SessionListener } from './http2/session-types.ts';
import type { Http2Stream } from './http2/stream.ts';
import { errorCode as nodeErrorCode } from './node-error.ts';
import type { TurnClock } from './turn-clock.ts';
import type { TurnEnd } from './turn-end.ts';
import type { UpstreamFailure } from './upstream.ts';

/** What all connections to pods of HTTP/2 share. */
export type Http2Shared = {
  readonly buffers: BodyBuffers;
  readonly frameBuffers: FrameBuffers;
  readonly sessionLimits: SessionLimits;
  readonly clock: TurnClock;
  readonly turnEnd: TurnEnd;
  readonly requests: RequestLines;
  readonly answers: AnswerHeads;
  readonly bugFound: (error: unknown) => void;
};

export type Http2UpstreamOwner = {
  /** It is open, or its last stream is over: `deadline` is the owner's. */
  idle(connection: Http2Upstream): void;
  busy(connection: Http2Upstream): void;
  /** The pod has said how many streams it takes. */
  settled(connection: Http2Upstream): void;
  forget(connection: Http2Upstream): void;
};

export type Http2UpstreamOptions = {
  readonly socket: NetworkSocket;
  readonly endpointId: string;
  readonly shared: Http2Shared;
  readonly owner: Http2UpstreamOwner;
};

type Stream = Http2Stream<Http2Carriage>;

export class Http2Upstream
  implements SessionTransport, SessionListener<Http2Carriage>, CarriageOwner {
  readonly endpointId: string;
  /** While connecting: the connect timeout. While idle: the end of its life. */
  readonly deadline: Deadline;
  readonly buffers: BodyBuffers;
  readonly requests: RequestLines;
  readonly answers: AnswerHeads;
  readonly openedMs: number;
  readonly #socket: NetworkSocket;
  readonly #shared: Http2Shared;
  readonly #owner: Http2UpstreamOwner;
  /** Never owns a large buffer: whoever passes on what was read has to copy it. */
  readonly #buffer: ReadBuffer;
  /** Undefined until the socket is connected. */
  #session: Http2Session<Http2Carriage> | undefined;
  readonly #waiting = new Set<Http2Carriage>();
  #touched: Http2Carriage[] = [];
  #isClosed = false;
  /** Its pod is given time to end its side. */
  #isRetired = false;

  readonly #flushing = (): void => this.#guard(() => this.#session?.flush());

  constructor({ socket, endpointId, shared, owner }: Http2UpstreamOptions) {
    this.endpointId = endpointId;
    this.#socket = socket;
    this.#shared = shared;
    this.#owner = owner;
    this.buffers = shared.buffers;
    this.requests = shared.requests;
    this.answers = shared.answers;
    this.openedMs = shared.clock.nowMs();
    this.#buffer = new ReadBuffer(shared.buffers);
    this.deadline = new Deadline(() => this.#guard(() => this.#expired()));
    socket.on('connect', () => this.#guard(() => this.#connected()));
    if (socket.readInto === undefined) socket.on('data', (data) => this.#readCopied(data));
    else {
      socket.readInto({
        readBuffer: () => this.#buffer.current,
        read: (buffer, bytes) => this.#read(buffer, bytes),
      });
    }
    socket.on('drain', () => this.#guard(() => this.#session?.drained()));
    socket.on('end', () => this.#guard(() => this.#gone('closed')));
    socket.on('error', (error) => this.#guard(() => this.#gone(nodeErrorCode(error) ?? 'error')));
    socket.on('close', () => this.#guard(() => this.#gone('closed')));
  }

  /** There is room for one more attempt. */
  get canTake(): boolean {
    if (this.#isClosed || this.#socket.errored !== null) return false;
    return this.#session?.canOpen ?? this.#waiting.size < streamsBeforeSettings;
  }

  get isConnecting(): boolean {
    return this.#session === undefined && !this.#isClosed;
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && (this.#session?.streams.size ?? 0) === 0;
  }

  /** How long the attempt has lasted that has lasted longest; 0: there is none. */
  get longestMs(): number {
    const oldest = this.#waiting.values().next().value ?? this.#session?.streams.oldest?.user;
    return oldest === undefined ? 0 : this.#shared.clock.nowMs() - oldest.takenMs;
  }

  /** A place for an attempt; it can be written to at once where the connection is open. */
  take(): Http2Carriage {
    const carriage = new Http2Carriage(this, this.#shared.clock.nowMs());
    if (this.#session === undefined) this.#waiting.add(carriage);
    else this.#begin(this.#session, carriage);
    this.#owner.busy(this);
    return carriage;
  }

  /** Idle, it ends its side: it is closed when the pod has ended the other, or by its deadline. */
  retire(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isRetired = true;
    this.#socket.end();
  }

  /** Cuts the connection; its exchanges are told. Idempotent. */
  destroy(): void {
    this.#gone('destroyed');
  }

  // ---- session's transport --------------------------------------------------------------------

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  flushSoon(): void {
    this.#shared.turnEnd.add(this.#flushing);
  }

  // ---- what the session tells -----------------------------------------------------------------

  headers({ user, hasEnded }: Stream, fields: readonly DecodedField[]): void {
    user?.headCame(fields, hasEnded);
  }

  data({ user }: Stream, buffer: Buffer, start: number, end: number): void {
    user?.dataCame(buffer, start, end);
  }

  ended({ user }: Stream, trailers: readonly DecodedField[] | undefined): void {
    user?.ended(trailers);
  }

  reset({ user }: Stream, code: number, cause: ResetCause): void {
    const isRefused = cause === 'peer' && code === errorCode.refusedStream;
    if (isRefused) user?.fail('refused', 'refused', true);
    else user?.fail(this.#kindOf(code, cause), `HTTP/2 error ${code}`);
  }

  drained({ user }: Stream): void {
    user?.drained();
  }

  closed(): void {
    this.#rest();
  }

  goAway(): void {
    this.#rest();
  }

  settled(): void {
    this.#owner.settled(this);
  }

  pingAnswered(): void {
    return;
  }

  failed({ detail }: SessionFailure): void {
    this.#gone(detail);
  }

  // ---- what carriages tell --------------------------------------------------------------------

  left(carriage: Http2Carriage): void {
    if (this.#waiting.delete(carriage)) this.#rest();
  }

  touched(carriage: Http2Carriage): void {
    this.#touched.push(carriage);
  }

  bugFound(error: unknown): void {
    this.#shared.bugFound(error);
  }

  // ---- the connection -------------------------------------------------------------------------

  #connected(): void {
    if (this.#isClosed) return;
    const { frameBuffers, sessionLimits, clock } = this.#shared;
    const session = new Http2Session<Http2Carriage>({
      role: 'client',
      transport: this,
      listener: this,
      limits: sessionLimits,
      buffers: frameBuffers,
      clock,
    });
    this.#session = session;
    this.#owner.busy(this);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const carriage of waiting) this.#begin(session, carriage);
    for (const carriage of waiting) if (carriage.isReady) carriage.connected();
    this.#rest();
  }

  #begin(session: Http2Session<Http2Carriage>, carriage: Http2Carriage): void {
    const stream = session.openStream(carriage);
    if (stream === undefined) carriage.fail('refused', 'no stream is left', true);
    else carriage.begin(stream);
  }

  #read(buffer: Buffer, bytes: number): void {
    const { clock } = this.#shared;
    clock.begin();
    this.#guard(() => {
      if (!this.#isRetired) this.#session?.read(buffer, 0, bytes);
    });
    this.#guard(() => this.#endRead());
    clock.end();
  }

  /**
   * Heads of HTTP/1.1 are written in front of bodies, where the frames of other streams lie: pieces
   * that still wait there are copies only where they were read into the shared buffer.
   */
  #readCopied(data: Buffer): void {
    for (let at = 0; at < data.length && !this.#isClosed; ) {
      const buffer = this.#buffer.current;
      const bytes = data.copy(buffer, 0, at);
      this.#read(buffer, bytes);
      at += bytes;
    }
  }

  #endRead(): void {
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (const carriage of touched) carriage.readEnded();
  }

  /** Without streams it waits for the next one, or closes where there will be none. */
  #rest(): void {
    if (this.#isClosed || !this.isIdle) return;
    if (this.#session?.isLeaving === true) this.#gone('left');
    else this.#owner.idle(this);
  }

  #expired(): void {
    if (this.#session === undefined) this.#fail('connect-timeout', 'timeout');
    else if (this.isIdle) this.#gone('idle');
  }

  /** What a broken stream says of the pod. */
  #kindOf(code: number, cause: ResetCause): UpstreamFailure['kind'] {
    if (cause === 'fault' || code === errorCode.http11Required) return 'protocol';
    return cause === 'connection' && !this.#isClosed ? 'protocol' : 'reset';
  }

  #gone(detail: string): void {
    this.#fail('connect', detail);
  }

  #fail(kind: 'connect' | 'connect-timeout', detail: string): void {
    if (this.#isRetired) this.#close();
    if (this.#isClosed) return;
    this.#isClosed = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const carriage of waiting) carriage.fail(kind, detail);
    this.#close();
  }

  #close(): void {
    this.#isRetired = false;
    this.#owner.forget(this);
    this.#session?.disconnected();
    this.#buffer.close();
    // What was said last may still leave.
    if (this.#session?.isOver === true) this.#socket.destroySoon();
    else this.#socket.destroy();
  }

  /** A bug of the connection ends all of its streams, not the worker. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.bugFound(error);
      this.#gone('a fault of the proxy');
    }
  }
}
