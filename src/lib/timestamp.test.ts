// Timestamps against the platform's own calendar (tests may use Date), and what RFC 3339 does not
// allow.
import { describe, expect, test } from 'vitest';
import { parseTimestamp } from './timestamp.ts';

describe('timestamps', () => {
  const accepted = [
    '1970-01-01T00:00:00Z', '2024-02-29T23:59:59Z', '2000-03-01T00:00:00Z', '1900-02-28T12:00:00Z',
    '2024-12-31T23:59:59.999Z', '2024-05-06T07:08:09.123456Z', '2024-05-06T07:08:09+05:30',
    '1969-12-31T23:59:59-01:00', '9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z',
  ];
  test.each(accepted)('%s', (text) => {
    expect(parseTimestamp(text)).toBe(Date.parse(text));
  });

  test('every day of 40 years', () => {
    const wrong: string[] = [];
    for (let day = 0; day < 40 * 366; day += 1) {
      const text = new Date(day * 86_400_000).toISOString();
      if (parseTimestamp(text) !== day * 86_400_000) wrong.push(text);
    }
    expect(wrong).toEqual([]);
  });

  const refused = [
    '', '2024', '2024-05-06', '2024-05-06T07:08:09', '2024-05-06 07:08:09Z', '2023-02-29T00:00:00Z',
    '2024-13-01T00:00:00Z', '2024-04-31T00:00:00Z', '2024-05-06T24:00:00Z', 'May 6 2024', '0',
    '2024-05-06T07:61:09Z', '2024-05-06T07:08:61Z', '2024-05-06T07:08:09.Z', '2024-00-01T00:00:00Z',
  ];
  test.each(refused)('%j is none', (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });
});
