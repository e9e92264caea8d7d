// Places at endpoints of a service with `max-requests` or `max-connections`: exact by counting,
// because who wants one counts itself before it looks whether there were too many. Who finds none
// waits in line, first come first served, at most a second (contract §3); a place that is given
// back wakes the first in line, here or at another worker. A connection belongs to one worker: one
// that is idle while somebody waits at another is closed, so that the place is there for all.
import type { Clock } from '../lib/clock.ts';
import type { SlotView } from '../telemetry/index.ts';
import { endpointCells } from './endpoint-cells.ts';

/** Longest wait; deadlines are up to 25 ms late (deadlines.ts). */
const waitMaxMs = 975;
/**
 * Who waits looks again so often: who has no limits gives places back and tells nobody, and a
 * connection may turn out to be in use for long.
 */
const lookMs = 100;
/** Waiting requests per endpoint and worker; more are refused at once. */
const lineMax = 1_024;
/** Two workers that count up at the same moment both step back; one of them is first again. */
const triesMax = 3;
/** While somebody waits at other workers, each fourth place that is given back is for them. */
const turnOfOthers = 4;
/** A wait for wishes begins anew after it; nothing depends on when. */
const wishWaitMs = 60_000;

/** Connections of this worker to endpoints. */
export type OwnConnections = {
  /** One that is open could take a request; `isWanted`: another worker waits for its place. */
  hasSpare(endpointId: string, isWanted: boolean): boolean;
  /** Closes one that nobody uses; false: there is none. */
  giveUp(endpointId: string): boolean;
  /** Endpoints to which there are connections that nobody may be using. */
  endpointIds(): Iterable<string>;
};

/** What a place has to be within; `Infinity`: no such limit. */
export type Wish = {
  readonly requestsMax: number;
  readonly connectionsMax: number;
  /** Where one that is open already would do; undefined: only a new one will. */
  readonly spare: OwnConnections | undefined;
};

/** Who may wait: an exchange, or a TCP connection. */
export type Waiting = {
  /** Its place in line or at an endpoint; undefined: it has asked for none yet. */
  ticket: Ticket | undefined;
  /** `resume` is called by then at the latest. */
  pause(ms: number): void;
  /** Asks for an endpoint once more. */
  resume(): void;
};

/** What an exchange holds: a place at an endpoint, or one in line. */
export class Ticket {
  /** The cell that was counted up for the attempt that follows. */
  cell: number | undefined;
  /** That of the connection which has to be opened for it. */
  connection: number | undefined;
  /** When it asked first since it had a place last: each attempt may wait. */
  sinceMs: number | undefined;
  line: Line | undefined;
  wish: Wish | undefined;
  isWoken = false;

  /** The place, for who counts it down from now on. */
  takeCell(): number | undefined {
    const { cell } = this;
    this.cell = undefined;
    return cell;
  }

  /** The same of its connection. */
  takeConnection(): number | undefined {
    const { connection } = this;
    this.connection = undefined;
    return connection;
  }
}

/** Who waits at this worker for a place at one endpoint. */
type Line = {
  readonly id: string;
  readonly waiting: Waiting[];
  readonly offset: number;
  isListening: boolean;
  /** Places that were given back here while others waited as well. */
  turns: number;
};

type WaitAsync = (
  cells: Int32Array,
  index: number,
  value: number,
  timeoutMs: number,
) => { readonly async: boolean; readonly value: unknown };

/** Node ≥ 16 has it, the library of ES2023 does not tell. */
const { waitAsync } = Atomics as { readonly waitAsync?: WaitAsync };

export type PlacesOptions = {
  readonly slots: SlotView;
  readonly clock: Clock;
  /** All that may have connections of this worker. */
  readonly own: readonly OwnConnections[];
  readonly bugFound: (error: unknown) => void;
};

export class Places {
  readonly #slots: SlotView;
  readonly #clock: Clock;
  readonly #own: readonly OwnConnections[];
  readonly #bugFound: (error: unknown) => void;
  /** By endpoint id; one that is empty and does not listen is forgotten. */
  readonly #lines = new Map<string, Line>();
  /** By endpoint id: connections that were given up, and are counted until they are closed. */
  readonly #leaving = new Map<string, number>();
  #isClosed = false;

  constructor({ slots, clock, own, bugFound }: PlacesOptions) {
    this.#slots = slots;
    this.#clock = clock;
    this.#own = own;
    this.#bugFound = bugFound;
    this.#listenForWishes();
  }

  /** `placed`: its ticket has the place · `waits`: it will be asked again · `full`. */
  take(exchange: Waiting, id: string, wish: Wish): 'placed' | 'waits' | 'full' {
    const nowMs = this.#clock.nowMs();
    const ticket = (exchange.ticket ??= new Ticket());
    const hasWaited = ticket.line !== undefined || ticket.isWoken;
    this.leave(exchange);
    const inLine = this.#lines.get(id)?.waiting.length ?? 0;
    if ((hasWaited || inLine === 0) && this.#isTaken(ticket, id, wish)) {
      ticket.isWoken = false;
      ticket.sinceMs = undefined;
      return 'placed';
    }
    ticket.sinceMs ??= nowMs;
    const leftMs = ticket.sinceMs + waitMaxMs - nowMs;
    if (leftMs <= 0 || inLine >= lineMax) return 'full';
    ticket.wish = wish;
    this.#enter(exchange, ticket, this.#lineOf(id));
    exchange.pause(leftMs);
    return 'waits';
  }

  /** A place that is free now and that nobody waits for; undefined: there is none. */
  takeNow(id: string, wish: Wish): Ticket | undefined {
    if ((this.#lines.get(id)?.waiting.length ?? 0) > 0) return undefined;
    const ticket = new Ticket();
    return this.#isTaken(ticket, id, wish) ? ticket : undefined;
  }

  /** It waits no more, for whatever reason, and needs no place. Idempotent. */
  leave({ ticket }: Pick<Waiting, 'ticket'>): void {
    if (ticket === undefined) return;
    this.#stepBack(ticket);
    const { line } = ticket;
    if (line === undefined) return;
    ticket.line = undefined;
    const at = line.waiting.findIndex((one) => one.ticket === ticket);
    if (at >= 0) line.waiting.splice(at, 1);
    this.#show(line);
  }

  /**
   * A place has been given back: whoever waits for it may have it when this turn is over, and the
   * connection that has served is back in its pool.
   */
  freed(id: string, connectionsMax = Infinity): void {
    const offset = this.#slots.offset('endpoint', id);
    const isTold = this.#tellOthers(offset);
    const isWaitedFor = (this.#lines.get(id)?.waiting.length ?? 0) > 0;
    if (!isWaitedFor && connectionsMax === Infinity) return;
    queueMicrotask(() => {
      const open = this.#slots.inFlight(this.#slots.connectionsAt(offset));
      const isOverfull = open - (this.#leaving.get(id) ?? 0) > connectionsMax;
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
    const line = this.#lines.get(id);
    const isTold = this.#tellOthers(this.#slots.offset('endpoint', id));
    // Where others are told, this worker hears of it as they do.
    if (line !== undefined && !isTold) queueMicrotask(() => this.#wake(line));
  }

  /** Nothing is listened for any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Waiting exchanges, for tests. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#lines.values()) sum += waiting.length;
    return sum;
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

  /** Gives back what nobody has used. */
  #stepBack(ticket: Ticket): void {
    const cell = ticket.takeCell();
    const connection = ticket.takeConnection();
    if (cell !== undefined) this.#slots.countDown(cell);
    if (connection !== undefined) this.#slots.countDown(connection);
  }

  #hasPlace({ id, offset, waiting }: Line): boolean {
    const wish = waiting[0]?.ticket?.wish;
    if (wish === undefined || this.#slots.inFlight(offset) >= wish.requestsMax) return false;
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

  #lineOf(id: string): Line {
    let line = this.#lines.get(id);
    if (line === undefined) {
      const offset = this.#slots.offset('endpoint', id);
      line = { id, waiting: [], offset, isListening: false, turns: 0 };
      this.#lines.set(id, line);
    }
    return line;
  }

  #enter(exchange: Waiting, ticket: Ticket, line: Line): void {
    const isNew = line.waiting.length === 0 && !ticket.isWoken;
    ticket.line = line;
    // Who was first in line and found the place taken by another worker stays the first.
    if (ticket.isWoken) line.waiting.unshift(exchange);
    else line.waiting.push(exchange);
    ticket.isWoken = false;
    this.#listen(line, isNew);
    this.#wishFor(line);
  }

  /** Others see that somebody waits, and for what; a line that is nobody's is forgotten. */
  #show(line: Line): void {
    const { id, offset, waiting } = line;
    const wish = waiting[0]?.ticket?.wish;
    if (this.#isShared) {
      const isLacking = wish !== undefined && this.#lacksConnection(id, offset, wish);
      this.#slots.setWaiting(offset, 'place', waiting.length > 0);
      this.#slots.setWaiting(offset, 'connection', isLacking);
    }
    if (waiting.length === 0 && !line.isListening) this.#lines.delete(id);
  }

  /** Who is woken may not want the place any more, or go to another endpoint: then the next may. */
  #wake(line: Line): void {
    while (this.#hasPlace(line) && this.#wakeFirst(line));
    // Not before: what is given back while one of them looks in vain is told.
    this.#show(line);
  }

  /** False: nobody was there, or the first one is back in line. */
  #wakeFirst(line: Line): boolean {
    const exchange = line.waiting.shift();
    const ticket = exchange?.ticket;
    if (exchange === undefined || ticket === undefined) return false;
    ticket.line = undefined;
    ticket.isWoken = true;
    try {
      exchange.resume();
    } catch (error) {
      // Nobody's read is under way that would take it; the others in line still get their turn.
      this.#bugFound(error);
    }
    return ticket.line !== line;
  }

  // ---- other workers ----------------------------------------------------------------------------

  get #isShared(): boolean {
    return this.#slots.workers > 1 && waitAsync !== undefined;
  }

  /** False: nobody waits there. */
  #tellOthers(offset: number): boolean {
    if (!this.#isShared || !this.#slots.isAwaitedElsewhere(offset, 'place')) return false;
    this.#ring(offset + endpointCells.freed);
    return true;
  }

  #ring(cell: number): void {
    const { endpoint } = this.#slots.cells;
    Atomics.add(endpoint, cell, 1);
    Atomics.notify(endpoint, cell);
  }

  /** Other workers tell of places that they give back; what nobody tells of is looked for. */
  #listen(line: Line, isNew: boolean): void {
    if (waitAsync === undefined) return;
    const { endpoint } = this.#slots.cells;
    const freedAt = line.offset + endpointCells.freed;
    const seen = Atomics.load(endpoint, freedAt);
    this.#show(line);
    // A place that was given back before this line could be seen is told by nobody.
    const isDue = isNew || !line.isListening;
    if (isDue && this.#hasPlace(line)) queueMicrotask(() => this.#wake(line));
    if (line.isListening) return;
    line.isListening = true;
    const told = waitAsync(endpoint, freedAt, seen, lookMs);
    void Promise.resolve(told.value).then(() => {
      line.isListening = false;
      this.#wake(line);
      if (line.waiting.length === 0) return;
      this.#listen(line, false);
      this.#wishFor(line);
    });
  }

  /** Whoever has an idle connection to the endpoint is asked to close it. */
  #wishFor({ id, offset, waiting }: Line): void {
    const wish = waiting[0]?.ticket?.wish;
    if (wish === undefined || !this.#lacksConnection(id, offset, wish)) return;
    // What is idle here is of no use to who waits, or he would have it.
    if (!this.#giveUp(id) && this.#isShared) this.#ring(endpointCells.wished);
  }

  #listenForWishes(): void {
    if (!this.#isShared || waitAsync === undefined || this.#isClosed) return;
    const { endpoint } = this.#slots.cells;
    const seen = Atomics.load(endpoint, endpointCells.wished);
    const told = waitAsync(endpoint, endpointCells.wished, seen, wishWaitMs);
    void Promise.resolve(told.value).then(() => {
      this.#listenForWishes();
      if (told.value !== 'timed-out') this.#lookAtWishes();
    });
  }

  #lookAtWishes(): void {
    for (const own of this.#own) {
      for (const id of own.endpointIds()) {
        const offset = this.#slots.offset('endpoint', id);
        if (!this.#slots.isAwaitedElsewhere(offset, 'connection')) continue;
        this.#share(id, offset, { isTold: false, isOverfull: false });
      }
    }
  }

  /** Something is free: for who waits here, or now and then for who waits at other workers. */
  #share(id: string, offset: number, { isTold, isOverfull }: Share): void {
    const line = this.#lines.get(id);
    const isTheirs = this.#isShared
      && this.#slots.isAwaitedElsewhere(offset, 'place')
      && (line === undefined || this.#isTurnOfOthers(line));
    const isWanted = isTheirs && this.#slots.isAwaitedElsewhere(offset, 'connection');
    const isGivenUp = (isOverfull || isWanted) && this.#giveUp(id);
    // This worker hears of it as the others do.
    if (line !== undefined && !(isTheirs && (isTold || isGivenUp))) this.#wake(line);
  }

  /** Of what is of no use here all are. */
  #isTurnOfOthers(line: Line): boolean {
    if (!this.#hasPlace(line)) return true;
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

/** Whether others have been told of it, and whether there are more connections than may be. */
type Share = { readonly isTold: boolean; readonly isOverfull: boolean };
