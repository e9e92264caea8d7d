// A new connection from an address that nobody is known by waits a moment before anything of it is
// read; for how long, and where at all, source-windows.ts says. Which service is called nobody
// knows before the head is read, so that is not looked at.
// Invariant: every connection that is held leaves once, within its window, and at the first word
// about its address, whatever that is. That a pod which is told now has made it rests on the
// quarantine: where a predecessor may be alive, the first word is that the address is nobody's.
import type { NetworkSocket } from '../lib/network.ts';
import type { RouteTable } from '../route/index.ts';
import type { ListenerSpec } from '../snapshot/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { SourceWindows } from './source-windows.ts';

/** Of one worker; each is a socket without a buffer. */
const heldMax = 256;

export type NewConnection = {
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly listener: ListenerSpec;
};

export type SourceGateOptions = {
  readonly deadlines: Deadlines;
  readonly table: () => RouteTable | undefined;
  readonly enter: (connection: NewConnection) => void;
};

export class SourceGate {
  readonly #options: SourceGateOptions;
  readonly #held = new Set<Held>();
  readonly #windows = new SourceWindows();

  constructor(options: SourceGateOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  /** True: it is held, and enters later or never. */
  holds(connection: NewConnection): boolean {
    const { deadlines } = this.#options;
    const table = this.#options.table();
    const { remoteAddress } = connection;
    if (table === undefined || !this.#windows.mayBecomeKnown(table, remoteAddress)) return false;
    const leftMs = this.#windows.leftMs(remoteAddress, deadlines.nowMs());
    if (leftMs <= 0 || this.#held.size >= heldMax) return false;
    const held = new Held(connection, (one) => this.#leave(one));
    this.#held.add(held);
    deadlines.arm(held.deadline, leftMs);
    return true;
  }

  /** There are new bindings. */
  tableChanged(table: RouteTable): void {
    for (const held of [...this.#held]) {
      if (!this.#windows.mayBecomeKnown(table, held.connection.remoteAddress)) this.#leave(held);
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
