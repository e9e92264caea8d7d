// One HTTP/2 session inside a tunnel: it carries connections, each of them a CONNECT stream, and
// nothing else. Both sides use it; what is in the streams is their maker's business. What
// clients do to their connections is no nuisance of the proxy that carries them, so resets are not
// counted.
// Invariant: `closed` is told once, when neither session nor socket are alive any more.
import type { SecureSocket, SocketReader } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { errorCode } from './http2/frames.ts';
import type { SessionTransport } from './http2/frame-writer.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import { defaultSessionLimits } from './http2/limits.ts';
import type { SessionLimits } from './http2/limits.ts';
import type { ResetCause, SessionListener } from './http2/session-types.ts';
import { Http2Session } from './http2/session.ts';
import type { Http2Stream } from './http2/stream.ts';
import { lingerMs, tunnelKeepAliveMs } from './limits.ts';
import { ReadBuffer } from './read-buffers.ts';

/** What a session tells to what one of its streams carries; `Self`: its own type. */
export type CarriedStream<Self> = {
  /** Ours: the stream is begun with this head. */
  call(stream: Http2Stream<Self>, head: readonly HeaderField[]): void;
  /** The peer's. */
  arrive(stream: Http2Stream<Self>): void;
  answered(fields: readonly DecodedField[]): void;
  /** The bytes are overwritten by the next read. */
  arrived(buffer: Buffer, start: number, end: number): void;
  peerEnded(): void;
  /** `isUnread`: nothing of it was looked at. `streamClosed` follows. */
  peerReset(isUnread: boolean): void;
  /** Everything queued has left. */
  sent(): void;
  streamClosed(): void;
};

/** What all sessions of a worker share. */
export type SessionShared = Pick<
  Engine,
  'buffers' | 'clock' | 'deadlines' | 'frameBuffers' | 'turnEnd'
> & { readonly observer: Pick<Engine['observer'], 'bugFound'> };

/**
 * As many streams as their windows fit into the connection's: one that is not read holds up no
 * other. Who needs more opens another session.
 */
const streamsMax = 256;
/**
 * How often a peer is asked whether it is there, and how long it has for the answer: a proxy that
 * is busy answers in milliseconds, and a node that is gone takes minutes to be noticed by TCP.
 */
const lookMs = 15_000;
const tunnelLimits: SessionLimits = {
  ...defaultSessionLimits,
  streamsMax,
  connectionWindowBytes: streamsMax * defaultSessionLimits.streamWindowBytes,
  youngStreamMs: 0,
};

export type TunnelSessionOptions<S> = {
  readonly role: 'client' | 'server';
  readonly engine: SessionShared;
  readonly socket: SecureSocket;
  /** Server: for a stream that arrives; `arrived` follows. */
  readonly make: () => S;
  /** Server: a stream has arrived. */
  readonly arrived: (stream: S, head: readonly DecodedField[]) => void;
  /** A place has become free, or none is given any more. */
  readonly changed: () => void;
  readonly closed: () => void;
};

export class TunnelSession<S extends CarriedStream<S>>
  implements SocketReader, SessionTransport, SessionListener<S>
{
  readonly #options: TunnelSessionOptions<S>;
  readonly #socket: SecureSocket;
  readonly #buffer: ReadBuffer;
  /** A server has one as soon as its client speaks: nothing must follow the greeting before. */
  #session: Http2Session<S> | undefined;
  #isFlushDue = false;
  /** It has written in this turn of the event loop. */
  #isResting = false;
  #isLeaving = false;
  #isClosed = false;
  /** It is being closed, when all of this has been taken. */
  #bytesLeft: number | undefined;
  /** Something has come since it was looked at last. */
  #isHeard = true;
  readonly #look = new Deadline(() => this.#guard(() => this.#lookAtPeer()));

  constructor(options: TunnelSessionOptions<S>) {
    const { socket, engine, role } = options;
    this.#options = options;
    this.#socket = socket;
    this.#buffer = new ReadBuffer(engine.buffers);
    socket.setKeepAlive?.(true, tunnelKeepAliveMs);
    socket.on('error', () => undefined);
    socket.on('drain', () => this.#guard(() => this.#drained()));
    // Nobody half-closes a connection on which windows have to be opened.
    socket.on('end', () => this.destroy());
    socket.on('close', () => this.#gone());
    engine.deadlines.arm(this.#look, lookMs);
    if (role === 'client') this.#session = this.#begin();
    socket.readInto(this);
  }

  get streamCount(): number {
    return this.#session?.streams.size ?? 0;
  }

  get canOpen(): boolean {
    return !this.#isLeaving && !this.#isClosed && this.#session?.canOpen === true;
  }

  /** Its peer has not said yet how many streams it takes. */
  get isNew(): boolean {
    return this.#session?.hasSettings === false;
  }

  get isLeaving(): boolean {
    return this.#isLeaving || this.#session?.isLeaving === true;
  }

  /** False: there is no place. */
  open(stream: S, head: readonly HeaderField[]): boolean {
    const opened = this.canOpen ? this.#session?.openStream(stream) : undefined;
    if (opened === undefined) return false;
    stream.call(opened, head);
    return true;
  }

  /** No new stream begins; those that are open go on, and the last one ends it. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#session?.leave();
    this.closeIfIdle();
    this.#options.changed();
  }

  closeIfIdle(): void {
    if (this.streamCount > 0) return;
    // No stream may begin on what is being closed.
    this.#isLeaving = true;
    this.#session?.flush();
    this.#closeSoon(lookMs);
  }

  /** Cuts it, with all its streams. Idempotent. */
  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  // ---- its socket -------------------------------------------------------------------------------

  readBuffer(): Buffer {
    return this.#buffer.current;
  }

  read(buffer: Buffer, bytes: number): void {
    const { clock } = this.#options.engine;
    this.#isHeard = true;
    clock.begin();
    this.#guard(() => {
      this.#session ??= this.#begin();
      this.#session.read(buffer, 0, bytes);
    });
    clock.end();
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /**
   * What is said first in a turn leaves at once, and what is said behind that at its end, in one
   * write: a request that is alone waits for nobody. (A write at the end of a turn costs the loop
   * one more turn, in which TLS says that it is over.)
   */
  flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    if (this.#isResting) return;
    this.#isResting = true;
    const { turnEnd } = this.#options.engine;
    turnEnd.soon(this.#flushNow);
    turnEnd.add(this.#turnEnded);
  }

  readonly #flushNow = (): void => {
    this.#isFlushDue = false;
    this.#guard(() => this.#session?.flush());
  };

  readonly #turnEnded = (): void => {
    this.#isResting = false;
    if (this.#isFlushDue) this.#flushNow();
  };

  #begin(): Http2Session<S> {
    const { role, engine } = this.#options;
    const session = new Http2Session<S>({
      role,
      transport: this,
      listener: this,
      limits: tunnelLimits,
      buffers: engine.frameBuffers,
      clock: engine.clock,
    });
    if (this.#isLeaving) session.leave();
    return session;
  }

  /** Cut where the peer does not take what is left. */
  #closeSoon(withinMs: number): void {
    if (this.#bytesLeft === undefined && !this.#isClosed) {
      this.#bytesLeft = this.#socket.writableLength;
      this.#options.engine.deadlines.arm(this.#look, withinMs);
    }
    this.#socket.destroySoon();
  }

  /** A peer that has said nothing is asked; one that does not answer either is gone. */
  #lookAtPeer(): void {
    const { writableLength } = this.#socket;
    const isStuck = this.#bytesLeft !== undefined && writableLength >= this.#bytesLeft;
    if (isStuck || !this.#isHeard) {
      this.destroy();
      return;
    }
    if (this.#bytesLeft !== undefined) this.#bytesLeft = writableLength;
    this.#isHeard = this.streamCount === 0;
    if (!this.#isHeard) this.#session?.ping();
    this.#options.engine.deadlines.arm(this.#look, lookMs);
  }

  #drained(): void {
    this.#session?.drained();
    this.#session?.flush();
  }

  #gone(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.engine.deadlines.disarm(this.#look);
    this.#guard(() => this.#session?.disconnected());
    this.#buffer.close();
    this.#options.closed();
  }

  // ---- its streams ------------------------------------------------------------------------------

  headers(stream: Http2Stream<S>, fields: readonly DecodedField[]): void {
    if (stream.user !== undefined) {
      stream.user.answered(fields);
      return;
    }
    const arrived = this.#options.make();
    stream.user = arrived;
    arrived.arrive(stream);
    this.#options.arrived(arrived, fields);
  }

  data(stream: Http2Stream<S>, buffer: Buffer, start: number, end: number): void {
    stream.user?.arrived(buffer, start, end);
  }

  ended(stream: Http2Stream<S>): void {
    stream.user?.peerEnded();
  }

  reset(stream: Http2Stream<S>, code: number, cause: ResetCause): void {
    stream.user?.peerReset(cause === 'peer' && code === errorCode.refusedStream);
  }

  drained(stream: Http2Stream<S>): void {
    stream.user?.sent();
  }

  closed(stream: Http2Stream<S>): void {
    stream.user?.streamClosed();
    if (this.#isClosed) return;
    if (this.isLeaving) this.closeIfIdle();
    this.#options.changed();
  }

  goAway(): void {
    if (this.streamCount === 0) this.#closeSoon(lookMs);
    this.#options.changed();
  }

  settled(): void {
    this.#options.changed();
  }

  pingAnswered(): void {
    return;
  }

  failed(): void {
    this.#closeSoon(lingerMs);
  }

  /** A bug ends this session, and not the worker. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#options.engine.observer.bugFound(error);
      this.#socket.destroy();
    }
  }
}
