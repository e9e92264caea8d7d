// The list of open connections, against a Set as the model: what is added is visited, what is
// removed is not, whatever the order, also while the list is walked.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { ConnectionList } from './connection-list.ts';

type Member = { place: number; readonly name: number };

function namesOf(list: ConnectionList<Member>): readonly number[] {
  const names: number[] = [];
  list.forEach((member) => names.push(member.name));
  return names.sort((left, right) => left - right);
}

describe('a list of connections', () => {
  test('holds what was added and not removed, whatever the order', () => {
    const random = seededRandom(7);
    const list = new ConnectionList<Member>();
    const expected = new Set<Member>();
    for (let name = 0; name < 500; name += 1) {
      if (random() < 0.6) {
        const member = { place: -1, name };
        list.add(member);
        expected.add(member);
      } else {
        const members = [...expected];
        const gone = members[Math.floor(random() * members.length)];
        if (gone === undefined) continue;
        list.remove(gone);
        expected.delete(gone);
      }
      expect(list.size).toBe(expected.size);
      expect(namesOf(list)).toEqual([...expected].map((member) => member.name));
    }
  });

  test('members may be removed while they are visited', () => {
    const list = new ConnectionList<Member>();
    for (let name = 0; name < 10; name += 1) list.add({ place: -1, name });
    list.forEach((member) => list.remove(member));
    expect(list.size).toBe(0);
  });
});
