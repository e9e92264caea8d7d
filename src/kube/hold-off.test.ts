// The hold-off: what goes out when, on a clock that the test moves.
// The figures are those of ARCHITECTURE.md.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { createHoldOff } from './hold-off.ts';

function held(workMs = 0) {
  const fake = new FakeRuntime();
  const runs: number[] = [];
  const holdOff = createHoldOff(fake.runtime, () => {
    runs.push(fake.nowMs);
    fake.sleep(workMs);
  });
  return { fake, runs, holdOff };
}

describe('a hold-off', () => {
  test('waits 2 ms after an object changed', async () => {
    const { fake, runs, holdOff } = held();
    holdOff.note(false);
    await fake.advance(100);
    expect(runs).toEqual([2]);
  });

  test('starts the wait anew with each further change, up to 50 ms after the first', async () => {
    const { fake, runs, holdOff } = held();
    for (let at = 0; at < 85; at += 1) {
      holdOff.note(false);
      await fake.advance(1);
    }
    await fake.advance(100);
    // The first at 0, the last at 84: runs at 50, and 2 ms after the last.
    expect(runs).toEqual([50, 86]);
  });

  test('begins runs 20 ms apart at least while changes come one by one', async () => {
    const { fake, runs, holdOff } = held();
    for (let at = 0; at < 5; at += 1) {
      holdOff.note(false);
      await fake.advance(8);
    }
    await fake.advance(100);
    expect(runs).toEqual([2, 22, 42]);
  });

  test('runs at once for what is urgent, with what was held', async () => {
    const { fake, runs, holdOff } = held();
    holdOff.note(false);
    await fake.advance(1);
    holdOff.note(true);
    await fake.advance(0);
    expect(runs).toEqual([1]);
    await fake.advance(100);
    expect(runs).toEqual([1]);
  });

  test('makes one run of many urgent events that arrive together', async () => {
    const { fake, runs, holdOff } = held();
    for (let at = 0; at < 1_000; at += 1) holdOff.note(true);
    await fake.advance(100);
    expect(runs).toEqual([0]);
  });

  test('leaves the loop alone as long as the last run took', async () => {
    const { fake, runs, holdOff } = held(20);
    holdOff.note(true);
    await fake.advance(0);
    holdOff.note(true);
    await fake.advance(100);
    expect(runs).toEqual([0, 40]);
  });

  test('runs nothing after it was cancelled', async () => {
    const { fake, runs, holdOff } = held();
    holdOff.note(true);
    holdOff.cancel();
    await fake.advance(100);
    expect(runs).toEqual([]);
    expect(fake.timerCount).toBe(0);
  });

  test('tells when the first of the events came, each batch anew', async () => {
    const fake = new FakeRuntime();
    const firsts: number[] = [];
    const holdOff = createHoldOff(fake.runtime, (firstMs) => firsts.push(firstMs));
    await fake.advance(3);
    holdOff.note(false);
    await fake.advance(1);
    holdOff.note(false);
    await fake.advance(100);
    holdOff.note(true);
    await fake.advance(10);
    expect(firsts).toEqual([3, 104]);
  });
});
