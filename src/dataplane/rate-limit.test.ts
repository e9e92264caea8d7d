// Rate limits by counting: what passes over a time, who shares a bucket, what a clock that jumps
// and a full table may do.
import { describe, expect, test, vi } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { unauthenticated } from '../route/index.ts';
import type { Source, VirtualHost } from '../route/index.ts';
import { bucketOf, paceOf, RateLimits, takeFrom } from './rate-limit.ts';

const rules = {
  upstreamHost: undefined,
  retryAttempts: undefined,
  retryOn: [],
  retryBudgetPercent: 20,
  timeoutMs: undefined,
  connectTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  perTryTimeoutMs: undefined,
  maxRequestBodyBytes: undefined,
  isStopped: false,
};

const host = (service: string): VirtualHost => ({ namespace: 't', service, rules });

function caller(serviceAccount: string, podName = `${serviceAccount}-1`): Source {
  return {
    kind: 'workload',
    namespace: 't',
    serviceAccount,
    principal: `t/${serviceAccount}`,
    workload: `Deployment/${serviceAccount}`,
    podName,
  };
}

/** Workers that share the cells and have clocks of their own origin. */
function workers(count: number, buckets = 64) {
  const cells = new BigInt64Array(new SharedArrayBuffer(buckets * 16));
  const time = { ms: 0 };
  const limits = Array.from({ length: count }, (_, index) => {
    const originMs = index * 12_345.678;
    const clock = {
      nowMs: () => time.ms + originMs,
      wallMs: () => Math.floor(1_790_000_000_000 + time.ms),
    };
    return new RateLimits(cells, clock);
  });
  return { time, limits };
}

describe('over a time', () => {
  test.each([
    { average: 100, burst: 1 },
    { average: 100, burst: 100 },
    { average: 7.5, burst: 3 },
    { average: 3_000, burst: 10 },
  ])('$average a second and $burst at once pass, whichever worker is asked', (rule) => {
    const { time, limits } = workers(2);
    const random = seededRandom(3);
    const from = caller('front');
    let passed = 0;
    for (; time.ms < 10_000; time.ms += 0.1) {
      const limit = limits[Math.floor(random() * 2)];
      if (limit?.take(host('web'), from, rule) === 0) passed += 1;
    }
    // Clocks of workers agree to the millisecond that wall time has.
    const due = rule.average * 10 + rule.burst;
    expect(passed).toBeGreaterThanOrEqual(due * 0.98 - 1);
    expect(passed).toBeLessThanOrEqual(due * 1.02 + 1);
  });

  test('a quiet caller has its burst again', () => {
    const { time, limits } = workers(1);
    const rule = { average: 1, burst: 2 };
    const take = () => limits[0]?.take(host('web'), caller('front'), rule);
    expect([take(), take(), take()]).toEqual([0, 0, 1]);
    time.ms += 2_000;
    expect([take(), take(), take()]).toEqual([0, 0, 1]);
  });

  test('the wait is said in whole seconds, rounded up', () => {
    const { time, limits } = workers(1);
    const rule = { average: 0.1, burst: 1 };
    const take = () => limits[0]?.take(host('web'), caller('front'), rule);
    take();
    expect(take()).toBe(10);
    time.ms += 4_500;
    expect(take()).toBe(6);
  });
});

describe('whose bucket', () => {
  const rule = { average: 1, burst: 1 };

  test('each identity has its own at each service, and pods of one identity share it', () => {
    const { limits } = workers(1);
    const take = (service: string, from: Source) => limits[0]?.take(host(service), from, rule);
    expect(take('web', caller('front'))).toBe(0);
    expect(take('web', caller('other'))).toBe(0);
    expect(take('api', caller('front'))).toBe(0);
    expect(take('web', caller('front', 'front-2'))).toBe(1);
  });

  test('callers without identity share one', () => {
    const { limits } = workers(2);
    expect(limits[0]?.take(host('web'), unauthenticated, rule)).toBe(0);
    expect(limits[1]?.take(host('web'), { kind: 'unauthenticated' }, rule)).toBe(1);
  });

  test('a bucket that has run empty gives its place away, a full table is only stricter', () => {
    const cells = new BigInt64Array(new SharedArrayBuffer(4 * 16));
    const pace = paceOf({ average: 1, burst: 1 });
    const keys = [11n, 13n, 15n, 17n];
    for (const key of keys) expect(takeFrom(cells, bucketOf(cells, key, 5n), pace, 5n)).toBe(0n);
    const crowded = bucketOf(cells, 19n, 6n);
    expect(takeFrom(cells, crowded, pace, 6n)).toBeGreaterThan(0n);
    const later = 5n + 2_000_000_000n;
    expect(takeFrom(cells, bucketOf(cells, 19n, later), pace, later)).toBe(0n);
  });
});

test('a bucket that another worker makes for the same caller meanwhile is that of both', () => {
  const cells = new BigInt64Array(new SharedArrayBuffer(4 * 16));
  const pace = paceOf({ average: 1, burst: 1 });
  const load = Atomics.load.bind(Atomics);
  let looks = 0;
  const looked = vi.spyOn(Atomics, 'load').mockImplementation((...[of, at]) => {
    looks += 1;
    // This one has found none in all 16 places.
    if (looks === 17) {
      cells[2] = 9n;
      takeFrom(cells, 3, pace, 5n);
    }
    return load(of, at);
  });
  const found = bucketOf(cells, 9n, 5n);
  looked.mockRestore();
  expect(found).toBe(3);
});

test('a clock that goes back an hour refuses nobody for an hour', () => {
  const cells = new BigInt64Array(2);
  const pace = paceOf({ average: 1, burst: 1 });
  const hour = 3_600_000_000_000n;
  expect(takeFrom(cells, 1, pace, 2n * hour)).toBe(0n);
  expect(takeFrom(cells, 1, pace, hour)).toBe(0n);
  expect(takeFrom(cells, 1, pace, hour)).toBeGreaterThan(0n);
});
