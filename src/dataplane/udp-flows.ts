// The flows of a worker – of its clients, found by listener and client, and those that arrive from
// other nodes, in one budget, as each takes a port – in the order in which they were used last.
// Pure: no socket and no time is in here. One that comes when there are too many – of its source,
// or in all – takes the place of the one that was not used for longest (of that source, or of all).
// Invariant: a flow is in all three tables or in none.

/** What the tables have to know of a flow. */
export type TabledFlow = {
  /** Listener, client's address and port: `flowKey`; unlike any of these for one that arrived. */
  readonly key: string;
  /** Whose flows count together: the client's address; identity and node of one that arrived. */
  readonly sourceKey: string;
  /** Another one takes its place: it ends, and is removed. */
  readonly evict: () => void;
};

export type FlowLimits = { readonly flowsMax: number; readonly perSourceMax: number };

/** Listeners are numbered by who opens them: one port may be open on several addresses. */
export function flowKey(listener: number, address: string, port: number): string {
  return `${listener} ${port} ${address}`;
}

export class FlowTable<F extends TabledFlow> {
  readonly #limits: FlowLimits;
  /** Least recently used first, as Maps and Sets keep their order. */
  readonly #flows = new Map<string, F>();
  readonly #bySource = new Map<string, Set<F>>();

  constructor(limits: FlowLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#flows.size;
  }

  find(key: string): F | undefined {
    return this.#flows.get(key);
  }

  ofSource(sourceKey: string): readonly F[] {
    return [...(this.#bySource.get(sourceKey) ?? [])];
  }

  all(): readonly F[] {
    return [...this.#flows.values()];
  }

  /** Evicts whoever has to go before another flow of this source is added. */
  makeRoomFor(sourceKey: string): void {
    this.victimFor(sourceKey)?.evict();
  }

  /** Who has to be removed before another flow of this source is added. */
  victimFor(sourceKey: string): F | undefined {
    const { flowsMax, perSourceMax } = this.#limits;
    const ofSource = this.#bySource.get(sourceKey);
    if (ofSource !== undefined && ofSource.size >= perSourceMax) return firstOf(ofSource);
    return this.#flows.size >= flowsMax ? firstOf(this.#flows.values()) : undefined;
  }

  /** There has to be room, and no other flow of this key. */
  add(flow: F): void {
    this.#flows.set(flow.key, flow);
    const ofSource = this.#bySource.get(flow.sourceKey);
    if (ofSource === undefined) this.#bySource.set(flow.sourceKey, new Set([flow]));
    else ofSource.add(flow);
  }

  /** The flow was used just now. */
  touch(flow: F): void {
    if (!this.remove(flow)) return;
    this.add(flow);
  }

  /** False: it is not in here. */
  remove(flow: F): boolean {
    if (this.#flows.get(flow.key) !== flow) return false;
    this.#flows.delete(flow.key);
    const ofSource = this.#bySource.get(flow.sourceKey);
    ofSource?.delete(flow);
    if (ofSource?.size === 0) this.#bySource.delete(flow.sourceKey);
    return true;
  }
}

function firstOf<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}
