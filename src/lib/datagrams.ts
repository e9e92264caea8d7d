// The seam to UDP: sockets for datagrams of services. Only `main` (and tests) choose an
// implementation. Nothing here waits: a datagram that the kernel does not take now is lost, as it
// would be on any wire, and whoever sent it is told so that it can be counted.

export type DatagramPlace = { readonly address: string; readonly port: number };

/** Why a datagram was not sent. `full`: the kernel is not taking · `long`: no such datagram is. */
export type DatagramFate = 'sent' | 'full' | 'long' | 'failed';

/** A socket that listens, or one on its way to listen. */
export type BoundDatagrams = {
  /** The port once it listens; undefined before. */
  readonly port: () => number | undefined;
  /** From the address and port that it is bound to. Never throws; the data is not kept. */
  readonly sendTo: (data: Uint8Array, to: DatagramPlace) => DatagramFate;
  /** Idempotent; nothing is received afterwards. */
  readonly close: () => void;
};

export type BindEvents = {
  readonly bound: () => void;
  /** Binding failed, or the socket did. */
  readonly failed: (error: Error) => void;
  /** The data is the receiver's to keep. */
  readonly received: (data: Uint8Array, port: number, address: string) => void;
};

/** A socket for one peer: the kernel drops what others send to it. */
export type ConnectedDatagrams = {
  readonly send: (data: Uint8Array) => DatagramFate;
  /** Idempotent; nothing is received afterwards. */
  readonly close: () => void;
};

export type PeerEvents = {
  readonly received: (data: Uint8Array) => void;
  /** The peer cannot be reached (ICMP), or there is no socket to be had. May come repeatedly. */
  readonly failed: (error: Error) => void;
};

export type DatagramConnectOptions = DatagramPlace & {
  readonly localAddress: string | undefined;
};

export type DatagramNetwork = {
  /** What a wildcard address stands for: addresses of this machine, without link-local ones. */
  readonly localAddresses: () => readonly string[];
  readonly bind: (at: DatagramPlace, events: BindEvents) => BoundDatagrams;
  readonly connect: (to: DatagramConnectOptions, events: PeerEvents) => ConnectedDatagrams;
};
