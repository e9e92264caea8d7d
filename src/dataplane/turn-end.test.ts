// Steps at the end of a turn of the event loop, on the event loop itself. What is said in them is
// in the tests of sessions; here is that none of them stands in the way of another.
import { expect, test } from 'vitest';
import { TurnEnd } from './turn-end.ts';

test('a step that throws is told, and the others run', async () => {
  const bugs: unknown[] = [];
  const turnEnd = new TurnEnd((error) => bugs.push(error));
  const bug = new Error('a bug');
  const ran: string[] = [];
  turnEnd.add(() => ran.push('first'));
  turnEnd.add(() => {
    throw bug;
  });
  await new Promise<void>((done) => {
    turnEnd.add(() => {
      ran.push('last');
      done();
    });
  });
  expect(ran).toEqual(['first', 'last']);
  expect(bugs).toEqual([bug]);
});
