// The one place that knows what Node does not document: the TCP streams of libuv as `node:net`
// holds them, the TLS streams over them as `node:tls` does, and the few requests that they take
// (docs/design/0004-reading-sockets.md). All that is used of them has a type here. `findInternals`
// says whether this Node has these shapes, and direct-trial.ts and secure-trial.ts try them on real
// connections before they are used; without them everything runs on plain sockets, slower.
import type net from 'node:net';
import type tls from 'node:tls';

/** What a call that ends later is known by; kept alive by the kernel side until it has ended. */
export type StreamRequest = {
  /** 0, or the negative code of an error. */
  oncomplete: (status: number) => void;
};

export type WriteRequest = StreamRequest & {
  /** Keeps what is written alive. */
  buffer: unknown;
};

export type Chunks = (Uint8Array | string)[];

/** Where `getpeername` writes. */
export type PeerName = { address: string; family: string; port: number };

/** A TCP stream of libuv. Numbers that are answered are 0, or the negative code of an error. */
export type KernelStream = {
  onread: () => Uint8Array | undefined;
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  writev(request: WriteRequest, chunks: Chunks, areBuffers: boolean): number;
  shutdown(request: StreamRequest): number;
  close(closed: () => void): void;
  /** As `close`, with RST. Must not be called while a shutdown is under way. */
  reset(closed: () => void): number;
  setNoDelay(isOn: boolean): number;
  setKeepAlive(isOn: boolean, delaySeconds: number): number;
  getpeername(name: PeerName): number;
  bind(address: string, port: number): number;
  bind6(address: string, port: number, flags: number): number;
  connect(request: StreamRequest, address: string, port: number): number;
  connect6(request: StreamRequest, address: string, port: number): number;
};

/**
 * The TLS stream of a socket whose handshake is over; closing stays the socket's business. It takes
 * one write at a time, says of each in a later turn that it is over, and has copied (encrypted) the
 * bytes when the call returns. A read is told record by record.
 */
export type SecureKernelStream = Pick<
  KernelStream,
  | 'onread'
  | 'readStart'
  | 'readStop'
  | 'useUserBuffer'
  | 'writeLatin1String'
  | 'writeBuffer'
  | 'shutdown'
> & {
  /** The TCP stream below: what the kernel has not taken of the records. */
  readonly _parent: Pick<KernelStream, 'writeQueueSize'>;
};

/** The listening stream of a `net.Server`. */
export type KernelListener = {
  onconnection: (status: number, stream: KernelStream | undefined) => void;
  setNoDelay(isOn: boolean): number;
};

export type Internals = {
  /** A stream that is to connect. */
  readonly newStream: () => KernelStream;
  /** Every stream passes through here before it is used: tests put lies into it. */
  readonly adopt: (stream: KernelStream) => KernelStream;
  /** Undefined when the server does not listen, or has another shape. */
  readonly listenerOf: (server: net.Server) => KernelListener | undefined;
  /** Undefined when the socket is closed, or has another shape. */
  readonly secureOf: (socket: tls.TLSSocket) => SecureKernelStream | undefined;
  readonly WriteRequest: new () => WriteRequest;
  readonly ShutdownRequest: new () => StreamRequest;
  readonly ConnectRequest: new () => StreamRequest;
  /** What the last call of a stream did. */
  readonly state: Int32Array;
  readonly readBytesIndex: number;
  readonly wasAsyncIndex: number;
};

/** UV_EOF, the same on all platforms. */
export const endOfFile = -4095;

const streamMethods = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'writev',
  'shutdown',
  'close',
  'reset',
  'setNoDelay',
  'setKeepAlive',
  'getpeername',
  'bind',
  'bind6',
  'connect',
  'connect6',
];

type Binding = Readonly<Record<string, unknown>>;

/** What of Node's insides is needed, or undefined when something has another shape. */
export function findInternals(): Internals | undefined {
  // `process.binding` is deprecated in documentation only; it throws where it is forbidden.
  const host = process as unknown as { readonly binding?: (name: string) => unknown };
  try {
    // Everything that is used of them is looked at below.
    const streams = host.binding?.('stream_wrap') as Binding | undefined;
    const tcp = host.binding?.('tcp_wrap') as Binding | undefined;
    if (streams === undefined || tcp === undefined) return undefined;
    return internalsOf(streams, tcp);
  } catch {
    // Forbidden or gone: plain sockets do as well.
    return undefined;
  }
}

function internalsOf(streams: Binding, tcp: Binding): Internals | undefined {
  const { WriteWrap, ShutdownWrap, streamBaseState } = streams;
  const { kReadBytesOrError, kLastWriteWasAsync } = streams;
  const { TCP, TCPConnectWrap, constants } = tcp;
  for (const made of [WriteWrap, ShutdownWrap, TCP, TCPConnectWrap]) {
    if (typeof made !== 'function') return undefined;
  }
  if (!(streamBaseState instanceof Int32Array)) return undefined;
  if (typeof kReadBytesOrError !== 'number') return undefined;
  if (typeof kLastWriteWasAsync !== 'number') return undefined;
  // Looked at here.
  const Stream = TCP as new (kind: unknown) => KernelStream;
  const methods = Stream.prototype as Binding;
  if (streamMethods.some((name) => typeof methods[name] !== 'function')) return undefined;
  const kind = (constants as Binding | undefined)?.['SOCKET'];
  if (typeof kind !== 'number') return undefined;
  return {
    newStream: () => new Stream(kind),
    adopt: (stream) => stream,
    listenerOf,
    secureOf,
    WriteRequest: WriteWrap as Internals['WriteRequest'], // constructors, by the check above
    ShutdownRequest: ShutdownWrap as Internals['ShutdownRequest'],
    ConnectRequest: TCPConnectWrap as Internals['ConnectRequest'],
    state: streamBaseState,
    readBytesIndex: kReadBytesOrError,
    wasAsyncIndex: kLastWriteWasAsync,
  };
}

const secureMethods = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeLatin1String',
  'writeBuffer',
  'shutdown',
];

function secureOf(socket: tls.TLSSocket): SecureKernelStream | undefined {
  const found = (socket as unknown as { readonly _handle?: unknown })._handle;
  if (typeof found !== 'object' || found === null) return undefined;
  const stream = found as Binding; // looked at below
  if (secureMethods.some((name) => typeof stream[name] !== 'function')) return undefined;
  const below = stream['_parent'] as { readonly writeQueueSize?: unknown } | null | undefined;
  if (typeof below?.writeQueueSize !== 'number') return undefined;
  return found as SecureKernelStream;
}

function listenerOf(server: net.Server): KernelListener | undefined {
  const found = (server as unknown as { readonly _handle?: unknown })._handle;
  if (typeof found !== 'object' || found === null) return undefined;
  const listener = found as Partial<KernelListener>; // looked at below
  const isKnown = typeof listener.onconnection === 'function'
    && typeof listener.setNoDelay === 'function';
  return isKnown ? (found as KernelListener) : undefined;
}
