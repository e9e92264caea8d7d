// The fleet with threads that say what the test wants: starts, updates, refusals, deaths, drains.
// What a real worker does with the same messages is worker.test.ts.
import { describe, expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import type { FromWorker, Identities, ToWorker, WorkerStart } from './messages.ts';
import {
  WorkerFleet,
  type WorkerEvents,
  type WorkerThread,
  type WorkerUpdate,
} from './worker-fleet.ts';

/** A thread that keeps what it was sent, and says and does what the test tells it to. */
class FakeThread implements WorkerThread {
  readonly start: WorkerStart;
  readonly received: ToWorker[] = [];
  readonly #events: WorkerEvents;
  isTerminated = false;

  constructor(start: WorkerStart, events: WorkerEvents) {
    this.start = start;
    this.#events = events;
  }

  /** Shares of the UDP ports: a test of their own. */
  readonly udpOwners: (readonly number[])[] = [];

  readonly post = (message: ToWorker): void => {
    if (message.kind === 'udp-owners') this.udpOwners.push(message.owners);
    else this.received.push(message);
  };

  readonly terminate = (): void => {
    this.isTerminated = true;
    this.#events.onExit(undefined);
  };

  say(message: FromWorker): void {
    this.#events.onMessage(message);
  }

  die(message = 'broken'): void {
    this.#events.onExit(new Error(message));
  }

  started(): this {
    this.say({ kind: 'started', hasDirectSockets: this.start.index === 0 });
    return this;
  }

  /** Takes over the last update that it was sent. */
  apply(version = 'v1', sequence = this.lastSequence): this {
    const ports = { openPorts: [15_100], openingPorts: [], failedPorts: [] };
    this.say({ kind: 'applied', sequence, version, ...ports });
    return this;
  }

  refuse(sequence = this.lastSequence): this {
    this.say({ kind: 'refused', sequence, message: 'does not decode' });
    return this;
  }

  get updates(): readonly Extract<ToWorker, { kind: 'update' }>[] {
    return this.received.filter((message) => message.kind === 'update');
  }

  get lastSequence(): number {
    return this.updates.at(-1)?.sequence ?? -1;
  }

  /** Whether the last update was everything. */
  get isComplete(): boolean {
    return this.updates.at(-1)?.node?.isComplete === true;
  }
}

const delta: WorkerUpdate = { slots: undefined, snapshot: undefined, node: undefined };

const identities: Identities = {
  kind: 'identities',
  trustPem: 'root',
  own: undefined,
  set: [],
  removed: [],
};

type FleetTestOptions = {
  readonly spawnFails?: () => boolean;
  readonly hasIdentities?: boolean;
};

function fleetOf(count: number, options: FleetTestOptions = {}) {
  const fake = new FakeRuntime();
  const threads: FakeThread[] = [];
  const told: string[] = [];
  const started: (readonly [number, boolean])[] = [];
  const applied: number[] = [];
  const fleet = new WorkerFleet({
    count,
    runtime: fake.runtime,
    spawn: (start, events) => {
      if (options.spawnFails?.() === true) throw new Error('EAGAIN');
      const thread = new FakeThread(start, events);
      threads.push(thread);
      return thread;
    },
    // The fleet passes it on unread.
    startOf: (index) => ({ index, count }) as WorkerStart,
    completeUpdate: () => ({
      ...delta,
      node: { nodeName: 'node-1', isComplete: true, set: [], removed: [] },
    }),
    completeIdentities: () => (options.hasIdentities === true ? identities : undefined),
    events: {
      onSeries: (worker) => told.push(`series of ${worker}`),
      onAccessLog: (lines) => told.push(...lines),
      onBug: (message) => told.push(message),
      onStarted: (worker, hasDirectSockets) => started.push([worker, hasDirectSockets]),
      onRestart: (worker) => told.push(`restart of ${worker}`),
      onApplied: (sequence) => applied.push(sequence),
    },
  });
  const thread = (index: number): FakeThread => {
    const found = threads[index];
    if (found === undefined) throw new Error(`thread ${index} was not spawned`);
    return found;
  };
  return { fake, fleet, threads, thread, told, started, applied };
}

describe('identities', () => {
  test('come before the first update, and later as they change', () => {
    const { fleet, thread } = fleetOf(2, { hasIdentities: true });
    fleet.tell(identities);
    expect(thread(0).received).toEqual([]);
    thread(0).started();
    expect(thread(0).received.map(({ kind }) => kind)).toEqual(['identities', 'update']);
    fleet.tell({ ...identities, trustPem: 'another' });
    expect(thread(0).received.at(-1)).toMatchObject({ trustPem: 'another' });
    expect(thread(1).received).toEqual([]);
  });

  test('are not told where none are kept', () => {
    const { thread } = fleetOf(1);
    thread(0).started();
    expect(thread(0).received.map(({ kind }) => kind)).toEqual(['update']);
  });
});

describe('updates', () => {
  test('a worker gets everything when it has started, then what is published', () => {
    const { fleet, thread } = fleetOf(1);
    fleet.publish(delta);
    expect(thread(0).received).toEqual([]);
    thread(0).started();
    expect(thread(0).isComplete).toBe(true);
    fleet.publish(delta);
    expect(thread(0).updates).toHaveLength(2);
    expect(thread(0).isComplete).toBe(false);
  });

  test('an update counts as applied when the slowest running worker has it', () => {
    const { fleet, thread, applied } = fleetOf(2);
    thread(0).started().apply();
    expect(applied).toHaveLength(1);
    thread(1).started().apply();
    const sequence = fleet.publish(delta);
    thread(0).apply();
    expect(applied).not.toContain(sequence);
    thread(1).apply();
    expect(applied.at(-1)).toBe(sequence);
  });

  test('what a dead worker had not applied does not hold up the others', () => {
    const { fleet, thread, applied } = fleetOf(2);
    for (const index of [0, 1]) thread(index).started().apply();
    const sequence = fleet.publish(delta);
    thread(0).apply();
    thread(1).die();
    expect(applied.at(-1)).toBe(sequence);
  });

  test('the state tells versions and ports, and forgets those of a dead thread', () => {
    const { fleet, thread } = fleetOf(1);
    thread(0).started().apply('v7');
    expect(fleet.states()[0]).toMatchObject({
      isRunning: true,
      isSettled: true,
      version: 'v7',
      openPorts: [15_100],
    });
    thread(0).die();
    expect(fleet.states()[0]).toMatchObject({
      isRunning: false,
      isSettled: false,
      version: '',
      openPorts: [],
      restarts: 1,
    });
  });

  test('it is told and kept which workers drive their sockets directly', () => {
    const { fleet, thread, started } = fleetOf(2);
    for (const index of [0, 1]) thread(index).started();
    const expected = [true, false];
    expect(started).toEqual([...expected.entries()]);
    expect(fleet.states().map((state) => state.hasDirectSockets)).toEqual(expected);
    thread(0).die();
    expect(fleet.states()[0]?.hasDirectSockets).toBe(false);
  });

  test('a worker is settled once each listener has opened or failed', () => {
    const { fleet, thread } = fleetOf(1);
    const worker = thread(0).started();
    const said = { kind: 'applied', sequence: worker.lastSequence, version: 'v1' } as const;
    worker.say({ ...said, openPorts: [1], openingPorts: [2], failedPorts: [] });
    expect(fleet.states()[0]?.isSettled).toBe(false);
    worker.say({ ...said, openPorts: [1, 2], openingPorts: [], failedPorts: [] });
    worker.say({ ...said, openPorts: [1, 2], openingPorts: [3], failedPorts: [] });
    expect(fleet.states()[0]?.isSettled).toBe(true);
  });
});

describe('refusals', () => {
  test('a refused delta is answered with everything, once', () => {
    const { fleet, thread, told } = fleetOf(1);
    const worker = thread(0).started().apply();
    const first = fleet.publish(delta);
    const second = fleet.publish(delta);
    worker.refuse(first).refuse(second);
    expect(worker.updates).toHaveLength(4);
    expect(worker.isComplete).toBe(true);
    expect(told).toEqual(['worker 0 refused an update: does not decode']);
  });

  test('a refused complete update is not tried again until something new is published', () => {
    const { fleet, thread } = fleetOf(1);
    const worker = thread(0).started().apply();
    fleet.publish(delta);
    worker.refuse().refuse();
    expect(worker.updates).toHaveLength(3);
    fleet.publish(delta);
    expect(worker.updates).toHaveLength(4);
    expect(worker.isComplete).toBe(true);
    worker.apply();
    fleet.publish(delta);
    expect(worker.isComplete).toBe(false);
  });

  test('what a refusing worker says of older updates does not make it a good one', () => {
    const { fleet, thread } = fleetOf(1);
    const worker = thread(0).started().apply();
    const old = worker.lastSequence;
    fleet.publish(delta);
    worker.refuse().refuse();
    worker.apply('v1', old);
    fleet.publish(delta);
    expect(worker.isComplete).toBe(true);
  });
});

describe('deaths', () => {
  test('a worker that dies is replaced at once, and its successor gets everything', () => {
    const { fake, threads, thread, told } = fleetOf(1);
    thread(0).started().apply();
    fake.sleep(60_000);
    thread(0).die();
    expect(threads).toHaveLength(2);
    expect(told).toEqual(['worker 0 died', 'restart of 0']);
    expect(thread(1).started().isComplete).toBe(true);
  });

  test('one that dies right after its start is back within 500 ms', async () => {
    const { fake, threads, thread } = fleetOf(1);
    thread(0).started().die();
    expect(threads).toHaveLength(1);
    await fake.advance(499);
    expect(threads).toHaveLength(2);
  });

  test('one that dies again and again is started ever later, up to five seconds', async () => {
    const { fake, threads } = fleetOf(1);
    const waits: number[] = [];
    for (let death = 0; death < 8; death += 1) {
      const diedMs = fake.nowMs;
      const before = threads.length;
      threads.at(-1)?.die();
      while (threads.length === before) await fake.advance(100);
      waits.push(fake.nowMs - diedMs);
    }
    expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  });

  test('one that has lived for a while has its past forgiven', async () => {
    const { fake, threads } = fleetOf(1);
    for (let death = 0; death < 4; death += 1) {
      threads.at(-1)?.die();
      await fake.advance(2_000);
    }
    await fake.advance(60_000);
    const before = threads.length;
    threads.at(-1)?.die();
    expect(threads).toHaveLength(before + 1);
    threads.at(-1)?.die();
    await fake.advance(200);
    expect(threads).toHaveLength(before + 2);
  });

  test('a death of one worker changes nothing for the other', () => {
    const { fleet, thread } = fleetOf(2);
    for (const index of [0, 1]) thread(index).started().apply();
    const before = thread(1).received.length;
    thread(0).die();
    expect(thread(1).received).toHaveLength(before);
    fleet.publish(delta);
    expect(thread(1).received).toHaveLength(before + 1);
  });

  test('a system that has no thread to give is asked again', async () => {
    let fails = true;
    const { fake, threads, told } = fleetOf(1, { spawnFails: () => fails });
    expect(threads).toHaveLength(0);
    fails = false;
    await fake.advance(200);
    expect(threads).toHaveLength(1);
    expect(told).toContain('worker 0 died');
  });

  test('a closed fleet replaces nobody and leaves no timer', async () => {
    const { fake, fleet, threads, thread } = fleetOf(2);
    thread(0).started().die();
    fleet.close();
    await fake.advance(60_000);
    expect(threads).toHaveLength(2);
    expect(thread(1).isTerminated).toBe(true);
    expect(fake.timerCount).toBe(0);
  });
});

describe('questions', () => {
  test('the inner state of a worker comes back to who asked', async () => {
    const { fake, fleet, thread } = fleetOf(1);
    const worker = thread(0).started();
    const states = [fleet.inspect(0), fleet.inspect(0)];
    const queries = worker.received.flatMap((one) => (one.kind === 'inspect' ? one.query : []));
    for (const query of [...queries].reverse()) {
      worker.say({ kind: 'inspected', query, state: { query } });
    }
    expect(await Promise.all(states)).toEqual(queries.map((query) => ({ query })));
    expect(fake.timerCount).toBe(0);
  });

  test('one that does not answer within a second is not waited for', async () => {
    const { fake, fleet, thread } = fleetOf(1);
    thread(0).started();
    const state = fleet.inspect(0);
    await fake.advance(1_000);
    expect(await state).toBeUndefined();
    expect(await fleet.inspect(7)).toBeUndefined();
  });

  test('one that dies is not waited for', async () => {
    const { fake, fleet, thread } = fleetOf(2);
    const states = [fleet.inspect(0), fleet.inspect(1)];
    thread(0).die();
    expect(await states[0]).toBeUndefined();
    thread(1).say({ kind: 'inspected', query: 2, state: 'well' });
    expect(await states[1]).toBe('well');
    await fake.advance(1_000);
  });

  test('what workers count, log and complain about is passed on', () => {
    const { thread, told } = fleetOf(2);
    thread(1).say({ kind: 'series', definitions: [] });
    thread(1).say({ kind: 'access-log', lines: ['a line'], dropped: 0 });
    thread(1).say({ kind: 'bug', message: 'BUG: impossible' });
    expect(told).toEqual(['series of 1', 'a line', 'BUG: impossible']);
  });
});

describe('UDP ports', () => {
  const countOf = (owners: readonly number[] | undefined, worker: number): number =>
    (owners ?? []).filter((one) => one === worker).length;

  test('are shared evenly from the start, whoever starts first', () => {
    const { thread } = fleetOf(2);
    thread(1).started();
    thread(0).started();
    for (const index of [0, 1]) {
      const owners = thread(index).udpOwners.at(-1);
      expect([countOf(owners, 0), countOf(owners, 1)]).toEqual([32, 32]);
    }
  });

  test('of a worker that dies go to the living, and stay there', async () => {
    const { fake, thread } = fleetOf(2);
    thread(0).started();
    thread(1).started();
    thread(0).die();
    expect(countOf(thread(1).udpOwners.at(-1), 1)).toBe(64);
    await fake.advance(500);
    thread(2).started();
    expect(countOf(thread(2).udpOwners.at(-1), 1)).toBe(64);
    expect(thread(1).udpOwners).toHaveLength(2);
  });

  test('of the only worker wait for its successor', async () => {
    const { fake, thread } = fleetOf(1);
    thread(0).started().die();
    await fake.advance(500);
    thread(1).started();
    expect(countOf(thread(1).udpOwners.at(-1), 0)).toBe(64);
  });
});

describe('drain', () => {
  function draining(count: number) {
    const parts = fleetOf(count);
    for (let index = 0; index < count; index += 1) parts.thread(index).started().apply();
    let isOver = false;
    const drained = parts.fleet.drain(5_000, 25_000).then(() => {
      isOver = true;
    });
    const isDrained = async (): Promise<boolean> => {
      await settle();
      return isOver;
    };
    return { ...parts, drained, isDrained };
  }

  test('is over when all workers have drained', async () => {
    const { thread, isDrained, fake } = draining(2);
    expect(thread(0).received.at(-1)).toEqual({
      kind: 'drain',
      delayMs: 5_000,
      timeoutMs: 25_000,
    });
    thread(0).say({ kind: 'drained' });
    expect(await isDrained()).toBe(false);
    thread(1).say({ kind: 'drained' });
    expect(await isDrained()).toBe(true);
    expect(fake.timerCount).toBe(0);
  });

  test('replaces a worker that dies meanwhile, which drains in the time that is left', async () => {
    const { fake, thread, isDrained } = draining(1);
    await fake.advance(2_000);
    thread(0).die();
    expect(await isDrained()).toBe(false);
    thread(1).started();
    expect(thread(1).received.map(({ kind }) => kind)).toEqual(['update', 'drain']);
    expect(thread(1).received.at(-1)).toEqual({
      kind: 'drain',
      delayMs: 3_000,
      timeoutMs: 23_000,
    });
    thread(1).say({ kind: 'drained' });
    expect(await isDrained()).toBe(true);
  });

  test('waits for a worker that was just being replaced when it began', async () => {
    const { fake, fleet, thread } = fleetOf(1);
    thread(0).started().die();
    let isOver = false;
    void fleet.drain(0, 25_000).then(() => {
      isOver = true;
    });
    await fake.advance(200);
    expect(isOver).toBe(false);
    thread(1).started().say({ kind: 'drained' });
    await settle();
    expect(isOver).toBe(true);
  });

  test('does not bring back a worker that had nothing left', async () => {
    const { fake, thread, threads } = draining(2);
    thread(0).say({ kind: 'drained' });
    thread(0).die();
    await fake.advance(10_000);
    expect(threads).toHaveLength(2);
  });

  test('does not wait for one that hangs', async () => {
    const { fake, isDrained } = draining(1);
    await fake.advance(25_999);
    expect(await isDrained()).toBe(false);
    await fake.advance(1);
    expect(await isDrained()).toBe(true);
  });

  test('asked for twice is the same drain', async () => {
    const { fleet, thread } = draining(1);
    const again = fleet.drain(1, 1);
    const asked = thread(0).received.filter(({ kind }) => kind === 'drain');
    expect(asked).toHaveLength(1);
    thread(0).say({ kind: 'drained' });
    await again;
  });
});
