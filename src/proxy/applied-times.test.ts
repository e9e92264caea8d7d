// How long publications take from their event to every worker: each counted once, none kept for
// ever, whether a worker runs or not.
import { describe, expect, test } from 'vitest';
import { AppliedTimes } from './applied-times.ts';

describe('times of publications', () => {
  test('an applied publication counts once, with all before it', () => {
    const times = new AppliedTimes();
    times.published(1, 100);
    times.published(2, 110);
    times.published(4, 130);
    expect(times.applied(2, 150)).toEqual([50, 40]);
    expect(times.applied(2, 160)).toEqual([]);
    expect(times.applied(9, 160)).toEqual([30]);
    expect(times.waitingCount).toBe(0);
  });

  test('publications that no worker confirms are forgotten, the oldest first', () => {
    const times = new AppliedTimes();
    for (let sequence = 1; sequence <= 10_000; sequence += 1) times.published(sequence, sequence);
    expect(times.waitingCount).toBe(256);
    expect(times.applied(9_745, 10_000)).toEqual([255]);
  });
});
