// Retry-After in all its forms, and what only looks like one: text and time in, milliseconds
// out. What a retry makes of it is in test/integration/retry-after.test.ts.
import { expect, test } from 'vitest';
import { retryAfterMs } from './retry-after.ts';

const wallMs = Date.parse('2026-11-22T01:00:00Z');

test.each([
  [undefined, 0],
  ['0', 0],
  ['3', 3_000],
  ['300', 300_000],
  ['999999999', 999_999_999_000],
  ['Sun, 22 Nov 2026 01:00:20 GMT', 20_000],
  ['Sunday, 22-Nov-26 01:00:20 GMT', 20_000],
  // It is over already.
  ['Sun, 22 Nov 2026 00:59:59 GMT', 0],
  ['Sun Nov 22 01:00:20 2026', 0],
  ['Sun, 22 Nov 2026 25:00:20 GMT', 0],
  ['1.5', 0],
  ['-1', 0],
  ['1e3', 0],
  ['9999999999', 0],
  ['soon', 0],
  ['', 0],
  [`Sun${' '.repeat(100)} GMT`, 0],
])('%j asks for %d ms', (said, askedMs) => {
  expect(retryAfterMs(said, wallMs)).toBe(askedMs);
});
