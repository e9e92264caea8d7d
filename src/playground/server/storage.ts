// The one place that objects live: a map per collection, one revision for all of them (as etcd
// has), and a bounded history of changes from which watches resume and old states are
// reconstructed. It knows no kind and judges nothing. Invariant: an object in the store is never
// changed, only replaced.
import { copyOf, namespaceOf, nameOf, type JsonObject } from './json.ts';

/** As a watch tells it. */
export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One write: what is there now (or was last), and what was there before. */
export type Change = {
  readonly revision: number;
  readonly type: ChangeType;
  readonly collection: string;
  readonly object: JsonObject;
  readonly previous: JsonObject | undefined;
};

/** Called in order; it must not write. */
export type ChangeListener = (change: Change) => void;

/** Changes kept for watches that resume; about what a real server's watch cache holds per kind. */
const historyMaxDefault = 20_000;

/** Where an object lives in its collection. The separator cannot be part of a name. */
export function placeOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function inOrder(
  objects: ReadonlyMap<string, JsonObject>,
  places: readonly string[],
): readonly JsonObject[] {
  const listed: JsonObject[] = [];
  for (const place of places) {
    const object = objects.get(place);
    if (object !== undefined) listed.push(object);
  }
  return listed;
}

/** Objects, their revisions and the recent past of one server. */
export class Storage {
  readonly #collections = new Map<string, Map<string, JsonObject>>();
  readonly #sorted = new Map<string, readonly string[]>();
  readonly #listeners = new Set<ChangeListener>();
  readonly #historyMax: number;
  #history: Change[] = [];
  #revision = 1;
  #compacted = 1;

  constructor(historyMax = historyMaxDefault) {
    this.#historyMax = historyMax;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Watches and exact lists from before this revision are answered 410. */
  get compactedRevision(): number {
    return this.#compacted;
  }

  get(collection: string, namespace: string, name: string): JsonObject | undefined {
    return this.#collections.get(collection)?.get(placeOf(namespace, name));
  }

  /** The collection in order of namespace and name, as it is now. */
  list(collection: string): readonly JsonObject[] {
    const objects = this.#collections.get(collection);
    if (objects === undefined) return [];
    let places = this.#sorted.get(collection);
    if (places === undefined) {
      places = [...objects.keys()].sort();
      this.#sorted.set(collection, places);
    }
    return inOrder(objects, places);
  }

  /** The collection as it was at `revision`; `undefined` when the history does not reach back. */
  listAtRevision(collection: string, revision: number): readonly JsonObject[] | undefined {
    if (revision >= this.#revision) return this.list(collection);
    if (revision < this.#compacted) return undefined;
    const past = new Map(this.#collections.get(collection) ?? []);
    for (const change of this.#changesAfter(revision).reverse()) {
      if (change.collection !== collection) continue;
      const place = placeOf(namespaceOf(change.object), nameOf(change.object));
      if (change.previous === undefined) past.delete(place);
      else past.set(place, change.previous);
    }
    return inOrder(past, [...past.keys()].sort());
  }

  /** Changes of one collection after `revision`; `undefined` when they are no longer known. */
  changesSince(collection: string, revision: number): readonly Change[] | undefined {
    if (revision < this.#compacted) return undefined;
    return this.#changesAfter(revision).filter((change) => change.collection === collection);
  }

  /** Creates or replaces; returns the stored object, which carries its new resourceVersion. */
  put(collection: string, object: JsonObject): JsonObject {
    const objects = this.#collection(collection);
    const place = placeOf(namespaceOf(object), nameOf(object));
    const previous = objects.get(place);
    const stored = this.#stamped(object);
    objects.set(place, stored);
    if (previous === undefined) this.#sorted.delete(collection);
    const type = previous === undefined ? 'ADDED' : 'MODIFIED';
    this.#publish({ revision: this.#revision, type, collection, object: stored, previous });
    return stored;
  }

  /** Removes; the deletion has a revision of its own, which the returned last state carries. */
  remove(collection: string, namespace: string, name: string): JsonObject | undefined {
    const objects = this.#collection(collection);
    const place = placeOf(namespace, name);
    const previous = objects.get(place);
    if (previous === undefined) return undefined;
    const last = this.#stamped(previous);
    objects.delete(place);
    this.#sorted.delete(collection);
    const revision = this.#revision;
    this.#publish({ revision, type: 'DELETED', collection, object: last, previous });
    return last;
  }

  /** Calls `listener` on each change from now on, in order, before the write returns. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the history, so that every older watch is answered 410 (an injected fault). */
  compact(): void {
    this.#history = [];
    this.#compacted = this.#revision;
  }

  #collection(name: string): Map<string, JsonObject> {
    const known = this.#collections.get(name);
    if (known !== undefined) return known;
    const made = new Map<string, JsonObject>();
    this.#collections.set(name, made);
    return made;
  }

  #stamped(object: JsonObject): JsonObject {
    this.#revision += 1;
    const stored = copyOf(object);
    const metadata = stored.metadata;
    if (typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)) {
      metadata.resourceVersion = String(this.#revision);
    }
    return stored;
  }

  #publish(change: Change): void {
    this.#history.push(change);
    // Trimmed in large steps, so that a write stays cheap.
    if (this.#history.length > this.#historyMax * 1.25) {
      const dropped = this.#history.length - this.#historyMax;
      this.#compacted = this.#history[dropped - 1]?.revision ?? this.#compacted;
      this.#history = this.#history.slice(dropped);
    }
    for (const listener of [...this.#listeners]) listener(change);
  }

  /** Binary search: revisions ascend in the history. */
  #changesAfter(revision: number): Change[] {
    let low = 0;
    let high = this.#history.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#history[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return this.#history.slice(low);
  }
}
