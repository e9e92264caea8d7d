// Live numbers that all workers of a proxy share – split turns, requests in flight, retry budgets –
// live in fixed slots of SharedArrayBuffers, so that limits hold for the proxy and survive a worker.
// The control thread gives slots to stable keys and frees them; workers only look them up.

/** How many Int32 cells one key of a kind gets. */
export const slotWidths = {
  /** [turn] of a split. */
  split: 1,
  /** [requests in flight, consecutive failures, spare, spare] of an endpoint. */
  endpoint: 4,
  /** Retry budget of a service: see dataplane/retry-budget.ts for the cells. */
  service: 32,
} as const;

export type SlotKind = keyof typeof slotWidths;

/** What a worker is told: keys that got a slot and keys that lost theirs. */
export type SlotDelta = {
  readonly set: readonly (readonly [kind: SlotKind, key: string, slot: number])[];
  readonly freed: readonly (readonly [kind: SlotKind, key: string])[];
};

export type SlotMemory = { readonly [K in SlotKind]: SharedArrayBuffer };

/** Slots per kind; past it a key shares slot 0, which is nobody's own (counted, never a crash). */
export type SlotCapacity = { readonly [K in SlotKind]: number };

/** 10 000 services with 100 000 endpoints fit twice: bytes = slots × width × 4 (about 6 MB). */
export const defaultSlotCapacity: SlotCapacity = {
  split: 65_536,
  endpoint: 262_144,
  service: 16_384,
};

export function createSlotMemory(capacity: SlotCapacity): SlotMemory {
  const cells = (kind: SlotKind) =>
    new SharedArrayBuffer(capacity[kind] * slotWidths[kind] * Int32Array.BYTES_PER_ELEMENT);
  return { split: cells('split'), endpoint: cells('endpoint'), service: cells('service') };
}

/** Control thread: gives each key of the current snapshot a slot, and frees those of gone keys. */
export class SlotAllocator {
  readonly #memory: SlotMemory;
  readonly #slots: { readonly [K in SlotKind]: Map<string, number> };
  readonly #free: { readonly [K in SlotKind]: number[] };
  readonly #next: { [K in SlotKind]: number } = { split: 1, endpoint: 1, service: 1 };

  constructor(memory: SlotMemory) {
    this.#memory = memory;
    this.#slots = { split: new Map(), endpoint: new Map(), service: new Map() };
    this.#free = { split: [], endpoint: [], service: [] };
  }

  /** Makes the keys of `kind` exactly `keys`; the answer is what workers have to be told. */
  assign(kind: SlotKind, keys: ReadonlySet<string>): SlotDelta {
    const slots = this.#slots[kind];
    const set: [SlotKind, string, number][] = [];
    const freed: [SlotKind, string][] = [];
    for (const [key, slot] of slots) {
      if (keys.has(key)) continue;
      slots.delete(key);
      freed.push([kind, key]);
      if (slot !== 0) this.#release(kind, slot);
    }
    for (const key of keys) {
      if (slots.has(key)) continue;
      const slot = this.#take(kind);
      slots.set(key, slot);
      set.push([kind, key, slot]);
    }
    return { set, freed };
  }

  /** Everything that is assigned now, for a worker that has just started. */
  all(): SlotDelta {
    const set: [SlotKind, string, number][] = [];
    for (const kind of Object.keys(slotWidths) as SlotKind[]) {
      for (const [key, slot] of this.#slots[kind]) set.push([kind, key, slot]);
    }
    return { set, freed: [] };
  }

  #take(kind: SlotKind): number {
    const reused = this.#free[kind].pop();
    if (reused !== undefined) return reused;
    const capacity = this.#memory[kind].byteLength / Int32Array.BYTES_PER_ELEMENT / slotWidths[kind];
    const next = this.#next[kind];
    if (next >= capacity) return 0;
    this.#next[kind] = next + 1;
    return next;
  }

  #release(kind: SlotKind, slot: number): void {
    const width = slotWidths[kind];
    new Int32Array(this.#memory[kind]).fill(0, slot * width, (slot + 1) * width);
    this.#free[kind].push(slot);
  }
}

/** Worker: finds the cells of a key. Unknown keys get slot 0. */
export class SlotView {
  readonly cells: { readonly [K in SlotKind]: Int32Array };
  readonly #offsets: { readonly [K in SlotKind]: Map<string, number> };

  constructor(memory: SlotMemory) {
    this.cells = {
      split: new Int32Array(memory.split),
      endpoint: new Int32Array(memory.endpoint),
      service: new Int32Array(memory.service),
    };
    this.#offsets = { split: new Map(), endpoint: new Map(), service: new Map() };
  }

  apply(delta: SlotDelta): void {
    for (const [kind, key] of delta.freed) this.#offsets[kind].delete(key);
    for (const [kind, key, slot] of delta.set) {
      this.#offsets[kind].set(key, slot * slotWidths[kind]);
    }
  }

  /** Index of the key's first cell in `cells[kind]`. */
  offset(kind: SlotKind, key: string): number {
    return this.#offsets[kind].get(key) ?? 0;
  }
}
