// Places at endpoints of a service with `max-requests` or `max-connections`: exact by counting,
// because who wants one counts itself before it looks whether there were too many. Who finds none
// waits in the line of its backend (place-lines.ts), at most a second (contract §3); a place that
// is given back at any endpoint of it wakes the first in line, here or at another worker
// (place-bells.ts). A connection belongs to one worker: one that is idle while somebody waits at
// another is closed, so that the place is there for all.
import type { Clock } from '../lib/clock.ts';
import type { SlotView } from '../telemetry/index.ts';
import { PlaceBells } from './place-bells.ts';
import { PlaceLines, type Line } from './place-lines.ts';
import { Ticket, type OwnConnections, type Waiting, type Wish } from './place-ticket.ts';

export type * from './place-ticket.ts';

/** Longest wait; deadlines are up to 25 ms late (deadlines.ts). */
const waitMaxMs = 975;
/** Waiting requests per backend and worker; more are refused at once. */
const lineMax = 1_024;
/** Two workers that count up at the same moment both step back; one of them is first again. */
const triesMax = 3;
/** While somebody waits at other workers, each fourth place that is given back is for them. */
const turnOfOthers = 4;
/** So many who have no use for what is free are passed over: it may be ejected, or tried. */
const passedMax = 3;

export type PlacesOptions = {
  readonly slots: SlotView;
  readonly clock: Clock;
  /** All that may have connections of this worker. */
  readonly own: readonly OwnConnections[];
  readonly bugFound: (error: unknown) => void;
};

/** Whether others have been told of it, and whether there are more connections than may be. */
type Share = { readonly isTold: boolean; readonly isOverfull: boolean };

export class Places {
  readonly #slots: SlotView;
  readonly #clock: Clock;
  readonly #own: readonly OwnConnections[];
  readonly #bugFound: (error: unknown) => void;
  readonly #lines: PlaceLines;
  readonly #bells: PlaceBells;
  /** By endpoint id: connections that were given up, and are counted until they are closed. */
  readonly #leaving = new Map<string, number>();
  #wishes = 0;

  constructor({ slots, clock, own, bugFound }: PlacesOptions) {
    this.#slots = slots;
    this.#clock = clock;
    this.#own = own;
    this.#bugFound = bugFound;
    this.#lines = new PlaceLines(slots);
    this.#bells = new PlaceBells(slots, {
      isAwaited: () => !this.#lines.isEmpty,
      rung: () => this.#look(),
      wished: () => this.#lookAtWishes(),
    });
  }

  /** `placed`: its ticket has the place · `waits`: it will be asked again · `full`. */
  take(exchange: Waiting, id: string, wish: Wish): 'placed' | 'waits' | 'full' {
    const ticket = (exchange.ticket ??= new Ticket());
    const hasWaited = ticket.isInLine || ticket.wokenAt !== undefined;
    this.leave(exchange);
    const mayTake = hasWaited || !this.#lines.isWaitedFor(id);
    if (mayTake && this.#isTaken(ticket, id, wish)) {
      ticket.wokenAt = undefined;
      ticket.sinceMs = undefined;
      return 'placed';
    }
    const nowMs = this.#clock.nowMs();
    ticket.sinceMs ??= nowMs;
    const leftMs = ticket.sinceMs + waitMaxMs - nowMs;
    if (leftMs <= 0 || this.#lines.lengthOf(wish) >= lineMax) return 'full';
    ticket.wish = wish;
    this.#enter(exchange, ticket, { id, wish });
    exchange.pause(leftMs);
    return 'waits';
  }

  /** A place that is free now and that nobody waits for; undefined: there is none. */
  takeNow(id: string, wish: Wish): Ticket | undefined {
    if (this.#lines.isWaitedFor(id)) return undefined;
    const ticket = new Ticket();
    return this.#isTaken(ticket, id, wish) ? ticket : undefined;
  }

  /** It waits no more, for whatever reason, and needs no place. Idempotent. */
  leave({ ticket }: Pick<Waiting, 'ticket'>): void {
    if (ticket === undefined) return;
    this.#stepBack(ticket);
    if (!ticket.isInLine) return;
    const line = this.#lines.leave(ticket);
    if (line !== undefined) this.#show(line);
  }

  /**
   * A place has been given back: whoever waits for it may have it when this turn is over, and the
   * connection that has served is back in its pool.
   */
  freed(id: string, connectionsMax = Infinity): void {
    const offset = this.#slots.offset('endpoint', id);
    const isTold = this.#bells.tellOthers(offset);
    const isTheirs = isTold && connectionsMax !== Infinity;
    const isAwaited = isTheirs || this.#lines.isWaitedFor(id);
    // Mostly nobody waits: a turn of the microtasks costs more than all the counting.
    if (!isAwaited && !this.#isOverfull(id, offset, connectionsMax)) return;
    queueMicrotask(() => {
      const isOverfull = this.#isOverfull(id, offset, connectionsMax);
      this.#share(id, offset, { isTold, isOverfull });
    });
  }

  /** An attempt has begun: others may have the place for a connection that it did not open. */
  begun(ticket: Ticket, id: string): void {
    const unused = ticket.takeConnection();
    if (unused === undefined) return;
    this.#slots.countDown(unused);
    this.#connectionFreed(id);
  }

  /** A connection is gone, or takes more. */
  closed(id: string): void {
    this.#noteLeaving(id, -1);
    this.#connectionFreed(id);
  }

  /** Those who wait elsewhere are told at the same time. */
  #connectionFreed(id: string): void {
    const isTold = this.#bells.tellOthers(this.#slots.offset('endpoint', id));
    if (!this.#lines.isWaitedFor(id)) return;
    if (isTold) this.#bells.tellHere();
    else queueMicrotask(() => this.#wakeAt(id));
  }

  /** Nothing is listened for any more. */
  close(): void {
    this.#bells.close();
  }

  /** Waiting exchanges, for tests. */
  get waiting(): number {
    return this.#lines.waiting;
  }

  // ---- counting ---------------------------------------------------------------------------------

  #isTaken(ticket: Ticket, id: string, wish: Wish): boolean {
    const offset = this.#slots.offset('endpoint', id);
    // Slot 0 is nobody's: what is counted there limits nobody.
    if (offset === 0) return true;
    const { requestsMax, connectionsMax } = wish;
    if (requestsMax !== Infinity) {
      ticket.cell = this.#countUpWithin(offset, requestsMax);
      if (ticket.cell === undefined) return false;
    }
    if (connectionsMax === Infinity || this.#hasSpare(id, offset, wish)) return true;
    const at = this.#slots.connectionsAt(offset);
    ticket.connection = this.#countUpWithin(at, connectionsMax);
    if (ticket.connection !== undefined) return true;
    this.#stepBack(ticket);
    return false;
  }

  #countUpWithin(at: number, max: number): number | undefined {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const cell = this.#slots.countUp(at);
      if (this.#slots.inFlight(at) <= max) return cell;
      this.#slots.countDown(cell);
      if (this.#slots.inFlight(at) >= max) return undefined;
    }
    return undefined;
  }

  /** There are more connections than may be, as after a change of the limit. */
  #isOverfull(id: string, offset: number, connectionsMax: number): boolean {
    if (connectionsMax === Infinity) return false;
    const open = this.#slots.inFlight(this.#slots.connectionsAt(offset));
    return open > connectionsMax && open - (this.#leaving.get(id) ?? 0) > connectionsMax;
  }

  /** Gives back what nobody has used. */
  #stepBack(ticket: Ticket): void {
    const cell = ticket.takeCell();
    const connection = ticket.takeConnection();
    if (cell !== undefined) this.#slots.countDown(cell);
    if (connection !== undefined) this.#slots.countDown(connection);
  }

  /** Whether somebody with this wish would find a place at the endpoint, or at any of its own. */
  #hasPlace(line: Line, wish: Wish | undefined, id: string | undefined): boolean {
    if (wish === undefined) return false;
    if (id !== undefined) return ownOf(line, wish).has(id) && this.#hasPlaceAt(id, line, wish);
    return wish.backend.endpoints.some((one) => this.#hasPlaceAt(one.id, line, wish));
  }

  #hasPlaceAt(id: string, { offsets }: Line, wish: Wish): boolean {
    const offset = offsets.get(id);
    if (offset === undefined) return false;
    // As who takes one finds it.
    if (offset === 0) return true;
    if (this.#slots.inFlight(offset) >= wish.requestsMax) return false;
    return !this.#lacksConnection(id, offset, wish);
  }

  #lacksConnection(id: string, offset: number, wish: Wish): boolean {
    const { connectionsMax } = wish;
    if (connectionsMax === Infinity || this.#hasSpare(id, offset, wish)) return false;
    return this.#slots.inFlight(this.#slots.connectionsAt(offset)) >= connectionsMax;
  }

  #hasSpare(id: string, offset: number, { spare }: Wish): boolean {
    return spare?.hasSpare(id, this.#slots.isAwaitedElsewhere(offset, 'connection')) === true;
  }

  // ---- lines ------------------------------------------------------------------------------------

  #enter(exchange: Waiting, ticket: Ticket, { id, wish }: Asked): void {
    const isBack = ticket.wokenAt !== undefined;
    const isNew = this.#lines.lengthOf(wish) === 0;
    this.#bells.listen();
    const line = this.#lines.enter(exchange, ticket, wish);
    this.#show(line);
    // A place that was given back before this line could be seen is told by nobody. One that is
    // free although others wait is of no use to the first of them.
    const isFree = !isBack && this.#hasPlace(line, wish, isNew ? undefined : id);
    if (isFree) queueMicrotask(() => this.#wake(line, undefined));
    this.#wishFor(line);
  }

  /** Others see for what the first in line waits. */
  #show(line: Line): void {
    if (!this.#bells.isShared) return;
    const wish = line.waiting[0]?.ticket?.wish;
    const isLacking =
      wish !== undefined &&
      wish.connectionsMax !== Infinity &&
      !this.#hasPlace(line, wish, undefined);
    if (!isLacking && !line.isLacking) return;
    line.isLacking = isLacking;
    const own = isLacking ? ownOf(line, wish) : undefined;
    for (const [id, offset] of line.offsets) {
      const isWanted =
        isLacking && own?.has(id) === true && this.#lacksConnection(id, offset, wish);
      this.#slots.setWaiting(offset, 'connection', isWanted);
    }
  }

  /** Somebody may have given back a place anywhere. */
  #look(): void {
    this.#lines.refresh();
    for (const line of this.#lines.inOrder()) {
      this.#wake(line, undefined);
      this.#wishFor(line);
    }
    this.#lines.forgetEmpty();
  }

  #wakeAt(id: string): void {
    for (const line of this.#lines.inOrder(id)) this.#wake(line, id);
  }

  /**
   * As many as there are places for, at this endpoint or at any. Who is woken may not want the
   * place any more, or go to another endpoint: then the next may have it.
   */
  #wake(line: Line, id: string | undefined): void {
    const { waiting } = line;
    for (let passed = 0; passed < passedMax;) {
      if (!this.#hasPlace(line, waiting[passed]?.ticket?.wish, id)) break;
      if (!this.#isServed(line, passed)) passed += 1;
    }
    // Not before: what is given back while one of them looks in vain is told.
    this.#show(line);
  }

  /** False: it is back in line. */
  #isServed({ waiting }: Line, at: number): boolean {
    const [exchange] = waiting.splice(at, 1);
    const ticket = exchange?.ticket;
    if (exchange === undefined || ticket === undefined) return true;
    ticket.isInLine = false;
    ticket.wokenAt = at;
    try {
      exchange.resume();
    } catch (error) {
      // Nobody's read is under way that would take it; the others in line still get their turn.
      this.#bugFound(error);
    }
    ticket.wokenAt = undefined;
    return !ticket.isInLine;
  }

  // ---- other workers ----------------------------------------------------------------------------

  /** Whoever has an idle connection where the first in line could go is asked to close it. */
  #wishFor(line: Line): void {
    const wish = line.waiting[0]?.ticket?.wish;
    if (wish === undefined || wish.connectionsMax === Infinity) return;
    if (this.#hasPlace(line, wish, undefined)) return;
    for (const { id } of wish.backend.endpoints) {
      const offset = line.offsets.get(id) ?? 0;
      // What is idle here is of no use to who waits, or he would have it.
      if (this.#lacksConnection(id, offset, wish) && this.#giveUp(id)) return;
    }
    this.#bells.wish();
  }

  /** One at a time: who waits tells again, and where many could be closed each has its turn. */
  #lookAtWishes(): void {
    const wished = this.#own.flatMap((own) =>
      [...own.endpointIds()].filter((id) => {
        const offset = this.#slots.offset('endpoint', id);
        return this.#slots.isAwaitedElsewhere(offset, 'connection');
      }),
    );
    this.#wishes += 1;
    const id = wished[this.#wishes % wished.length];
    if (id === undefined) return;
    const offset = this.#slots.offset('endpoint', id);
    this.#share(id, offset, { isTold: false, isOverfull: false });
  }

  /** Something is free: for who waits here, or now and then for who waits at other workers. */
  #share(id: string, offset: number, { isTold, isOverfull }: Share): void {
    const line = this.#lines.inOrder(id).find(({ waiting }) => waiting.length > 0);
    const isTheirs =
      this.#bells.isShared &&
      this.#slots.isAwaitedElsewhere(offset, 'place') &&
      (line === undefined || this.#isTurnOfOthers(line, id));
    const isWanted = isTheirs && this.#slots.isAwaitedElsewhere(offset, 'connection');
    const isGivenUp = (isOverfull || isWanted) && this.#giveUp(id);
    if (line === undefined) return;
    if (isTheirs && (isTold || isGivenUp)) this.#bells.tellHere();
    else this.#wakeAt(id);
  }

  /** Of what is of no use here all are. */
  #isTurnOfOthers(line: Line, id: string): boolean {
    if (!this.#hasPlace(line, line.waiting[0]?.ticket?.wish, id)) return true;
    line.turns += 1;
    return line.turns % turnOfOthers === 0;
  }

  #giveUp(id: string): boolean {
    const isGivenUp = this.#own.some((connections) => connections.giveUp(id));
    if (isGivenUp) this.#noteLeaving(id, 1);
    return isGivenUp;
  }

  #noteLeaving(id: string, change: 1 | -1): void {
    const leaving = (this.#leaving.get(id) ?? 0) + change;
    if (leaving > 0) this.#leaving.set(id, leaving);
    else this.#leaving.delete(id);
  }
}

/** Where an endpoint was asked for in vain. */
type Asked = { readonly id: string; readonly wish: Wish };

/** Ids of endpoints; who waits by another table may go to others than the rest of the line. */
function ownOf({ lists, offsets }: Line, { backend }: Wish): { has: (id: string) => boolean } {
  return lists.size < 2 ? offsets : new Set(backend.endpoints.map(({ id }) => id));
}
