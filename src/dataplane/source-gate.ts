// A new connection from an address that nobody is known by waits a moment before anything of it is
// read: a pod may call before its object is seen (architecture §4). Only where some namespace
// enforces, since nobody else would refuse it; which service is called nobody knows before the head
// is read, so that is not looked at. An address in quarantine is not waited for: the connection may
// be its old pod's, and must not become the new one's by waiting.
// Invariant: every connection that is held leaves once, within its window, and at the first word
// about its address, whatever that is. That a pod which is told now has made it rests on the
// quarantine: where a predecessor may be alive, the first word is that the address is nobody's.
import type { NetworkSocket } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

/** For one address, from its first connection on; then not again before the rest is over. */
const windowMs = 2_000;
const restMs = 60_000;
/** Of one worker; each is a socket without a buffer. */
const heldMax = 256;
const windowsMax = 1_024;

export type NewConnection = {
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly servicePort: number;
};

export type SourceGateOptions = {
  readonly deadlines: Deadlines;
  readonly table: () => RouteTable | undefined;
  readonly enter: (connection: NewConnection) => void;
};

export class SourceGate {
  readonly #options: SourceGateOptions;
  readonly #held = new Set<Held>();
  /** Address → when its window began, oldest first. */
  readonly #windows = new Map<string, number>();
  #judged: RouteTable | undefined;
  #hasEnforcing = false;

  constructor(options: SourceGateOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** True: it is held, and enters later or never. */
  holds(connection: NewConnection): boolean {
    const table = this.#options.table();
    if (table === undefined || !this.#mayBecomeKnown(table, connection.remoteAddress)) return false;
    const leftMs = this.#leftMs(connection.remoteAddress);
    if (leftMs <= 0 || this.#held.size >= heldMax) return false;
    const held = new Held(connection, (one) => this.#leave(one));
    this.#held.add(held);
    this.#options.deadlines.arm(held.deadline, leftMs);
    return true;
  }

  /** There are new bindings. */
  tableChanged(table: RouteTable): void {
    for (const held of [...this.#held]) {
      if (!this.#mayBecomeKnown(table, held.connection.remoteAddress)) this.#leave(held);
    }
  }

  close(): void {
    for (const held of [...this.#held]) {
      this.#forget(held);
      held.connection.socket.destroy();
    }
  }

  #leave(held: Held): void {
    if (!this.#forget(held)) return;
    if (!held.isGone) this.#options.enter(held.connection);
  }

  #forget(held: Held): boolean {
    this.#options.deadlines.disarm(held.deadline);
    held.isOver = true;
    return this.#held.delete(held);
  }

  /** It is no source now and may be one soon. */
  #mayBecomeKnown(table: RouteTable, address: string): boolean {
    if (table.sources.has(address) || !this.#enforces(table)) return false;
    return !table.node.bindings.has(address);
  }

  #enforces(table: RouteTable): boolean {
    if (table === this.#judged) return this.#hasEnforcing;
    const { byDefault, byNamespace } = table.policies;
    this.#judged = table;
    this.#hasEnforcing = byDefault === 'enforce' || [...byNamespace.values()].includes('enforce');
    return this.#hasEnforcing;
  }

  /** What is left of the address's window; a first connection opens one. */
  #leftMs(address: string): number {
    const nowMs = this.#options.deadlines.nowMs();
    const sinceMs = this.#windows.get(address);
    if (sinceMs !== undefined && nowMs < sinceMs + restMs) return sinceMs + windowMs - nowMs;
    this.#windows.delete(address);
    for (const [oldest, beganMs] of this.#windows) {
      if (this.#windows.size < windowsMax && nowMs < beganMs + restMs) break;
      this.#windows.delete(oldest);
    }
    this.#windows.set(address, nowMs);
    return windowMs;
  }
}

/** One connection that waits. */
class Held {
  readonly connection: NewConnection;
  readonly deadline: Deadline;
  isOver = false;
  /** The client has left. */
  isGone = false;

  constructor(connection: NewConnection, leave: (held: Held) => void) {
    this.connection = connection;
    this.deadline = new Deadline(() => leave(this));
    const { socket } = connection;
    // What matters of an error is that the connection closes, which follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isGone = true;
      if (!this.isOver) leave(this);
    });
  }
}
