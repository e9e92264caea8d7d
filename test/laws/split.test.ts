// Law of weighted splits (smi §1.4, R-33 … R-38): in every window of Σ turns each backend is picked
// exactly as often as its weight says, and its turns are spread. One seed, many weights; a control
// with weights that are 2 % wrong shows that the law can fail.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { compileTable, decide, pickBackend, type Split } from '../../src/route/index.ts';
import { requestHead } from '../support/request-head.ts';
import { nodePart, recordsOf, serviceSection, splitTo } from '../support/sections.ts';

function splitOf(weights: readonly number[]): Split {
  const named = Object.fromEntries(weights.map((weight, at) => [`shop/b${at}`, weight]));
  const routes = [splitTo('split shop/web', named)];
  const table = compileTable(recordsOf(serviceSection('shop/web', { routes })), nodePart());
  const decision = decide(table, requestHead());
  if (decision.kind === 'refuse') throw new Error(decision.reason);
  return decision.split;
}

/** Positions of the backends that `turns` turns from `start` go to. */
function picksOf(split: Split, turns: number, start = 0): readonly number[] {
  const at = new Map(split.backends.map(({ backend }, position) => [backend, position]));
  return Array.from({ length: turns }, (_, turn) => at.get(pickBackend(split, start + turn)) ?? -1);
}

function sumOf(weights: readonly number[]): number {
  return weights.reduce((sum, weight) => sum + weight, 0);
}

/** Starts of windows of Σ turns in which some backend was not picked exactly `weights` times. */
function unevenWindows(picks: readonly number[], weights: readonly number[]): readonly number[] {
  const total = sumOf(weights);
  const counts = weights.map(() => 0);
  const uneven: number[] = [];
  for (const [turn, pick] of picks.entries()) {
    counts[pick] = (counts[pick] ?? 0) + 1;
    const left = picks[turn - total];
    if (left !== undefined) counts[left] = (counts[left] ?? 0) - 1;
    const isFull = turn >= total - 1;
    const isUneven = weights.some((weight, at) => counts[at] !== weight);
    if (isFull && isUneven) uneven.push(turn + 1 - total);
  }
  return uneven;
}

/** Farthest that a backend's count ever is from its share, over all prefixes. */
function worstDeviation(picks: readonly number[], weights: readonly number[]): number {
  const total = sumOf(weights);
  const counts = weights.map(() => 0);
  let worst = 0;
  for (const [turn, pick] of picks.entries()) {
    counts[pick] = (counts[pick] ?? 0) + 1;
    for (const [at, weight] of weights.entries()) {
      const due = ((turn + 1) * weight) / total;
      worst = Math.max(worst, Math.abs((counts[at] ?? 0) - due));
    }
  }
  return worst;
}

function randomWeights(random: () => number): readonly number[] {
  const weights = Array.from({ length: 1 + Math.floor(random() * 6) }, () =>
    random() < 0.2 ? 0 : 1 + Math.floor(random() ** 3 * 400),
  );
  return sumOf(weights) === 0 ? [1, ...weights] : weights;
}

const known: readonly (readonly number[])[] = [
  [1], [90, 10], [99, 1], [1000, 500], [0, 100], [1, 1, 1], [5, 95, 0], [33, 33, 34], [5, 5, 90],
  [1, 2, 3, 4, 5, 6, 7], [997, 2, 1],
];

describe('every window of the sum of weights is exact', () => {
  test.each(known.map((weights) => [weights.join(':'), weights] as const))('%s', (_, weights) => {
    const picks = picksOf(splitOf(weights), sumOf(weights) * 3, 17);
    expect(unevenWindows(picks, weights)).toEqual([]);
  });

  test('for three hundred random lists of weights (seed 21)', () => {
    const random = seededRandom(21);
    for (let round = 0; round < 300; round += 1) {
      const weights = randomWeights(random);
      const start = Math.floor(random() * 1e9);
      const picks = picksOf(splitOf(weights), sumOf(weights) * 2, start);
      expect({ weights, uneven: unevenWindows(picks, weights) }).toEqual({ weights, uneven: [] });
    }
  });

  test('a control: weights that are 2 % wrong break the law', () => {
    const picks = picksOf(splitOf([88, 12]), 300);
    expect(unevenWindows(picks, [90, 10]).length).toBeGreaterThan(100);
  });
});

describe('turns are spread', () => {
  test('no backend is ever far from its share (seed 22)', () => {
    const random = seededRandom(22);
    for (const weights of [...known, ...Array.from({ length: 200 }, () => randomWeights(random))]) {
      const picks = picksOf(splitOf(weights), sumOf(weights));
      // One turn per level of the tree; six backends have at most five levels.
      const isNear = worstDeviation(picks, weights) < 3;
      expect({ weights, isNear }).toEqual({ weights, isNear: true });
    }
  });

  test('the rarer of two backends never comes twice in a row, and its gaps differ by one', () => {
    for (const weights of [[95, 5], [99, 1], [7, 3], [1000, 999]]) {
      const turns = picksOf(splitOf(weights), sumOf(weights) * 2).flatMap((pick, turn) =>
        pick === 1 ? [turn] : [],
      );
      const gaps = turns.slice(1).map((turn, at) => turn - (turns[at] ?? 0));
      expect(Math.min(...gaps)).toBeGreaterThan(1);
      expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThan(2);
    }
  });
});

describe('edges', () => {
  test('a backend without weight is never picked', () => {
    expect(new Set(picksOf(splitOf([0, 3, 0, 1]), 400))).toEqual(new Set([1, 3]));
  });

  test('weights in billions keep their ratio, and one of 1 among them a share', () => {
    const picks = picksOf(splitOf([3_000_000_000, 1_000_000_000]), 4000);
    expect(unevenWindows(picks, [3, 1])).toEqual([]);
    const rare = splitOf([Number.MAX_SAFE_INTEGER - 1, 1]);
    expect(rare.order.period).toBeLessThanOrEqual(2 ** 26 + 2);
    expect(picksOf(rare, 1, rare.order.period - 1)).toEqual([1]);
  });

  test('a counter of 32 bits may wrap and be negative', () => {
    const split = splitOf([1, 1]);
    expect(picksOf(split, 4, 2 ** 31 - 2)).toEqual(picksOf(split, 4, -(2 ** 31) - 2));
  });
});
