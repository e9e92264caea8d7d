// Mesh DNS of one proxy: the sockets around the pure answers of `dns` (RFC 1035 §4.2). UDP and TCP;
// over TCP each message has a two-byte length. A peer that sends half a message, nothing, or too
// many messages costs a bounded buffer for a bounded time.
import { answerQuery, type MeshZone } from '../dns/index.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Network, NetworkSocket } from '../lib/network.ts';

/** A bound UDP socket, as `main` makes it. */
export type DatagramSocket = {
  readonly send: (data: Uint8Array, port: number, address: string) => void;
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

export type DnsServerOptions = {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly network: Network;
  readonly openDatagrams: OpenDatagrams;
  readonly runtime: Runtime;
  /** The zone now; read once per query. */
  readonly zone: () => MeshZone;
  readonly onFailed: (transport: 'udp' | 'tcp', error: Error) => void;
};

export type DnsServer = {
  /** Sockets that listen now, of those that were asked for. */
  readonly listening: () => { readonly open: number; readonly wanted: number };
  readonly close: () => void;
};

const connectionsMax = 256;
const queriesPerConnectionMax = 1_000;
/** RFC 7766 §6.2.3 asks for an idle limit of seconds. */
const idleTimeoutMs = 10_000;
const lengthBytes = 2;

/** Starts to listen on every address; failures are told and the others go on. */
export function startDnsServer(options: DnsServerOptions): DnsServer {
  let open = 0;
  const connections = new Set<NetworkSocket>();
  const onBound = (): void => {
    open += 1;
  };
  const udp = options.addresses.map((address) => {
    const socket: DatagramSocket = options.openDatagrams(address, options.port, {
      onBound,
      onFailed: (error) => options.onFailed('udp', error),
      onMessage: (data, port, from) => {
        const answer = answerQuery(data, options.zone(), 'udp');
        if (answer !== undefined) socket.send(answer, port, from);
      },
    });
    return socket;
  });
  const tcp = options.addresses.map((address) =>
    options.network.listen(
      { address, port: options.port, reusePort: false },
      {
        listening: onBound,
        failed: (error) => options.onFailed('tcp', error),
        accepted: (socket) => {
          if (connections.size >= connectionsMax) {
            socket.destroy();
            return;
          }
          connections.add(socket);
          socket.on('close', () => connections.delete(socket));
          serveConnection(socket, options);
        },
      },
    ),
  );
  return {
    listening: () => ({ open, wanted: options.addresses.length * 2 }),
    close: () => {
      for (const socket of [...udp, ...tcp]) socket.close();
      for (const socket of connections) socket.destroy();
    },
  };
}

function serveConnection(socket: NetworkSocket, options: DnsServerOptions): void {
  let held: Buffer = Buffer.alloc(0);
  let answered = 0;
  let timer: Timer | undefined;
  const rearm = (): void => {
    timer?.cancel();
    timer = options.runtime.timers.after(idleTimeoutMs, () => socket.destroy());
  };
  rearm();
  socket.on('error', () => socket.destroy());
  socket.on('close', () => timer?.cancel());
  socket.on('end', () => socket.end());
  socket.on('data', (data) => {
    held = held.length === 0 ? data : Buffer.concat([held, data]);
    while (held.length >= lengthBytes) {
      const end = lengthBytes + held.readUInt16BE(0);
      if (held.length < end) return;
      const answer = answerQuery(held.subarray(lengthBytes, end), options.zone(), 'tcp');
      held = held.subarray(end);
      answered += 1;
      rearm();
      // Unanswerable, too many, or a peer that does not read its answers: the connection ends.
      const isOver = answered >= queriesPerConnectionMax || socket.writableLength > 65_536;
      if (answer === undefined || isOver) {
        socket.destroy();
        return;
      }
      const prefixed = Buffer.allocUnsafe(lengthBytes + answer.length);
      prefixed.writeUInt16BE(answer.length, 0);
      prefixed.set(answer, lengthBytes);
      socket.write(prefixed);
    }
  });
}
