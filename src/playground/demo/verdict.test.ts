// The judge of the demo must be able to say no: each fault that it knows is shown to it here.
// A judge that accepts everything would make the demo's exit code worthless.
import { describe, expect, test } from 'vitest';
import { judge, type CallerFact, type DemoFacts } from './verdict.ts';

const allowed: CallerFact = {
  caller: 'front',
  host: 'reviews.shop.mesh',
  sent: 1000,
  accepted: 1000,
  denied: 0,
  failed: 0,
  received: 1000,
  isAllowed: true,
};
const denied: CallerFact = {
  caller: 'prying',
  host: 'cart.checkout.mesh',
  sent: 100,
  accepted: 0,
  denied: 100,
  failed: 0,
  received: 0,
  isAllowed: false,
};
const good: DemoFacts = {
  shares: [
    { backend: 'reviews-v1', weight: 90, received: 905 },
    { backend: 'reviews-v2', weight: 10, received: 95 },
  ],
  callers: [allowed, denied],
  pending: [],
};

describe('the verdict', () => {
  test('is empty when the pods received what the YAML says', () => {
    expect(judge(good)).toEqual([]);
  });

  const wrong: readonly (readonly [string, DemoFacts, RegExp])[] = [
    [
      'a share beside its weight',
      {
        ...good,
        shares: [
          { backend: 'reviews-v1', weight: 90, received: 850 },
          { backend: 'reviews-v2', weight: 10, received: 150 },
        ],
      },
      /reviews-v2 received 15.0 %/,
    ],
    ['no split at all', { ...good, shares: [] }, /no TrafficSplit/],
    ['a failed request', { ...good, callers: [{ ...allowed, failed: 1 }] }, /1 requests failed/],
    [
      'a denied request of an allowed caller',
      { ...good, callers: [{ ...allowed, denied: 3 }] },
      /3 requests were denied/,
    ],
    [
      'a request that reached a pod twice',
      { ...good, callers: [{ ...allowed, received: 1001 }] },
      /received 1001/,
    ],
    [
      'a denied caller that was let through',
      { ...good, callers: [{ ...denied, accepted: 1 }] },
      /let through/,
    ],
    [
      'a denied request that reached a pod',
      { ...good, callers: [{ ...denied, received: 1 }] },
      /reached a pod/,
    ],
    [
      'an object that is not programmed',
      { ...good, pending: ['TrafficSplit shop/reviews: on 1 of 2 nodes'] },
      /not in force everywhere: TrafficSplit shop\/reviews: on 1 of 2 nodes/,
    ],
    [
      'a sample that proves nothing',
      { ...good, callers: [{ ...denied, sent: 3, denied: 3 }] },
      /only 3/,
    ],
  ];
  test.each(wrong)('names %s', (_what, facts, expected) => {
    expect(judge(facts).join('\n')).toMatch(expected);
  });
});
