// The store: one revision for everything, a history that old states can be read from, a bound.
// The law is a random one: whatever was written, a past revision shows what was there then.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { nameOf, type JsonObject } from './json.ts';
import { Storage, type Change } from './storage.ts';

const collection = '/things';

function thing(name: string, value: number): JsonObject {
  return { metadata: { name, namespace: 'n' }, value };
}

function shown(objects: readonly JsonObject[] | undefined): readonly string[] | undefined {
  return objects?.map((object) => `${nameOf(object)}=${String(object.value)}`);
}

describe('the store', () => {
  test('shows at every past revision what was there then', () => {
    const storage = new Storage();
    const random = seededRandom(3);
    const states = new Map<number, readonly string[] | undefined>();
    states.set(storage.revision, []);
    for (let step = 0; step < 300; step += 1) {
      const name = `t${Math.floor(random() * 8)}`;
      if (random() < 0.3) storage.remove(collection, 'n', name);
      else storage.put(collection, thing(name, step));
      states.set(storage.revision, shown(storage.list(collection)));
    }
    for (const [revision, state] of states) {
      expect(shown(storage.listAtRevision(collection, revision))).toEqual(state);
    }
  });

  test('replaying the changes since a revision gives the present', () => {
    const storage = new Storage();
    const random = seededRandom(4);
    const write = (step: number): void => {
      const name = `t${Math.floor(random() * 5)}`;
      if (random() < 0.3) storage.remove(collection, 'n', name);
      else storage.put(collection, thing(name, step));
    };
    for (let step = 0; step < 50; step += 1) write(step);
    const from = storage.revision;
    const mirror = new Map(storage.list(collection).map((object) => [nameOf(object), object]));
    for (let step = 0; step < 50; step += 1) write(step);
    for (const change of storage.changesSince(collection, from) ?? []) {
      if (change.type === 'DELETED') mirror.delete(nameOf(change.object));
      else mirror.set(nameOf(change.object), change.object);
    }
    const sorted = [...mirror.values()].toSorted((one, other) =>
      nameOf(one) < nameOf(other) ? -1 : 1,
    );
    expect(shown(sorted)).toEqual(shown(storage.list(collection)));
  });

  test('forgets beyond its bound, and says so', () => {
    const storage = new Storage(10);
    for (let step = 0; step < 100; step += 1) storage.put(collection, thing('t', step));
    expect(storage.changesSince(collection, 2)).toBeUndefined();
    expect(storage.listAtRevision(collection, 2)).toBeUndefined();
    const known = storage.compactedRevision;
    expect(storage.changesSince(collection, known)?.length).toBe(storage.revision - known);
  });

  test('tells its listeners before the write returns, with what was there before', () => {
    const storage = new Storage();
    const seen: Change[] = [];
    const leave = storage.subscribe((change) => seen.push(change));
    storage.put(collection, thing('t', 1));
    storage.put(collection, thing('t', 2));
    storage.remove(collection, 'n', 't');
    leave();
    storage.put(collection, thing('t', 3));
    expect(seen.map((change) => [change.type, change.previous?.value])).toEqual([
      ['ADDED', undefined],
      ['MODIFIED', 1],
      ['DELETED', 2],
    ]);
  });

  test('does not share a tree with who wrote it', () => {
    const storage = new Storage();
    const written = thing('t', 1);
    storage.put(collection, written);
    written.value = 2;
    expect(storage.get(collection, 'n', 't')?.value).toBe(1);
  });
});
