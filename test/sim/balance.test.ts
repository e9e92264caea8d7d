// Balancing and ejection against random choice and strict turns, in a simulation with fixed seeds:
// what one bad endpoint costs callers. `npm run bench -- balance` prints the table of
// docs/performance.md.
import { describe, expect, test } from 'vitest';
import { compareChoosers, simulate } from './balance-sim.ts';

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

describe('one of five that takes 20 times as long', () => {
  const pods = { serviceMs: 5, slowFactor: 20, utilisation: 0.5 };
  const under = { chooser: 'weft', trouble: 'slow', endpoints: 5, seconds: 60, pods } as const;

  test.each([7, 8, 9])('gets so few requests that p99 is that of the others (seed %i)', (seed) => {
    const { p99Ms, firstPercent } = simulate({ ...under, seed });
    const well = simulate({ ...under, trouble: 'none', seed });
    expect(firstPercent).toBeLessThan(0.5);
    expect(p99Ms).toBeLessThan(well.p99Ms * 1.5);
  });

  // A stall makes all endpoints look as slow as the one that is.
  test.each([
    { everyMs: 1_000, forMs: 50 },
    { everyMs: 2_000, forMs: 150 },
    { everyMs: 5_000, forMs: 100 },
    { everyMs: 20_000, forMs: 300 },
  ])('gets less than one of a hundred, though the node stalls (%o)', (stalls) => {
    for (const utilisation of [0.1, 0.5]) {
      const busy = { ...under, pods: { ...pods, utilisation } };
      const { firstPercent } = simulate({ ...busy, stalls, seed: 7 });
      expect(firstPercent).toBeLessThan(1);
    }
  });
});
