// A TLS socket as the data plane wants it: readers that can be changed, writes that are collected
// and of which one is under way at a time, because that is all that TLS takes and Node tells of
// each only in a later turn. What moves the bytes is the carrier. It knows nothing of certificates.
// Invariant: `close` is told once, last.
import type tls from 'node:tls';
import type { SecurePeer, SecureSocket, SocketReader } from '../lib/network.ts';
import type { Carrier, CarrierEvents, Piece } from './secure-carrier.ts';

/** So much may wait before who writes is told to wait. */
const fullBytes = 64 * 1024;
/** Up to here pieces are copied into one, for one record and one system call. */
const joinedBytesMax = 32 * 1024;

const noop = (): void => undefined;

/** How a socket that connects says that it is secured. */
export type Securing = (secured: (peer: SecurePeer) => void) => void;

export type CarrierMaker = (socket: tls.TLSSocket, events: CarrierEvents) => Carrier;

export type SecureStreamOptions = {
  readonly socket: tls.TLSSocket;
  /** Of a socket that is secured, or how it says so. */
  readonly peer: SecurePeer | Securing;
  /** Called once it is secured. */
  readonly carry: CarrierMaker;
  /** Everybody who listens for its end is told, not only who took it over last. */
  readonly tellsAll?: boolean;
};

export class SecureStream implements SecureSocket {
  readonly #socket: tls.TLSSocket;
  readonly #carry: CarrierMaker;
  readonly #tellsAll: boolean;
  /** Undefined while connecting. */
  #carrier: Carrier | undefined;
  /** Who reads once it is secured, and whether he wants to wait. */
  #reader: SocketReader | undefined;
  #isPaused = false;
  #peer: SecurePeer | undefined;
  #queue: Piece[] = [];
  /** Written, but not taken by the kernel. */
  #waitingBytes = 0;
  /** Of them: given to the carrier. */
  #carriedBytes = 0;
  #isWriting = false;
  #isCorked = false;
  #needsDrain = false;
  /** Who wrote may have seen that bytes wait. */
  #owesDrain = false;
  #isEnding = false;
  #hasEnded = false;
  #hasPeerEnded = false;
  #closesSoon = false;
  #error: Error | null = null;
  #connected = noop;
  #ended = noop;
  #drained = noop;
  #failed: (error: Error) => void = noop;
  #closed = noop;

  constructor({ socket, peer, carry, tellsAll = false }: SecureStreamOptions) {
    this.#socket = socket;
    this.#carry = carry;
    this.#tellsAll = tellsAll;
    if (typeof peer === 'function') peer((shown) => this.#secured(shown));
    else this.#begin(peer);
    socket.on('error', (error: Error) => {
      this.#error ??= error;
      this.#failed(error);
    });
    socket.on('close', () => {
      this.#carrier?.close();
      this.#closed();
    });
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
    return this.#waitingBytes === 0 || this.destroyed ? 0 : this.#waitingBytes;
  }

  get writableNeedDrain(): boolean {
    return this.#needsDrain;
  }

  on(event: 'data', listener: (data: Buffer) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): void;
  /** One listener per event, the last one: who takes a tunnel over hears of it alone. */
  on(event: 'data' | 'error' | 'connect' | 'end' | 'drain' | 'close', listener: unknown): void {
    // The overloads say which listener belongs to which event.
    const tell = listener as () => void;
    switch (event) {
      case 'data':
        return this.readInto(freshReader(listener as (data: Buffer) => void));
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
        this.#closed = this.#tellsAll ? both(this.#closed, tell) : tell;
    }
  }

  readInto(reader: SocketReader): void {
    if (this.#carrier === undefined) this.#reader = reader;
    else if (!this.destroyed) this.#carrier.readInto(reader);
  }

  pause(): void {
    this.#isPaused = true;
    if (!this.destroyed) this.#carrier?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.destroyed) this.#carrier?.resume();
  }

  setKeepAlive(isOn: boolean, delayMs: number): void {
    this.#socket.setKeepAlive(isOn, delayMs);
  }

  write(data: Piece): boolean {
    if (this.#isEnding || this.#error !== null || this.destroyed) return false;
    this.#queue.push(data);
    this.#waitingBytes += data.length;
    if (!this.#isCorked) this.#writeNext();
    return this.#judgeWaiting();
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#writeNext();
    this.#judgeWaiting();
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isCorked = false;
    this.#isEnding = true;
    this.#writeNext();
  }

  destroy(): void {
    this.#queue = [];
    this.#carrier?.close();
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
    this.#begin(peer);
    const reader = this.#reader;
    if (reader !== undefined) this.readInto(reader);
    if (this.#isPaused) this.pause();
    this.#connected();
    this.#writeNext();
  }

  #begin(peer: SecurePeer): void {
    this.#peer = peer;
    this.#carrier = this.#carry(this.#socket, {
      written: () => this.#written(),
      ended: () => this.#peerEnded(),
    });
  }

  #peerEnded(): void {
    this.#hasPeerEnded = true;
    this.#ended();
    if (this.#hasEnded) this.destroy();
  }

  /** Pieces wait for the one under way; when none is left, so does the end. */
  #writeNext(): void {
    const carrier = this.#carrier;
    if (this.#isWriting || this.#isCorked || carrier === undefined || this.destroyed) return;
    const piece = this.#takeQueued();
    if (piece === undefined) {
      if (this.#isEnding && !this.#hasEnded) this.#shutDown(carrier);
      return;
    }
    this.#isWriting = true;
    if (carrier.write(piece)) this.#waitingBytes -= piece.length;
    else this.#carriedBytes = piece.length;
  }

  #written(): void {
    this.#isWriting = false;
    this.#waitingBytes -= this.#carriedBytes;
    this.#carriedBytes = 0;
    if (this.destroyed) return;
    this.#writeNext();
    if (this.#waitingBytes > 0 || !this.#owesDrain) return;
    this.#needsDrain = false;
    this.#owesDrain = false;
    this.#drained();
  }

  /** False: more should not be written now. */
  #judgeWaiting(): boolean {
    if (this.#waitingBytes > fullBytes) this.#needsDrain = true;
    // What is collected may still leave at once.
    const isWaiting = this.#waitingBytes > 0 && !this.#isCorked;
    if (isWaiting || this.#needsDrain) this.#owesDrain = true;
    return !this.#needsDrain;
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

  #shutDown(carrier: Carrier): void {
    this.#hasEnded = true;
    carrier.end(this.#closesSoon || this.#hasPeerEnded);
  }
}

function both(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
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

/** For who knows no buffers: every read is a fresh copy. */
function freshReader(listener: (data: Buffer) => void): SocketReader {
  const buffer = Buffer.allocUnsafeSlow(16 * 1024);
  return {
    readBuffer: () => buffer,
    read: (from, bytes) => listener(Buffer.from(from.subarray(0, bytes))),
  };
}
