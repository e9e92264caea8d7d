// The open streams of a session, by id and in the order in which they were opened. A Map does the
// same, but streams come and go so fast that it makes a new table every few dozen calls, and each
// old table is linked to the new one: one that the collector has moved to the long-lived objects
// keeps all later ones, and the calls in them, until a full collection.
// Ids rise by two, so that the streams of a session lie in different slots of a short array as long
// as none lasts much longer than the others; the few that share a slot are found by a Map.
// Invariant: a stream is in at most one list, and knows its neighbours there.
import type { Http2Stream } from './stream.ts';

/** In the order of arrival; a stream is added and removed without a search. */
export class StreamList<User> {
  #oldest: Http2Stream<User> | undefined;
  #newest: Http2Stream<User> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Http2Stream<User> | undefined {
    return this.#oldest;
  }

  add(stream: Http2Stream<User>): void {
    stream.isListed = true;
    stream.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = stream;
    else this.#newest.newer = stream;
    this.#newest = stream;
    this.#size += 1;
  }

  /** Of one that is in this list, or in none. */
  remove(stream: Http2Stream<User>): void {
    if (!stream.isListed) return;
    const { older, newer } = stream;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    stream.older = undefined;
    stream.newer = undefined;
    stream.isListed = false;
    this.#size -= 1;
  }

  /** What is removed meanwhile ends it. */
  *values(): Generator<Http2Stream<User>> {
    for (let one = this.#oldest; one !== undefined; one = one.newer) yield one;
  }
}

const slotsMin = 8;

export class StreamIndex<User> {
  readonly #list = new StreamList<User>();
  #slots: (Http2Stream<User> | undefined)[] = emptySlots(slotsMin);
  /** Those whose slot was taken. */
  #others: Map<number, Http2Stream<User>> | undefined;

  get size(): number {
    return this.#list.size;
  }

  get oldest(): Http2Stream<User> | undefined {
    return this.#list.oldest;
  }

  get(id: number): Http2Stream<User> | undefined {
    const found = this.#slots[this.#slotOf(id)];
    return found?.id === id ? found : this.#others?.get(id);
  }

  add(stream: Http2Stream<User>): void {
    this.#list.add(stream);
    const slot = this.#slotOf(stream.id);
    if (this.#slots[slot] === undefined) this.#slots[slot] = stream;
    else if (this.#slots.length >= 4 * this.#list.size) this.#share(stream);
    else this.#grow();
  }

  /** Of one that is here, or was. */
  remove(stream: Http2Stream<User>): void {
    if (!stream.isListed) return;
    this.#list.remove(stream);
    const slot = this.#slotOf(stream.id);
    if (this.#slots[slot] === stream) this.#slots[slot] = undefined;
    else this.#others?.delete(stream.id);
  }

  values(): Iterable<Http2Stream<User>> {
    return this.#list.values();
  }

  #slotOf(id: number): number {
    return (id >> 1) & (this.#slots.length - 1);
  }

  #share(stream: Http2Stream<User>): void {
    this.#others ??= new Map();
    this.#others.set(stream.id, stream);
  }

  #grow(): void {
    this.#slots = emptySlots(2 * this.#slots.length);
    this.#others = undefined;
    for (const stream of this.#list.values()) {
      const slot = this.#slotOf(stream.id);
      if (this.#slots[slot] === undefined) this.#slots[slot] = stream;
      else this.#share(stream);
    }
  }
}

function emptySlots<User>(count: number): (Http2Stream<User> | undefined)[] {
  return new Array<Http2Stream<User> | undefined>(count).fill(undefined);
}
