// Laws of telling a worker in pieces: nothing is lost, order stays, and only the last piece counts.
// Timers are made by hand, so each turn of the loop is one call.
import { describe, expect, test } from 'vitest';
import type { Timers } from '../lib/clock.ts';
import { applyNodePart, type AddressBinding, type NodePart } from '../snapshot/index.ts';
import type { ToWorker } from './messages.ts';
import { pacedThread } from './paced-thread.ts';

type Recorded = {
  readonly posted: ToWorker[];
  readonly turn: () => boolean;
  readonly paced: ReturnType<typeof pacedThread>;
  readonly ended: () => boolean;
};

function recorded(): Recorded {
  const posted: ToWorker[] = [];
  const due: (() => void)[] = [];
  let isEnded = false;
  const timers: Timers = {
    after: (_, run) => {
      due.push(run);
      return { cancel: () => due.splice(due.indexOf(run), 1) };
    },
  };
  const end = (): void => {
    isEnded = true;
  };
  const thread = { post: (message: ToWorker) => void posted.push(message), terminate: end };
  return {
    posted,
    turn: () => {
      const run = due.shift();
      run?.();
      return run !== undefined;
    },
    paced: pacedThread(thread, timers),
    ended: () => isEnded,
  };
}

const disputed: AddressBinding = { kind: 'disputed' };
const snapshot = { base: undefined, version: 'v1', changed: [], removed: [] };
const slots = { isComplete: true, set: [], removed: [] };

function update(sequence: number, count: number, removed: readonly string[] = []) {
  const set = Array.from({ length: count }, (_, at) => [`10.0.${at >> 8}.${at & 255}`, disputed]);
  const node = { nodeName: 'node-1', isComplete: removed.length === 0, set, removed };
  return { kind: 'update', sequence, slots, snapshot, node } as unknown as Update;
}

type Update = Extract<ToWorker, { kind: 'update' }>;

function updatesOf(posted: readonly ToWorker[]): readonly Update[] {
  return posted.filter((message) => message.kind === 'update');
}

describe('a paced thread', () => {
  test('posts a small message at once', () => {
    const { paced, posted } = recorded();
    const message = update(3, 2_000);
    paced.post(message);
    expect(posted).toEqual([message]);
  });

  test('posts a large update in pieces, none in the turn that asked, one per turn', () => {
    const { paced, posted, turn } = recorded();
    paced.post(update(3, 5_000));
    expect(posted).toHaveLength(0);
    for (const count of [1, 2, 3]) {
      expect(turn()).toBe(true);
      expect(posted).toHaveLength(count);
    }
    expect(turn()).toBe(false);
  });

  test('pieces add up to the whole, also over a part that is known already', () => {
    const { paced, posted, turn } = recorded();
    const held: NodePart = { nodeName: 'node-1', bindings: new Map([['10.9.9.9', disputed]]) };
    const message = update(3, 4_500, ['10.9.9.9']);
    paced.post(message);
    while (turn());
    let part: NodePart | undefined = held;
    for (const { node } of updatesOf(posted)) if (node) part = applyNodePart(part, node);
    expect(part).toEqual(message.node && applyNodePart(held, message.node));
    expect(part?.bindings.size).toBe(4_500);
  });

  test('peers come with the last piece', () => {
    const { paced, posted, turn } = recorded();
    const none = new Set<string>();
    const sets = { bare: none, deaf: none };
    const peers = { nodes: new Map(), dial: new Map(), ...sets, knowsAllPods: true };
    paced.post({ ...update(3, 4_500), peers });
    while (turn());
    expect(updatesOf(posted).map((one) => one.peers)).toEqual([undefined, undefined, peers]);
  });

  test('a complete part replaces all that was known before', () => {
    const { paced, posted, turn } = recorded();
    paced.post(update(3, 4_500));
    while (turn());
    let part: NodePart | undefined = {
      nodeName: 'node-1',
      bindings: new Map([['10.9.9.9', disputed]]),
    };
    for (const { node } of updatesOf(posted)) if (node) part = applyNodePart(part, node);
    expect(part?.bindings.has('10.9.9.9')).toBe(false);
    expect(part?.bindings.size).toBe(4_500);
  });

  test('only the last piece carries snapshot, slots and the sequence', () => {
    const { paced, posted, turn } = recorded();
    paced.post(update(3, 4_500));
    while (turn());
    expect(updatesOf(posted).map((piece) => piece.sequence)).toEqual([2, 2, 3]);
    expect(updatesOf(posted).map((piece) => piece.snapshot?.version)).toEqual([
      undefined,
      undefined,
      'v1',
    ]);
    expect(updatesOf(posted).filter((piece) => piece.slots !== undefined)).toHaveLength(1);
  });

  test('what comes after a large update waits behind it', () => {
    const { paced, posted, turn } = recorded();
    paced.post(update(3, 4_500));
    paced.post({ kind: 'inspect', query: 1 });
    paced.post(update(4, 1));
    while (turn());
    const order = posted.map((one) => (one.kind === 'update' ? one.sequence : one.kind));
    expect(order).toEqual([2, 2, 3, 'inspect', 4]);
  });

  test('a thread that is ended is told nothing more', () => {
    const { paced, posted, turn, ended } = recorded();
    paced.post(update(3, 4_500));
    turn();
    paced.terminate();
    expect(turn()).toBe(false);
    expect(posted).toHaveLength(1);
    expect(ended()).toBe(true);
  });
});
