// Who waits at this worker, and where: one line for each backend, first come first served, because
// whoever waits takes a place at whichever of its endpoints has one first. An endpoint may be of
// several backends, so lines are found by endpoint as well, the one that has waited longest first.
// Other workers see by bits in the endpoint's cells that somebody waits here, and for what.
// A line that nobody is in any more is forgotten with the next look, not at once: where places are
// short it would be made and forgotten with each request.
import type { SlotView } from '../telemetry/index.ts';
import type { Ticket, Waiting, Wish } from './place-ticket.ts';

export type Line = {
  readonly key: string;
  readonly waiting: Waiting[];
  /** By id: first cells of the endpoints that somebody in it could use. */
  readonly offsets: Map<string, number>;
  /** Whose endpoints are among them. */
  endpoints: Wish['backend']['endpoints'] | undefined;
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
    if (line.endpoints !== backend.endpoints) this.#widen(line, backend.endpoints);
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

  /** Those in which nobody waits. */
  forgetEmpty(): void {
    for (const line of [...this.#lines.values()]) {
      if (line.waiting.length === 0) this.#forget(line);
    }
  }

  #lineOf(key: string): Line {
    let line = this.#lines.get(key);
    if (line === undefined) {
      const none = { endpoints: undefined, turns: 0, isLacking: false };
      line = { key, waiting: [], offsets: new Map(), ...none };
      this.#lines.set(key, line);
    }
    return line;
  }

  /** Who came by an older table may wait at endpoints that are not of the newest one. */
  #widen(line: Line, endpoints: Wish['backend']['endpoints']): void {
    line.endpoints = endpoints;
    for (const { id } of endpoints) {
      if (line.offsets.has(id)) continue;
      const offset = this.#slots.offset('endpoint', id);
      line.offsets.set(id, offset);
      const others = this.#byEndpoint.get(id);
      if (others === undefined) this.#byEndpoint.set(id, [line]);
      else others.push(line);
      if (this.#slots.workers > 1) this.#slots.setWaiting(offset, 'place', true);
    }
  }

  #forget(line: Line): void {
    this.#lines.delete(line.key);
    for (const [id, offset] of line.offsets) {
      const others = this.#byEndpoint.get(id)?.filter((one) => one !== line) ?? [];
      if (others.length > 0) {
        this.#byEndpoint.set(id, others);
        continue;
      }
      this.#byEndpoint.delete(id);
      if (this.#slots.workers > 1) this.#slots.setWaiting(offset, 'place', false);
    }
  }
}

/** Who came by tunnel is for one pod only, and stands in nobody's way who may go to others. */
function keyOf({ id, endpoints }: Wish['backend']): string {
  return endpoints.length === 1 ? (endpoints[0]?.id ?? id) : id;
}

function sinceMs({ waiting }: Line): number {
  return waiting[0]?.ticket?.sinceMs ?? Infinity;
}
