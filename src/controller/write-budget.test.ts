// How often one object may be written, with time as an argument: what a burst costs, and what
// somebody costs who reverts every write.
import { expect, test } from 'vitest';
import { WriteBudget } from './write-budget.ts';

test('a burst goes through at once, then one write in two seconds', () => {
  const budget = new WriteBudget();
  const first = Array.from({ length: 11 }, () => budget.take(5_000));
  expect(first).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2_000]);
  expect(budget.take(6_999)).toBe(1);
  expect(budget.take(7_000)).toBe(0);
  expect(budget.take(7_000)).toBe(2_000);
});

test('somebody who reverts every write for an hour costs no more than that', () => {
  const budget = new WriteBudget();
  let writes = 0;
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += 50) if (budget.take(nowMs) === 0) writes += 1;
  expect(writes).toBe(1_809);
});
