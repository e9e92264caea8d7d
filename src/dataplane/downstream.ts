// One connection that a client opened: its socket, its end, and which HTTP is spoken on it. The
// first bytes tell; from then on http1-downstream.ts or http2-downstream.ts takes what comes and
// says when the connection is over. A bug in either ends this connection, not the worker.
// Invariant: whatever ends it, its side hears `gone` once, and whoever opened it `closed` once.
import type { NetworkSocket, SocketReader } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import type { ArrivedHeads } from './arrived-heads.ts';
import type { Engine } from './engine.ts';
import { Http1Downstream } from './http1-downstream.ts';
import { Http2Downstream } from './http2-downstream.ts';
import { heldPreface, lookForPreface } from './http2-preface.ts';
import { lingerMs, lingeringMax } from './limits.ts';
import { Linger } from './linger.ts';
import { PhaseDeadline } from './phase-deadline.ts';
import type { Phase } from './phase-deadline.ts';
import { ReadBuffer } from './read-buffers.ts';

/** `cut`: destroyed, and not told yet that it is closed. */
type State = 'open' | 'closing' | 'cut' | 'closed';

/** What speaks one HTTP on a connection. */
export type DownstreamSide = {
  /** To end now would cut an answer short. */
  readonly isBusy: boolean;
  read(buffer: Buffer, bytes: number): void;
  /** The socket has sent what it held. */
  socketDrained(): void;
  /** FIN. */
  peerEnded(): void;
  /** The connection is gone. */
  gone(): void;
  expired(phase: Phase): void;
  endAfterBug(): void;
  drainBegan(): void;
  /** Ends the connection if no request is on it; a new one is given time for its first. */
  closeIfIdle(): void;
  /** Another table is in force: what goes on without end may not be allowed any more. */
  recheck(table: RouteTable): void;
};

export type DownstreamOptions = {
  readonly engine: Engine;
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly servicePort: number;
  /** Of a tunnel. */
  readonly arrived?: ArrivedHeads;
  readonly closed: (connection: DownstreamConnection) => void;
};

export class DownstreamConnection implements SocketReader {
  readonly engine: Engine;
  readonly socket: NetworkSocket;
  readonly remoteAddress: string;
  readonly servicePort: number;
  readonly arrived: ArrivedHeads | undefined;
  readonly buffer: ReadBuffer;
  /** What its side waits for; while it is closing, that the client has read everything. */
  readonly wait: PhaseDeadline;
  readonly #closed: (connection: DownstreamConnection) => void;
  readonly guard = (step: () => void): void => this.#guard(step);
  #side: DownstreamSide;
  #state: State = 'open';
  #isNew: boolean;
  /** Bytes of the preface of HTTP/2 that have come, and may still be HTTP/1.1. */
  #prefaceBytes = 0;
  #linger: Linger | undefined;
  /** The next answer ends the connection. */
  isLeaving = false;
  place = -1;

  constructor(options: DownstreamOptions) {
    const { engine, socket } = options;
    this.engine = engine;
    this.socket = socket;
    this.remoteAddress = options.remoteAddress;
    this.servicePort = options.servicePort;
    this.arrived = options.arrived;
    // Proxies speak HTTP/1.1 among themselves.
    this.#isNew = options.arrived === undefined;
    this.#closed = options.closed;
    this.buffer = new ReadBuffer(engine.buffers);
    this.wait = new PhaseDeadline(engine.deadlines, (phase) => {
      this.#guard(() => this.#expired(phase));
    });
    this.#side = new Http1Downstream(this);
    socket.on('end', () => this.#guard(() => this.#peerEnded()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    // What matters of an error is that the connection closes, which follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#guard(() => this.#gone()));
    this.wait.begin('head', engine.limits.headTimeoutMs);
    if (socket.readInto === undefined) socket.on('data', (data) => this.read(data, data.length));
    else socket.readInto(this);
  }

  // ---- what the worker does -------------------------------------------------------------------

  leave(): void {
    this.isLeaving = true;
  }

  drainBegan(): void {
    this.#side.drainBegan();
  }

  closeIfIdle(): void {
    if (this.#state === 'open') this.#side.closeIfIdle();
  }

  recheck(table: RouteTable): void {
    this.#side.recheck(table);
  }

  /** Cuts the connection; an answer that is on its way must not look complete. */
  destroy(): void {
    if (this.#side.isBusy) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  // ---- what its side does ---------------------------------------------------------------------

  /** FIN, then a while in which the client may read (linger.ts). */
  close(): void {
    if (this.#state !== 'open') return;
    const { counts, limits } = this.engine;
    this.#state = 'closing';
    counts.lingering += 1;
    this.socket.end();
    this.#linger = new Linger(this.socket.writableLength, limits.keepAliveTimeoutMs);
    if (counts.lingering > lingeringMax) this.destroy();
    else this.wait.begin('linger', lingerMs);
  }

  /** What is left of the read that led here must not become a request. */
  cut(): void {
    if (this.#state === 'open') this.#state = 'cut';
    this.socket.resetAndDestroy();
  }

  // ---- the socket -----------------------------------------------------------------------------

  readBuffer(): Buffer {
    return this.buffer.current;
  }

  read(buffer: Buffer, bytes: number): void {
    if (this.#state !== 'open') return;
    this.engine.clock.begin();
    try {
      if (!this.#isNew || this.#isKnown(buffer, bytes)) this.#side.read(buffer, bytes);
    } catch (error) {
      this.#endAfterBug(error);
    }
    this.engine.clock.end();
  }

  /** Which HTTP it is; what may be either is held back, until more tells. */
  #isKnown(buffer: Buffer, bytes: number): boolean {
    const look = lookForPreface(this.#prefaceBytes, buffer, bytes);
    if (look === 'more') {
      this.#prefaceBytes += bytes;
      return false;
    }
    this.#isNew = false;
    if (look === 'yes') {
      this.wait.end();
      this.#side = new Http2Downstream(this);
    }
    const held = heldPreface(this.#prefaceBytes);
    if (held.length > 0) this.#side.read(held, held.length);
    return true;
  }

  #drained(): void {
    this.buffer.drained();
    this.#side.socketDrained();
  }

  #peerEnded(): void {
    if (this.#state === 'open') this.#side.peerEnded();
  }

  #gone(): void {
    if (this.#state === 'closed') return;
    this.buffer.close();
    if (this.#state === 'closing') this.engine.counts.lingering -= 1;
    this.#state = 'closed';
    this.wait.end();
    this.#side.gone();
    this.#closed(this);
  }

  #expired(phase: Phase): void {
    if (phase !== 'linger') this.#side.expired(phase);
    else if (this.#linger?.isOver(this.socket.writableLength) === false) {
      this.wait.begin('linger', lingerMs);
    } else this.destroy();
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#endAfterBug(error);
    }
  }

  #endAfterBug(bug: unknown): void {
    this.engine.observer.bugFound(bug);
    try {
      this.#side.endAfterBug();
    } catch (error) {
      this.engine.observer.bugFound(error);
      this.destroy();
    }
  }
}
