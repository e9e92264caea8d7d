// One HTTP/2 session inside a tunnel: it carries TCP connections, each of them a CONNECT stream,
// and nothing else. Both sides use it; which streams there are is their maker's business. What
// clients do to their connections is no nuisance of the proxy that carries them, so resets are not
// counted.
// Invariant: `closed` is told once, when neither session nor socket are alive any more.
import type { SecureSocket, SocketReader } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import type { SessionTransport } from './http2/frame-writer.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import type { HeaderField } from './http2/hpack-table.ts';
import { defaultSessionLimits } from './http2/limits.ts';
import type { SessionLimits } from './http2/limits.ts';
import type { SessionListener } from './http2/session-types.ts';
import { Http2Session } from './http2/session.ts';
import type { Http2Stream } from './http2/stream.ts';
import { tunnelKeepAliveMs } from './limits.ts';
import { ReadBuffer } from './read-buffers.ts';
import { TunnelStream } from './tunnel-stream.ts';

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

export type TunnelSessionOptions = {
  readonly role: 'client' | 'server';
  readonly engine: Engine;
  readonly socket: SecureSocket;
  /** Server: a stream has arrived. */
  readonly arrived: (stream: TunnelStream, head: readonly DecodedField[]) => void;
  /** A place has become free, or none is given any more. */
  readonly changed: () => void;
  readonly closed: () => void;
};

type Stream = Http2Stream<TunnelStream>;

export class TunnelSession
  implements SocketReader, SessionTransport, SessionListener<TunnelStream>
{
  readonly #options: TunnelSessionOptions;
  readonly #socket: SecureSocket;
  readonly #buffer: ReadBuffer;
  /** A server has one as soon as its client speaks: nothing must follow the greeting before. */
  #session: Http2Session<TunnelStream> | undefined;
  #isFlushDue = false;
  #isLeaving = false;
  #isClosed = false;
  /** Something has come since it was looked at last. */
  #isHeard = true;
  readonly #look = new Deadline(() => this.#guard(() => this.#lookAtPeer()));

  constructor(options: TunnelSessionOptions) {
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
  open(stream: TunnelStream, head: readonly HeaderField[]): boolean {
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
    this.#socket.destroySoon();
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

  /** What one turn has to say leaves in one write. */
  flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#options.engine.turnEnd.add(() => {
      this.#isFlushDue = false;
      this.#guard(() => this.#session?.flush());
    });
  }

  #begin(): Http2Session<TunnelStream> {
    const { role, engine } = this.#options;
    const session = new Http2Session<TunnelStream>({
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

  /** A peer that has said nothing is asked; one that does not answer either is gone. */
  #lookAtPeer(): void {
    if (!this.#isHeard) {
      this.destroy();
      return;
    }
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

  headers(stream: Stream, fields: readonly DecodedField[]): void {
    if (stream.user !== undefined) {
      stream.user.answered(fields);
      return;
    }
    const arrived = new TunnelStream(this.#options.engine.counts);
    stream.user = arrived;
    arrived.arrive(stream);
    this.#options.arrived(arrived, fields);
  }

  data(stream: Stream, buffer: Buffer, start: number, end: number): void {
    stream.user?.arrived(buffer, start, end);
  }

  ended(stream: Stream): void {
    stream.user?.peerEnded();
  }

  reset(stream: Stream): void {
    stream.user?.peerReset();
  }

  drained(stream: Stream): void {
    stream.user?.sent();
  }

  closed(stream: Stream): void {
    stream.user?.streamClosed();
    if (this.#isClosed) return;
    if (this.isLeaving) this.closeIfIdle();
    this.#options.changed();
  }

  goAway(): void {
    if (this.streamCount === 0) this.#socket.destroySoon();
    this.#options.changed();
  }

  settled(): void {
    this.#options.changed();
  }

  pingAnswered(): void {
    return;
  }

  failed(): void {
    this.#socket.destroySoon();
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
