// Live numbers that all workers of a proxy share – split turns, requests in flight, retry budgets
// – live in fixed slots of SharedArrayBuffers, so that limits hold for the proxy and survive a
// worker. The control thread gives slots to stable keys and frees them; workers only look them
// up. A freed slot rests before it has a new owner, and until nothing is in flight in it: an
// exchange that began under the old one still counts down, and some last for days.
import type { Random } from '../lib/clock.ts';
import { BreakerCells, breakerWidth } from './breaker-cells.ts';
import { HealthCells } from './health-cells.ts';

export type * from './breaker-cells.ts';
export type * from './health-cells.ts';

/** How many Int32 cells one key of a kind gets. */
export const slotWidths = {
  /** [turn] of a split. */
  split: 1,
  /**
   * [requests in flight of worker 0 … 7, then latency, ejection and a window of 10 s, then open
   * connections of worker 0 … 7].
   */
  endpoint: 64,
  /** Retry budget of a service: see dataplane/retry-budget.ts for the cells. */
  service: 32,
} as const;

/**
 * Each worker counts what it has in flight in a cell of its own, so that the counts of one that
 * died can be taken back.
 */
export const slotWorkersMax = 8;

/** First of the cells of an endpoint that count its open connections, one per worker. */
const connectionCells = 56;
/**
 * Cells of an endpoint in which each worker has a bit: somebody there waits, for whatever is short
 * or because there are as many connections as there may be.
 */
const waitingCells = { place: 15, connection: 17 } as const;

export type SlotKind = keyof typeof slotWidths;

/** What a worker is told: keys that got a slot and keys that lost theirs. */
export type SlotDelta = {
  readonly set: readonly (readonly [kind: SlotKind, key: string, slot: number])[];
  readonly freed: readonly (readonly [kind: SlotKind, key: string])[];
};

export type SlotMemory = { readonly [K in SlotKind]: SharedArrayBuffer } & {
  /** Buckets of rate limits, which have no slots: callers are open-ended (dataplane). */
  readonly rates: SharedArrayBuffer;
  /** Circuit breakers, by the slots of their services (breaker-cells.ts). */
  readonly breakers: SharedArrayBuffer;
};

/** Buckets that are filling at a time, over all services: 1 MB. */
const rateBuckets = 65_536;
const rateBucketBytes = 2 * BigInt64Array.BYTES_PER_ELEMENT;

/** Slots per kind; past it a key shares slot 0, which is nobody's own (counted, never a crash). */
export type SlotCapacity = { readonly [K in SlotKind]: number };

/**
 * 10 000 services with 100 000 endpoints fit twice: bytes = slots × width × 4 (61 MB, of which
 * only pages that are used take memory).
 */
export const defaultSlotCapacity: SlotCapacity = {
  split: 65_536,
  endpoint: 262_144,
  service: 16_384,
};

export function createSlotMemory(capacity: SlotCapacity): SlotMemory {
  const cells = (kind: SlotKind) =>
    new SharedArrayBuffer(capacity[kind] * slotWidths[kind] * Int32Array.BYTES_PER_ELEMENT);
  return {
    split: cells('split'),
    endpoint: cells('endpoint'),
    service: cells('service'),
    rates: new SharedArrayBuffer(rateBuckets * rateBucketBytes),
    breakers: new SharedArrayBuffer(
      capacity.service * breakerWidth * Int32Array.BYTES_PER_ELEMENT,
    ),
  };
}

/** Ticks (seconds, as the proxy calls them) that a freed slot rests at least. */
const restTicks = 60;
/** Slots still in use that are passed over before a key gets one that nobody has had. */
const passedMax = 64;

type RestingSlot = { readonly slot: number; readonly freedTick: number };

/** Control thread: gives keys slots, and takes them back when a key is gone. */
export class SlotAllocator {
  readonly #memory: SlotMemory;
  readonly #random: Random;
  readonly #slots: { readonly [K in SlotKind]: Map<string, number> };
  /** Oldest first. They rest: an exchange that began under the old key may count down late. */
  readonly #resting: { readonly [K in SlotKind]: RestingSlot[] };
  #ticks = 0;
  readonly #next: { [K in SlotKind]: number } = { split: 1, endpoint: 1, service: 1 };

  constructor(memory: SlotMemory, random: Random) {
    this.#memory = memory;
    this.#random = random;
    this.#slots = { split: new Map(), endpoint: new Map(), service: new Map() };
    this.#resting = { split: [], endpoint: [], service: [] };
  }

  /** Gives and takes back slots; the answer is what workers have to be told. */
  change(
    taken: readonly (readonly [kind: SlotKind, key: string])[],
    left: readonly (readonly [kind: SlotKind, key: string])[],
  ): SlotDelta {
    const set: [SlotKind, string, number][] = [];
    const freed: [SlotKind, string][] = [];
    for (const [kind, key] of left) {
      const slot = this.#slots[kind].get(key);
      if (slot === undefined) continue;
      this.#slots[kind].delete(key);
      freed.push([kind, key]);
      if (slot !== 0) this.#resting[kind].push({ slot, freedTick: this.#ticks });
    }
    for (const [kind, key] of taken) {
      if (this.#slots[kind].has(key)) continue;
      const slot = this.#take(kind);
      this.#slots[kind].set(key, slot);
      if (kind === 'split') this.#scatter(slot);
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

  /** The breaker of a service; undefined: it has no slot of its own. */
  breaker(service: string): BreakerCells | undefined {
    const slot = this.#slots.service.get(service) ?? 0;
    return slot === 0 ? undefined : new BreakerCells(new Int32Array(this.#memory.breakers), slot);
  }

  /** Of an endpoint, by its id; undefined: it has no slot of its own. */
  health(endpoint: string): HealthCells | undefined {
    const slot = this.#slots.endpoint.get(endpoint) ?? 0;
    if (slot === 0) return undefined;
    return new HealthCells(new Int32Array(this.#memory.endpoint), slot * slotWidths.endpoint);
  }

  /** A worker died: nothing of it is in flight or open any more, and nobody waits there. */
  forgetWorker(index: number): void {
    const cells = new Int32Array(this.#memory.endpoint);
    const used = this.#next.endpoint * slotWidths.endpoint;
    for (let first = 0; first < used; first += slotWidths.endpoint) {
      Atomics.store(cells, first + index, 0);
      Atomics.store(cells, first + connectionCells + index, 0);
      for (const cell of Object.values(waitingCells)) {
        Atomics.and(cells, first + cell, ~(1 << index));
      }
    }
  }

  /** A second has passed; the owner calls it. */
  tick(): void {
    this.#ticks += 1;
  }

  /**
   * Every proxy starts the turns of a split elsewhere: else all of them would send the first
   * nineteen requests of a 95 : 5 split to the same side.
   */
  #scatter(slot: number): void {
    const cells = new Int32Array(this.#memory.split);
    Atomics.store(cells, slot * slotWidths.split, Math.floor(this.#random() * 2 ** 30));
  }

  #take(kind: SlotKind): number {
    const width = slotWidths[kind];
    const capacity = this.#memory[kind].byteLength / Int32Array.BYTES_PER_ELEMENT / width;
    const isFull = this.#next[kind] >= capacity;
    const rested = this.#takeRested(kind, isFull);
    if (rested !== undefined) {
      new Int32Array(this.#memory[kind]).fill(0, rested * width, (rested + 1) * width);
      return rested;
    }
    if (isFull) return 0;
    const next = this.#next[kind];
    this.#next[kind] = next + 1;
    return next;
  }

  /** The slot that was freed first; one that is still counted in rests once more. */
  #takeRested(kind: SlotKind, isFull: boolean): number | undefined {
    const resting = this.#resting[kind];
    for (let passed = Math.min(passedMax, resting.length); passed > 0; passed -= 1) {
      const oldest = resting[0];
      if (oldest === undefined) return undefined;
      if (!isFull && this.#ticks - oldest.freedTick < restTicks) return undefined;
      resting.shift();
      if (kind !== 'endpoint' || !this.#isCountedIn(oldest.slot)) return oldest.slot;
      resting.push({ slot: oldest.slot, freedTick: this.#ticks });
    }
    return undefined;
  }

  /** Connections and streams to an endpoint that is gone may outlive it by days. */
  #isCountedIn(slot: number): boolean {
    const first = slot * slotWidths.endpoint;
    const cells = new Int32Array(this.#memory.endpoint);
    for (let worker = 0; worker < slotWorkersMax; worker += 1) {
      const cell = first + worker;
      if (Atomics.load(cells, cell) !== 0) return true;
      if (Atomics.load(cells, cell + connectionCells) !== 0) return true;
    }
    return false;
  }
}

/** Which of how many workers looks. */
export type SlotWorker = { readonly index: number; readonly count: number };

/** Worker: finds the cells of a key. Unknown keys get slot 0. */
export class SlotView {
  readonly cells: { readonly [K in SlotKind]: Int32Array };
  readonly rates: BigInt64Array;
  readonly #breakers: Int32Array;
  readonly #offsets: { readonly [K in SlotKind]: Map<string, number> };
  readonly #worker: SlotWorker;

  constructor(memory: SlotMemory, worker: SlotWorker) {
    this.#worker = worker;
    this.cells = {
      split: new Int32Array(memory.split),
      endpoint: new Int32Array(memory.endpoint),
      service: new Int32Array(memory.service),
    };
    this.rates = new BigInt64Array(memory.rates);
    this.#breakers = new Int32Array(memory.breakers);
    this.#offsets = { split: new Map(), endpoint: new Map(), service: new Map() };
  }

  apply(delta: SlotDelta): void {
    for (const [kind, key] of delta.freed) this.#offsets[kind].delete(key);
    for (const [kind, key, slot] of delta.set) {
      this.#offsets[kind].set(key, slot * slotWidths[kind]);
    }
  }

  /** The breaker of a service; undefined: it has no slot of its own. */
  breaker(service: string): BreakerCells | undefined {
    const slot = this.offset('service', service) / slotWidths.service;
    return slot === 0 ? undefined : new BreakerCells(this.#breakers, slot);
  }

  get workers(): number {
    return this.#worker.count;
  }

  /** Index of this one. */
  get worker(): number {
    return this.#worker.index;
  }

  /** Index of the key's first cell in `cells[kind]`. */
  offset(kind: SlotKind, key: string): number {
    return this.#offsets[kind].get(key) ?? 0;
  }

  /** Requests in flight at the endpoint with this first cell, of all workers. */
  inFlight(offset: number): number {
    let sum = 0;
    for (let worker = 0; worker < this.#worker.count; worker += 1) {
      sum += Atomics.load(this.cells.endpoint, offset + worker);
    }
    return sum;
  }

  /**
   * Where connections to the endpoint with this first cell are counted, as requests in flight are:
   * `inFlight` of it are those that are open or being opened.
   */
  connectionsAt(offset: number): number {
    return offset + connectionCells;
  }

  /** Tells the other workers whether somebody here waits for something at the endpoint. */
  setWaiting(offset: number, what: keyof typeof waitingCells, isWaiting: boolean): void {
    const cell = offset + waitingCells[what];
    if (isWaiting) Atomics.or(this.cells.endpoint, cell, this.#bit);
    else Atomics.and(this.cells.endpoint, cell, ~this.#bit);
  }

  /** Somebody at another worker waits for it. */
  isAwaitedElsewhere(offset: number, what: keyof typeof waitingCells): boolean {
    const bits = Atomics.load(this.cells.endpoint, offset + waitingCells[what]);
    return (bits & ~this.#bit) !== 0;
  }

  /** The other workers at which somebody waits for a place there, a bit each. */
  waitingElsewhere(offset: number): number {
    return Atomics.load(this.cells.endpoint, offset + waitingCells.place) & ~this.#bit;
  }

  get #bit(): number {
    return 1 << this.#worker.index;
  }

  /** Counts one more in flight; the cell that is returned has to be counted down again. */
  countUp(offset: number): number {
    const cell = offset + this.#worker.index;
    Atomics.add(this.cells.endpoint, cell, 1);
    return cell;
  }

  /** Takes the cell, not the key: that may have lost its slot meanwhile. */
  countDown(cell: number): void {
    Atomics.sub(this.cells.endpoint, cell, 1);
  }
}
