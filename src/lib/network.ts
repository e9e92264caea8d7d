// The seam to the network: listening and connecting TCP sockets. Only `main` (and tests) choose an
// implementation; a simulation can give one without a kernel. The socket type names just what the
// data plane uses of `node:net`, so that a real socket is one as it stands.

/** Takes what a socket reads, into buffers of its own choice. */
export type SocketReader = {
  /** Where the next read goes; asked again after each read. */
  readonly readBuffer: () => Buffer;
  /** `bytes` of the buffer were read; the next read may overwrite them. */
  readonly read: (buffer: Buffer, bytes: number) => void;
};

/** The part of a byte stream socket that is used; `net.Socket` fits. */
export type NetworkSocket = {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localPort?: number | undefined;
  readonly destroyed: boolean;
  /** Set as soon as a read or write failed, before the event. */
  readonly errored: Error | null;
  /** Bytes that the kernel has not taken yet. */
  readonly writableLength: number;
  /** A write has answered false, and `drain` has not come yet. */
  readonly writableNeedDrain: boolean;
  /** False: wait for `drain` before writing more. */
  write(data: Uint8Array | string, encoding?: 'latin1'): boolean;
  /** Sends FIN after what was written; reading goes on. */
  end(): unknown;
  destroy(error?: Error): unknown;
  /** Destroys the socket once what was written has left. */
  destroySoon(): void;
  /** Sends RST, so that the peer cannot take a cut message for a whole one. */
  resetAndDestroy(): unknown;
  pause(): unknown;
  resume(): unknown;
  /** Whether the kernel asks a silent peer if it is still there, first after `delayMs`. */
  setKeepAlive?(isOn: boolean, delayMs: number): unknown;
  /** Fails the socket if its peer has reset it, which one that is paused is not told of. */
  findFault?(): void;
  cork(): void;
  uncork(): void;
  /**
   * Begins to read into buffers of the reader; no `data` event comes then. Called at once or never;
   * absent where a socket cannot do it.
   */
  readInto?(reader: SocketReader): void;
  on(event: 'data', listener: (data: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'connect' | 'end' | 'drain' | 'close', listener: () => void): unknown;
};

export type ListenOptions = {
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
  /** A private descriptor beside those of other workers (Node >= 22.12). */
  readonly reusePort: boolean;
};

export type ConnectOptions = {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | undefined;
};

/** A listening socket, or one on its way to listen. */
export type NetworkListener = {
  /** The port once it listens; undefined before. */
  readonly port: () => number | undefined;
  /** Idempotent. Stops accepting; accepted connections live on. */
  readonly close: () => void;
};

export type ListenEvents = {
  readonly listening: () => void;
  /** Opening failed, or accepting did (EMFILE): the latter may come again and again. */
  readonly failed: (error: Error) => void;
  readonly accepted: (socket: NetworkSocket) => void;
};

export type Network = {
  /** Accepted sockets allow half-open connections and do not delay small writes. */
  readonly listen: (options: ListenOptions, events: ListenEvents) => NetworkListener;
  /** The socket tells the outcome by its `connect` or `error` event. */
  readonly connect: (options: ConnectOptions) => NetworkSocket;
};
