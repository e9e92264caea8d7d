// Mesh DNS of one proxy: the sockets around the pure answers of `dns` (RFC 1035 §4.2). UDP and TCP
// on every address; a socket that cannot be opened is tried again. What happens on a TCP connection
// is dns-connection.ts.
import { answerQuery, type MeshZone } from '../dns/index.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Network } from '../lib/network.ts';
import { DnsConnections } from './dns-connection.ts';

/** A UDP socket, bound or on its way, as `main` makes it. */
export type DatagramSocket = {
  /** Never throws: a peer that cannot be reached is its own trouble. */
  readonly send: (data: Uint8Array, port: number, address: string) => void;
  /** Idempotent. */
  readonly close: () => void;
};

export type DatagramEvents = {
  readonly onBound: () => void;
  readonly onFailed: (error: Error) => void;
  readonly onMessage: (data: Uint8Array, port: number, address: string) => void;
};

export type OpenDatagrams = (
  address: string,
  port: number,
  events: DatagramEvents,
) => DatagramSocket;

type Transport = 'udp' | 'tcp';

export type DnsListenFailure = {
  readonly transport: Transport;
  readonly address: string;
  readonly message: string;
};

export type DnsServerOptions = {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly network: Network;
  readonly openDatagrams: OpenDatagrams;
  readonly runtime: Runtime;
  /** The zone now; read once per query. */
  readonly zone: () => MeshZone;
  /** Told once per socket, not at each further try. */
  readonly onFailed: (failure: DnsListenFailure) => void;
};

export type DnsServer = {
  /** Sockets that listen now, of those that this machine can have. */
  readonly listening: () => { readonly open: number; readonly wanted: number };
  readonly connectionCount: () => number;
  /** Idempotent; cuts connections. */
  readonly close: () => void;
};

/** A socket that could not be opened is tried again after this. */
const reopenMs = 1_000;

/** Starts to listen on every address; failures are told and the others go on. */
export function startDnsServer(options: DnsServerOptions): DnsServer {
  const connections = new DnsConnections(options.runtime.timers, options.zone);
  const openings = options.addresses.flatMap((address) =>
    (['udp', 'tcp'] as const).map((transport) => {
      const open = (events: OpeningEvents): Closable =>
        transport === 'udp'
          ? openUdp(options, address, events)
          : openTcp(options, { address, connections, events });
      return new Opening({ address, transport, open, options });
    }),
  );
  return {
    listening: () => ({
      open: openings.filter(({ isOpen }) => isOpen).length,
      wanted: openings.filter(({ isAbsent }) => !isAbsent).length,
    }),
    connectionCount: () => connections.count,
    close: () => {
      for (const opening of openings) opening.close();
      connections.close();
    },
  };
}

type Closable = { readonly close: () => void };
type OpeningEvents = { readonly onOpen: () => void; readonly onFailed: (error: Error) => void };
type OpeningFacts = {
  readonly address: string;
  readonly transport: Transport;
  readonly open: (events: OpeningEvents) => Closable;
  readonly options: DnsServerOptions;
};

/** One socket, tried until it is open. */
class Opening {
  readonly #facts: OpeningFacts;
  #socket: Closable | undefined;
  #retry: Timer | undefined;
  #isTold = false;
  #isClosed = false;
  isOpen = false;
  /** The machine does not have this family of addresses: nobody asks that way. */
  isAbsent = false;

  constructor(facts: OpeningFacts) {
    this.#facts = facts;
    this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.isOpen = false;
    this.#retry?.cancel();
    this.#socket?.close();
  }

  #open(): void {
    this.#socket = this.#facts.open({
      onOpen: () => {
        this.isOpen = !this.#isClosed;
        this.#isTold = false;
      },
      onFailed: (error) => this.#failed(error),
    });
  }

  #failed(error: Error): void {
    // An open socket that says this goes on by itself: it was out of descriptors for a moment.
    if (this.#isClosed || this.isOpen) return;
    this.#socket?.close();
    if ('code' in error && error.code === 'EAFNOSUPPORT') {
      this.isAbsent = true;
      return;
    }
    const { address, transport, options } = this.#facts;
    if (!this.#isTold) options.onFailed({ transport, address, message: error.message });
    this.#isTold = true;
    this.#retry = options.runtime.timers.after(reopenMs, () => this.#open());
  }
}

function openUdp(options: DnsServerOptions, address: string, events: OpeningEvents): Closable {
  const socket: DatagramSocket = options.openDatagrams(address, options.port, {
    onBound: events.onOpen,
    onFailed: events.onFailed,
    onMessage: (data, port, from) => {
      // RFC 768: source port 0 means that no answer is wanted, and none can be sent.
      if (port === 0) return;
      const answer = answerQuery(data, options.zone(), 'udp');
      if (answer !== undefined) socket.send(answer, port, from);
    },
  });
  return socket;
}

type TcpOpening = {
  readonly address: string;
  readonly connections: DnsConnections;
  readonly events: OpeningEvents;
};

function openTcp(options: DnsServerOptions, opening: TcpOpening): Closable {
  const { address, connections, events } = opening;
  return options.network.listen(
    { address, port: options.port, reusePort: false },
    {
      listening: events.onOpen,
      failed: events.onFailed,
      accepted: (socket) => connections.accept(socket),
    },
  );
}
