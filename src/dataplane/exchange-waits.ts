// What an exchange waits for: progress in either direction, its total time, the back-off before a
// retry or the time-out of one try, the moment for a second attempt beside a slow one. Made once
// per client connection and used by one exchange after the other, so that a request makes no timer
// and no closure. Progress is noted, not armed: the deadline looks at the note when it is due, and
// goes on where there was some.
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

export type WaitsUser = {
  idleExpired(): void;
  totalExpired(): void;
  /** The back-off is over, or the try took too long: whichever was waited for. */
  waitExpired(): void;
  /** No answer has begun for so long that a second attempt should be made. */
  hedgeDue(): void;
};

/** `fine`: for what has to come as soon as it says. */
export type WaitsWheels = { readonly deadlines: Deadlines; readonly fineDeadlines: Deadlines };

export class ExchangeWaits {
  readonly #deadlines: Deadlines;
  readonly #fine: Deadlines;
  readonly #idle: Deadline;
  /** Both are rare, hence made when they are first needed. */
  #total: Deadline | undefined;
  /** The back-off before a retry, or the per-try timeout: never both. */
  #wait: Deadline | undefined;
  #hedge: Deadline | undefined;
  #user: WaitsUser | undefined;
  #idleMs = 0;
  #activeMs = 0;
  /** When the total time is over; Infinity: there is none. */
  #totalAtMs = Infinity;
  readonly #guard: (step: () => void) => void;

  /** `guard` runs what expires. */
  constructor({ deadlines, fineDeadlines }: WaitsWheels, guard: (step: () => void) => void) {
    this.#deadlines = deadlines;
    this.#fine = fineDeadlines;
    this.#guard = guard;
    this.#idle = new Deadline(() => guard(() => this.#idleExpired()));
  }

  /** For an exchange that begins; `totalMs`: from now to the end of its answer. */
  begin(user: WaitsUser, idleMs: number, totalMs: number | undefined): void {
    this.#user = user;
    this.#idleMs = idleMs;
    this.touch();
    this.#deadlines.arm(this.#idle, idleMs);
    this.#totalAtMs = totalMs === undefined ? Infinity : this.#activeMs + totalMs;
    if (totalMs === undefined) return;
    this.#total ??= new Deadline(() => this.#guard(() => this.#user?.totalExpired()));
    this.#deadlines.arm(this.#total, totalMs);
  }

  /** Something was sent or received. */
  touch(): void {
    this.#activeMs = this.#deadlines.nowMs();
  }

  /** Of the total time; Infinity: there is none. */
  get totalLeftMs(): number {
    return this.#totalAtMs === Infinity ? Infinity : this.#totalAtMs - this.#deadlines.nowMs();
  }

  /** Whether so long a wait from now on leaves anything of the time that there is. */
  hasTimeFor(delayMs: number): boolean {
    return delayMs < this.#idleMs && delayMs < this.totalLeftMs;
  }

  wait(delayMs: number): void {
    this.#wait ??= new Deadline(() => this.#guard(() => this.#user?.waitExpired()));
    this.#deadlines.arm(this.#wait, delayMs);
  }

  stopWaiting(): void {
    if (this.#wait !== undefined) this.#deadlines.disarm(this.#wait);
  }

  waitForHedge(delayMs: number): void {
    this.#hedge ??= new Deadline(() => this.#guard(() => this.#user?.hedgeDue()));
    this.#fine.arm(this.#hedge, delayMs);
  }

  stopHedge(): void {
    if (this.#hedge !== undefined) this.#fine.disarm(this.#hedge);
  }

  /** Nothing expires any more. Idempotent. */
  end(): void {
    this.#user = undefined;
    this.#deadlines.disarm(this.#idle);
    if (this.#total !== undefined) this.#deadlines.disarm(this.#total);
    this.stopWaiting();
    this.stopHedge();
  }

  #idleExpired(): void {
    const leftMs = this.#activeMs + this.#idleMs - this.#deadlines.nowMs();
    if (leftMs > 0) this.#deadlines.arm(this.#idle, leftMs);
    else this.#user?.idleExpired();
  }
}
