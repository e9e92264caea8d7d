// When certificates are renewed: early enough for an issuer that is away for half of a life, and
// not all at once.
import { expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { renewalOf } from './renewal.ts';

const hourMs = 3_600_000;
const notBeforeMs = Date.UTC(2026, 5, 1);
const notAfterMs = notBeforeMs + 24 * hourMs + 5 * 60_000;

test('renewal comes before half of the life, the alarm at three quarters', () => {
  const first = renewalOf({ notBeforeMs, notAfterMs, jitter: 0 });
  const last = renewalOf({ notBeforeMs, notAfterMs, jitter: 0.999_999 });
  expect((first.renewAtMs - notBeforeMs) / (notAfterMs - notBeforeMs)).toBeCloseTo(0.4, 6);
  expect((last.renewAtMs - notBeforeMs) / (notAfterMs - notBeforeMs)).toBeCloseTo(0.49, 5);
  expect(first.alarmAtMs - notBeforeMs).toBe(18.0625 * hourMs);
});

test('an issuer that goes away just before a renewal may stay away for 12 h and 10 min', () => {
  const { renewAtMs } = renewalOf({ notBeforeMs, notAfterMs, jitter: 0.999_999 });
  expect(notAfterMs - renewAtMs).toBeGreaterThan(12 * hourMs + 10 * 60_000);
});

test('a thousand certificates of one moment spread over two hours', () => {
  const random = seededRandom(24);
  const slots = new Map<number, number>();
  for (let count = 0; count < 1_000; count += 1) {
    const { renewAtMs } = renewalOf({ notBeforeMs, notAfterMs, jitter: random() });
    const minute = Math.floor((renewAtMs - notBeforeMs) / 60_000);
    slots.set(minute, (slots.get(minute) ?? 0) + 1);
  }
  expect(slots.size).toBeGreaterThan(100);
  expect(Math.max(...slots.values())).toBeLessThan(25);
});
