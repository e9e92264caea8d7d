// The first datagrams of a pod that is not told yet wait for it, as its connections do
// (source-gate.ts): resolvers ask as soon as a pod starts, and would wait five seconds before they
// ask again. Few of each source and few bytes in all; what is over that is dropped, as it would be
// without waiting.
// Invariant: every datagram that is held enters once, in its order, or is dropped once.
import type { RouteTable } from '../route/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { SourceWindows } from './source-windows.ts';
import { waitingBytesMax, waitingPerSourceMax, waitingSourcesMax } from './udp-limits.ts';

/** A datagram of a client, before anything is known of it. */
export type ArrivedDatagram<L> = {
  readonly listener: L;
  readonly data: Uint8Array;
  readonly port: number;
  /** Normalised. */
  readonly address: string;
};

export type DatagramGateOptions<L> = {
  readonly deadlines: Deadlines;
  readonly enter: (datagram: ArrivedDatagram<L>) => void;
  readonly dropped: (datagram: ArrivedDatagram<L>) => void;
};

type Waiting<L> = { readonly deadline: Deadline; readonly datagrams: ArrivedDatagram<L>[] };

export class DatagramGate<L> {
  readonly #options: DatagramGateOptions<L>;
  readonly #waiting = new Map<string, Waiting<L>>();
  readonly #windows = new SourceWindows();
  #bytes = 0;

  constructor(options: DatagramGateOptions<L>) {
    this.#options = options;
  }

  /** Sources that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** True: it is held, and enters later, or is dropped. */
  holds(table: RouteTable, datagram: ArrivedDatagram<L>): boolean {
    const { address } = datagram;
    const waiting = this.#waiting.get(address) ?? this.#open(table, address);
    if (waiting === undefined) return false;
    this.#keep(waiting, datagram);
    return true;
  }

  /** There are new bindings. */
  tableChanged(table: RouteTable): void {
    for (const address of [...this.#waiting.keys()]) {
      if (!this.#windows.mayBecomeKnown(table, address)) this.#leave(address);
    }
  }

  close(): void {
    for (const { deadline } of this.#waiting.values()) this.#options.deadlines.disarm(deadline);
    this.#waiting.clear();
    this.#bytes = 0;
  }

  #open(table: RouteTable, address: string): Waiting<L> | undefined {
    if (!this.#windows.mayBecomeKnown(table, address)) return undefined;
    const { deadlines } = this.#options;
    const leftMs = this.#windows.leftMs(address, deadlines.nowMs());
    if (leftMs <= 0 || this.#waiting.size >= waitingSourcesMax) return undefined;
    const deadline = new Deadline(() => this.#leave(address));
    const waiting: Waiting<L> = { deadline, datagrams: [] };
    this.#waiting.set(address, waiting);
    deadlines.arm(deadline, leftMs);
    return waiting;
  }

  #keep({ datagrams }: Waiting<L>, datagram: ArrivedDatagram<L>): void {
    const bytes = this.#bytes + datagram.data.length;
    if (datagrams.length >= waitingPerSourceMax || bytes > waitingBytesMax) {
      this.#options.dropped(datagram);
      return;
    }
    this.#bytes = bytes;
    datagrams.push(datagram);
  }

  #leave(address: string): void {
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) return;
    this.#options.deadlines.disarm(waiting.deadline);
    this.#waiting.delete(address);
    for (const datagram of waiting.datagrams) {
      this.#bytes -= datagram.data.length;
      this.#options.enter(datagram);
    }
  }
}
