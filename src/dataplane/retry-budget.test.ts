// The retry budget: a share of the requests of ten seconds plus ten a second, shared by all who
// have the same cells.
import { describe, expect, test } from 'vitest';
import { depositRequest, withdrawRetry } from './retry-budget.ts';

const startMs = 1_790_000_000_000;

function place() {
  return { cells: new Int32Array(64), offset: 32 };
}

/** How many retries are granted in a row. */
function granted(budget: ReturnType<typeof place>, wallMs: number): number {
  let count = 0;
  while (count < 10_000 && withdrawRetry(budget, wallMs)) count += 1;
  return count;
}

describe('the retry budget', () => {
  test('grants ten a second over ten seconds to a service without requests', () => {
    expect(granted(place(), startMs)).toBe(100);
  });

  test.each([
    [20, 1_000, 300],
    [0, 1_000, 100],
    [50, 10, 105],
  ])('at %i %% and %i requests grants %i', (percent, requests, retries) => {
    const budget = place();
    for (let n = 0; n < requests; n += 1) depositRequest(budget, percent, startMs + n);
    expect(granted(budget, startMs + 1_000)).toBe(retries);
  });

  test('what was granted comes back after ten seconds, not before', () => {
    const budget = place();
    expect(granted(budget, startMs)).toBe(100);
    expect(granted(budget, startMs + 9_000)).toBe(0);
    expect(granted(budget, startMs + 10_000)).toBe(100);
  });

  test('requests count for ten seconds', () => {
    const budget = place();
    for (let n = 0; n < 1_000; n += 1) depositRequest(budget, 20, startMs);
    expect(granted(budget, startMs + 10_000)).toBe(100);
  });

  test('a clock that jumps back or far ahead starts anew', () => {
    const budget = place();
    expect(granted(budget, startMs)).toBe(100);
    expect(granted(budget, startMs - 3_600_000)).toBe(100);
    expect(granted(budget, startMs + 864_000_000)).toBe(100);
  });

  test('touches its own cells alone', () => {
    const budget = place();
    depositRequest(budget, 20, startMs);
    granted(budget, startMs + 500);
    expect(budget.cells.subarray(0, 32).every((cell) => cell === 0)).toBe(true);
  });
});
