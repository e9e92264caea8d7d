// DNS over TCP (RFC 7766): each message has a two-byte length before it, several may be sent
// without waiting, and answers come in the order of the questions. A peer that sends half a
// message, nothing, or too many, or that does not read its answers, costs a bounded buffer for a
// bounded time; at the limit of connections the one that has been silent longest gives way.
import { answerQuery, type MeshZone } from '../dns/index.ts';
import type { Timer, Timers } from '../lib/clock.ts';
import type { NetworkSocket } from '../lib/network.ts';

export const connectionsMax = 256;
export const queriesPerConnectionMax = 1_000;
/** RFC 7766 §6.2.3 asks for an idle limit of seconds; half a message does not count as life. */
export const idleTimeoutMs = 10_000;
/** Of answers that the peer has not read. */
const unreadBytesMax = 65_536;
const lengthBytes = 2;

/** All TCP connections of one DNS server. */
export class DnsConnections {
  readonly #timers: Timers;
  readonly #zone: () => MeshZone;
  /** Longest silent first. */
  readonly #connections = new Set<DnsConnection>();

  constructor(timers: Timers, zone: () => MeshZone) {
    this.#timers = timers;
    this.#zone = zone;
  }

  get count(): number {
    return this.#connections.size;
  }

  accept(socket: NetworkSocket): void {
    if (this.#connections.size >= connectionsMax) {
      const [longestSilent] = this.#connections;
      longestSilent?.destroy();
    }
    const connection: DnsConnection = new DnsConnection({
      socket,
      timers: this.#timers,
      zone: this.#zone,
      onAnswered: () => {
        this.#connections.delete(connection);
        this.#connections.add(connection);
      },
      onClosed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  close(): void {
    for (const connection of [...this.#connections]) connection.destroy();
  }
}

type DnsConnectionOptions = {
  readonly socket: NetworkSocket;
  readonly timers: Timers;
  readonly zone: () => MeshZone;
  readonly onAnswered: () => void;
  readonly onClosed: () => void;
};

class DnsConnection {
  readonly #options: DnsConnectionOptions;
  #held: Buffer = Buffer.alloc(0);
  #answered = 0;
  #isOver = false;
  #idle: Timer;

  constructor(options: DnsConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    this.#idle = this.#armIdle();
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.#close());
    socket.on('end', () => socket.end());
    socket.on('data', (data) => this.#read(data));
  }

  destroy(): void {
    this.#close();
    this.#options.socket.destroy();
  }

  #close(): void {
    this.#isOver = true;
    this.#idle.cancel();
    this.#options.onClosed();
  }

  #armIdle(): Timer {
    return this.#options.timers.after(idleTimeoutMs, () => this.destroy());
  }

  #read(data: Buffer): void {
    if (this.#isOver) return;
    let rest = this.#held.length === 0 ? data : Buffer.concat([this.#held, data]);
    for (let end = endOfMessage(rest); end !== undefined; end = endOfMessage(rest)) {
      this.#answer(rest.subarray(lengthBytes, end));
      if (this.#isOver) return;
      rest = rest.subarray(end);
    }
    // A copy: what is left of a large read must not keep all of it.
    this.#held = Buffer.from(rest);
  }

  #answer(query: Uint8Array): void {
    const { socket, zone, onAnswered } = this.#options;
    const answer = answerQuery(query, zone(), 'tcp');
    if (answer === undefined || socket.writableLength > unreadBytesMax) {
      this.destroy();
      return;
    }
    const prefixed = Buffer.allocUnsafe(lengthBytes + answer.length);
    prefixed.writeUInt16BE(answer.length, 0);
    prefixed.set(answer, lengthBytes);
    socket.write(prefixed);
    this.#answered += 1;
    this.#idle.cancel();
    this.#idle = this.#armIdle();
    onAnswered();
    if (this.#answered < queriesPerConnectionMax) return;
    // The last answer still goes out; the idle limit bounds how long that may take.
    this.#isOver = true;
    socket.destroySoon();
  }
}

/** Where the first message ends, when all of it is there. */
function endOfMessage(data: Buffer): number | undefined {
  if (data.length < lengthBytes) return undefined;
  const end = lengthBytes + data.readUInt16BE(0);
  return data.length < end ? undefined : end;
}
