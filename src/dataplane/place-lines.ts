// Who waits at this worker, and where: one line for each backend, first come first served, because
// whoever waits takes a place at whichever of its endpoints has one first. An endpoint may be of
// several backends, so lines are found by endpoint as well, the one that has waited longest first.
// Other workers see by bits in the endpoint's cells that somebody waits here, and for what.
// A line that nobody is in any more is forgotten with the next look, not at once: where places are
// short it would be made and forgotten with each request. So are endpoints that are of no use to
// anybody who is still in it: pods come and go while it never empties.
import type { SlotView } from '../telemetry/index.ts';
import type { Ticket, Waiting, Wish } from './place-ticket.ts';

type Endpoints = Wish['backend']['endpoints'];

export type Line = {
  readonly key: string;
  readonly waiting: Waiting[];
  /** By id: first cells of the endpoints that somebody in it could use; 0: it has no slot. */
  readonly offsets: Map<string, number>;
  /** Of these lists they are: more than one while a table takes the place of another. */
  lists: Set<Endpoints>;
  /** Places that were given back here while others waited as well. */
  turns: number;
  /** Others see that its first one lacks a connection. */
  isLacking: boolean;
};

const noLines: readonly Line[] = [];

export class PlaceLines {
  readonly #slots: SlotView;
  readonly #lines = new Map<string, Line>();
  readonly #byEndpoint = new Map<string, Line[]>();

  constructor(slots: SlotView) {
    this.#slots = slots;
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#lines.values()) sum += waiting.length;
    return sum;
  }

  isWaitedFor(endpointId: string): boolean {
    if (this.#byEndpoint.size === 0) return false;
    const lines = this.#byEndpoint.get(endpointId);
    return lines !== undefined && lines.some(({ waiting }) => waiting.length > 0);
  }

  lengthOf({ backend }: Wish): number {
    return this.#lines.get(keyOf(backend))?.waiting.length ?? 0;
  }

  /** Those in which somebody waits for the endpoint, or for any. */
  inOrder(endpointId?: string): readonly Line[] {
    const lines =
      endpointId === undefined
        ? [...this.#lines.values()]
        : (this.#byEndpoint.get(endpointId) ?? noLines);
    if (lines.length < 2) return lines;
    return [...lines].sort((a, b) => sinceMs(a) - sinceMs(b));
  }

  /** Puts it into the line of its backend, where it was before if it has been woken. */
  enter(exchange: Waiting, ticket: Ticket, { backend }: Wish): Line {
    const line = this.#lineOf(keyOf(backend));
    if (!line.lists.has(backend.endpoints)) {
      line.lists.add(backend.endpoints);
      this.#fit(line);
    }
    line.waiting.splice(ticket.wokenAt ?? line.waiting.length, 0, exchange);
    ticket.wokenAt = undefined;
    ticket.isInLine = true;
    return line;
  }

  leave(ticket: Ticket): Line | undefined {
    const line = ticket.isInLine && ticket.wish && this.#lines.get(keyOf(ticket.wish.backend));
    ticket.isInLine = false;
    if (!line) return undefined;
    const at = line.waiting.findIndex((one) => one.ticket === ticket);
    if (at >= 0) line.waiting.splice(at, 1);
    return line;
  }

  /** Endpoints of nobody who waits leave their lines, and slots are looked up once more. */
  refresh(): void {
    for (const line of this.#lines.values()) {
      const before = line.lists.size;
      if (before > 1) line.lists = listsOf(line);
      if (line.lists.size !== before || !this.#isFitting(line)) this.#fit(line);
    }
  }

  /** Those in which nobody waits. */
  forgetEmpty(): void {
    for (const line of [...this.#lines.values()]) {
      if (line.waiting.length === 0) this.#forget(line);
    }
  }

  #lineOf(key: string): Line {
    let line = this.#lines.get(key);
    if (line === undefined) {
      const none = { turns: 0, isLacking: false };
      line = { key, waiting: [], offsets: new Map(), lists: new Set(), ...none };
      this.#lines.set(key, line);
    }
    return line;
  }

  /** Its endpoints have the slots that they had. */
  #isFitting({ offsets }: Line): boolean {
    for (const [id, offset] of offsets) {
      if (this.#slots.offset('endpoint', id) !== offset) return false;
    }
    return true;
  }

  /** Who came by an older table may wait at endpoints that are not of the newest one. */
  #fit(line: Line): void {
    const ids = new Set<string>();
    for (const endpoints of line.lists) for (const { id } of endpoints) ids.add(id);
    for (const [id, offset] of line.offsets) {
      const isSame = ids.has(id) && this.#slots.offset('endpoint', id) === offset;
      if (!isSame) this.#drop(line, id, offset);
    }
    for (const id of ids) if (!line.offsets.has(id)) this.#add(line, id);
  }

  #add(line: Line, id: string): void {
    const offset = this.#slots.offset('endpoint', id);
    line.offsets.set(id, offset);
    const others = this.#byEndpoint.get(id);
    if (others === undefined) this.#byEndpoint.set(id, [line]);
    else others.push(line);
    this.#tell(offset, 'place', true);
  }

  #drop(line: Line, id: string, offset: number): void {
    line.offsets.delete(id);
    const others = this.#byEndpoint.get(id)?.filter((one) => one !== line) ?? [];
    if (others.length > 0) this.#byEndpoint.set(id, others);
    else this.#byEndpoint.delete(id);
    // Another line that lacks one there says so again with the next look.
    if (line.isLacking) this.#tell(offset, 'connection', false);
    const isShared = others.some(({ offsets }) => offsets.get(id) === offset);
    if (!isShared) this.#tell(offset, 'place', false);
  }

  /** Slot 0 is nobody's: nobody has to wait there. */
  #tell(offset: number, what: 'place' | 'connection', isWaiting: boolean): void {
    if (this.#slots.workers > 1 && offset !== 0) {
      this.#slots.setWaiting(offset, what, isWaiting);
    }
  }

  #forget(line: Line): void {
    this.#lines.delete(line.key);
    for (const [id, offset] of line.offsets) this.#drop(line, id, offset);
  }
}

/** Whose endpoints those may use who are in it now. */
function listsOf({ waiting }: Line): Set<Endpoints> {
  const lists = new Set<Endpoints>();
  for (const { ticket } of waiting) {
    if (ticket?.wish !== undefined) lists.add(ticket.wish.backend.endpoints);
  }
  return lists;
}

/** Who came by tunnel is for one pod only, and stands in nobody's way who may go to others. */
function keyOf({ id, endpoints }: Wish['backend']): string {
  return endpoints.length === 1 ? (endpoints[0]?.id ?? id) : id;
}

function sinceMs({ waiting }: Line): number {
  return waiting[0]?.ticket?.sinceMs ?? Infinity;
}
