// Quantities are exact: each suffix, each sign, each rounding, and the ratio of weights.
// Numbers in titles are the texts as a user writes them.
import { describe, expect, test } from 'vitest';
import { integerRatio, parseQuantity, parseSize } from './quantity.ts';

describe('quantities are read exactly', () => {
  const accepted: readonly (readonly [string, bigint])[] = [
    ['0', 0n],
    ['1', 1_000_000_000n],
    ['+1', 1_000_000_000n],
    ['-1', -1_000_000_000n],
    ['1.', 1_000_000_000n],
    ['.5', 500_000_000n],
    ['0.1', 100_000_000n],
    ['500m', 500_000_000n],
    ['10m', 10_000_000n],
    ['1u', 1_000n],
    ['1n', 1n],
    ['0.1n', 1n],
    ['1e3', 1_000_000_000_000n],
    ['1E3', 1_000_000_000_000n],
    ['1E', 1_000_000_000_000_000_000_000_000_000n],
    ['1e-3', 1_000_000n],
    ['1.5Ki', 1536_000_000_000n],
    ['10Mi', 10_485_760_000_000_000n],
    ['2k', 2_000_000_000_000n],
  ];
  test.each(accepted)('%s', (text, nano) => {
    expect(parseQuantity(text)).toEqual({ nano });
  });

  const refused = [
    '', '.', '+', 'm', '1 ', ' 1', '1mm', '1K', '1ki', '1e', '1e+', '1.2.3', '0x1', 'abc', '1,5',
    '1e99', '--1', 'NaN', 'Infinity', '9'.repeat(65),
  ];
  test.each(refused)('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
  });
});

describe('sizes are whole bytes', () => {
  const sizes: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['4096', 4096],
    ['10Mi', 10_485_760],
    ['512k', 512_000],
    ['0.5Ki', 512],
    ['0.5', undefined],
    ['-1', undefined],
    ['1Ei', undefined],
    ['10MB', undefined],
  ];
  test.each(sizes)('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('R-45: weights keep their ratio', () => {
  const ratios: readonly (readonly [readonly string[], readonly number[]])[] = [
    [[], []],
    [['1', '2'], [1, 2]],
    [['1000', '500'], [1000, 500]],
    [['1', '500m'], [1000, 500]],
    [['1000m', '3'], [1, 3]],
    [['1u', '1'], [1, 1_000_000]],
    [['0', '100'], [0, 100]],
    [['0.1', '0.2'], [100, 200]],
  ];
  test.each(ratios)('%j', (texts, expected) => {
    const quantities = texts.flatMap((text) => parseQuantity(text) ?? []);
    expect(integerRatio(quantities).map(Number)).toEqual(expected);
  });
});
