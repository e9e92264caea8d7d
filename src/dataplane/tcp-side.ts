// One side of a TCP connection that is passed on: what it reads is written to the other side, from
// the buffer that it was read into, and it is read no faster than that takes. A FIN is passed on as
// a FIN behind the bytes before it. What a broken side means its flow decides.
// Nothing is read before `join`: what the client sends earlier waits in the kernel.
import type { NetworkSocket, SocketReader } from '../lib/network.ts';
import type { Engine } from './engine.ts';
import { PausedLook } from './paused-look.ts';
import { WaitingBytes } from './pending-bytes.ts';
import { longReadBytes, ReadBuffer, writable } from './read-buffers.ts';

/** The flow that a side belongs to. */
export type SideOwner = {
  /** Bytes have come, or have left. */
  sideMoved(): void;
  /** Its FIN has come and was passed on. */
  sideEnded(): void;
  /** Told once; nothing of it is open any more. */
  sideClosed(side: TcpSide): void;
  bugFound(error: unknown): void;
};

export class TcpSide implements SocketReader {
  readonly buffer: ReadBuffer;
  /** Read from this side. */
  readBytes = 0;
  /** It has sent its FIN. */
  hasEnded = false;
  isClosed = false;
  readonly #engine: Engine;
  readonly #socket: NetworkSocket;
  readonly #owner: SideOwner;
  /** Written to this side, and not taken yet. */
  readonly #unsent: WaitingBytes;
  #other: TcpSide | undefined;
  /** FIN follows what was written to it. */
  #isEnding = false;
  #isPaused = false;
  #look: PausedLook | undefined;

  constructor(engine: Engine, socket: NetworkSocket, owner: SideOwner) {
    this.#engine = engine;
    this.#socket = socket;
    this.#owner = owner;
    this.#unsent = new WaitingBytes(engine.counts);
    this.buffer = new ReadBuffer(engine.buffers);
    socket.on('end', () => this.#guard(() => this.#ended()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    // What matters of an error is that the connection closes, which follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#guard(() => this.#gone()));
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Both ways have ended, as their ends wanted it. */
  get isDone(): boolean {
    return this.hasEnded && this.#isEnding && this.#socket.errored === null;
  }

  /** From here on what is read goes to `other`. */
  join(other: TcpSide): void {
    this.#other = other;
    const socket = this.#socket;
    if (socket.readInto === undefined) socket.on('data', (data) => this.read(data, data.length));
    else socket.readInto(this);
  }

  /** Sends RST; what was not sent is lost. Idempotent. */
  reset(): void {
    this.#close();
    if (!this.#socket.destroyed) this.#socket.resetAndDestroy();
  }

  // ---- reading ----------------------------------------------------------------------------------

  readBuffer(): Buffer {
    return this.buffer.current;
  }

  read(buffer: Buffer, bytes: number): void {
    this.#engine.clock.begin();
    try {
      this.#pass(buffer, bytes);
    } catch (error) {
      this.#owner.bugFound(error);
    }
    this.#engine.clock.end();
  }

  #pass(buffer: Buffer, bytes: number): void {
    const other = this.#other;
    if (other === undefined || this.isClosed || other.isClosed) return;
    this.readBytes += bytes;
    this.#owner.sideMoved();
    const socket = other.#socket;
    const isTaken = socket.write(writable(buffer, 0, bytes));
    const unsentBytes = socket.writableLength;
    if (!isTaken) {
      other.#unsent.set(unsentBytes);
      this.#setPaused(true);
    }
    if (this.#socket.readInto === undefined) return;
    if (unsentBytes > 0) this.buffer.lend(other.buffer);
    // A side that is quiet again needs no buffer of its own.
    if (bytes >= longReadBytes) this.buffer.own();
    else this.buffer.release();
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#socket.pause();
    else this.#socket.resume();
    const { deadlines } = this.#engine;
    this.#look ??= new PausedLook(deadlines, this.#socket, (step) => this.#guard(step));
    this.#look.set(isPaused);
  }

  /** All that was written to this side has left. */
  #drained(): void {
    this.buffer.drained();
    this.#unsent.set(0);
    if (this.isClosed) return;
    this.#owner.sideMoved();
    const other = this.#other;
    other?.buffer.reclaim();
    if (other?.isClosed === false) other.#setPaused(false);
  }

  // ---- ends -------------------------------------------------------------------------------------

  #ended(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    if (this.#other !== undefined) this.#other.#end();
    this.#owner.sideEnded();
  }

  #end(): void {
    this.#isEnding = true;
    this.#socket.end();
  }

  #gone(): void {
    const wasClosed = this.isClosed;
    this.#close();
    if (!wasClosed) this.#owner.sideClosed(this);
  }

  /** Gives back all that it holds. Idempotent. */
  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.buffer.close();
    this.#unsent.set(0);
    this.#look?.end();
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#owner.bugFound(error);
    }
  }
}
