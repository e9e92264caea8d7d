// Every setting of a service that means something to its TCP connections (contract §3), as objects
// of a cluster: on the Service, as the Namespace's default, in each other spelling, with a value
// that cannot be read, and removed again. What TCP has no word for – bodies, statuses, breakers,
// faults, mirrors – is in service-settings.test.ts alone.
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { settingTable } from '../../src/api/index.ts';
import { fastestNetwork } from '../../src/dataplane/index.ts';
import { connectTo, eventually, freePort, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { settledMesh } from '../support/settings-mesh.ts';
import type { Annotations, SettingsMesh } from '../support/settings-mesh.ts';
import { startTcpHarness } from '../support/tcp-mesh.ts';
import type { TcpHarness } from '../support/tcp-mesh.ts';

/** What a row waits for in vain where its setting is not in force. */
const longMs = 250;

class TcpWorld {
  readonly harness: TcpHarness;
  readonly pods: readonly RawUpstream[];
  readonly gone: { readonly address: string; readonly port: number };
  /** True: whoever connects hears nothing. */
  isSwallowing = false;
  readonly clients: Peer[] = [];

  private constructor(
    harness: TcpHarness,
    pods: readonly RawUpstream[],
    gone: TcpWorld['gone'],
  ) {
    this.harness = harness;
    this.pods = pods;
    this.gone = gone;
  }

  static async start(): Promise<TcpWorld> {
    const pods = [await RawUpstream.start('127.0.0.2'), await RawUpstream.start('127.0.0.3')];
    const gone = { address: '127.0.0.4', port: await freePort('127.0.0.4') };
    const { network } = await fastestNetwork();
    const mesh = { endpoints: { db: [...pods.map(({ endpoint }) => endpoint), gone] } };
    const harness = await startTcpHarness(mesh, { connectTimeoutMs: 4 * longMs }, {
      connect: (to) => (world.isSwallowing ? new net.Socket() : network.connect(to)),
    });
    const world: TcpWorld = new TcpWorld(harness, pods, gone);
    return world;
  }

  #said: Omit<SettingsMesh, 'endpoints'> = {};

  /** Puts the annotations in force; the answer is what is wrong with them. */
  settle(said: Omit<SettingsMesh, 'endpoints'>): readonly string[] {
    this.#said = said;
    return this.serve(this.pods.map(({ endpoint }) => endpoint));
  }

  /** With these endpoints. */
  serve(db: readonly TcpWorld['gone'][]): readonly string[] {
    const { table, problems } = settledMesh({ endpoints: db, ...this.#said });
    const [rules = {}] = [...table.services.values()].map(({ shape }) => shape.host.rules);
    this.harness.publish({ endpoints: { db }, rules });
    return problems.map(({ reason }) => reason);
  }

  get accepted(): readonly number[] {
    return this.pods.map(({ connections }) => connections.length);
  }

  /** A connection: open at its pod, or over. */
  async connect(): Promise<Peer | undefined> {
    const { ended, counted } = this.harness;
    const before = ended.length + counted.opened;
    const peer = await connectTo(this.harness.port).catch(() => undefined);
    if (peer !== undefined) this.clients.push(peer);
    await eventually(() => ended.length + counted.opened > before, 'it is settled');
    return peer;
  }

  async leave(peer: Peer | undefined): Promise<void> {
    const { ended } = this.harness;
    const before = ended.length;
    peer?.reset();
    await eventually(() => ended.length > before, 'it is over');
  }

  /** Why connections ended, in order. */
  get reasons(): readonly (string | undefined)[] {
    return this.harness.ended.map(({ reason }) => reason);
  }

  /** Whether one has ended for this reason before long. */
  async hasEnded(reason: string): Promise<boolean> {
    const untilMs = performance.now() + longMs;
    while (performance.now() < untilMs && !this.reasons.includes(reason)) {
      await new Promise((done) => setTimeout(done, 5));
    }
    return this.reasons.includes(reason);
  }

  async end(): Promise<void> {
    for (const { socket } of this.clients) socket.destroy();
    for (const pod of this.pods) pod.close();
    await this.harness.expectQuiet();
  }
}

type Row = {
  readonly setting: keyof typeof settingTable;
  readonly value: string;
  readonly maeshValue?: string;
  readonly bad: string;
  readonly beside?: Annotations;
  readonly isInForce: (world: TcpWorld) => Promise<boolean>;
};

const rows: readonly Row[] = [
  {
    setting: 'traffic',
    value: 'stop',
    bad: 'halt',
    isInForce: async (world) => {
      await world.connect();
      return world.reasons.includes('Stopped');
    },
  },
  {
    setting: 'maxConnections',
    value: '1',
    bad: '0',
    // Two pods: the third connection is open, or waits in vain.
    isInForce: async (world) => {
      for (let n = 0; n < 3; n += 1) await world.connect();
      return world.reasons.includes('Overloaded') && world.accepted.join(' ') === '1 1';
    },
  },
  {
    setting: 'rateLimitAverage',
    value: '1',
    bad: '0',
    isInForce: async (world) => {
      await world.connect();
      await world.connect();
      return world.reasons.includes('RateLimited');
    },
  },
  {
    setting: 'rateLimitBurst',
    value: '3',
    bad: 'many',
    beside: { 'weft.dev/rate-limit-average': '0.5' },
    isInForce: async (world) => {
      for (let n = 0; n < 5; n += 1) await world.connect();
      return world.reasons.join(' ') === 'RateLimited RateLimited';
    },
  },
  {
    setting: 'loadBalancer',
    value: 'round-robin',
    bad: 'fairest',
    // The third goes where there is one already, not where there is none.
    isInForce: async (world) => {
      await world.connect();
      await world.leave(await world.connect());
      await world.connect();
      return [...world.accepted].sort().join(' ') === '1 2' && world.harness.inFlight() === 2
        && Math.max(...world.accepted.map((_, at) => openAt(world, at))) === 2;
    },
  },
  {
    setting: 'outlierDetection',
    value: 'off',
    bad: 'maybe',
    beside: { 'weft.dev/load-balancer': 'round-robin' },
    // One endpoint refuses, and goes on getting its turns.
    isInForce: async (world) => {
      const [first] = world.pods;
      world.serve([world.gone, ...(first === undefined ? [] : [first.endpoint])]);
      for (let n = 0; n < 6; n += 1) await world.leave(await world.connect());
      return world.harness.ended.filter(({ attempts }) => attempts === 2).length > 1;
    },
  },
  {
    setting: 'connectTimeoutMs',
    value: '50ms',
    bad: 'never',
    beside: { 'weft.dev/retry-attempts': '0' },
    isInForce: async (world) => {
      world.isSwallowing = true;
      const peer = await connectTo(world.harness.port);
      world.clients.push(peer);
      return world.hasEnded('TimeoutConnect');
    },
  },
  {
    setting: 'idleTimeoutMs',
    value: '50ms',
    bad: '5',
    isInForce: async (world) => {
      await world.connect();
      return world.hasEnded('TimeoutIdle');
    },
  },
  {
    setting: 'retryAttempts',
    value: '1',
    maeshValue: '2',
    bad: '11',
    isInForce: async (world) => (await attemptsAtNobody(world)) === 2,
  },
  {
    setting: 'retryOn',
    value: '500',
    bad: 'sometimes',
    beside: { 'weft.dev/retry-attempts': '2' },
    isInForce: async (world) => (await attemptsAtNobody(world)) === 1,
  },
];

function openAt({ pods }: TcpWorld, at: number): number {
  return pods[at]?.connections.filter(({ isClosed }) => !isClosed).length ?? 0;
}

async function attemptsAtNobody(world: TcpWorld): Promise<number | undefined> {
  world.serve([world.gone]);
  await world.connect();
  return world.harness.ended[0]?.attempts;
}

let world: TcpWorld;

afterEach(() => world.end());

describe.each(rows)('$setting', (row) => {
  const { setting, value, maeshValue = value, bad, beside = {}, isInForce } = row;
  const [first, ...others] = settingTable[setting].spellings.map((spelling) => spelling.key);
  const key = first ?? '';

  test('holds where it stands on the Service', async () => {
    world = await TcpWorld.start();
    expect(world.settle({ onService: { ...beside, [key]: value } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test('holds where it stands on the Namespace alone', async () => {
    world = await TcpWorld.start();
    expect(world.settle({ onService: beside, onNamespace: { [key]: value } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test.each(others)('holds as %s', async (alias) => {
    const meant = alias.startsWith('weft.dev/') ? value : maeshValue;
    world = await TcpWorld.start();
    expect(world.settle({ onService: { ...beside, [alias]: meant } })).toEqual([]);
    expect(await isInForce(world)).toBe(true);
  });

  test('is absent, and a problem, where its value cannot be read', async () => {
    world = await TcpWorld.start();
    const problems = world.settle({ onService: { ...beside, [key]: bad } });
    expect(new Set(problems)).toEqual(new Set(['InvalidSetting']));
    expect(await isInForce(world)).toBe(false);
  });

  test('ends when it is removed', async () => {
    world = await TcpWorld.start();
    world.settle({ onService: { ...beside, [key]: value } });
    world.settle({ onService: beside });
    expect(await isInForce(world)).toBe(false);
  });
});

describe('in detail', () => {
  test('who waits for a connection gets the next that is free, in order', async () => {
    world = await TcpWorld.start();
    world.settle({ onService: { 'weft.dev/max-connections': '1' } });
    const [pod] = world.pods;
    world.serve(pod === undefined ? [] : [pod.endpoint]);
    const { dataplane, counted } = world.harness;
    const all = [await world.connect()];
    for (let n = 0; n < 3; n += 1) {
      const peer = await connectTo(world.harness.port);
      world.clients.push(peer.send(`${n}`));
      all.push(peer);
      await eventually(() => dataplane.state().tcpConnections === 2 + n, 'it waits');
    }
    for (const [n, one] of all.slice(0, -1).entries()) {
      await world.leave(one);
      await eventually(() => counted.opened === 2 + n, 'the next is open');
      const next = pod?.connections[1 + n];
      await next?.see(`${n}`);
      expect(pod?.connections.filter(({ isClosed }) => !isClosed)).toEqual([next]);
    }
  });

  test('a client that leaves the line takes nothing with it', async () => {
    world = await TcpWorld.start();
    world.settle({ onService: { 'weft.dev/max-connections': '1' } });
    const open = [await world.connect(), await world.connect()];
    const { dataplane, counted } = world.harness;
    const fickle = await connectTo(world.harness.port);
    await eventually(() => dataplane.state().tcpConnections === 3, 'it waits');
    fickle.reset();
    await world.leave(open[0]);
    await world.connect();
    await eventually(() => dataplane.state().tcpConnections === 2, 'two are open');
    expect(counted.opened).toBeLessThanOrEqual(4);
  });

  test('stopped traffic resets what is open and what waits, and comes back', async () => {
    world = await TcpWorld.start();
    const limit = { 'weft.dev/max-connections': '1' };
    world.settle({ onService: limit });
    const open = [await world.connect(), await world.connect()];
    const waiting = await connectTo(world.harness.port);
    await eventually(() => world.harness.dataplane.state().tcpConnections === 3, 'one waits');
    world.settle({ onService: { ...limit, 'weft.dev/traffic': 'stop' } });
    for (const peer of [...open, waiting]) {
      await peer?.until(() => peer.isClosed, 'a reset');
      expect(peer?.errorCode).toBe('ECONNRESET');
    }
    expect(world.harness.ended.map(({ end, reason }) => `${end} ${reason ?? ''}`).sort()).toEqual([
      'cut Stopped',
      'cut Stopped',
      'refused Stopped',
    ]);
    for (const pod of world.pods) {
      await eventually(() => pod.connections.every(({ isClosed }) => isClosed), 'the pods know');
    }
    world.settle({ onService: limit });
    await world.connect();
    expect(world.harness.counted.opened).toBe(3);
  });
});
