// The arithmetic of balancing by latency: estimates rise at once and fall slowly, noise is no
// difference, and nobody is forgotten.
import { describe, expect, test } from 'vitest';
import { decayedUs, ewmaLoad, sampled } from './latency.ts';

describe('peak-EWMA', () => {
  test('a worse sample counts at once, a better one slowly', () => {
    expect(sampled(0, 0, 7_000)).toBe(7_000);
    expect(sampled(7_000, 100, 90_000)).toBe(90_000);
    const after = sampled(90_000, 1_000, 7_000);
    expect(after).toBeGreaterThan(80_000);
    expect(after).toBeLessThan(90_000);
    expect(sampled(90_000, 100_000, 7_000)).toBeLessThan(7_100);
  });

  test('without samples it fades, so that everybody is asked again', () => {
    expect(decayedUs(5_000_000, 10_000)).toBeCloseTo(5_000_000 / Math.E);
    const ejectedLoad = (sampleAgeMs: number) =>
      ewmaLoad({ estimateUs: 5_000_000, sampleAgeMs, ageMs: 1e6, inFlight: 0 });
    const usual = ewmaLoad({ estimateUs: 9_000, sampleAgeMs: 0, ageMs: 1e6, inFlight: 0 });
    expect(ejectedLoad(1_000)).toBeGreaterThan(usual);
    expect(ejectedLoad(90_000)).toBeLessThan(usual);
  });

  test('what nobody has measured is asked by one request', () => {
    const unknown = { estimateUs: 0, sampleAgeMs: 0, ageMs: 0 };
    expect(ewmaLoad({ ...unknown, inFlight: 0 })).toBe(0);
    expect(ewmaLoad({ ...unknown, inFlight: 1 })).toBe(60_000);
  });

  test('the noise of a node is no difference', () => {
    const loadOf = (estimateUs: number) =>
      ewmaLoad({ estimateUs, sampleAgeMs: 0, ageMs: 1e6, inFlight: 1 });
    expect(loadOf(300)).toBe(loadOf(3_900));
    expect(loadOf(9_000)).toBeGreaterThan(loadOf(3_900));
  });

  test('a young endpoint counts for more and grows into its part', () => {
    const loadOf = (ageMs: number) =>
      ewmaLoad({ estimateUs: 1_000, sampleAgeMs: 0, ageMs, inFlight: 0 });
    expect(loadOf(500) / loadOf(20_000)).toBe(10);
    expect(loadOf(5_000) / loadOf(20_000)).toBe(2);
  });
});
