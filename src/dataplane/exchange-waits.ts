// What an exchange waits for: progress in either direction, its total time, the back-off before a
// retry or the time-out of one try, the moment for a second attempt beside a slow one. Made once
// per client connection and used by one exchange after the other, so that a request makes no timer
// and no closure. All but the last share one deadline, armed for what is due first. Progress is
// noted, not armed, and so is the end of a wait or of an exchange: a deadline looks at the notes
// when it is due, and goes on to what is due next. Hence requests that are answered in time arm
// nothing, whatever time-outs their service has, but once in the time of the shortest one.
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
  readonly #deadline: Deadline;
  /** Rare, hence made when it is first needed. */
  #hedge: Deadline | undefined;
  /** When a second attempt is due; Infinity: never. */
  #hedgeAtMs = Infinity;
  /** What its deadline is armed for; it is due no earlier. */
  #hedgeDueMs = Infinity;
  readonly #guard: (step: () => void) => void;
  #user: WaitsUser | undefined;
  /** What the deadline is armed for; nothing is due before. */
  #dueMs = Infinity;
  #idleMs = Infinity;
  #activeMs = 0;
  /** When the total time is over; Infinity: there is none. */
  #totalAtMs = Infinity;
  /** The back-off before a retry, or the per-try timeout is over: never both. */
  #waitAtMs = Infinity;

  /** `guard` runs what expires. */
  constructor({ deadlines, fineDeadlines }: WaitsWheels, guard: (step: () => void) => void) {
    this.#deadlines = deadlines;
    this.#fine = fineDeadlines;
    this.#guard = guard;
    this.#deadline = new Deadline(() => guard(() => this.#expired()));
  }

  /** For an exchange that begins; `totalMs`: from now to the end of its answer. */
  begin(user: WaitsUser, idleMs: number, totalMs: number | undefined): void {
    this.#user = user;
    this.#idleMs = idleMs;
    this.touch();
    this.#totalAtMs = totalMs === undefined ? Infinity : this.#activeMs + totalMs;
    this.#armBy(this.#activeMs, Math.min(this.#activeMs + idleMs, this.#totalAtMs));
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
    const nowMs = this.#deadlines.nowMs();
    this.#waitAtMs = nowMs + delayMs;
    this.#armBy(nowMs, this.#waitAtMs);
  }

  /** What is waited for is there before its time. */
  expire(): void {
    this.stopWaiting();
    this.#guard(() => this.#user?.waitExpired());
  }

  stopWaiting(): void {
    this.#waitAtMs = Infinity;
  }

  waitForHedge(delayMs: number): void {
    const nowMs = this.#fine.nowMs();
    this.#hedgeAtMs = nowMs + delayMs;
    if (this.#hedgeAtMs < this.#hedgeDueMs) this.#armHedge(nowMs);
  }

  stopHedge(): void {
    this.#hedgeAtMs = Infinity;
  }

  /** Nothing expires any more; the next exchange may begin. Idempotent. */
  end(): void {
    this.#user = undefined;
    this.#idleMs = Infinity;
    this.#totalAtMs = Infinity;
    this.#waitAtMs = Infinity;
    this.stopHedge();
  }

  /** The same for who may have no exchange again, or not for long: nothing is armed. */
  close(): void {
    this.end();
    this.#dueMs = Infinity;
    this.#deadlines.disarm(this.#deadline);
    this.#hedgeDueMs = Infinity;
    if (this.#hedge !== undefined) this.#fine.disarm(this.#hedge);
  }

  #armBy(nowMs: number, dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#deadlines.arm(this.#deadline, dueMs - nowMs);
  }

  #armHedge(nowMs: number): void {
    this.#hedge ??= new Deadline(() => this.#guard(() => this.#hedgeExpired()));
    this.#hedgeDueMs = this.#hedgeAtMs;
    this.#fine.arm(this.#hedge, this.#hedgeAtMs - nowMs);
  }

  /** The exchange that it was armed for may be over, and another one under way. */
  #hedgeExpired(): void {
    this.#hedgeDueMs = Infinity;
    if (this.#hedgeAtMs === Infinity) return;
    const nowMs = this.#fine.nowMs();
    if (nowMs < this.#hedgeAtMs) return this.#armHedge(nowMs);
    this.#hedgeAtMs = Infinity;
    this.#user?.hedgeDue();
  }

  /** Of several that are due the first of these; what follows may end the exchange. */
  #expired(): void {
    const nowMs = this.#deadlines.nowMs();
    const [user, totalAtMs, waitAtMs] = [this.#user, this.#totalAtMs, this.#waitAtMs];
    const idleAtMs = this.#activeMs + this.#idleMs;
    if (nowMs >= totalAtMs) this.#totalAtMs = Infinity;
    else if (nowMs >= waitAtMs) this.#waitAtMs = Infinity;
    else if (nowMs >= idleAtMs) this.#idleMs = Infinity;
    this.#dueMs = Infinity;
    const nextMs = Math.min(this.#totalAtMs, this.#waitAtMs, this.#activeMs + this.#idleMs);
    this.#armBy(nowMs, nextMs);
    if (nowMs >= totalAtMs) user?.totalExpired();
    else if (nowMs >= waitAtMs) user?.waitExpired();
    else if (nowMs >= idleAtMs) user?.idleExpired();
  }
}
