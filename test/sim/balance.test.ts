// Balancing and ejection against random choice and strict turns, in a simulation with fixed seeds:
// what one bad endpoint costs callers. `npm run bench -- balance` prints the table of
// docs/performance.md.
import { describe, expect, test } from 'vitest';
import { compareChoosers } from './balance-sim.ts';

describe.each([3, 10])('one of %i endpoints', (endpoints) => {
  test.each(['none', 'slow', 'flapping', 'swallowing', 'tails'] as const)(
    '%s: no worse than the others in the tail, and fewer errors',
    (trouble) => {
      const { weft, random, 'round-robin': turns } = compareChoosers(trouble, endpoints);
      expect(weft.p99Ms).toBeLessThanOrEqual(Math.min(random.p99Ms, turns.p99Ms) * 1.05);
      expect(weft.errorPercent).toBeLessThanOrEqual(
        Math.min(random.errorPercent, turns.errorPercent) + 0.05,
      );
    },
  );

  test('refusing: nobody notices', () => {
    expect(compareChoosers('refusing', endpoints).weft.errorPercent).toBe(0);
  });

  test('flapping or swallowing costs less than a fifth of what turns cost', () => {
    for (const trouble of ['flapping', 'swallowing'] as const) {
      const { weft, 'round-robin': turns } = compareChoosers(trouble, endpoints);
      expect(weft.errorPercent).toBeLessThan(turns.errorPercent / 5);
    }
  });
});
