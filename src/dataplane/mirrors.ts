// Mirroring (`weft.dev/mirror`): which requests are copied, and what all copies of a worker may
// cost together. Copies have connections, counters and a budget of their own; what they do is not
// in the counts of any original, and the original neither waits for them nor fails with them. Their
// exchanges run on an engine that has no mirrors, so a copy is never copied again.
// Invariant: what is not closed yet is in `#copies`, and its bytes are in `#bytes`.
import type { RouteTable } from '../route/index.ts';
import { isOverloaded } from './admission.ts';
import type { Engine } from './engine.ts';
import type { Plan } from './hop.ts';
import { mirrorField } from './http1/forwarding.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RequestIds } from './http1/serialise.ts';
import { copiedBytesMax, MirrorCopy } from './mirror-copy.ts';
import type { CopyOwner } from './mirror-copy.ts';
import type { MirrorOutcome } from './mirror-outcome.ts';
import { MirrorPlans } from './mirror-plan.ts';
import type { MirrorPlan } from './mirror-plan.ts';
import type { ExchangeObserver } from './observer.ts';
import type { RequestBody } from './request-body.ts';

/** Copies of a worker that are under way, their bodies gathered or sent; more are skipped. */
const copiesMax = 100;
/** Of their bodies. */
const bytesMax = 8 * 1024 * 1024;

/** Connections to pods that carry nothing but copies. */
export type MirrorPools = Pick<Engine, 'pools' | 'http2Pools'>;

export type MirrorsOptions = MirrorPools & {
  /** Of the originals; everything but connections, counts and observer is shared with it. */
  readonly engine: Engine;
  /** The same, to other nodes. */
  readonly tunnels: Engine['tunnels'];
};

/** All zero when nothing is under way, but for connections that are kept for the next copy. */
export type MirrorState = {
  readonly copies: number;
  readonly bytes: number;
  readonly upstreamOpen: number;
};

/** An exchange that is sent to a pod. */
type Original = RequestIds & {
  /** Made before this one. */
  readonly attempts: number;
};

export class Mirrors implements CopyOwner {
  /** Of the copies. */
  readonly engine: Engine;
  readonly #original: Engine;
  readonly #plans: MirrorPlans;
  readonly #copies = new Set<MirrorCopy>();
  #bytes = 0;
  #isClosed = false;

  constructor(options: MirrorsOptions) {
    this.#original = options.engine;
    this.engine = engineOfCopies(options);
    this.#plans = new MirrorPlans(this.engine);
  }

  /** The exchange is about to make an attempt: with its first one it may be copied. */
  take(original: Original, plan: Plan, body: RequestBody): void {
    try {
      if (original.attempts === 0 && !this.#isClosed) this.#take(original, plan, body);
    } catch (error) {
      this.bugFound(error);
    }
  }

  #take({ requestId, traceparent }: Original, plan: Plan, body: RequestBody): void {
    const rule = plan.decision.host?.rules.shaping?.mirror;
    if (rule === undefined || this.engine.random() * 100 >= rule.percent) return;
    const planned = mayBeCopied(plan.head) ? this.#plans.of(plan, rule) : undefined;
    if (planned === undefined) return;
    const obstacle = this.#obstacleOf(plan.head);
    if (obstacle !== undefined) {
      this.engine.observer.copyEnded(planned.host, obstacle);
      return;
    }
    const copy = new MirrorCopy(this, planned, { requestId, traceparent });
    this.#copies.add(copy);
    body.copyTo(copy);
  }

  #obstacleOf({ framing }: HttpRequestHead): MirrorOutcome | undefined {
    if (framing.kind === 'length' && framing.length > copiedBytesMax) return 'too_large';
    const isFull = this.#copies.size >= copiesMax || isOverloaded(this.#original);
    return isFull ? 'over_budget' : undefined;
  }

  reserve(bytes: number): boolean {
    if (this.#bytes + bytes > bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  ended(copy: MirrorCopy, outcome: MirrorOutcome): void {
    this.#copies.delete(copy);
    this.#bytes -= copy.bytes;
    this.engine.observer.copyEnded(copy.plan.host, outcome);
  }

  renewed(plan: MirrorPlan): MirrorPlan | undefined {
    return this.#plans.renewed(plan, this.engine.table ?? plan.table);
  }

  tableChanged(table: RouteTable): void {
    for (const copy of [...this.#copies]) copy.recheck(table);
  }

  bugFound(error: unknown): void {
    this.engine.observer.bugFound(error);
  }

  state(): MirrorState {
    const { pools, http2Pools } = this.engine;
    const upstreamOpen = pools.openCount + http2Pools.openCount;
    return { copies: this.#copies.size, bytes: this.#bytes, upstreamOpen };
  }

  /** Nothing is copied any more, and what was is given up. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const copy of [...this.#copies]) copy.end();
    this.engine.pools.close();
    this.engine.http2Pools.close();
    this.engine.tunnels?.close();
  }
}

/** What is bytes from its first answer on is no request; a copy that an app passes on is one. */
function mayBeCopied({ upgrade, fields }: HttpRequestHead): boolean {
  return upgrade === undefined && !fields.has(mirrorField);
}

function engineOfCopies({ engine, pools, http2Pools, tunnels }: MirrorsOptions): Engine {
  return {
    ...engine,
    pools,
    http2Pools,
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
