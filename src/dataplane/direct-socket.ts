// A TCP connection that drives its kernel stream itself, without `net.Socket` and the streams of
// Node, whose machinery costs more than nginx needs for a whole request. What it may rely on is
// typed in kernel-stream.ts and tried at start. Invariant: `close` is told once, after everything
// else, and never from within a call of the user.
import { getSystemErrorName } from 'node:util';
import type { ConnectOptions, NetworkSocket, SocketReader } from '../lib/network.ts';
import { endOfFile } from './kernel-stream.ts';
import type { Chunks, Internals, KernelStream, PeerName, WriteRequest } from './kernel-stream.ts';

/** A dead peer of an idle connection is noticed after this. */
const keepAliveSeconds = 30;

/**
 * Each time that a stream is given a buffer otherwise than in answer to a read it keeps some fifty
 * bytes until it closes. After so many times a connection that pauses gets a buffer of its own for
 * the one read after, in answer to the one before.
 */
const swapsMax = 1_000;
const parkedBytes = 16 * 1024;

/** Read at once, hence one for all; as it is filled, so that it keeps its shape. */
const peerName: PeerName = { address: '', family: '', port: 0 };

const noop = (): void => undefined;
const nothing = Buffer.alloc(0);

function systemError(code: number, call: string): Error & { readonly code: string } {
  const name = getSystemErrorName(code);
  return Object.assign(new Error(`${call} ${name}`), { code: name });
}

/** Hardly ever is there a first one. */
function both<A>(first: (argument: A) => void, second: (argument: A) => void): typeof first {
  if (first === noop) return second;
  return (argument: A): void => {
    first(argument);
    second(argument);
  };
}

export class DirectSocket implements NetworkSocket {
  readonly #stream: KernelStream;
  readonly #internals: Internals;
  /** We opened it: the peer may answer before it closes, and what it said is worth reading. */
  readonly #isOpener: boolean;
  #reader: SocketReader | undefined;
  /** Where the kernel reads to. */
  #buffer: Buffer | undefined;
  /** A request that no write is using. */
  #spare: WriteRequest | undefined;
  #pendingWrites = 0;
  #isCorked = false;
  /** Written while corked or connecting: all texts since the last bytes, and what came before. */
  #text = '';
  #chunks: Chunks | undefined;
  #isConnecting: boolean;
  #isReading = false;
  #isInRead = false;
  /** How often the kernel was given a buffer out of a read. */
  #swaps = 0;
  /** The kernel's buffer is a small one that nobody else has. */
  #isParked = false;
  #wantsReads = true;
  #hasReadEnded = false;
  /** `end` was called; FIN leaves when everything before it has. */
  #isEnding = false;
  #isShutting = false;
  #hasWriteEnded = false;
  #isClosing = false;
  #closesSoon = false;
  #errored: Error | null = null;
  #connected: (argument?: unknown) => void = noop;
  #ended: (argument?: unknown) => void = noop;
  #drained: (argument?: unknown) => void = noop;
  #failed: (error: Error) => void = noop;
  #closed: (argument?: unknown) => void = noop;

  /** An accepted stream, or one on which `connect` follows. */
  constructor(stream: KernelStream, internals: Internals, isConnecting: boolean) {
    this.#stream = internals.adopt(stream);
    this.#internals = internals;
    this.#isOpener = isConnecting;
    this.#isConnecting = isConnecting;
    const { state, readBytesIndex } = internals;
    this.#stream.onread = () => this.#received(state[readBytesIndex] ?? 0);
  }

  get remoteAddress(): string | undefined {
    if (this.#isClosing || this.#stream.getpeername(peerName) !== 0) return undefined;
    return peerName.address;
  }

  get destroyed(): boolean {
    return this.#isClosing;
  }

  get errored(): Error | null {
    return this.#errored;
  }

  get writableLength(): number {
    if (this.#pendingWrites === 0 || this.#isClosing) return 0;
    return this.#stream.writeQueueSize;
  }

  get writableNeedDrain(): boolean {
    return this.#pendingWrites > 0;
  }

  on(event: 'data', listener: (data: Buffer) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): void;
  on(event: 'data' | 'error' | 'connect' | 'end' | 'drain' | 'close', listener: unknown): void {
    // The overloads say which listener belongs to which event.
    const tell = listener as (argument?: unknown) => void;
    switch (event) {
      case 'data':
        return this.#readFresh(listener as (data: Buffer) => void);
      case 'error':
        this.#failed = both(this.#failed, listener as (error: Error) => void);
        return;
      case 'connect':
        this.#connected = both(this.#connected, tell);
        return;
      case 'end':
        this.#ended = both(this.#ended, tell);
        return;
      case 'drain':
        this.#drained = both(this.#drained, tell);
        return;
      case 'close':
        this.#closed = both(this.#closed, tell);
    }
  }

  connect({ address, port, localAddress }: ConnectOptions): void {
    const stream = this.#stream;
    const request = new this.#internals.ConnectRequest();
    request.oncomplete = (status) => this.#connectEnded(status);
    const code =
      localAddress === undefined
        ? 0
        : localAddress.includes(':')
          ? stream.bind6(localAddress, 0, 0)
          : stream.bind(localAddress, 0);
    const begun =
      code !== 0
        ? code
        : address.includes(':')
          ? stream.connect6(request, address, port)
          : stream.connect(request, address, port);
    if (begun !== 0) this.#fail(begun, 'connect');
  }

  readInto(reader: SocketReader): void {
    this.#reader = reader;
    this.#updateReading();
  }

  pause(): void {
    this.#wantsReads = false;
    this.#updateReading();
  }

  resume(): void {
    this.#wantsReads = true;
    this.#updateReading();
  }

  write(data: Uint8Array | string): boolean {
    if (this.#isClosing || this.#isEnding || this.#errored !== null) return false;
    if (this.#isCorked || this.#isConnecting) {
      this.#collect(data);
      return this.#pendingWrites === 0;
    }
    const request = this.#takeRequest();
    const code = typeof data === 'string'
      ? this.#stream.writeLatin1String(request, data)
      : this.#stream.writeBuffer(request, data);
    return this.#written(request, data, code);
  }

  setKeepAlive(isOn: boolean, delayMs: number): void {
    if (!this.#isClosing) this.#stream.setKeepAlive(isOn, Math.floor(delayMs / 1_000));
  }

  findFault(): void {
    if (this.#isConnecting || this.#isClosing) return;
    const fault = this.#hiddenFault();
    if (fault !== 0) this.#fail(fault, 'write');
  }

  cork(): void {
    this.#isCorked = true;
  }

  /** What was collected leaves in one system call. */
  uncork(): void {
    this.#isCorked = false;
    if (!this.#isConnecting) this.#writeCollected();
  }

  end(): void {
    if (this.#isEnding || this.#isClosing) return;
    this.uncork();
    this.#isEnding = true;
    if (!this.#isConnecting) this.#shutDown();
  }

  destroy(): void {
    if (this.#beginClosing()) this.#stream.close(() => this.#tellClosed());
  }

  destroySoon(): void {
    this.#closesSoon = true;
    this.end();
  }

  resetAndDestroy(): void {
    const canReset = !this.#isConnecting && !this.#isShutting;
    if (!this.#beginClosing()) return;
    const closed = (): void => this.#tellClosed();
    if (canReset) this.#stream.reset(closed);
    else this.#stream.close(closed);
  }

  // ---- connecting, ending -----------------------------------------------------------------------

  #connectEnded(status: number): void {
    if (this.#isClosing) return;
    if (status !== 0) {
      this.#fail(status, 'connect');
      return;
    }
    this.#isConnecting = false;
    this.#stream.setNoDelay(true);
    this.#stream.setKeepAlive(true, keepAliveSeconds);
    this.#writeCollected();
    if (this.#isEnding) this.#shutDown();
    this.#updateReading();
    this.#connected();
  }

  /** Nothing was read after the peer's FIN, so closing says the same as FIN, and never RST. */
  #shutDown(): void {
    if (this.#isClosing) return;
    if (this.#pendingWrites === 0 && (this.#hasReadEnded || this.#closesSoon)) {
      this.destroy();
      return;
    }
    const request = new this.#internals.ShutdownRequest();
    request.oncomplete = () => this.#shutDownEnded();
    this.#isShutting = true;
    const code = this.#stream.shutdown(request);
    // Not connected any more: what happened is told by the next read.
    if (code !== 0) this.#shutDownEnded();
  }

  #shutDownEnded(): void {
    this.#isShutting = false;
    this.#hasWriteEnded = true;
    if (this.#hasReadEnded || this.#closesSoon) this.destroy();
  }

  /** False: it was begun before. */
  #beginClosing(): boolean {
    if (this.#isClosing) return false;
    this.#isClosing = true;
    this.#isReading = false;
    this.#reader = undefined;
    this.#buffer = undefined;
    this.#text = '';
    this.#chunks = undefined;
    return true;
  }

  #tellClosed(): void {
    if (this.#errored !== null) this.#failed(this.#errored);
    this.#closed();
  }

  #fail(code: number, call: string): void {
    if (this.#isClosing) return;
    this.#errored ??= systemError(code, call);
    this.destroy();
  }

  // ---- reading ----------------------------------------------------------------------------------

  #updateReading(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#isConnecting || this.#hasReadEnded) return;
    if (this.#wantsReads === this.#isReading) return;
    this.#isReading = this.#wantsReads;
    if (!this.#isReading) {
      this.#stream.readStop();
      return;
    }
    if (!this.#isInRead && !this.#isParked) this.#swapBuffer(reader.readBuffer());
    const code = this.#stream.readStart();
    if (code !== 0) this.#fail(code, 'read');
  }

  #swapBuffer(buffer: Buffer): void {
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#swaps += 1;
    this.#stream.useUserBuffer(buffer);
  }

  /** The answer is the buffer for the next read, when that is another one. */
  #received(bytes: number): Uint8Array | undefined {
    const buffer = this.#buffer;
    const reader = this.#reader;
    if (bytes > 0 && buffer !== undefined && reader !== undefined) {
      this.#isInRead = true;
      reader.read(buffer, bytes);
      this.#isInRead = false;
      return this.#nextBuffer(reader);
    }
    if (bytes < 0 && !this.#isClosing) this.#readFailed(bytes);
    return undefined;
  }

  /** Undefined: the same; while it pauses, it is asked again when it goes on. */
  #nextBuffer(reader: SocketReader): Buffer | undefined {
    if (this.#isClosing || (!this.#isReading && this.#swaps < swapsMax)) return undefined;
    const next = this.#isReading ? reader.readBuffer() : Buffer.allocUnsafeSlow(parkedBytes);
    this.#isParked = !this.#isReading;
    if (next === this.#buffer) return undefined;
    this.#buffer = next;
    return next;
  }

  #readFailed(code: number): void {
    if (this.#errored !== null) {
      this.destroy();
      return;
    }
    const fault = code === endOfFile ? this.#hiddenFault() : code;
    if (fault !== 0) {
      this.#fail(fault, 'read');
      return;
    }
    this.#hasReadEnded = true;
    this.#isReading = false;
    this.#ended();
    if (this.#hasWriteEnded) this.destroy();
  }

  /**
   * RST right behind data is told as an end by the libuv of Node 20 and 22; the kernel knows
   * better, and says so to a write, even of nothing. 0 when it was the end.
   */
  #hiddenFault(): number {
    if (this.#pendingWrites > 0 || this.#isEnding) return 0;
    const request = this.#takeRequest();
    const code = this.#stream.writeBuffer(request, nothing);
    if (code === 0) this.#spare = request;
    return code;
  }

  /** For who knows no buffers: every read is a fresh copy. */
  #readFresh(listener: (data: Buffer) => void): void {
    const buffer = Buffer.allocUnsafeSlow(16 * 1024);
    this.readInto({
      readBuffer: () => buffer,
      read: (from, bytes) => listener(Buffer.from(from.subarray(0, bytes))),
    });
  }

  // ---- writing ----------------------------------------------------------------------------------

  #collect(data: Uint8Array | string): void {
    if (typeof data === 'string') {
      this.#text += data;
      return;
    }
    this.#chunks ??= [];
    if (this.#text !== '') this.#chunks.push(this.#text);
    this.#text = '';
    this.#chunks.push(data);
  }

  #writeCollected(): void {
    const text = this.#text;
    const chunks = this.#chunks;
    this.#text = '';
    this.#chunks = undefined;
    if (chunks === undefined) {
      if (text !== '') this.write(text);
      return;
    }
    if (text !== '') chunks.push(text);
    this.#writeAll(chunks);
  }

  #writeAll(chunks: Chunks): void {
    const [first] = chunks;
    if (chunks.length === 1 && first !== undefined) {
      this.write(first);
      return;
    }
    if (this.#isClosing || this.#isEnding || this.#errored !== null) return;
    // Each chunk is followed by its encoding.
    const encoded: Chunks = [];
    for (const one of chunks) encoded.push(one, typeof one === 'string' ? 'latin1' : 'buffer');
    const request = this.#takeRequest();
    this.#written(request, chunks, this.#stream.writev(request, encoded, false));
  }

  #takeRequest(): WriteRequest {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare ?? new this.#internals.WriteRequest();
  }

  #written(request: WriteRequest, data: unknown, code: number): boolean {
    if (code !== 0) {
      this.#writeFailed(code);
      return false;
    }
    if (this.#internals.state[this.#internals.wasAsyncIndex] === 0) {
      this.#spare = request;
      return this.#pendingWrites === 0;
    }
    request.buffer = data;
    request.oncomplete = (status) => this.#sent(status);
    this.#pendingWrites += 1;
    return false;
  }

  #sent(status: number): void {
    this.#pendingWrites -= 1;
    if (this.#isClosing) return;
    if (status < 0) this.#writeFailed(status);
    else if (this.#pendingWrites === 0) this.#drained();
  }

  /**
   * A server that does not want the rest of a request answers and closes: RST is on its way to us
   * behind the answer. So what was sent before it is read first; the end of that is the failure.
   */
  #writeFailed(code: number): void {
    const error = systemError(code, 'write');
    const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    if (this.#isOpener && !this.#hasReadEnded && isReset) this.#errored ??= error;
    else this.#fail(code, 'write');
  }
}
