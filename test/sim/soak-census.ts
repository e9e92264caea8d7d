// What is alive: sockets that went through the network seam, the data plane's own counts, resources
// of the process, listeners per socket, bytes of heap. The soak takes a census when everybody has
// left; then every count has one right value. It can plant a leak, to show that it would be found.
import type { Network, NetworkSocket } from '../../src/lib/network.ts';
import type { DataplaneState } from '../../src/dataplane/index.ts';

export const plants = ['none', 'leak', 'timer', 'listener', 'memory'] as const;
export type Plant = (typeof plants)[number];

/** One in so many sockets is leaked where a leak is planted. */
const plantedEvery = 100;

export class SocketCensus {
  /** Each open socket with how often each event was listened to. */
  readonly #open = new Map<NetworkSocket, Map<string, number>>();
  readonly #plant: Plant;
  readonly #kept: unknown[] = [];
  readonly network: Network;
  #seen = 0;

  constructor(real: Network, plant: Plant) {
    this.#plant = plant;
    this.network = {
      listen: (options, events) =>
        real.listen(options, {
          ...events,
          accepted: (socket) => {
            this.#watch(socket);
            events.accepted(socket);
          },
        }),
      connect: (options) => {
        const socket = real.connect(options);
        this.#watch(socket);
        return socket;
      },
    };
  }

  get openSockets(): number {
    return this.#open.size;
  }

  /** The greatest number of listeners that one socket has for one event. */
  get listenersMax(): number {
    let most = 0;
    for (const counts of this.#open.values()) most = Math.max(most, ...counts.values());
    return most;
  }

  #watch(socket: NetworkSocket): void {
    socket.on('close', () => this.#open.delete(socket));
    this.#open.set(socket, countListeners(socket));
    this.#seen += 1;
    if (this.#plant === 'listener') addListeners(socket);
    else if (this.#seen % plantedEvery === 0) this.#leak(socket);
  }

  #leak(socket: NetworkSocket): void {
    if (this.#plant === 'leak') {
      // A teardown that forgets this socket.
      Object.assign(socket, { destroy: () => undefined, destroySoon: () => undefined });
      Object.assign(socket, { resetAndDestroy: () => undefined });
    } else if (this.#plant === 'timer') {
      setTimeout(() => undefined, 3_600_000);
    } else if (this.#plant === 'memory') {
      this.#kept.push(new Array<number>(200_000).fill(this.#seen));
    }
  }
}

/** Nothing takes a listener away again, so that what is added stays. */
function countListeners(socket: NetworkSocket): Map<string, number> {
  const counts = new Map<string, number>();
  const real = socket.on.bind(socket) as (event: string, listener: unknown) => unknown;
  const on = (event: string, listener: unknown): unknown => {
    counts.set(event, (counts.get(event) ?? 0) + 1);
    return real(event, listener);
  };
  Object.assign(socket, { on });
  return counts;
}

/** An exchange that leaves its listener on the pooled connection. */
function addListeners(socket: NetworkSocket): void {
  const real = socket.write.bind(socket);
  const write: NetworkSocket['write'] = (data, encoding) => {
    socket.on('error', () => undefined);
    return real(data, encoding);
  };
  Object.assign(socket, { write });
}

/** How often each kind of resource keeps the process alive, but for pipes and the terminal. */
export function liveResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) {
    if (!/^(TCP|Timeout|Immediate|GetAddrInfo|Shutdown|Write)/.test(name)) continue;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

export type Census = {
  readonly state: DataplaneState;
  readonly inFlight: number;
  readonly bugs: number;
};

/** What is not as it has to be when all clients have left; idle pooled connections may stay. */
export function faultsAtRest({ state, inFlight, bugs }: Census): string[] {
  const wanted: readonly (readonly [string, number, number])[] = [
    ['client connections', state.connections, 0],
    ['exchanges', state.exchanges, 0],
    ['lingering connections', state.lingering, 0],
    ['buffered bytes', state.bufferedBytes, 0],
    ['requests in flight in the slots', inFlight, 0],
    ['upstream connections in use', state.upstreamOpen - state.upstreamIdle, 0],
    ['deadlines beyond those of idle connections', state.deadlines - state.upstreamIdle, 0],
    ['bugs', bugs, 0],
  ];
  return wanted
    .filter(([, is, due]) => is !== due)
    .map(([what, is, due]) => `${what}: ${is}, not ${due}`);
}

export type Memory = { readonly heapBytes: number; readonly rssBytes: number };

/** After a full collection; needs `--expose-gc`. */
export function measureMemory(): Memory {
  if (globalThis.gc === undefined) throw new Error('run node with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapBytes: heapUsed + external, rssBytes: rss };
}

/** Least-squares slope, bytes per exchange. */
export function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const below = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
