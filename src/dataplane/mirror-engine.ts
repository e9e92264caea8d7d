// What copies have of their own (docs/design/0012): connections, and what is known of endpoints by
// them – latency, load, ejection – in cells of this worker alone. A mirror that is slow or fails is
// left alone by copies, and no call of a client to the same pods notices. What limits a pod holds
// for copies too: those places and rates are shared, but no copy waits for one.
import type { Clock } from '../lib/clock.ts';
import type { Backend } from '../route/index.ts';
import { createSlotMemory, SlotAllocator, SlotView } from '../telemetry/index.ts';
import { EndpointLoads } from './endpoint-load.ts';
import type { Engine } from './engine.ts';
import type { ExchangeObserver } from './observer.ts';
import type { PodPools } from './pod-pools.ts';
import { RetryBudgets } from './retries.ts';

/** Endpoints of mirrors that are remembered; then those are not that came first. */
const endpointsMax = 1_024;

/** In the place of those of the originals. */
export type CopyParts = PodPools &
  Pick<Engine, 'loads' | 'budgets' | 'gate' | 'carriesCopies'> & {
    readonly endpoints: CopiedEndpoints;
  };

export function copyParts(
  pools: PodPools,
  { clock, random, gate }: Pick<Engine, 'clock' | 'random' | 'gate'>,
): CopyParts {
  const endpoints = new CopiedEndpoints(random);
  return {
    ...pools,
    endpoints,
    loads: endpoints.loads(clock),
    // No copy is tried again, and none earns retries for others.
    budgets: new RetryBudgets(endpoints.slots, clock),
    gate: gate.forCopies(),
    carriesCopies: true,
  };
}

/** The cells of endpoints that copies go to; one that has none is known nothing of. */
export class CopiedEndpoints {
  readonly slots: SlotView;
  readonly #allocator: SlotAllocator;
  readonly #ids = new Set<string>();
  #backends = new WeakSet<Backend>();

  constructor(random: Engine['random']) {
    const memory = createSlotMemory({ split: 1, endpoint: endpointsMax, service: 1 });
    this.slots = new SlotView(memory, { index: 0, count: 1 });
    this.#allocator = new SlotAllocator(memory, random);
  }

  loads(clock: Clock): EndpointLoads {
    return new EndpointLoads(this.slots, clock);
  }

  /** A copy is about to be sent to one of the endpoints. */
  know(backend: Backend): void {
    if (this.#backends.has(backend)) return;
    const left = this.#makeRoom(backend.endpoints.length);
    const taken = backend.endpoints.filter(({ id }) => !this.#ids.has(id)).map(({ id }) => id);
    for (const id of taken) this.#ids.add(id);
    const keysOf = (ids: readonly string[]) => ids.map((id) => ['endpoint', id] as const);
    this.slots.apply(this.#allocator.change(keysOf(taken), keysOf(left)));
    this.#backends.add(backend);
  }

  #makeRoom(count: number): readonly string[] {
    const excess = this.#ids.size + count - endpointsMax + 1;
    if (excess <= 0) return [];
    const left = [...this.#ids].slice(0, excess);
    for (const id of left) this.#ids.delete(id);
    this.#backends = new WeakSet();
    return left;
  }
}

/** The engine of copies that are made here: an engine of its own, which makes none. */
export function engineOfCopies(
  engine: Engine,
  { endpoints, ...parts }: CopyParts,
  tunnels: Engine['tunnels'],
): Engine {
  return {
    ...engine,
    ...parts,
    tunnels,
    tunnelSessions: undefined,
    mirrors: undefined,
    counts: { connections: 0, exchanges: 0, lingering: 0, bufferedBytes: 0 },
    observer: observerOfCopies(engine.observer),
    get table() {
      return engine.table;
    },
    get isDraining() {
      return engine.isDraining;
    },
  };
}

const ignore = (): void => undefined;

/** Tries at pods and verdicts are counted as any; a copy is no exchange of anybody's. */
function observerOfCopies(observer: ExchangeObserver): ExchangeObserver {
  return { ...observer, exchangeStarted: ignore, exchangeFinished: ignore };
}
