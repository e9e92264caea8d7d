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
  /** It was closed by a peer that says that it has looked at nothing; absent: nobody can tell. */
  readonly isUnread?: boolean;
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

/** What one side of a tunnel shows, and whom it trusts; PEM, as `node:tls` takes it. */
export type TlsTerms = {
  readonly side: 'client' | 'server';
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Roots that the peer's certificate may chain to. */
  readonly trustPem: string;
  readonly alpn: readonly string[];
};

/** What the peer has shown; its path is validated, and nothing else of it. */
export type SecurePeer = {
  readonly certificateDer: Uint8Array;
  readonly alpn: string | undefined;
  readonly isResumed: boolean;
};

/**
 * A byte stream inside TLS; `connect` is told when the handshake is over on our side, and `peer` is
 * known from then on; nothing is read before. `drain` is told when all that had to wait has left.
 */
export type SecureSocket = Omit<NetworkSocket, 'readInto'> & {
  readonly peer: SecurePeer | undefined;
  /** May be called again: from then on the new reader gets what comes. */
  readInto(reader: SocketReader): void;
};

export type AcceptEvents = {
  /** The peer has shown a certificate of ours, and the handshake is over. */
  readonly secured: (socket: SecureSocket) => void;
  /** Told instead, once; the raw socket is closed. */
  readonly failed: (why: string) => void;
};

/** TLS under one certificate and one bundle. */
export type TlsContext = {
  readonly connect: (to: ConnectOptions) => SecureSocket;
  /** Speaks TLS on a socket that `SecureNetwork.listen` has accepted. */
  readonly accept: (raw: NetworkSocket, events: AcceptEvents) => void;
};

/** How pods that serve HTTPS are spoken to. */
export type PodTlsTerms = {
  /** Sent as SNI, and what a certificate has to be for where it is verified. */
  readonly serverName: string;
  /** Whose signature it needs; `system`: of a root that every client knows. */
  readonly trust: 'anyone' | 'nobody' | 'system' | { readonly pem: string };
};

/**
 * What tunnels run on: TLS 1.3 with certificates on both sides, no tickets, no names. And what pods
 * of their own TLS are reached by.
 */
export type SecureNetwork = {
  /** Accepted sockets are paused: not a byte of them has been read. */
  readonly listen: (options: ListenOptions, events: ListenEvents) => NetworkListener;
  /** Throws where certificate, key or roots cannot be read. */
  readonly context: (terms: TlsTerms) => TlsContext;
  /** A socket connects when its handshake is over. Throws where the roots cannot be read. */
  readonly toPods: (terms: PodTlsTerms) => Pick<Network, 'connect'>;
};
