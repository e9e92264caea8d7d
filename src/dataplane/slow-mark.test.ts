// The mark above which an answer is slow: laws over seeded samples, not figures of one run. That
// one of twenty answers is above it holds for whatever latencies look like.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { noteLatency, noteWaited, slowMarkMs } from './slow-mark.ts';

function place() {
  return { cells: new Int32Array(96), offset: 32 };
}

type Draw = (random: () => number) => number;

const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const draws: readonly (readonly [string, Draw])[] = [
  ['even', (random) => 1 + 9 * random()],
  ['exponential', (random) => 0.1 - 5 * Math.log(1 - random())],
  ['long tails', (random) => 3 * Math.exp(1.2 * normal(random))],
  ['a tenth slow', (random) => (random() < 0.1 ? 200 : 2) * (1 + random() / 10)],
];

/** The share of `count` further answers that take longer than the mark at that time. */
function slowShare(budget: ReturnType<typeof place>, draw: () => number, count: number): number {
  let slow = 0;
  for (let n = 0; n < count; n += 1) {
    const latencyMs = draw();
    if (latencyMs > (slowMarkMs(budget) ?? Infinity)) slow += 1;
    noteLatency(budget, latencyMs);
  }
  return slow / count;
}

describe('the mark of slow answers', () => {
  test.each(draws)('one of twenty takes longer: %s', (_, draw) => {
    const random = seededRandom(11);
    const budget = place();
    slowShare(budget, () => draw(random), 500);
    const share = slowShare(budget, () => draw(random), 20_000);
    expect(share).toBeGreaterThan(0.03);
    expect(share).toBeLessThan(0.07);
  });

  test('is not known before a hundred answers', () => {
    const budget = place();
    for (let n = 0; n < 99; n += 1) noteLatency(budget, 5);
    expect(slowMarkMs(budget)).toBeUndefined();
    noteLatency(budget, 5);
    expect(slowMarkMs(budget)).toBeGreaterThan(0);
  });

  test.each([
    [10, 200],
    [0.1, 3_000],
  ])('follows a service that takes %d times as long within %i answers', (factor, answers) => {
    const random = seededRandom(5);
    const budget = place();
    const draw = (times: number) => () => times * (1 - 5 * Math.log(1 - random()));
    slowShare(budget, draw(1), 2_000);
    slowShare(budget, draw(factor), answers);
    const share = slowShare(budget, draw(factor), 2_000);
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.09);
  });

  test('what was given up says something only where it had taken longer already', () => {
    const budget = place();
    for (let n = 0; n < 300; n += 1) noteLatency(budget, 10);
    const before = slowMarkMs(budget) ?? 0;
    noteWaited(budget, before / 2);
    expect(slowMarkMs(budget)).toBe(before);
    noteWaited(budget, before * 3);
    expect(slowMarkMs(budget)).toBeGreaterThan(before);
  });

  test('a service without cells of its own has none', () => {
    const nobody = { cells: new Int32Array(96), offset: 0 };
    for (let n = 0; n < 200; n += 1) noteLatency(nobody, 5);
    expect(slowMarkMs(nobody)).toBeUndefined();
    expect(nobody.cells.every((cell) => cell === 0)).toBe(true);
  });

  test('touches its own cells alone', () => {
    const budget = place();
    for (let n = 0; n < 200; n += 1) noteLatency(budget, 5);
    const own = budget.cells.subarray(52, 54);
    expect(budget.cells.filter((cell) => cell !== 0)).toEqual(own);
  });
});
