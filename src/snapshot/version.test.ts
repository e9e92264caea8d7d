// The version depends on ids and texts alone, and a change hashes its neighbourhood anew, no more.
// Seeds say which sections come and go.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import type { Section, SectionId, SectionRecord } from './sections.ts';
import { hashedRuns, versionOf } from './version.ts';
import type { HashedRuns } from './version.ts';

function recordOf(index: number, text = `{"n":${index}}`): SectionRecord {
  const id = `service/team-${Math.floor(index / 50)}/service-${index}` as SectionId;
  // Nothing here looks into it.
  return { id, text, section: {} as Section };
}

function sorted(records: readonly SectionRecord[]): readonly SectionRecord[] {
  return [...records].sort((left, right) => (left.id < right.id ? -1 : 1));
}

const many = sorted(Array.from({ length: 1_000 }, (_, index) => recordOf(index)));

function others(runs: HashedRuns, before: HashedRuns): number {
  return [...runs.values()].filter((run) => ![...before.values()].includes(run)).length;
}

describe('the version', () => {
  const runs = hashedRuns(many, undefined);

  test('stands for runs of some dozens', () => {
    expect(runs.size).toBeGreaterThan(10);
    expect(runs.size).toBeLessThan(100);
    expect([...runs.values()].flatMap(({ records }) => records)).toEqual(many);
  });

  test('of nothing is a version, too', () => {
    expect(versionOf(hashedRuns([], undefined))).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each(many.filter((_, index) => index % 83 === 0))('changes with the text of $id', (one) => {
    const changed = many.map((record) => (record === one ? { ...one, text: '{}' } : record));
    const next = hashedRuns(changed, runs);
    expect(versionOf(next)).not.toBe(versionOf(runs));
    expect(others(next, runs)).toBe(1);
    expect(versionOf(hashedRuns(many, next))).toBe(versionOf(runs));
  });

  test('changes when two sections swap their texts', () => {
    const [first, second, ...rest] = many;
    if (first === undefined || second === undefined) throw new Error('too few');
    const swapped = [{ ...first, text: second.text }, { ...second, text: first.text }, ...rest];
    expect(versionOf(hashedRuns(swapped, runs))).not.toBe(versionOf(runs));
  });

  test('is the same whatever it was before, and costs the neighbourhood of what changed', () => {
    const random = seededRandom(11);
    let held = runs;
    let records = many;
    for (let round = 0; round < 300; round += 1) {
      const at = Math.floor(random() * records.length);
      const isGoing = random() < 0.5;
      records = isGoing
        ? records.filter((_, index) => index !== at)
        : sorted([...records, recordOf(1_000 + round)]);
      const next = hashedRuns(records, held);
      expect(versionOf(next)).toBe(versionOf(hashedRuns(records, undefined)));
      expect(others(next, held)).toBeLessThanOrEqual(2);
      held = next;
    }
  });
});
