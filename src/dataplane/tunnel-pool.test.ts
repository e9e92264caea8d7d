// When tunnels are dialled, rested and forgotten, on a clock and sockets of the test's own; the
// handshakes themselves are in test/integration/tunnel-*.test.ts.
import { beforeEach, describe, expect, test } from 'vitest';
import { fakeTime, type FakeTime } from '../../test/support/fake-time.ts';
import { TestAuthority, proxyId, spiffe, trustDomain } from '../../test/support/tunnel-mesh.ts';
import type { SpiffeId } from '../identity/index.ts';
import type { SecurePeer, SecureSocket, SocketReader } from '../lib/network.ts';
import type { PeerPart } from '../snapshot/index.ts';
import type { UsableCredential } from './credentials.ts';
import { Deadlines } from './deadlines.ts';
import { FrameBuffers } from './http2/frame-writer.ts';
import { BodyBuffers } from './read-buffers.ts';
import { TunnelPools } from './tunnel-pool.ts';
import type { TunnelWait } from './tunnel-wait.ts';
import { TurnClock } from './turn-clock.ts';
import { TurnEnd } from './turn-end.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream.ts';

const authority = new TestAuthority();
const server = authority.credential(proxyId, 'node-b');
const certificateDer = Buffer.from(
  server.certificatePem.replace(/-----[A-Z ]+-----|\s/g, ''),
  'base64',
);
const shop = { id: spiffe('t/client'), node: 'node-b' };
const startMs = Date.now();

/** Of a peer; the test says what it does. */
class FakeSocket {
  readonly address: string;
  destroyed = false;
  errored: Error | null = null;
  readonly writableLength = 0;
  readonly writableNeedDrain = false;
  peer: SecurePeer | undefined;
  #reader: SocketReader | undefined;
  readonly #listeners = new Map<string, (error: Error) => void>();

  constructor(address: string) {
    this.address = address;
  }

  on(event: string, listener: (error: Error) => void): void {
    this.#listeners.set(event, listener);
  }

  readInto(reader: SocketReader): void {
    this.#reader = reader;
  }

  destroy(): void {
    this.destroyed = true;
  }

  resume(): void {
    return;
  }

  destroySoon(): void {
    this.destroyed = true;
  }

  write(): boolean {
    return true;
  }

  greet(alpn = 'weft-h1/1'): void {
    this.peer = { certificateDer, alpn, isResumed: false };
    this.#listeners.get('connect')?.(new Error('no error'));
    const text = Buffer.from('ok test\r\n');
    this.#reader?.read(text, text.length);
  }

  refuse(): void {
    this.#listeners.get('error')?.(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }));
  }
}

let time: FakeTime;
let dialled: FakeSocket[];
let credentials: Map<SpiffeId, UsableCredential>;
let peers: PeerPart;
let pools: TunnelPools;

beforeEach(() => {
  time = fakeTime({ wallMs: startMs });
  dialled = [];
  peers = {
    nodes: new Map(),
    dial: new Map([['node-b', ['10.0.0.2']]]),
    bare: new Set(),
    deaf: new Set(),
    knowsAllPods: true,
  };
  credentials = new Map();
  certify(shop.id, 86_400_000);
  const clock = new TurnClock(time.clock);
  pools = new TunnelPools({
    credentials: { of: (id) => credentials.get(id), own: () => undefined },
    identities: { trustDomain, proxyId, port: 15_008 },
    peers: () => peers,
    deadlines: new Deadlines(clock, time.timers),
    limits: { headBytesMax: 1024, targetBytesMax: 512, fieldsMax: 32 },
    buffers: new BodyBuffers(),
    frameBuffers: new FrameBuffers(),
    turnEnd: new TurnEnd((error) => {
      throw error;
    }),
    clock,
    random: () => 0.5,
    localAddress: undefined,
    bugFound: (error) => {
      throw error;
    },
    dialled: () => undefined,
    opened: () => undefined,
    closed: () => undefined,
  });
});

function certify(id: SpiffeId, leftMs: number): void {
  const connect = ({ address }: { readonly address: string }): SecureSocket => {
    const socket = new FakeSocket(address);
    dialled.push(socket);
    // What a dial and an idle connection use of a socket is there.
    return socket as unknown as SecureSocket;
  };
  const context = { connect, accept: () => undefined };
  credentials.set(id, { context, notAfterMs: startMs + leftMs });
}

/** A request in front of a tunnel, and what became of it. */
class Waiting {
  fate = 'waits';
  readonly wait: TunnelWait;

  constructor(isPatient = false) {
    const taker = { isPatient, tunnelOpened: () => (this.fate = 'opened') };
    this.wait = pools.await(shop, 5_000, taker);
    const user: Pick<UpstreamUser, 'upstreamConnected' | 'upstreamFailed'> = {
      upstreamConnected: () => undefined,
      upstreamFailed: ({ kind }: UpstreamFailure) => (this.fate = kind),
    };
    // It hears of nothing else here.
    this.wait.use(user as unknown as UpstreamUser);
  }
}

function last(): FakeSocket {
  const socket = dialled.at(-1);
  if (socket === undefined) throw new Error('nobody was dialled');
  return socket;
}

describe('a session', () => {
  test('is given up where its certificate was replaced while it was dialled', () => {
    const one = new Waiting();
    const before = last();
    certify(shop.id, 86_400_000);
    before.greet('weft-h1/2');
    expect([before.destroyed, one.fate, dialled.length]).toEqual([true, 'waits', 2]);
    last().greet();
    expect(one.fate).toBe('opened');
  });

  test('is kept where it was not', () => {
    const one = new Waiting();
    one.wait.destroy();
    last().greet('weft-h1/2');
    expect([last().destroyed, dialled.length, pools.openCount]).toEqual([false, 1, 1]);
  });
});

describe('a node that nobody answers at', () => {
  test('is dialled again only after a rest, which grows', () => {
    const rests: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      const before = dialled.length;
      const one = new Waiting();
      const fromMs = time.nowMs();
      while (dialled.length === before) time.advance(1);
      rests.push(time.nowMs() - fromMs);
      last().refuse();
      expect(one.fate).toBe('tunnel');
    }
    expect(rests[0]).toBe(0);
    expect(rests.slice(1)).toEqual([...rests.slice(1)].sort((a, b) => a - b));
    expect(rests[5]).toBeGreaterThan(200);
    expect(rests[5]).toBeLessThanOrEqual(1_000);
  });

  test('is dialled once for all who come in the meantime', () => {
    new Waiting();
    last().refuse();
    const others = Array.from({ length: 20 }, () => new Waiting());
    expect(dialled).toHaveLength(1);
    time.advance(1_000);
    expect(dialled.length).toBeLessThanOrEqual(1 + 8);
    last().greet();
    expect(others.filter(({ fate }) => fate === 'opened')).toHaveLength(1);
  });

  test('is dialled at once when its proxy is another one', () => {
    for (let round = 0; round < 4; round += 1) {
      new Waiting();
      time.advance(1_000);
      last().refuse();
    }
    const one = new Waiting();
    peers = { ...peers, dial: new Map([['node-b', ['10.0.0.3']]]) };
    pools.peersChanged();
    expect(last().address).toBe('10.0.0.3');
    last().greet();
    expect(one.fate).toBe('opened');
  });

  test('is dialled at its next address at once, for those who wait already', () => {
    peers = { ...peers, dial: new Map([['node-b', ['10.0.0.2', '10.0.0.3']]]) };
    const one = new Waiting();
    last().refuse();
    expect(one.fate).toBe('waits');
    expect(last().address).toBe('10.0.0.3');
    last().refuse();
    expect(one.fate).toBe('tunnel');
  });
});

describe('who has nowhere else to go', () => {
  test('waits through a restart of the other proxy', () => {
    const other = new Waiting();
    const one = new Waiting(true);
    last().refuse();
    last().refuse();
    for (const socket of dialled) socket.refuse();
    expect([other.fate, one.fate]).toEqual(['tunnel', 'waits']);
    time.advance(700);
    last().greet();
    expect(one.fate).toBe('opened');
  });

  test('does so for a second', () => {
    const one = new Waiting(true);
    for (let round = 0; round < 20 && one.fate === 'waits'; round += 1) {
      last().refuse();
      time.advance(100);
    }
    expect(one.fate).toBe('tunnel');
    expect(time.nowMs()).toBeGreaterThan(1_000);
    expect(time.nowMs()).toBeLessThanOrEqual(1_600);
  });
});

describe('nothing is kept of', () => {
  test('a key whose last request has left without a dial', () => {
    credentials.clear();
    const one = new Waiting();
    expect(pools.keyCount).toBe(1);
    one.wait.destroy();
    expect(pools.keyCount).toBe(0);
  });

  test('a key whose handshakes have failed, once it has rested', () => {
    new Waiting();
    last().refuse();
    time.advance(1_000);
    expect(pools.keyCount).toBe(0);
    expect(time.timerCount()).toBe(0);
  });

  test('a tunnel whose certificate ran out before the greeting', () => {
    credentials.clear();
    certify(shop.id, 100);
    const one = new Waiting();
    time.advance(200);
    last().greet();
    expect(one.fate).toBe('tunnel');
    expect(last().destroyed).toBe(true);
    time.advance(1_000);
    expect([pools.openCount, pools.keyCount]).toEqual([0, 0]);
  });

  test('a tunnel that was opened and never used, well before its other end gives it up', () => {
    const one = new Waiting();
    one.wait.destroy();
    last().greet();
    expect(pools.openCount).toBe(1);
    time.advance(5_000);
    expect([pools.openCount, pools.keyCount]).toEqual([0, 0]);
  });
});
