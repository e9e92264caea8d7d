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
import { engineOfCopies } from './mirror-engine.ts';
import type { CopiedEndpoints, CopyParts } from './mirror-engine.ts';
import type { MirrorOutcome } from './mirror-outcome.ts';
import { MirrorPlans } from './mirror-plan.ts';
import type { MirrorPlan } from './mirror-plan.ts';
import { closePodPools, countConnections } from './pod-pools.ts';
import type { RequestBody } from './request-body.ts';

/**
 * Copies of a worker that are under way, their bodies gathered or sent, and bytes of those bodies.
 * One mirror may have as much of either as is left for all others (dynamic thresholds, Choudhury
 * and Hahne 1998): half, where it is the only one that hangs; of two a third each. More is skipped.
 */
const copiesMax = 200;
const bytesMax = 16 * 1024 * 1024;

export type MirrorsOptions = {
  /** Of the originals; what is no part of `parts` is shared with it. */
  readonly engine: Engine;
  readonly parts: CopyParts;
  /** The same, to other nodes. */
  readonly tunnels: Engine['tunnels'];
};

/** All zero when nothing is under way, but for connections that are kept for the next copy. */
export type MirrorState = {
  readonly copies: number;
  readonly bytes: number;
  readonly upstreamOpen: number;
};

/** What the copies to one mirror take of the budget. */
type Share = { copies: number; bytes: number };

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
  readonly #endpoints: CopiedEndpoints;
  readonly #copies = new Set<MirrorCopy>();
  /** By namespace and name of the mirror; of those that have copies. */
  readonly #shares = new Map<string, Share>();
  #bytes = 0;
  #isClosed = false;

  constructor(options: MirrorsOptions) {
    this.#original = options.engine;
    this.#endpoints = options.parts.endpoints;
    this.engine = engineOfCopies(options.engine, options.parts, options.tunnels);
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
    const share = this.#shareOf(planned);
    const obstacle = this.#obstacleOf(plan.head, share);
    if (obstacle !== undefined) {
      this.engine.observer.copyEnded(planned.host, obstacle);
      return;
    }
    const copy = new MirrorCopy(this, planned, { requestId, traceparent });
    this.#copies.add(copy);
    share.copies += 1;
    this.#shares.set(nameOf(planned), share);
    body.copyTo(copy);
  }

  #obstacleOf({ framing }: HttpRequestHead, share: Share): MirrorOutcome | undefined {
    if (framing.kind === 'length' && framing.length > copiedBytesMax) return 'too_large';
    const isFull = share.copies >= copiesMax - this.#copies.size || isOverloaded(this.#original);
    return isFull ? 'over_budget' : undefined;
  }

  reserve({ plan }: MirrorCopy, bytes: number): boolean {
    const share = this.#shareOf(plan);
    if (share.bytes + bytes > bytesMax - this.#bytes) return false;
    share.bytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  ended(copy: MirrorCopy, outcome: MirrorOutcome): void {
    this.#copies.delete(copy);
    this.#bytes -= copy.bytes;
    const share = this.#shareOf(copy.plan);
    share.copies -= 1;
    share.bytes -= copy.bytes;
    if (share.copies === 0) this.#shares.delete(nameOf(copy.plan));
    this.engine.observer.copyEnded(copy.plan.host, outcome);
  }

  renewed(plan: MirrorPlan): MirrorPlan | undefined {
    const renewed = this.#plans.renewed(plan, this.engine.table ?? plan.table);
    if (renewed?.decision.kind !== 'split') return renewed;
    for (const { backend } of renewed.decision.split.backends) this.#endpoints.know(backend);
    return renewed;
  }

  #shareOf(plan: MirrorPlan): Share {
    return this.#shares.get(nameOf(plan)) ?? { copies: 0, bytes: 0 };
  }

  tableChanged(table: RouteTable): void {
    for (const copy of [...this.#copies]) copy.recheck(table);
  }

  bugFound(error: unknown): void {
    this.engine.observer.bugFound(error);
  }

  state(): MirrorState {
    const { open } = countConnections(this.engine);
    return { copies: this.#copies.size, bytes: this.#bytes, upstreamOpen: open };
  }

  /** Nothing is copied any more, and what was is given up. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const copy of [...this.#copies]) copy.end();
    closePodPools(this.engine);
    this.engine.tunnels?.close();
  }
}

/** What is bytes from its first answer on is no request; a copy that an app passes on is one. */
function mayBeCopied({ upgrade, fields }: HttpRequestHead): boolean {
  return upgrade === undefined && !fields.has(mirrorField);
}

/** The same by each table. */
function nameOf({ host }: MirrorPlan): string {
  return `${host.namespace}/${host.service}`;
}
