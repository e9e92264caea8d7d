// Whether a watch may have missed something, by what was seen of it. Times are arguments, so each
// limit is tested to the millisecond.
import { describe, expect, test } from 'vitest';
import { WatchGap } from './watch-gap.ts';

const open = { isConnected: true, relists: 0 };
const closed = { isConnected: false, relists: 0 };

function seen(...sights: readonly (readonly [sight: typeof open, atMs: number])[]): WatchGap {
  const gap = new WatchGap();
  for (const [sight, atMs] of sights) gap.note(sight, atMs);
  return gap;
}

describe('a gap', () => {
  test('is none at the first connection, however late', () => {
    expect(seen([closed, 0], [closed, 9_000], [open, 20_000]).take()).toBe(false);
  });

  test('is a break of more than a second, told once', () => {
    const gap = seen([open, 0], [closed, 1_000], [open, 2_100]);
    expect([gap.take(), gap.take()]).toEqual([true, false]);
    expect(seen([open, 0], [closed, 1_000], [open, 2_000]).take()).toBe(false);
  });

  test('is a list that began anew, however short the break', () => {
    expect(seen([open, 0], [{ ...open, relists: 1 }, 10]).take()).toBe(true);
  });

  test('is there as long as the stream is closed', () => {
    const gap = seen([open, 0], [closed, 10]);
    expect([gap.take(), gap.take()]).toEqual([true, true]);
  });
});

test('a watch is stale after five seconds without a stream', () => {
  const gap = seen([open, 0], [closed, 1_000]);
  expect([gap.isLive(6_000), gap.isLive(6_001)]).toEqual([true, false]);
  gap.note(open, 7_000);
  expect(gap.isLive(60_000)).toBe(true);
});
