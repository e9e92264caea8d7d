// Objects of one kind in one namespace as the API server last told them, by watch or as the answer
// to a write of ours. They are kept as they are: edits of fields that `api` does not parse must be
// seen too. Of two versions of one object the newer counts, whichever way it came.
import type { Replacement, Sink } from '../kube/index.ts';
import { textAt } from './raw-object.ts';

export type RawMirrorEvents = {
  /** This is the object now. */
  readonly seen: (name: string, object: unknown) => void;
  /** Something is another, or gone. */
  readonly changed: () => void;
};

/** Lives as long as its reflector. */
export class RawMirror {
  readonly #objects = new Map<string, unknown>();
  readonly #events: RawMirrorEvents;

  constructor(events: RawMirrorEvents) {
    this.#events = events;
  }

  get(name: string): unknown {
    return this.#objects.get(name);
  }

  all(): ReadonlyMap<string, unknown> {
    return this.#objects;
  }

  /** The watch may lag behind the answers to our own writes. */
  see(object: unknown): void {
    const name = textAt(object, 'metadata', 'name');
    if (name === undefined || isOlder(object, this.#objects.get(name))) return;
    this.#objects.set(name, object);
    this.#events.seen(name, object);
    this.#events.changed();
  }

  sink(): Sink<unknown> {
    return {
      put: (_key, { value }) => this.see(value),
      remove: (key, uid) => this.#forget(nameOf(key), uid),
      replace: () => this.#replacement(),
    };
  }

  #forget(name: string, uid: string): void {
    // A late deletion of a predecessor does not take its successor away.
    const held = textAt(this.#objects.get(name), 'metadata', 'uid');
    if (uid !== '' && held !== uid) return;
    this.#objects.delete(name);
    this.#events.changed();
  }

  #replacement(): Replacement<unknown> {
    const listed = new Map<string, unknown>();
    return {
      put: (key, { value }) => void listed.set(nameOf(key), value),
      remove: (key) => void listed.delete(nameOf(key)),
      commit: () => {
        for (const name of [...this.#objects.keys()]) {
          if (!listed.has(name)) this.#objects.delete(name);
        }
        for (const object of listed.values()) this.see(object);
        this.#events.changed();
      },
    };
  }
}

/** Of `namespace/name`. */
function nameOf(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

/** Resource versions of one object are decimal numbers that grow (KEP-5504). */
function isOlder(left: unknown, right: unknown): boolean {
  if (textAt(left, 'metadata', 'uid') !== textAt(right, 'metadata', 'uid')) return false;
  const [a, b] = [left, right].map((one) => textAt(one, 'metadata', 'resourceVersion') ?? '');
  if (a === undefined || b === undefined || !/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return BigInt(a) < BigInt(b);
}
