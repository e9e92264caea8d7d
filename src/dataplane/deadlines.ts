// All deadlines of a worker on one timer: a hashed wheel of intrusive lists. Arming and disarming
// move a few pointers, so that a request may do so several times; a timer per socket would cost
// more than parsing the request. Precision is one tick, always late, never early.
// Invariant: an armed deadline is in exactly one bucket, the one of its tick.
import type { Clock, Timer, Timers } from '../lib/clock.ts';

/** Coarse on purpose; most waits are seconds, the shortest back-off is 25 ms. */
const coarseTickMs = 25;
/** For waits that have to be as short as they say (hedge-after). */
export const fineTickMs = 2;
/** A turn of the coarse wheel is 12.8 s; what is due later is looked at once per turn. */
const bucketCount = 512;

/** One wait of a connection or an exchange, made once and armed again and again. */
export class Deadline {
  /** Runs once per arming, at the earliest when it is due. */
  readonly expired: () => void;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  bucket = -1;
  dueTick = 0;

  constructor(expired: () => void) {
    this.expired = expired;
  }

  get isArmed(): boolean {
    return this.bucket >= 0;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #heads: (Deadline | undefined)[];
  #timer: Timer | undefined;
  #wakeTick = Infinity;
  /** Every bucket up to this tick has been looked at. */
  #seenTick: number;
  #armed = 0;
  readonly #tickMs: number;

  constructor(clock: Clock, timers: Timers, tickMs = coarseTickMs) {
    this.#tickMs = tickMs;
    this.#clock = clock;
    this.#timers = timers;
    this.#heads = new Array<Deadline | undefined>(bucketCount).fill(undefined);
    this.#seenTick = Math.floor(clock.nowMs() / this.#tickMs);
  }

  get armed(): number {
    return this.#armed;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Sets or moves the deadline to `delayMs` from now. */
  arm(deadline: Deadline, delayMs: number): void {
    this.disarm(deadline);
    const nowMs = this.#clock.nowMs();
    if (this.#armed === 0) this.#seenTick = Math.floor(nowMs / this.#tickMs);
    const due = Math.ceil((nowMs + delayMs) / this.#tickMs);
    deadline.dueTick = Math.max(due, this.#seenTick + 1);
    deadline.bucket = deadline.dueTick % bucketCount;
    const head = this.#heads[deadline.bucket];
    deadline.next = head;
    if (head !== undefined) head.previous = deadline;
    this.#heads[deadline.bucket] = deadline;
    this.#armed += 1;
    this.#wakeBy(Math.min(deadline.dueTick, this.#seenTick + bucketCount));
  }

  /** Idempotent; the deadline can be armed again. */
  disarm(deadline: Deadline): void {
    if (deadline.bucket < 0) return;
    if (deadline.previous === undefined) this.#heads[deadline.bucket] = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
    deadline.previous = undefined;
    deadline.next = undefined;
    deadline.bucket = -1;
    this.#armed -= 1;
  }

  /** Nothing runs any more; armed deadlines are forgotten. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#wakeTick = Infinity;
    for (let index = 0; index < bucketCount; index += 1) {
      for (let one = this.#heads[index]; one !== undefined; one = this.#heads[index]) {
        this.disarm(one);
      }
    }
  }

  #wakeBy(tick: number): void {
    if (tick >= this.#wakeTick) return;
    this.#timer?.cancel();
    this.#wakeTick = tick;
    const delayMs = Math.max(1, tick * this.#tickMs - this.#clock.nowMs());
    this.#timer = this.#timers.after(delayMs, () => {
      this.#wakeTick = Infinity;
      this.#timer = undefined;
      this.#turn();
    });
  }

  #turn(): void {
    const nowTick = Math.floor(this.#clock.nowMs() / this.#tickMs);
    const from = Math.max(this.#seenTick + 1, nowTick - bucketCount + 1);
    this.#seenTick = Math.max(this.#seenTick, nowTick);
    for (let tick = from; tick <= nowTick; tick += 1) {
      this.#expireBucket(tick % bucketCount, nowTick);
    }
    if (this.#armed > 0) this.#wakeBy(this.#nextBusyTick());
  }

  /** Callbacks may arm and disarm anything, so each one is looked at again before it runs. */
  #expireBucket(bucket: number, nowTick: number): void {
    const due: Deadline[] = [];
    for (let one = this.#heads[bucket]; one !== undefined; one = one.next) {
      if (one.dueTick <= nowTick) due.push(one);
    }
    for (const one of due) {
      if (one.bucket !== bucket || one.dueTick > nowTick) continue;
      this.disarm(one);
      one.expired();
    }
  }

  #nextBusyTick(): number {
    for (let ahead = 1; ahead < bucketCount; ahead += 1) {
      const tick = this.#seenTick + ahead;
      if (this.#heads[tick % bucketCount] !== undefined) return tick;
    }
    return this.#seenTick + bucketCount;
  }
}
