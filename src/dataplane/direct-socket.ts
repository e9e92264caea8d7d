// The one place that touches what Node does not document: the kernel stream beneath a `net.Socket`.
// The socket itself still connects, is accepted, shuts down and closes; only its reads and writes
// go past the stream machinery of Node, which costs more than nginx needs for a whole request
// (docs/design/0004-reading-sockets.md). `findInternals` says whether this Node has the shapes that
// are relied on, and direct-network.ts tries them on a real connection before they are used;
// without them everything runs on plain sockets, slower.
import type net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { NetworkSocket, SocketReader } from '../lib/network.ts';

type WriteRequest = {
  oncomplete: (status: number) => void;
  /** Keeps what is written alive. */
  buffer: unknown;
};

type Chunks = (Uint8Array | string)[];

/** A TCP stream of libuv as `net` holds it. */
export type KernelStream = {
  reading: boolean;
  onread: (this: KernelStream) => Uint8Array | undefined;
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  writev(request: WriteRequest, chunks: Chunks, areBuffers: boolean): number;
};

export type Internals = {
  /** Undefined when the socket is closed, or has another shape. */
  readonly streamOf: (socket: net.Socket) => KernelStream | undefined;
  readonly WriteRequest: new () => WriteRequest;
  /** What the last call of a stream did. */
  readonly state: Int32Array;
  readonly readBytesIndex: number;
  readonly wasAsyncIndex: number;
};

/** UV_EOF, the same on all platforms. */
const endOfFile = -4095;

/** What of Node's insides is needed, or undefined when something has another shape. */
export function findInternals(): Internals | undefined {
  // `process.binding` is deprecated in documentation only; it throws where it is forbidden.
  const host = process as unknown as { readonly binding?: (name: string) => unknown };
  try {
    // Everything that is used of it is looked at below.
    const found = host.binding?.('stream_wrap') as Readonly<Record<string, unknown>> | undefined;
    if (found === undefined) return undefined;
    const { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = found;
    if (typeof WriteWrap !== 'function') return undefined;
    if (!(streamBaseState instanceof Int32Array)) return undefined;
    if (typeof kReadBytesOrError !== 'number') return undefined;
    if (typeof kLastWriteWasAsync !== 'number') return undefined;
    return {
      streamOf,
      WriteRequest: WriteWrap as Internals['WriteRequest'], // a constructor, by the check above
      state: streamBaseState,
      readBytesIndex: kReadBytesOrError,
      wasAsyncIndex: kLastWriteWasAsync,
    };
  } catch {
    // Forbidden or gone: plain sockets do as well.
    return undefined;
  }
}

const streamMethods = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'writev',
] as const;

function streamOf(socket: net.Socket): KernelStream | undefined {
  const stream = (socket as unknown as { readonly _handle?: unknown })._handle;
  if (typeof stream !== 'object' || stream === null) return undefined;
  const known = stream as Partial<KernelStream>; // looked at below
  const isKnown = streamMethods.every((name) => typeof known[name] === 'function');
  return isKnown ? (stream as KernelStream) : undefined;
}

const noop = (): void => undefined;

function systemError(code: number, call: string): Error & { readonly code: string } {
  const name = getSystemErrorName(code);
  return Object.assign(new Error(`${call} ${name}`), { code: name });
}

export class DirectSocket implements NetworkSocket {
  readonly #socket: net.Socket;
  readonly #internals: Internals;
  #stream: KernelStream | undefined;
  #reader: SocketReader | undefined;
  #buffer: Buffer | undefined;
  /** A request that no write is using. */
  #spare: WriteRequest | undefined;
  #pendingWrites = 0;
  #isCorked = false;
  /** Written while corked: all texts since the last bytes, and what came before them. */
  #text = '';
  #chunks: Chunks | undefined;
  #isReading = false;
  #wantsReads = true;
  #hasReadEnded = false;
  #hasWriteEnded = false;
  /** We opened it: the peer may answer before it closes, and what it said is worth reading. */
  readonly #isOpener: boolean;
  #errored: Error | null = null;
  #ended: () => void = noop;
  #drained: () => void = noop;

  /** Connected, or about to connect; nothing has been read from it. */
  constructor(socket: net.Socket, internals: Internals) {
    this.#socket = socket;
    this.#internals = internals;
    this.#isOpener = socket.connecting;
    socket.on('finish', () => {
      this.#hasWriteEnded = true;
      if (this.#hasReadEnded) this.destroy();
    });
    socket.on('close', () => this.#detach());
    if (socket.connecting) socket.on('connect', () => this.#attach());
    else this.#attach();
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  get errored(): Error | null {
    return this.#errored ?? this.#socket.errored;
  }

  get writableLength(): number {
    if (this.#pendingWrites === 0) return this.#socket.writableLength;
    return this.#stream?.writeQueueSize ?? 0;
  }

  get writableNeedDrain(): boolean {
    return this.#pendingWrites > 0;
  }

  on(event: 'data', listener: (data: Buffer) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): void;
  on(event: string, listener: (argument: never) => void): void {
    // The overloads say which listener belongs to which event.
    if (event === 'end') this.#ended = listener as () => void;
    else if (event === 'drain') this.#drained = listener as () => void;
    else if (event === 'data') this.#readFresh(listener as (data: Buffer) => void);
    else this.#socket.on(event, listener as () => void);
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
    if (this.#errored !== null) return false;
    if (this.#isCorked) {
      this.#collect(data);
      return this.#pendingWrites === 0;
    }
    const stream = this.#stream;
    if (stream === undefined) return this.#writeEarly(data);
    const request = this.#takeRequest();
    const code = typeof data === 'string'
      ? stream.writeLatin1String(request, data)
      : stream.writeBuffer(request, data);
    return this.#written(request, data, code);
  }

  cork(): void {
    this.#isCorked = true;
  }

  /** What was collected leaves in one system call. */
  uncork(): void {
    this.#isCorked = false;
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

  end(): void {
    this.uncork();
    this.#socket.end();
  }

  destroy(error?: Error): void {
    this.#detach();
    this.#socket.destroy(error);
  }

  destroySoon(): void {
    this.uncork();
    this.#socket.destroySoon();
  }

  resetAndDestroy(): void {
    this.#detach();
    this.#socket.resetAndDestroy();
  }

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

  #writeAll(chunks: Chunks): void {
    const stream = this.#stream;
    if (stream === undefined || chunks.length === 1 || this.#errored !== null) {
      for (const chunk of chunks) this.write(chunk);
      return;
    }
    // Each chunk is followed by its encoding.
    const encoded: Chunks = [];
    for (const one of chunks) encoded.push(one, typeof one === 'string' ? 'latin1' : 'buffer');
    const request = this.#takeRequest();
    this.#written(request, chunks, stream.writev(request, encoded, false));
  }

  #attach(): void {
    const stream = this.#internals.streamOf(this.#socket);
    if (stream === undefined) {
      // Closed meanwhile, or not the stream that direct-network.ts has tried.
      this.#socket.destroy();
      return;
    }
    this.#stream = stream;
    // What `net` looks at before it starts to read by itself.
    stream.reading = true;
    const { state, readBytesIndex } = this.#internals;
    stream.onread = () => this.#received(state[readBytesIndex] ?? 0);
    this.#updateReading();
  }

  #detach(): void {
    if (this.#isReading) this.#stream?.readStop();
    this.#isReading = false;
    this.#stream = undefined;
    this.#reader = undefined;
    this.#text = '';
    this.#chunks = undefined;
  }

  #updateReading(): void {
    const stream = this.#stream;
    const reader = this.#reader;
    if (stream === undefined || reader === undefined || this.#hasReadEnded) return;
    if (this.#wantsReads === this.#isReading) return;
    this.#isReading = this.#wantsReads;
    if (!this.#isReading) {
      stream.readStop();
      return;
    }
    const buffer = reader.readBuffer();
    if (buffer !== this.#buffer) stream.useUserBuffer(buffer);
    this.#buffer = buffer;
    stream.readStart();
  }

  /** The answer is the buffer for the next read, when that is another one. */
  #received(bytes: number): Uint8Array | undefined {
    const buffer = this.#buffer;
    const reader = this.#reader;
    if (bytes > 0 && buffer !== undefined && reader !== undefined) {
      reader.read(buffer, bytes);
      // Paused: it is asked again when it goes on. Resumed in between: it was asked already.
      if (!this.#isReading || this.#buffer !== buffer) return undefined;
      const next = reader.readBuffer();
      if (next === buffer) return undefined;
      this.#buffer = next;
      return next;
    }
    if (bytes < 0) this.#readFailed(bytes);
    return undefined;
  }

  #readFailed(code: number): void {
    if (this.#errored !== null) {
      this.destroy(this.#errored);
      return;
    }
    if (code !== endOfFile) {
      this.#fail(code, 'read');
      return;
    }
    this.#hasReadEnded = true;
    this.#isReading = false;
    this.#ended();
    if (this.#hasWriteEnded) this.destroy();
  }

  /** For who knows no buffers: every read is a fresh copy. */
  #readFresh(listener: (data: Buffer) => void): void {
    const buffer = Buffer.allocUnsafeSlow(16 * 1024);
    this.readInto({
      readBuffer: () => buffer,
      read: (from, bytes) => listener(Buffer.from(from.subarray(0, bytes))),
    });
  }

  /** Not connected yet, or closed: the socket knows what to do. */
  #writeEarly(data: Uint8Array | string): boolean {
    if (typeof data === 'string') return this.#socket.write(data, 'latin1');
    return this.#socket.write(data);
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
    if (this.#stream === undefined) return;
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
    if (this.#isOpener && this.#isReading && isReset) this.#errored ??= error;
    else this.#fail(code, 'write');
  }

  #fail(code: number, call: string): void {
    if (this.#errored !== null) return;
    this.#errored = systemError(code, call);
    this.destroy(this.#errored);
  }
}
