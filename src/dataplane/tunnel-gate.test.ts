// Who gets as far as a handshake: limits before authentication, strangers, and the pace, on a clock
// of the test's own.
import { beforeEach, describe, expect, test } from 'vitest';
import { fakeTime, type FakeTime } from '../../test/support/fake-time.ts';
import type { NetworkSocket } from '../lib/network.ts';
import type { PeerPart } from '../snapshot/index.ts';
import { Deadlines } from './deadlines.ts';
import { TunnelGate } from './tunnel-gate.ts';
import type { GatePass } from './tunnel-gate.ts';

const peer = '10.0.0.2';

class FakeSocket {
  readonly remoteAddress: string;
  fate = 'open';
  #closed: () => void = () => undefined;

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }

  on(event: string, listener: () => void): void {
    if (event === 'close') this.#closed = listener;
  }

  destroy(): void {
    if (this.fate === 'open') this.fate = 'closed';
    this.#closed();
  }

  resetAndDestroy(): void {
    this.fate = 'reset';
    this.#closed();
  }
}

let time: FakeTime;
let entered: GatePass[];
let refused: string[];
let peers: PeerPart;
let gate: TunnelGate;

function peersOf(...addresses: readonly string[]): PeerPart {
  const nodes = new Map(addresses.map((address) => [address, ['node-b']]));
  return { nodes, dial: new Map(), bare: new Set(), deaf: new Set(), knowsAllPods: true };
}

beforeEach(() => {
  time = fakeTime();
  entered = [];
  refused = [];
  peers = peersOf(peer);
  gate = new TunnelGate({
    deadlines: new Deadlines(time.clock, time.timers),
    peers: () => peers,
    enter: (_, pass) => entered.push(pass),
    refused: (why) => refused.push(why),
  });
});

function dial(address = peer): FakeSocket {
  const socket = new FakeSocket(address);
  // The gate uses of a socket what the fake has.
  gate.admit(socket as unknown as NetworkSocket);
  return socket;
}

function dialTimes(times: number, address = peer): FakeSocket[] {
  return Array.from({ length: times }, () => dial(address));
}

function fates(sockets: readonly FakeSocket[], fate: string): number {
  return sockets.filter((socket) => socket.fate === fate).length;
}

describe('an address that is a proxy’s', () => {
  test('is let in at once', () => {
    dial();
    expect(entered).toHaveLength(1);
    expect(gate.open).toBe(1);
    expect(entered[0]?.giveBack()).toBe(true);
    expect(gate.open).toBe(0);
  });

  test('as a dual-stack socket spells it, too', () => {
    dial(`::ffff:${peer}`);
    expect(entered).toHaveLength(1);
  });

  test('has 256 places, and is reset beyond', () => {
    const sockets = dialTimes(300);
    expect(fates(sockets, 'open')).toBe(256);
    expect(fates(sockets, 'reset')).toBe(44);
    expect(refused).toEqual(Array.from({ length: 44 }, () => 'Limit'));
    entered[0]?.giveBack();
    expect(dial().fate).toBe('open');
  });

  test('shares 512 places with all others', () => {
    peers = peersOf('10.0.0.2', '10.0.0.3', '10.0.0.4');
    const sockets = ['10.0.0.2', '10.0.0.3', '10.0.0.4'].flatMap((one) => dialTimes(200, one));
    expect(fates(sockets, 'open')).toBe(512);
  });

  test('is cut after five seconds, wherever it is by then', () => {
    const socket = dial();
    time.advanceTo(4_900);
    expect(socket.fate).toBe('open');
    time.advanceTo(5_100);
    expect(socket.fate).toBe('closed');
    expect(refused).toEqual(['Timeout']);
    expect(entered[0]?.giveBack()).toBe(false);
    expect(gate.open).toBe(0);
  });

  test('that leaves before its turn gives its place back', () => {
    dial('10.0.0.9').destroy();
    expect(gate.open).toBe(0);
    time.advanceTo(10_000);
    expect(refused).toEqual([]);
  });

  test('that leaves in its handshake keeps its place until that is told to have ended', () => {
    dial().destroy();
    expect(gate.open).toBe(1);
    entered[0]?.giveBack();
    expect(gate.open).toBe(0);
  });
});

describe('an address that is no proxy’s', () => {
  test('waits unread, and is closed after two seconds', () => {
    const socket = dial('10.0.0.9');
    time.advanceTo(1_900);
    expect(socket.fate).toBe('open');
    time.advanceTo(2_100);
    expect(socket.fate).toBe('closed');
    expect(entered).toEqual([]);
    expect(refused).toEqual(['PeerUnknown']);
  });

  test('is let in when it becomes one meanwhile', () => {
    dial('10.0.0.9');
    time.advanceTo(1_000);
    peers = peersOf('10.0.0.9');
    gate.peersChanged();
    expect(entered).toHaveLength(1);
    time.advanceTo(3_000);
    expect(refused).toEqual([]);
  });

  test('has 16 places, and all such addresses 64', () => {
    expect(fates(dialTimes(20, '10.0.0.9'), 'open')).toBe(16);
    const others = Array.from({ length: 100 }, (_, index) => dial(`10.0.1.${index}`));
    expect(fates(others, 'open')).toBe(48);
  });

  test('takes no place from proxies', () => {
    dialTimes(20, '10.0.0.9');
    expect(fates(dialTimes(256), 'open')).toBe(256);
  });

  test('has none of its own while nobody has told of peers', () => {
    peers = peersOf();
    expect(fates(dialTimes(20), 'open')).toBe(16);
    expect(entered).toEqual([]);
  });
});

describe('the pace of handshakes', () => {
  test('is a burst of 440, then 220 a second', () => {
    for (let round = 0; round < 10; round += 1) {
      dialTimes(100);
      for (const one of entered) one.giveBack();
    }
    expect(entered.length).toBe(440);
    time.advanceTo(1_000);
    expect(entered.length).toBeGreaterThanOrEqual(640);
    expect(entered.length).toBeLessThanOrEqual(665);
  });

  test('keeps 4 000 at once within their places, and ends them all', () => {
    const sockets = dialTimes(4_000);
    expect(gate.open).toBe(256);
    expect(fates(sockets, 'reset')).toBe(4_000 - 256);
    time.advanceTo(6_000);
    expect(gate.open).toBe(0);
    expect(fates(sockets, 'open')).toBe(0);
  });
});

test('a gate that is closed cuts all and lets nobody in', () => {
  const socket = dial();
  gate.close();
  expect(socket.fate).toBe('closed');
  expect(dial().fate).toBe('reset');
});
