// UDP sockets of `node:dgram` behind the seam of the data plane (A12). Addresses are IP addresses
// always, so nothing is looked up and every call takes effect before it returns. An IPv6 socket
// does not take IPv4 as well: each family has its own.
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { nextTick } from 'node:process';
import type {
  BindEvents,
  BoundDatagrams,
  ConnectedDatagrams,
  DatagramConnectOptions,
  DatagramFate,
  DatagramNetwork,
  DatagramPlace,
  PeerEvents,
} from '../lib/datagrams.ts';

/**
 * What a listening socket asks the kernel to keep while the worker is busy: at 20 000 small
 * datagrams a second, which cost it about 1 kB each, a fifth of a second. The kernel gives less
 * where net.core.rmem_max says so.
 */
const receiveBufferBytes = 4 * 1024 * 1024;

/** Unsent bytes of one socket beyond which it counts as not taking. */
const sendQueueBytesMax = 256 * 1024;

/** Longer datagrams than this exist in no family of addresses. */
const payloadBytesMax = 65_527;

export const flowDatagrams: DatagramNetwork = {
  localAddresses: () =>
    Object.values(networkInterfaces()).flatMap((addresses) =>
      (addresses ?? []).map(({ address }) => address).filter((one) => !/^fe[89ab]/i.test(one)),
    ),
  bind: (at, events) => new BoundSocket(at, events),
  connect: (to, events) => new PeerSocket(to, events),
};

type Lookup = NonNullable<Parameters<typeof createSocket>[0] & object>['lookup'];

/** Addresses are given, never names; node's own look-up would answer a turn later. */
const sameAddress: Lookup = (address, _, found) => found(null, address, isIPv6(address) ? 6 : 4);

function socketFor(address: string, recvBufferSize?: number): Socket {
  const lookup = sameAddress;
  const sizes = recvBufferSize === undefined ? {} : { recvBufferSize };
  return isIPv6(address)
    ? createSocket({ type: 'udp6', ipv6Only: true, lookup, ...sizes })
    : createSocket({ type: 'udp4', lookup, ...sizes });
}

class BoundSocket implements BoundDatagrams {
  readonly #socket: Socket;
  #isOpen = false;
  #isClosed = false;

  constructor({ address, port }: DatagramPlace, events: BindEvents) {
    const socket = socketFor(address, receiveBufferBytes);
    this.#socket = socket;
    socket.on('error', (error) => this.#later(() => events.failed(error)));
    socket.on('listening', () => {
      this.#isOpen = true;
      this.#later(events.bound);
    });
    socket.on('message', (data, from) => {
      if (!this.#isClosed) events.received(data, from.port, from.address);
    });
    // Not shared: a second worker on the same port would take a part of each flow.
    socket.bind({ address, port, exclusive: true });
  }

  /** Node may tell it before the constructor returns. */
  #later(tell: () => void): void {
    nextTick(() => {
      if (!this.#isClosed) tell();
    });
  }

  readonly port = (): number | undefined => {
    return this.#isOpen && !this.#isClosed ? this.#socket.address().port : undefined;
  };

  readonly sendTo = (data: Uint8Array, to: DatagramPlace): DatagramFate => {
    if (this.#isClosed || !this.#isOpen) return 'failed';
    if (data.length > payloadBytesMax) return 'long';
    if (this.#socket.getSendQueueSize() > sendQueueBytesMax) return 'full';
    // Without a callback a client that cannot be reached would be an error of the socket.
    this.#socket.send(data, to.port, to.address, ignore);
    return 'sent';
  };

  readonly close = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  };
}

const ignore = (): void => undefined;

class PeerSocket implements ConnectedDatagrams {
  readonly #socket: Socket;
  readonly #failed: (error: Error) => void;
  #isClosed = false;
  #isConnected = false;

  constructor(to: DatagramConnectOptions, events: PeerEvents) {
    const socket = socketFor(to.address);
    this.#socket = socket;
    this.#failed = (error) =>
      // Node may tell it before the constructor returns.
      nextTick(() => {
        if (!this.#isClosed) events.failed(error);
      });
    // ICMP errors of what was sent before come here, too.
    socket.on('error', this.#failed);
    socket.on('message', (data) => {
      if (!this.#isClosed) events.received(data);
    });
    const { localAddress } = to;
    if (localAddress !== undefined) {
      socket.bind({ address: localAddress, port: 0, exclusive: true });
    }
    socket.connect(to.port, to.address, (error?: Error) => {
      if (error instanceof Error) this.#failed(error);
    });
    this.#isConnected = isConnected(socket);
  }

  readonly send = (data: Uint8Array): DatagramFate => {
    if (this.#isClosed || !this.#isConnected) return 'failed';
    if (data.length > payloadBytesMax) return 'long';
    if (this.#socket.getSendQueueSize() > sendQueueBytesMax) return 'full';
    this.#socket.send(data, this.#sent);
    return 'sent';
  };

  readonly close = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  };

  /** One for all datagrams. */
  readonly #sent = (error: Error | null): void => {
    if (error !== null) this.#failed(error);
  };
}

/** Throws where it is not: out of descriptors or ports, or no way to the address. */
function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress();
    return true;
  } catch {
    return false;
  }
}
