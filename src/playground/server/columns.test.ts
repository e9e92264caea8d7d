// Ages in kubectl's words. The boundaries are those of apimachinery's duration.HumanDuration.
// Which columns a kind has is in the conformance cases.
import { expect, test } from 'vitest';
import { ageText } from './columns.ts';

const ages: readonly (readonly [number, string])[] = [
  [0, '0s'],
  [119, '119s'],
  [120, '2m'],
  [125, '2m5s'],
  [600, '10m'],
  [10_799, '179m'],
  [10_800, '3h'],
  [11_000, '3h3m'],
  [28_800, '8h'],
  [172_799, '47h'],
  [172_800, '2d'],
  [180_000, '2d2h'],
  [691_200, '8d'],
  [31_536_000, '365d'],
  [63_072_000, '2y'],
];

test.each(ages)('%i seconds is %s', (seconds, text) => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  const createdAt = new Date(nowMs - seconds * 1000).toISOString();
  expect(ageText(createdAt, nowMs)).toBe(text);
});

test('an object without a time has an unknown age', () => {
  expect(ageText(undefined, 0)).toBe('<unknown>');
  expect(ageText('yesterday', 0)).toBe('<unknown>');
});
