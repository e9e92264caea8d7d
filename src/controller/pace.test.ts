// So many turns a second, in the order of the calls: on a clock that the test moves.
// Nothing here depends on how fast the machine is.
import { expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { Pace } from './pace.ts';

function fixture(count: number) {
  const time = new FakeRuntime();
  const pace = new Pace(time.runtime, { perSecond: 10, burst: 5 });
  const turns: number[] = [];
  const wait = async (index: number): Promise<void> => {
    await pace.wait();
    turns.push(index);
  };
  const all = (): void => {
    for (let index = 0; index < count; index += 1) void wait(index);
  };
  return { time, turns, all };
}

test('a burst goes at once, the others follow at the rate, in their order', async () => {
  const { time, turns, all } = fixture(20);
  all();
  await time.advance(0);
  expect(turns).toHaveLength(5);
  await time.advance(1_000);
  expect(turns).toHaveLength(15);
  await time.advance(1_000);
  expect(turns).toEqual(Array.from({ length: 20 }, (_, index) => index));
});

test('after a rest there is a burst again, and no more than one', async () => {
  const { time, turns, all } = fixture(20);
  await time.advance(60_000);
  all();
  await time.advance(0);
  expect(turns).toHaveLength(5);
});
