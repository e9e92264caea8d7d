// Places at endpoints of a service with `max-requests`: exact by counting, because a request counts
// itself among those in flight before it looks whether there were too many. Who finds none waits in
// line, first come first served, at most a second (contract §3); a place that is given back wakes
// the first in line, here or at another worker.
import type { Clock } from '../lib/clock.ts';
import type { Endpoint } from '../route/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { endpointCells } from './endpoint-cells.ts';

/** Longest wait; deadlines are up to 25 ms late (deadlines.ts). */
const waitMaxMs = 975;
/** Waiting requests per endpoint and worker; more are refused at once. */
const lineMax = 1_024;
/** Two workers that count up at the same moment both step back; one of them is first again. */
const triesMax = 3;

/** An exchange that may wait. */
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
  /** When it asked first since it had a place last: each attempt may wait. */
  sinceMs: number | undefined;
  line: Line | undefined;
  isWoken = false;

  /** The place, for who counts it down from now on. */
  takeCell(): number | undefined {
    const { cell } = this;
    this.cell = undefined;
    return cell;
  }
}

type Line = {
  readonly waiting: Waiting[];
  readonly offset: number;
  /** Places at the endpoint, by what those in line were told: the most. */
  max: number;
  isListening: boolean;
};

type WaitAsync = (
  cells: Int32Array,
  index: number,
  value: number,
  timeoutMs: number,
) => { readonly async: boolean; readonly value: unknown };

/** Node ≥ 16 has it, the library of ES2023 does not tell. */
const { waitAsync } = Atomics as { readonly waitAsync?: WaitAsync };

export class Places {
  readonly #slots: SlotView;
  readonly #clock: Clock;
  /** By endpoint id; a line that is empty is forgotten. */
  readonly #lines = new Map<string, Line>();

  readonly #bugFound: (error: unknown) => void;

  constructor(slots: SlotView, clock: Clock, bugFound: (error: unknown) => void) {
    this.#slots = slots;
    this.#clock = clock;
    this.#bugFound = bugFound;
  }

  /** `placed`: its ticket has the place · `waits`: it will be asked again · `full`. */
  take(exchange: Waiting, { id }: Endpoint, max: number): 'placed' | 'waits' | 'full' {
    const nowMs = this.#clock.nowMs();
    const ticket = (exchange.ticket ??= new Ticket());
    const hasWaited = ticket.line !== undefined || ticket.isWoken;
    this.leave(exchange);
    const line = this.#lines.get(id);
    const mayTry = hasWaited || line === undefined;
    ticket.cell = mayTry ? this.#countUpWithin(id, max) : undefined;
    if (ticket.cell !== undefined) {
      ticket.isWoken = false;
      ticket.sinceMs = undefined;
      return 'placed';
    }
    ticket.sinceMs ??= nowMs;
    const leftMs = ticket.sinceMs + waitMaxMs - nowMs;
    if (leftMs <= 0 || (line?.waiting.length ?? 0) >= lineMax) return 'full';
    this.#enter(exchange, ticket, this.#lineOf(id, max));
    exchange.pause(leftMs);
    return 'waits';
  }

  /** It waits no more, for whatever reason. Idempotent. */
  leave({ ticket }: Waiting): void {
    const line = ticket?.line;
    if (ticket === undefined || line === undefined) return;
    ticket.line = undefined;
    const at = line.waiting.findIndex((one) => one.ticket === ticket);
    if (at >= 0) line.waiting.splice(at, 1);
    this.#forgetIfEmpty(line);
  }

  /** A place has been given back: whoever waits for it may have it when this turn is over. */
  freed({ id }: Endpoint): void {
    const offset = this.#slots.offset('endpoint', id);
    const { endpoint } = this.#slots.cells;
    if (Atomics.load(endpoint, offset + endpointCells.lines) > 0) {
      Atomics.add(endpoint, offset + endpointCells.freed, 1);
      Atomics.notify(endpoint, offset + endpointCells.freed);
    }
    const line = this.#lines.get(id);
    // After the connection that has served is back in its pool.
    if (line !== undefined) queueMicrotask(() => this.#wake(line));
  }

  /** Waiting exchanges, for tests. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#lines.values()) sum += waiting.length;
    return sum;
  }

  #countUpWithin(id: string, max: number): number | undefined {
    const offset = this.#slots.offset('endpoint', id);
    for (let tries = 0; tries < triesMax; tries += 1) {
      const cell = this.#slots.countUp(offset);
      if (this.#slots.inFlight(offset) <= max) return cell;
      this.#slots.countDown(cell);
      if (this.#slots.inFlight(offset) >= max) return undefined;
    }
    return undefined;
  }

  #lineOf(id: string, max: number): Line {
    let line = this.#lines.get(id);
    if (line === undefined) {
      const offset = this.#slots.offset('endpoint', id);
      line = { waiting: [], offset, max, isListening: false };
      this.#lines.set(id, line);
    }
    line.max = Math.max(line.max, max);
    return line;
  }

  #enter(exchange: Waiting, ticket: Ticket, line: Line): void {
    ticket.line = line;
    // Who was first in line and found the place taken by another worker stays the first.
    if (ticket.isWoken) line.waiting.unshift(exchange);
    else line.waiting.push(exchange);
    ticket.isWoken = false;
    this.#listen(line);
  }

  #forgetIfEmpty(line: Line): void {
    if (line.waiting.length > 0) return;
    for (const [id, one] of this.#lines) if (one === line) this.#lines.delete(id);
  }

  /** Who is woken may not want the place any more, or go to another endpoint: then the next may. */
  #wake(line: Line): void {
    while (this.#hasPlace(line) && this.#wakeFirst(line));
  }

  #hasPlace({ offset, max }: Line): boolean {
    return this.#slots.inFlight(offset) < max;
  }

  /** False: nobody was there, or the first one is back in line. */
  #wakeFirst(line: Line): boolean {
    const exchange = line.waiting.shift();
    const ticket = exchange?.ticket;
    if (exchange === undefined || ticket === undefined) return false;
    ticket.line = undefined;
    ticket.isWoken = true;
    this.#forgetIfEmpty(line);
    try {
      exchange.resume();
    } catch (error) {
      // Nobody's read is under way that would take it; the others in line still get their turn.
      this.#bugFound(error);
    }
    return ticket.line !== line;
  }

  /** Other workers tell of places that they give back. */
  #listen(line: Line): void {
    if (line.isListening || this.#slots.workers < 2 || waitAsync === undefined) return;
    const { endpoint } = this.#slots.cells;
    const freedAt = line.offset + endpointCells.freed;
    const linesAt = line.offset + endpointCells.lines;
    line.isListening = true;
    Atomics.add(endpoint, linesAt, 1);
    const seen = Atomics.load(endpoint, freedAt);
    const told = waitAsync(endpoint, freedAt, seen, waitMaxMs);
    // A place that was given back before this line could be seen is told by nobody.
    if (this.#hasPlace(line)) queueMicrotask(() => this.#wake(line));
    void Promise.resolve(told.value).then(() => {
      Atomics.sub(endpoint, linesAt, 1);
      line.isListening = false;
      this.#wake(line);
      if (line.waiting.length > 0) this.#listen(line);
    });
  }
}
