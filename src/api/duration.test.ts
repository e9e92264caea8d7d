// Durations and percentages as annotations have them. What Go takes and we do not (signs, days,
// microseconds) is refused, not guessed.
import { describe, expect, test } from 'vitest';
import { parseDuration, parsePercent } from './duration.ts';

describe('durations become whole milliseconds', () => {
  const accepted: readonly (readonly [string, number])[] = [
    ['250ms', 250],
    ['5s', 5000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['1h2m3s4ms', 3_723_004],
    ['1.5s', 1500],
    ['0s', 0],
    ['24h', 86_400_000],
  ];
  test.each(accepted)('%s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  const refused = [
    '', '5', 's', '5 s', '-5s', '5sec', '1d', '5s1m', '5s5s', '25h', '5us', '1e3s', '.5s',
  ];
  test.each(refused)('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('percentages lie between 0 and 100', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['20', 20],
    ['20%', 20],
    ['0.5%', 0.5],
    ['100', 100],
    ['0', 0],
    ['101', undefined],
    ['-1', undefined],
    ['%', undefined],
    ['1e1', undefined],
  ];
  test.each(cases)('%s', (text, expected) => {
    expect(parsePercent(text)).toBe(expected);
  });
});
