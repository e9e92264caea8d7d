// Weights are exact: whatever the weights of a split, every window of as many picks as their sum
// (in lowest terms) holds each backend exactly as often as its weight says, wherever the window
// begins. The control has weights that are 2 % wrong, and has to fail the same check.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { decide, pickBackend, type Split } from '../../src/route/index.ts';
import { serviceOf, settingsOf, splitOf, stateOf } from '../support/builders.ts';
import { compiled, headOf } from '../support/core.ts';

const seed = Number(process.env['WEFT_SEED'] ?? 42);
const settings = settingsOf();

function splitFor(weights: readonly number[]): Split {
  const names = weights.map((_, index) => `v${index}`);
  const objects = [
    serviceOf('shop/web'),
    ...names.map((name) => serviceOf(`shop/${name}`)),
    splitOf(
      'shop/web',
      'web',
      Object.fromEntries(names.map((name, at) => [name, weights[at] ?? 0])),
    ),
  ];
  const { table } = compiled(stateOf(...objects), settings);
  const decision = decide(table, headOf({ hostname: 'web.shop.mesh' }));
  if (decision.kind === 'refuse') throw new Error(decision.reason);
  return decision.split;
}

/** Windows of `window` picks in which some backend is not picked as often as `weights` say. */
function wrongWindows(split: Split, weights: readonly number[], starts: readonly number[]): number {
  const window = weights.reduce((sum, weight) => sum + weight, 0);
  return starts.filter((start) => {
    const counts = new Map<string, number>();
    for (let turn = start; turn < start + window; turn += 1) {
      const { service } = pickBackend(split, turn);
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    return weights.some((weight, index) => (counts.get(`v${index}`) ?? 0) !== weight);
  }).length;
}

function startsFrom(random: () => number): readonly number[] {
  return [0, 1, ...Array.from({ length: 6 }, () => Math.floor(random() * 1_000_000))];
}

describe('every window of Σ weights picks', () => {
  test('is exact, for random weights', () => {
    const random = seededRandom(seed);
    for (let round = 0; round < 100; round += 1) {
      const count = 1 + Math.floor(random() * 5);
      const weights: number[] = Array.from({ length: count }, () =>
        Math.floor(random() ** 3 * 200),
      );
      if (!weights.some((weight) => weight > 0)) weights[0] = 1;
      const wrong = wrongWindows(splitFor(weights), weights, startsFrom(random));
      expect(wrong, `weights ${weights.join(', ')}`).toBe(0);
    }
  });

  test('is not exact for a control whose weights are 2 % wrong', () => {
    const starts = startsFrom(seededRandom(seed));
    expect(wrongWindows(splitFor([92, 8]), [90, 10], starts)).toBe(starts.length);
    expect(wrongWindows(splitFor([490, 510]), [500, 500], starts)).toBe(starts.length);
  });

  test('has no run of one backend beyond what its weight needs', () => {
    const split = splitFor([50, 50]);
    const picks = Array.from({ length: 100 }, (_, turn) => pickBackend(split, turn).service);
    expect(picks.filter((service, turn) => service === picks[turn + 1])).toEqual([]);
  });
});
