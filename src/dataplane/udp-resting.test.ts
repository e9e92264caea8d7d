// Sockets that keep their ports after their flows: for how long, how many, and what is closed at
// once. Only the order of closing is looked at; real sockets are test/integration/udp.test.ts.
import { describe, expect, test } from 'vitest';
import { fakeTime } from '../../test/support/fake-time.ts';
import type { ConnectedDatagrams } from '../lib/datagrams.ts';
import { Deadlines } from './deadlines.ts';
import { RestingSockets } from './udp-resting.ts';

function rest(max = 2) {
  const time = fakeTime();
  const deadlines = new Deadlines(time.clock, time.timers);
  const resting = new RestingSockets(deadlines, max);
  const closed: string[] = [];
  const socket = (name: string): ConnectedDatagrams => {
    return { send: () => 'sent', close: () => void closed.push(name) };
  };
  return { time, deadlines, resting, closed, socket };
}

describe('a socket', () => {
  test('that has sent lately rests for five seconds, each its own', () => {
    const { time, deadlines, resting, closed, socket } = rest();
    resting.closeLater(socket('a'), resting.nowMs());
    time.advance(3_000);
    resting.closeLater(socket('b'), resting.nowMs());
    time.advance(2_050);
    expect([closed, resting.size]).toEqual([['a'], 1]);
    time.advance(3_000);
    expect([closed, resting.size, deadlines.armed]).toEqual([['a', 'b'], 0, 0]);
  });

  test.each([
    ['has sent nothing', -Infinity],
    ['sent long ago', -5_000],
  ])('that %s is closed at once', (_, sinceMs) => {
    const { deadlines, resting, closed, socket } = rest();
    resting.closeLater(socket('a'), resting.nowMs() + sinceMs);
    expect([closed, resting.size, deadlines.armed]).toEqual([['a'], 0, 0]);
  });

  test('of too many goes: the one that has rested longest', () => {
    const { resting, closed, socket } = rest();
    for (const name of ['a', 'b', 'c']) resting.closeLater(socket(name), resting.nowMs());
    expect([closed, resting.size]).toEqual([['a'], 2]);
  });

  test('does not outlive the worker', () => {
    const { deadlines, resting, closed, socket } = rest();
    resting.closeLater(socket('a'), resting.nowMs());
    resting.close();
    expect([closed, resting.size, deadlines.armed]).toEqual([['a'], 0, 0]);
  });
});
