// Connections from addresses that nobody is known by yet: who waits, for how long, and what ends
// the wait. That nobody gets another identity by waiting is test/laws/address-attribution.test.ts.
import { beforeEach, describe, expect, test } from 'vitest';
import { fakeTime, type FakeTime } from '../../test/support/fake-time.ts';
import { recordsOf, workload } from '../../test/support/sections.ts';
import type { NetworkSocket } from '../lib/network.ts';
import { compileTable, type RouteTable } from '../route/index.ts';
import type { AddressBinding, PolicyMode } from '../snapshot/index.ts';
import { Deadlines } from './deadlines.ts';
import { SourceGate, type NewConnection } from './source-gate.ts';

const address = '10.1.0.1';

class FakeSocket {
  isDestroyed = false;
  #closed: () => void = () => undefined;

  on(event: string, listener: () => void): void {
    if (event === 'close') this.#closed = listener;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.#closed();
  }
}

let time: FakeTime;
let entered: NewConnection[];
let table: RouteTable;
let gate: SourceGate;

function tableOf(policy: PolicyMode, binding?: AddressBinding): RouteTable {
  const modes = { defaultPolicy: policy, defaultMtls: 'off', namespaces: [] } as const;
  const bindings = new Map(binding === undefined ? [] : [[address, binding]]);
  const records = recordsOf({ kind: 'namespaces', ...modes });
  return compileTable(records, { nodeName: 'node-a', bindings });
}

const pod = (isLocal: boolean, nodeName = 'node-a'): AddressBinding => {
  return { kind: 'workload', isLocal, nodeName, workload: workload('web') };
};

const listener = { protocol: 'http', servicePort: 80, targetPort: 15_180 } as const;

function connect(from = address): { readonly isHeld: boolean; readonly socket: FakeSocket } {
  const socket = new FakeSocket();
  // What a gate asks of a socket, and no more.
  const known = socket as unknown as NetworkSocket;
  const isHeld = gate.holds({ socket: known, remoteAddress: from, listener });
  return { isHeld, socket };
}

function publish(next: RouteTable): void {
  table = next;
  gate.tableChanged(table);
}

beforeEach(() => {
  time = fakeTime();
  entered = [];
  table = tableOf('enforce');
  gate = new SourceGate({
    deadlines: new Deadlines(time.clock, time.timers),
    table: () => table,
    enter: (connection) => entered.push(connection),
  });
});

describe('a connection from an unknown address', () => {
  test('waits for the pod to be told', () => {
    expect(connect().isHeld).toBe(true);
    time.advanceTo(1_000);
    expect([gate.size, entered.length]).toEqual([1, 0]);
    publish(tableOf('enforce', pod(true)));
    expect([gate.size, entered.length]).toEqual([0, 1]);
    time.advanceTo(10_000);
    expect(entered).toHaveLength(1);
  });

  test('goes on as nobody after two seconds, and waits not again for a minute', () => {
    connect();
    time.advanceTo(1_500);
    // With those before it.
    expect(connect().isHeld).toBe(true);
    time.advanceTo(2_050);
    expect(entered).toHaveLength(2);
    expect(connect().isHeld).toBe(false);
    time.advanceTo(59_900);
    expect(connect().isHeld).toBe(false);
    time.advanceTo(60_000);
    expect(connect().isHeld).toBe(true);
  });

  test.each<[string, RouteTable]>([
    ['nobody enforces', tableOf('audit')],
    ['its pod is known', tableOf('enforce', pod(true))],
    ['it is in quarantine', tableOf('enforce', pod(false))],
    ['it is disputed', tableOf('enforce', { kind: 'disputed' })],
    ['it is of a pod elsewhere', tableOf('enforce', pod(false, 'node-b'))],
    ['it is a node’s', tableOf('enforce', { kind: 'infrastructure' })],
  ])('does not wait where %s', (_where, known) => {
    table = known;
    expect(connect().isHeld).toBe(false);
  });

  test('goes on at once when its address turns out to be in doubt', () => {
    connect();
    publish(tableOf('enforce', { kind: 'disputed' }));
    expect([gate.size, entered.length]).toEqual([0, 1]);
  });

  test('that closes meanwhile is nobody’s any more', () => {
    const { socket } = connect();
    socket.destroy();
    time.advanceTo(5_000);
    expect([gate.size, entered.length]).toEqual([0, 0]);
  });
});

describe('in all', () => {
  test('256 wait at most, the others go on', () => {
    for (let index = 0; index < 256; index += 1) {
      expect(connect(`10.2.${index}.1`).isHeld).toBe(true);
    }
    expect([connect('10.3.0.1').isHeld, gate.size]).toEqual([false, 256]);
  });

  test('nothing waits after the end', () => {
    const { socket } = connect();
    gate.close();
    time.advanceTo(5_000);
    expect([socket.isDestroyed, gate.size, entered.length]).toEqual([true, 0, 0]);
  });
});
