// Turns, paces and bounds of the queue of certificate requests; time is a number here.
// No clock, no requests: only ids.
import { describe, expect, test } from 'vitest';
import { RequestPace, waitingMax } from './request-pace.ts';
import type { Requester } from './request-pace.ts';

const node = (name: string): Requester => ({ kind: 'node', name });
const user = (name: string): Requester => ({ kind: 'user', name });

/** Adds `count` requests, the oldest first. */
function fill(pace: RequestPace, requester: Requester, count: number, prefix = requester.name) {
  for (let at = 0; at < count; at += 1) {
    pace.add({ id: `${prefix}-${at}`, requester, createdMs: at });
  }
}

/** Ids whose turn comes at `nowMs`, until none is left. */
function turns(pace: RequestPace, nowMs: number): readonly string[] {
  const ids: string[] = [];
  for (let turn = pace.next(nowMs); turn.kind === 'turn'; turn = pace.next(nowMs)) {
    ids.push(turn.id);
  }
  return ids;
}

describe('turns', () => {
  test('nobody waits: idle', () => {
    expect(new RequestPace().next(0)).toEqual({ kind: 'idle' });
  });

  test('the oldest request is first, in whatever order they came', () => {
    const pace = new RequestPace();
    for (const createdMs of [30, 10, 20]) {
      pace.add({ id: `at-${createdMs}`, requester: node('a'), createdMs });
    }
    expect(turns(pace, 0)).toEqual(['at-10', 'at-20', 'at-30']);
  });

  test('requesters take turns, however much one of them asks', () => {
    const pace = new RequestPace();
    fill(pace, node('loud'), 5);
    fill(pace, node('quiet'), 2);
    const order = turns(pace, 0);
    expect(order.slice(0, 4)).toEqual(['loud-0', 'quiet-0', 'loud-1', 'quiet-1']);
  });

  test('what was added twice has one turn, and what was removed none', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), 3);
    fill(pace, node('a'), 3);
    pace.remove('a-1');
    expect(turns(pace, 0)).toEqual(['a-0', 'a-2']);
    expect(pace.waitingCount).toBe(0);
  });

  test('a node and a user of one name are two requesters', () => {
    const pace = new RequestPace();
    fill(pace, user('x'), 20, 'user');
    fill(pace, node('x'), 1, 'node');
    expect(turns(pace, 0)).toContain('node-0');
  });
});

describe('paces', () => {
  test('a node has 250 at once, then five in a second', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), 600);
    expect(turns(pace, 0)).toHaveLength(250);
    expect(pace.next(0)).toEqual({ kind: 'wait', waitMs: 200 });
    expect(turns(pace, 1_000)).toHaveLength(5);
    expect(turns(pace, 11_000)).toHaveLength(50);
  });

  test('anybody else has ten, then one in a second', () => {
    const pace = new RequestPace();
    fill(pace, user('mallory'), 50);
    expect(turns(pace, 0)).toHaveLength(10);
    expect(pace.next(0)).toEqual({ kind: 'wait', waitMs: 1_000 });
    expect(turns(pace, 3_000)).toHaveLength(3);
  });

  test('who has used up its own delays nobody else', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), 1_000);
    turns(pace, 0);
    fill(pace, node('b'), 3);
    expect(turns(pace, 0)).toEqual(['b-0', 'b-1', 'b-2']);
  });

  test('a pause does not save up more than a burst', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), 250);
    expect(turns(pace, 0)).toHaveLength(250);
    fill(pace, node('a'), 600, 'later');
    expect(turns(pace, 86_400_000)).toHaveLength(250);
  });

  test('who leaves and comes back has no new burst', () => {
    const pace = new RequestPace();
    fill(pace, user('mallory'), 10);
    turns(pace, 0);
    expect(pace.next(1)).toEqual({ kind: 'idle' });
    fill(pace, user('mallory'), 10, 'again');
    expect(turns(pace, 2)).toEqual([]);
  });
});

describe('bounds', () => {
  test('up to the limit nobody is too many', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), waitingMax);
    expect(pace.excess(5)).toEqual([]);
  });

  test('above it the newest are, a few at a time', () => {
    const pace = new RequestPace();
    fill(pace, node('a'), waitingMax + 7);
    fill(pace, node('b'), 10);
    const newest = [6, 5, 4, 3, 2].map((at) => `a-${waitingMax + at}`);
    expect(pace.excess(5)).toEqual(newest);
    for (const id of newest) pace.remove(id);
    expect(pace.excess(5)).toEqual([`a-${waitingMax + 1}`, `a-${waitingMax}`]);
  });
});
