// Retries of two services in a row multiply, unless budgets hold them: what pods that are down get
// of them, in a simulation with fixed seeds. `npm run bench -- balance` prints the table of
// docs/performance.md.
import { describe, expect, test } from 'vitest';
import { simulateTiers } from './retry-tiers-sim.ts';

const outage = { retries: 2, downSeconds: 60, seed: 7 };

describe('pods that are down behind two services with retries', () => {
  test.each([500, 1_000, 3_000])('get at most 1.25 attempts of each of %i requests/s', (rate) => {
    const { amplification, later } = simulateTiers({ ...outage, requestsPerSecond: rate });
    expect(amplification).toBeLessThanOrEqual(1.25);
    expect(later).toBeLessThanOrEqual(1.1);
  });

  test('as many as allowed retries or not: the budget is what holds', () => {
    const many = simulateTiers({ ...outage, retries: 10, requestsPerSecond: 1_000 });
    expect(many.amplification).toBeLessThanOrEqual(1.25);
  });

  test('get more than ten retries a second of each service from nobody, however few call', () => {
    for (const requestsPerSecond of [1, 10, 100]) {
      const { requests, amplification } = simulateTiers({ ...outage, requestsPerSecond });
      const retriesPerSecond = ((amplification - 1) * requests) / outage.downSeconds;
      // What was saved up before the outage comes on top: a fifth of its last ten seconds, twice.
      const saved = (2 * 0.2 * 10 * requestsPerSecond * 1.2) / outage.downSeconds;
      expect(retriesPerSecond).toBeLessThanOrEqual(2 * 10 * 1.2 + saved);
    }
  });

  test('the same seed gives the same outcome', () => {
    const scenario = { ...outage, requestsPerSecond: 100 };
    expect(simulateTiers(scenario)).toEqual(simulateTiers(scenario));
  });
});
