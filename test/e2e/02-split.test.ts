// A TrafficSplit is applied and changed under load: no request fails, and each phase has the shares
// that were asked for, as far as chance lets one tell (chi-square).
import { describe, expect, test } from 'vitest';
import { failuresOf, startLoad, type LoadResult } from './support/calls.ts';
import { apply, kubectl } from './support/kubectl.ts';
import { pause } from './support/load-everywhere.ts';
import { trafficSplit } from './support/objects.ts';
import { apiUrl, callers } from './support/shop.ts';

const phases = [
  [90, 10],
  [50, 50],
  [0, 100],
] as const;
const phaseMs = 8_000;
/** Chi-square with one degree of freedom: more than this is chance once in 1000 times. */
const chiSquareMax = 10.83;

type Counts = readonly [v1: number, v2: number];

describe('a split by kubectl apply', () => {
  test('90/10, 50/50, 0/100: shares as asked for, and no failed request', async () => {
    const loads = await Promise.all(
      (await callers()).map((from) => startLoad(from, { urls: [apiUrl], perSecond: 60 })),
    );
    const windows: (readonly [fromMs: number, toMs: number])[] = [];
    for (const [v1, v2] of phases) {
      await apply([trafficSplit('shop', 'api', { 'api-v1': v1, 'api-v2': v2 })]);
      const fromMs = Date.now();
      await pause(phaseMs);
      windows.push([fromMs, Date.now()]);
    }
    const results = await Promise.all(loads.map((load) => load.stop()));
    await kubectl(['-n', 'shop', 'delete', 'trafficsplits.split.smi-spec.io', 'api']);
    expect(results.flatMap(failuresOf)).toEqual([]);
    const shares = windows.map((window) => countsIn(results, window));
    console.log(`answers by v1 and v2 in each phase: ${JSON.stringify(shares)}`);
    for (const [index, phase] of phases.entries()) {
      const counts = shares[index] ?? [0, 0];
      expect(counts[0] + counts[1]).toBeGreaterThan(300);
      if (phase[0] === 0) expect(counts[0]).toBe(0);
      else expect(chiSquare(counts, phase)).toBeLessThan(chiSquareMax);
    }
  });
});

/** Whole seconds of the window but for the first two: a change takes time to reach all nodes. */
function countsIn(
  results: readonly LoadResult[],
  [fromMs, toMs]: readonly [number, number],
): Counts {
  const [first, last] = [Math.ceil(fromMs / 1_000) + 1, Math.floor(toMs / 1_000) - 1];
  const counts = { 'api-v1': 0, 'api-v2': 0 };
  for (const { versions } of results) {
    for (let second = first; second <= last; second += 1) {
      for (const name of ['api-v1', 'api-v2'] as const) {
        counts[name] += versions[String(second)]?.[name] ?? 0;
      }
    }
  }
  return [counts['api-v1'], counts['api-v2']];
}

function chiSquare(counts: Counts, weights: readonly [number, number]): number {
  const total = counts[0] + counts[1];
  const whole = weights[0] + weights[1];
  return [0, 1].reduce((sum, index) => {
    const expected = (total * (weights[index] ?? 0)) / whole;
    return sum + ((counts[index] ?? 0) - expected) ** 2 / expected;
  }, 0);
}
