// A TLS socket as the data plane wants it: readers that can be changed, writes that are collected
// and of which one is under way at a time, because that is all that TLS takes and Node tells of
// each only in a later turn. It knows nothing of certificates. Invariant: `close` is told once,
// last.
import type tls from 'node:tls';
import type { SecurePeer, SecureSocket, SocketReader } from '../lib/network.ts';

/** So much may wait before who writes is told to wait. */
const fullBytes = 64 * 1024;
/** Up to here pieces are copied into one, for one record and one system call. */
const joinedBytesMax = 32 * 1024;

type Piece = Uint8Array | string;

const noop = (): void => undefined;

/** How a socket that connects says that it is secured. */
export type Securing = (secured: (peer: SecurePeer) => void) => void;

export class SecureStream implements SecureSocket {
  readonly #socket: tls.TLSSocket;
  #peer: SecurePeer | undefined;
  #reader: SocketReader | undefined;
  #queue: Piece[] = [];
  /** Written, but not taken by the kernel. */
  #waitingBytes = 0;
  #isWriting = false;
  #isCorked = false;
  #needsDrain = false;
  #isConnecting: boolean;
  #isEnding = false;
  #closesSoon = false;
  #error: Error | null = null;
  #connected = noop;
  #ended = noop;
  #drained = noop;
  #failed: (error: Error) => void = noop;
  #closed = noop;

  /** A socket that is secured, or how it says so. */
  constructor(socket: tls.TLSSocket, peer: SecurePeer | Securing) {
    this.#socket = socket;
    this.#isConnecting = typeof peer === 'function';
    if (typeof peer === 'function') peer((shown) => this.#secured(shown));
    else this.#peer = peer;
    socket.on('end', () => this.#ended());
    socket.on('error', (error: Error) => {
      this.#error ??= error;
      this.#failed(error);
    });
    socket.on('close', () => this.#closed());
  }

  get peer(): SecurePeer | undefined {
    return this.#peer;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  get errored(): Error | null {
    return this.#error;
  }

  get writableLength(): number {
    return this.destroyed ? 0 : this.#waitingBytes;
  }

  get writableNeedDrain(): boolean {
    return this.#needsDrain;
  }

  on(event: 'data', listener: (data: Buffer) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): void;
  /** One listener per event, the last one: who takes the socket over hears of it alone. */
  on(event: 'data' | 'error' | 'connect' | 'end' | 'drain' | 'close', listener: unknown): void {
    // The overloads say which listener belongs to which event.
    const tell = listener as () => void;
    switch (event) {
      case 'data': {
        const take = listener as (data: Buffer) => void;
        return this.readInto({ readBuffer: noBuffer, read: (data) => take(data) });
      }
      case 'error':
        this.#failed = listener as (error: Error) => void;
        return;
      case 'connect':
        this.#connected = tell;
        return;
      case 'end':
        this.#ended = tell;
        return;
      case 'drain':
        this.#drained = tell;
        return;
      case 'close':
        this.#closed = tell;
    }
  }

  readInto(reader: SocketReader): void {
    const isFirst = this.#reader === undefined;
    this.#reader = reader;
    // Node brings a fresh buffer with each read; the reader may do with it as with its own.
    if (isFirst) this.#socket.on('data', (data: Buffer) => this.#reader?.read(data, data.length));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  setKeepAlive(isOn: boolean, delayMs: number): void {
    this.#socket.setKeepAlive(isOn, delayMs);
  }

  write(data: Piece): boolean {
    if (this.#isEnding || this.#error !== null || this.destroyed) return false;
    this.#queue.push(data);
    this.#waitingBytes += data.length;
    if (!this.#isCorked) this.#writeNext();
    if (this.#waitingBytes > fullBytes) this.#needsDrain = true;
    return !this.#needsDrain;
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#writeNext();
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isCorked = false;
    this.#isEnding = true;
    this.#writeNext();
  }

  destroy(): void {
    this.#queue = [];
    this.#socket.destroy();
  }

  destroySoon(): void {
    this.#closesSoon = true;
    this.end();
  }

  /** Without the end that TLS has of its own: who reads can tell that it was cut. */
  resetAndDestroy(): void {
    this.destroy();
  }

  #secured(peer: SecurePeer): void {
    this.#peer = peer;
    this.#isConnecting = false;
    this.#connected();
    this.#writeNext();
  }

  /** Pieces wait for the one under way; when none is left, so does the end. */
  #writeNext(): void {
    if (this.#isWriting || this.#isCorked || this.#isConnecting || this.destroyed) return;
    const piece = this.#takeQueued();
    if (piece === undefined) {
      if (this.#isEnding) this.#shutDown();
      return;
    }
    this.#isWriting = true;
    this.#socket.write(piece, 'latin1', (error) => this.#written(piece.length, error));
  }

  #written(bytes: number, error: Error | null | undefined): void {
    this.#isWriting = false;
    this.#waitingBytes -= bytes;
    // An error is told by its own event.
    if (this.destroyed || (error !== null && error !== undefined)) return;
    this.#writeNext();
    if (this.#waitingBytes > 0) return;
    this.#needsDrain = false;
    this.#drained();
  }

  #takeQueued(): Piece | undefined {
    if (this.#queue.length < 2) return this.#queue.pop();
    let end = 0;
    let bytes = 0;
    for (const piece of this.#queue) {
      if (end > 0 && bytes + piece.length > joinedBytesMax) break;
      bytes += piece.length;
      end += 1;
    }
    return joined(this.#queue.splice(0, end));
  }

  #shutDown(): void {
    if (this.#closesSoon) this.#socket.destroySoon();
    else this.#socket.end();
  }
}

/** Texts are latin1: a character is a byte. */
function joined(pieces: readonly Piece[]): Piece {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('');
  return Buffer.concat(
    pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)),
  );
}

function noBuffer(): never {
  throw new Error('BUG: this socket brings its own buffers');
}
