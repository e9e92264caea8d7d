// Moves the bytes of a secured connection past the streams of Node, which cost more than the
// encryption of a small message. What it may rely on is typed in kernel-stream.ts and tried at
// start (secure-trial.ts). The handshake and the closing stay with `node:tls`.
// One read of the kernel brings several records, each told by itself, also behind a `pause`.
// Invariant: a buffer of a reader is written to only while the reader is not paused; what comes
// then waits here, at most what one read brings.
import { getSystemErrorName } from 'node:util';
import type tls from 'node:tls';
import type { SocketReader } from '../lib/network.ts';
import { endOfFile } from './kernel-stream.ts';
import type { Internals, SecureKernelStream } from './kernel-stream.ts';
import type { Carrier, CarrierEvents, Piece } from './secure-carrier.ts';

/** A record of TLS brings at most as much. */
const recordBytes = 16 * 1024;
/** Texts up to here are encrypted from the one buffer that all connections share. */
const textBytesMax = 64 * 1024;
/** A write of more records than Node hands to the kernel at once may not have left entirely. */
const promptBytesMax = 64 * 1024;
/** One read of the kernel brings 64 kB at most; where pausing works hardly more has to wait. */
const heldBytesMax = 512 * 1024;
/** Of a shorter record that has to wait a copy is kept, and its buffer is used again. */
const copiedBytesMax = 4 * 1024;
/** Lengths whose view of the shared buffer is kept: heads and small messages. */
const viewsMax = 4 * 1024;

/** Its bytes have been encrypted when a write returns. */
const textBuffer = Buffer.allocUnsafeSlow(textBytesMax);
const views: (Buffer | undefined)[] = [];

export class DirectCarrier implements Carrier {
  readonly #socket: tls.TLSSocket;
  readonly #stream: SecureKernelStream;
  readonly #internals: Internals;
  readonly #events: CarrierEvents;
  readonly #completed: (status: number) => void;
  #reader: SocketReader | undefined;
  /** Where records go; kept till the connection has closed, because they may come as long. */
  #buffer: Buffer | undefined;
  /** For a record that comes while the reader is paused. */
  #spare: Buffer | undefined;
  /** Records that the reader has not wanted yet. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isFlushDue = false;
  #isPaused = false;
  #isInRead = false;
  #isEndHeld = false;
  #isClosed = false;

  /** Undefined: this socket is not what it should be. */
  static of(
    socket: tls.TLSSocket,
    internals: Internals,
    events: CarrierEvents,
  ): DirectCarrier | undefined {
    const stream = internals.secureOf(socket);
    if (stream === undefined || socket.writableLength > 0) return undefined;
    return new DirectCarrier({ socket, stream, internals, events });
  }

  private constructor({ socket, stream, internals, events }: DirectOptions) {
    this.#socket = socket;
    this.#stream = stream;
    this.#internals = internals;
    this.#events = events;
    this.#completed = (status) => this.#writeEnded(status);
  }

  readInto(reader: SocketReader): void {
    const isFirst = this.#reader === undefined;
    this.#reader = reader;
    if (isFirst) this.#takeOver();
    else if (!this.#isPaused && !this.#isInRead) this.#useBuffer(reader.readBuffer());
  }

  pause(): void {
    if (this.#isPaused || this.#isClosed) return;
    this.#isPaused = true;
    if (this.#reader !== undefined) this.#stream.readStop();
  }

  resume(): void {
    if (!this.#isPaused || this.#isClosed) return;
    this.#isPaused = false;
    if (this.#held.length > 0 || this.#isEndHeld) this.#flushSoon();
    else this.#startReading();
  }

  write(piece: Piece): boolean {
    const request = new this.#internals.WriteRequest();
    request.oncomplete = this.#completed;
    const code = typeof piece === 'string' && piece.length > textBytesMax
      ? this.#stream.writeLatin1String(request, piece)
      : this.#stream.writeBuffer(request, typeof piece === 'string' ? bytesOf(piece) : piece);
    if (code !== 0) {
      this.#fail(code, 'write');
      return false;
    }
    return piece.length <= promptBytesMax && this.#stream._parent.writeQueueSize === 0;
  }

  end(isLast: boolean): void {
    const request = new this.#internals.ShutdownRequest();
    const ended = (): void => {
      if (isLast) this.#socket.destroy();
    };
    request.oncomplete = ended;
    // Not connected any more: what happened is told by the next read.
    if (this.#stream.shutdown(request) !== 0) ended();
  }

  close(): void {
    this.#isClosed = true;
    this.#held = [];
  }

  // ---- reading ----------------------------------------------------------------------------------

  /** From here on the socket itself reads nothing. */
  #takeOver(): void {
    const early: unknown = this.#socket.readableLength > 0 ? this.#socket.read() : null;
    if (Buffer.isBuffer(early)) this.#hold(early, early.length);
    const { state, readBytesIndex } = this.#internals;
    this.#stream.onread = () => this.#received(state[readBytesIndex] ?? 0);
    if (this.#held.length > 0) this.#flushSoon();
    if (!this.#isPaused) this.#startReading();
  }

  #startReading(): void {
    if (this.#reader === undefined) return;
    // The spare one does for a record: to change buffers out of a read costs Node some bytes.
    const isReady = this.#isInRead || (this.#spare !== undefined && this.#buffer === this.#spare);
    if (!isReady) this.#useBuffer(this.#reader.readBuffer());
    const code = this.#stream.readStart();
    // The handshake has begun to read.
    if (code !== 0 && getSystemErrorName(code) !== 'EALREADY') this.#fail(code, 'read');
  }

  #useBuffer(buffer: Buffer): void {
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#stream.useUserBuffer(buffer);
  }

  /** The answer is the buffer for the next record, when that is another one. */
  #received(bytes: number): Buffer | undefined {
    const buffer = this.#buffer;
    const reader = this.#reader;
    if (buffer === undefined || reader === undefined || this.#isClosed) return undefined;
    if (bytes < 0) {
      this.#readEnded(bytes);
      return undefined;
    }
    if (bytes === 0) return undefined;
    if (this.#isPaused || this.#held.length > 0) this.#hold(buffer, bytes);
    else {
      // The reader may keep bytes of a buffer that is not its own.
      if (buffer === this.#spare) this.#spare = undefined;
      this.#isInRead = true;
      reader.read(buffer, bytes);
      this.#isInRead = false;
    }
    return this.#nextBuffer();
  }

  #nextBuffer(): Buffer | undefined {
    const isUnwanted = this.#isClosed || this.#isPaused || this.#held.length > 0;
    const next = isUnwanted ? this.#spareBuffer() : this.#reader?.readBuffer();
    if (next === this.#buffer) return undefined;
    this.#buffer = next;
    return next;
  }

  #spareBuffer(): Buffer {
    this.#spare ??= Buffer.allocUnsafeSlow(recordBytes);
    return this.#spare;
  }

  #hold(buffer: Buffer, bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#heldBytes > heldBytesMax) {
      this.#socket.destroy(new Error('reading goes on while it is paused'));
      return;
    }
    if (buffer === this.#spare && bytes > copiedBytesMax) {
      this.#spare = undefined;
      this.#held.push(buffer.subarray(0, bytes));
    } else this.#held.push(Buffer.from(buffer.subarray(0, bytes)));
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** What is held belongs to the reader, like a buffer of its own. */
  #flush(): void {
    while (!this.#isPaused && !this.#isClosed) {
      const piece = this.#held.shift();
      if (piece === undefined) {
        if (this.#isEndHeld) this.#events.ended();
        else this.#startReading();
        this.#isEndHeld = false;
        return;
      }
      this.#heldBytes -= piece.length;
      this.#reader?.read(piece, piece.length);
    }
  }

  #readEnded(code: number): void {
    if (code !== endOfFile) this.#fail(code, 'read');
    else if (this.#held.length > 0 || this.#isPaused) this.#isEndHeld = true;
    else this.#events.ended();
  }

  // ---- writing, failing -------------------------------------------------------------------------

  #writeEnded(status: number): void {
    if (this.#isClosed) return;
    if (status < 0) this.#fail(status, 'write');
    else this.#events.written();
  }

  #fail(code: number, call: string): void {
    const name = getSystemErrorName(code);
    this.#socket.destroy(Object.assign(new Error(`${call} ${name}`), { code: name }));
  }
}

type DirectOptions = {
  readonly socket: tls.TLSSocket;
  readonly stream: SecureKernelStream;
  readonly internals: Internals;
  readonly events: CarrierEvents;
};

/** Good until the next call. */
function bytesOf(text: string): Buffer {
  const length = textBuffer.write(text, 0, 'latin1');
  if (length > viewsMax) return textBuffer.subarray(0, length);
  return (views[length] ??= textBuffer.subarray(0, length));
}
