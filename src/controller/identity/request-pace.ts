// Whose certificate request is looked at next, and when: a queue per requester – proxies by the
// node of their token, everybody else by name – each with a token bucket, served in turns. One node
// that asks ten thousand times costs the others nothing. Nothing of a request but its age is known
// here, because nothing of it was parsed yet. Pure but for what it keeps: time is an argument.

export type Requester = {
  /** `node` for our proxies, `user` for anybody else: their paces differ. */
  readonly kind: 'node' | 'user';
  /** Stamped by the API server. */
  readonly name: string;
};

export type WaitingRequest = {
  readonly id: string;
  readonly requester: Requester;
  readonly createdMs: number;
};

export type Turn =
  | { readonly kind: 'turn'; readonly id: string }
  /** Somebody waits, but has no turn left for so long. */
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'idle' };

type Limits = { readonly burst: number; readonly restMs: number };

/** A node has at most 250 pods, and each may have an account of its own; then 5 in a second. */
const limits: { readonly [K in Requester['kind']]: Limits } = {
  node: { burst: 250, restMs: 200 },
  // These are denied, whatever they say: it only has to be said.
  user: { burst: 10, restMs: 1_000 },
};
/** Nobody honest waits with so many: the newest above it go, unread. */
export const waitingMax = 1_000;

type Lane = {
  readonly limits: Limits;
  /** Id → when it was created. */
  readonly waiting: Map<string, number>;
  /** When the whole burst is there again. */
  fullMs: number;
};

export class RequestPace {
  /** In the order of their turns. */
  readonly #lanes = new Map<string, Lane>();
  readonly #laneOf = new Map<string, string>();

  get waitingCount(): number {
    return this.#laneOf.size;
  }

  /** Adding it twice is adding it once. */
  add({ id, requester, createdMs }: WaitingRequest): void {
    const key = `${requester.kind} ${requester.name}`;
    const lane = this.#lanes.get(key) ?? {
      limits: limits[requester.kind],
      waiting: new Map<string, number>(),
      fullMs: Number.NEGATIVE_INFINITY,
    };
    this.#lanes.set(key, lane);
    lane.waiting.set(id, createdMs);
    this.#laneOf.set(id, key);
  }

  remove(id: string): void {
    this.#lanes.get(this.#laneOf.get(id) ?? '')?.waiting.delete(id);
    this.#laneOf.delete(id);
  }

  /** The oldest request of whoever's turn it is; it waits no more. `nowMs` is monotonic. */
  next(nowMs: number): Turn {
    let waitMs = Number.POSITIVE_INFINITY;
    for (const [key, lane] of this.#lanes) {
      const { waiting } = lane;
      if (waiting.size === 0) {
        if (lane.fullMs <= nowMs) this.#lanes.delete(key);
        continue;
      }
      const laneWaitMs = waitOf(lane, nowMs);
      waitMs = Math.min(waitMs, laneWaitMs);
      if (laneWaitMs > 0) continue;
      const [id] = extreme(waiting, (left, right) => left < right);
      this.remove(id);
      lane.fullMs = Math.max(lane.fullMs, nowMs) + lane.limits.restMs;
      // To the end of the queue of lanes.
      this.#lanes.delete(key);
      this.#lanes.set(key, lane);
      return { kind: 'turn', id };
    }
    return waitMs === Number.POSITIVE_INFINITY ? { kind: 'idle' } : { kind: 'wait', waitMs };
  }

  /** Up to `countMax` requests that are too many, the newest of each requester first. */
  excess(countMax: number): readonly string[] {
    const found: string[] = [];
    for (const { waiting } of this.#lanes.values()) {
      if (waiting.size <= waitingMax) continue;
      const newest = [...waiting].sort(([, left], [, right]) => right - left);
      found.push(...newest.slice(0, waiting.size - waitingMax).map(([id]) => id));
      if (found.length >= countMax) break;
    }
    return found.slice(0, countMax);
  }
}

function waitOf({ fullMs, limits: { burst, restMs } }: Lane, nowMs: number): number {
  return Math.max(0, Math.max(fullMs, nowMs) + restMs - nowMs - burst * restMs);
}

/** The entry that comes before all others; ties by the order of arrival. */
function extreme(
  entries: ReadonlyMap<string, number>,
  isBefore: (left: number, right: number) => boolean,
): readonly [string, number] {
  let found: readonly [string, number] | undefined;
  for (const entry of entries) {
    if (found === undefined || isBefore(entry[1], found[1])) found = entry;
  }
  return found ?? ['', 0];
}
