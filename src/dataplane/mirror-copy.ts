// One copy of a request. It gathers the original's body as it comes, and when that is complete it
// is the client of an exchange of its own, whose answer nobody gets. The original never waits for
// it: whatever it cannot take ends the copy, and so does any fault. A request whose client goes
// away before it is complete was never sent: a mirror sees whole requests only.
// Invariant: it ends once, and its owner is told once.
import type { RouteTable } from '../route/index.ts';
import type { Client } from './client.ts';
import { Deadline } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { ExchangeWaits } from './exchange-waits.ts';
import { Exchange } from './exchange.ts';
import type { Fields } from './http1/fields.ts';
import type { RequestIds } from './http1/serialise.ts';
import { MirrorAnswer } from './mirror-answer.ts';
import { mirrorOutcome } from './mirror-outcome.ts';
import type { MirrorOutcome } from './mirror-outcome.ts';
import type { MirrorPlan } from './mirror-plan.ts';
import { ReadBuffer } from './read-buffers.ts';
import type { BodyTaker } from './request-body.ts';

/** Of the body of a request that is copied (contract §3 of `weft.dev/mirror`). */
export const copiedBytesMax = 1024 * 1024;
/** Of an answer: a pod that never stops sending costs its connection. */
const answerBytesMax = 8 * 1024 * 1024;
/** A body that comes slower than this holds a place of the budget for nothing. */
const gatherMs = 10_000;
/** From sending to the end of the answer, unless the mirror's service says how long. */
const copyTimeoutMs = 5_000;

const nothing = Buffer.alloc(0);

/** Who has the budget. */
export type CopyOwner = {
  readonly engine: Engine;
  /** False: there is no room for so many bytes more. */
  reserve(copy: MirrorCopy, bytes: number): boolean;
  bugFound(error: unknown): void;
  /** By the table in force; undefined: there is no such service any more. */
  renewed(plan: MirrorPlan): MirrorPlan | undefined;
  ended(copy: MirrorCopy, outcome: MirrorOutcome): void;
};

export class MirrorCopy implements Client, BodyTaker {
  /** Of the table that was in force when its body was complete. */
  plan: MirrorPlan;
  readonly waits: ExchangeWaits;
  readonly buffer: ReadBuffer;
  forwarded: Client['forwarded'];
  readonly unsentBytes = 0;
  readonly isFull = false;
  readonly canSkipBody = true;
  readonly isLeaving = false;
  readonly hasEnded = false;
  /** It is never late: all of it is there. */
  readonly isListenedTo = false;
  isReading = false;
  readonly #owner: CopyOwner;
  readonly #ids: RequestIds;
  readonly #deadline: Deadline;
  readonly #answer: MirrorAnswer;
  #body = nothing;
  #bytes = 0;
  #exchange: Exchange | undefined;
  /** Why it was given up, where its exchange cannot know. */
  #fate: MirrorOutcome | undefined;
  #isOver = false;

  constructor(owner: CopyOwner, plan: MirrorPlan, ids: RequestIds) {
    const { deadlines, buffers } = owner.engine;
    const guarded = (step: () => void): void => this.#guarded(step);
    this.#owner = owner;
    this.plan = plan;
    this.#ids = ids;
    this.waits = new ExchangeWaits(owner.engine, guarded);
    this.buffer = new ReadBuffer(buffers);
    this.#answer = new MirrorAnswer(answerBytesMax, () => this.#giveUp('answered'));
    this.#deadline = new Deadline(() => guarded(() => this.#expired()));
    deadlines.arm(this.#deadline, gatherMs);
  }

  /** Of the body; they count against the budget until the copy has ended. */
  get bytes(): number {
    return this.#bytes;
  }

  // ---- what the original's body tells -----------------------------------------------------------

  /** Copies, because the original's bytes are gone when their read is over. */
  add(buffer: Buffer, start: number, end: number): void {
    this.#guarded(() => {
      if (!this.#isOver) this.#gather(buffer.subarray(start, end));
    });
  }

  /** The original goes first: its copy is sent when all of this turn has been looked at. */
  complete(trailers: Fields | undefined): void {
    if (this.#isOver) return;
    this.#owner.engine.turnEnd.add(() => this.#guarded(() => this.#send(trailers)));
  }

  abandon(): void {
    this.end();
  }

  /** Gives it up, wherever it is. Idempotent. */
  end(): void {
    this.#guarded(() => this.#giveUp('incomplete'));
  }

  /** Another table is in force: what goes on may be stopped by it, or not be allowed any more. */
  recheck(table: RouteTable): void {
    this.#guarded(() => {
      const exchange = this.#exchange;
      if (exchange?.isStoppedBy(table) === true) exchange.refuse('Stopped');
      else if (exchange?.isAllowedBy(table) === false) exchange.refuse('RouteNotAllowed');
    });
  }

  // ---- what its exchange does -------------------------------------------------------------------

  answerTo(): MirrorAnswer {
    return this.#answer;
  }

  exchangeEnded(): void {
    this.#end(this.#fate ?? mirrorOutcome(this.#exchange?.reason, this.#answer.isWhole));
  }

  write(): boolean {
    return true;
  }

  cork(): void {}

  flush(): void {}

  /** Nothing is read any more. */
  pauseReading(): void {}

  resumeReading(): void {}

  /** Requests that ask for one are not copied. */
  startTunnel(): readonly Buffer[] {
    return [];
  }

  endTunnel(): void {}

  // ---- its own way ------------------------------------------------------------------------------

  #gather(piece: Buffer): void {
    const bytes = piece.length;
    if (this.#bytes + bytes > copiedBytesMax) this.#end('too_large');
    else if (!this.#owner.reserve(this, bytes)) this.#end('over_budget');
    else {
      this.#makeRoom(this.#bytes + bytes);
      piece.copy(this.#body, this.#bytes);
      this.#bytes += bytes;
    }
  }

  /** One buffer: a body may come byte by byte, and an object for each would cost more than it. */
  #makeRoom(bytes: number): void {
    const { length } = this.#body;
    if (bytes <= length) return;
    const grown = Buffer.allocUnsafe(Math.min(copiedBytesMax, Math.max(bytes, 2 * length)));
    this.#body.copy(grown, 0, 0, this.#bytes);
    this.#body = grown;
  }

  #send(trailers: Fields | undefined): void {
    if (this.#isOver) return;
    const { engine } = this.#owner;
    // A body may take its time, and who may be called is another matter by then.
    const plan = this.#owner.renewed(this.plan);
    if (plan === undefined) return this.#end('refused');
    this.plan = plan;
    const hasOwn = plan.host.rules.timeoutMs !== undefined;
    if (hasOwn) engine.deadlines.disarm(this.#deadline);
    else engine.deadlines.arm(this.#deadline, copyTimeoutMs);
    const body = this.#body.subarray(0, this.#bytes);
    this.#body = nothing;
    const isBodyComplete = this.#bytes === 0 && trailers === undefined;
    const exchange = new Exchange({
      engine,
      client: this,
      plan,
      isBodyComplete,
      ids: this.#ids,
    });
    this.#exchange = exchange;
    // All in one write, where there is a connection.
    this.isReading = true;
    exchange.start();
    if (body !== undefined && body.length > 0) exchange.requestData(body, 0, body.length);
    if (!isBodyComplete) exchange.requestEnded(trailers);
    this.isReading = false;
    exchange.clientReadEnded();
  }

  #expired(): void {
    this.#giveUp(this.#exchange === undefined ? 'incomplete' : 'timeout');
  }

  #giveUp(outcome: MirrorOutcome): void {
    if (this.#isOver) return;
    this.#fate = outcome;
    if (this.#exchange === undefined) this.#end(outcome);
    else this.#exchange.clientGone();
  }

  #end(outcome: MirrorOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#body = nothing;
    this.#owner.engine.deadlines.disarm(this.#deadline);
    this.waits.close();
    this.buffer.close();
    this.#owner.ended(this, outcome);
  }

  /** A bug ends the copy, and nothing else. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#owner.bugFound(error);
      this.#endAfterBug();
    }
  }

  #endAfterBug(): void {
    try {
      this.#giveUp('failed');
    } catch (error) {
      this.#owner.bugFound(error);
      this.#end('failed');
    }
  }
}
