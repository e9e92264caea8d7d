// UDP services on real loopback sockets: where datagrams go, who may send them, what comes back and
// from where, and what bounds it all (docs/design/0011).
import { afterEach, describe, expect, test } from 'vitest';
import type { DatagramNetwork } from '../../src/lib/datagrams.ts';
import { flowDatagrams } from '../../src/main/flow-datagrams.ts';
import { until } from '../kube/support/until.ts';
import {
  startUdpHarness,
  TestDatagrams,
  type UdpHarness,
  type UdpHarnessOptions,
} from '../support/udp-harness.ts';

const home = '127.58.0.1';
const cleanups: (() => void)[] = [];
const harnesses: UdpHarness[] = [];
afterEach(() => {
  for (const harness of harnesses.splice(0)) {
    harness.dataplane.close();
    const { flows, leaving, resting, waitingSources, listeners } = harness.udp();
    expect({ flows, leaving, resting, waitingSources, listeners: listeners.length }).toEqual({
      flows: 0,
      leaving: 0,
      resting: 0,
      waitingSources: 0,
      listeners: 0,
    });
    expect(harness.dataplane.state().deadlines).toBe(0);
    expect(harness.bugs).toEqual([]);
  }
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function mesh(options: UdpHarnessOptions): Promise<UdpHarness> {
  const harness = await startUdpHarness(options);
  harnesses.push(harness);
  return harness;
}

async function client(address = home): Promise<TestDatagrams> {
  const socket = await TestDatagrams.open(address);
  cleanups.push(() => socket.close());
  return socket;
}

async function pod(address = '127.58.1.1', name = 'pod'): Promise<TestDatagrams> {
  const socket = await TestDatagrams.pod(address, name);
  cleanups.push(() => socket.close());
  return socket;
}

describe('a flow', () => {
  test('leads to the pod, and its answers come from where the client sent to', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    expect(await one.ask('question', harness.place)).toBe('pod question');
    const { address, port } = harness.place;
    expect(one.received).toEqual([{ text: 'pod question', from: address, port }]);
    expect(harness.counts.opened[0]).toMatchObject({
      source: { kind: 'unauthenticated' },
      remoteAddress: home,
      destination: { namespace: 't', workload: 'Deployment/server' },
    });
    expect(harness.counts.of('received')).toBe('question'.length);
    expect(harness.counts.of('sent')).toBe('pod question'.length);
  });

  test('is one as long as client and port are the same, and keeps its pod', async () => {
    const pods = await Promise.all([pod('127.58.1.1', 'a'), pod('127.58.1.2', 'b')]);
    const harness = await mesh({ pods: pods.map(({ place }) => place) });
    const one = await client();
    const answers = new Set<string>();
    for (let turn = 0; turn < 10; turn += 1) answers.add(await one.ask('x', harness.place));
    expect(answers.size).toBe(1);
    expect(harness.counts.of('opened')).toBe(1);
  });

  test('carries what a pod sends by itself, as often as it likes', async () => {
    const there = await pod();
    there.answer = undefined;
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    one.send('subscribe', harness.place);
    await until('it arrived', () => there.received.length === 1);
    for (const text of ['1', '2', '3']) there.send(text, there.lastFrom());
    await until('all came', () => one.received.length === 3);
    expect(one.received.map(({ text }) => text)).toEqual(['1', '2', '3']);
  });

  test('takes datagrams of its pod only', async () => {
    const there = await pod();
    const stranger = await client('127.58.0.9');
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    await one.ask('question', harness.place);
    stranger.send('forged', there.lastFrom());
    there.send('real', there.lastFrom());
    await until('the real one came', () => one.received.length === 2);
    expect(one.received.map(({ text }) => text)).toEqual(['pod question', 'real']);
  });

  test.each([0, 1, 1_472, 9_000, 65_507])('carries %i bytes there and back', async (bytes) => {
    const there = await pod();
    there.answer = (data) => data;
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    const answer = await one.ask(Buffer.alloc(bytes, 'x'), harness.place);
    expect(answer.length).toBe(bytes);
  });

  test('goes over IPv6 from end to end, and between the families', async () => {
    const there = await pod('::1');
    const harness = await mesh({ pods: [there.place], bindAddress: '::1' });
    const one = await client('::1');
    expect(await one.ask('six', harness.place)).toBe('pod six');
    expect(one.received[0]?.from).toBe('::1');
    const four = await mesh({ pods: [there.place] });
    expect(await (await client()).ask('four', four.place)).toBe('pod four');
  });

  test('ends when nothing came for its time, which any datagram renews', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    await one.ask('1', harness.place);
    harness.time.advance(45_000);
    await one.ask('2', harness.place);
    harness.time.advance(45_000);
    expect(harness.udp().flows).toBe(1);
    harness.time.advance(15_100);
    expect(harness.udp().flows).toBe(0);
    expect(harness.counts.of('ended idle')).toBe(1);
    await one.ask('3', harness.place);
    expect(harness.counts.of('opened')).toBe(2);
  });

  test('ends earlier where idle-timeout says so', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], rules: { idleTimeoutMs: 5_000 } });
    await (await client()).ask('1', harness.place);
    harness.time.advance(5_100);
    expect(harness.counts.of('ended idle')).toBe(1);
  });
});

describe('a split', () => {
  test('is by flow, in the weights', async () => {
    const [v1, v2] = await Promise.all([pod('127.58.1.1', 'v1'), pod('127.58.1.2', 'v2')]);
    const harness = await mesh({
      backends: { v1: [v1.place], v2: [v2.place] },
      weights: { v1: 3, v2: 1 },
    });
    const answers: string[] = [];
    for (let flow = 0; flow < 40; flow += 1) {
      const one = await client();
      answers.push(await one.ask('x', harness.place));
      expect(await one.ask('x', harness.place)).toBe(answers.at(-1));
    }
    expect(answers.filter((one) => one === 'v2 x')).toHaveLength(10);
  });

  test('that is changed moves no flow; a backend that left it keeps its own', async () => {
    const [v1, v2] = await Promise.all([pod('127.58.1.1', 'v1'), pod('127.58.1.2', 'v2')]);
    const backends = { v1: [v1.place], v2: [v2.place] };
    const harness = await mesh({ backends, weights: { v1: 1 } });
    const one = await client();
    expect(await one.ask('x', harness.place)).toBe('v1 x');
    harness.publish({ backends, weights: { v2: 1 } });
    expect(await one.ask('x', harness.place)).toBe('v1 x');
    expect(await (await client()).ask('x', harness.place)).toBe('v2 x');
  });

  test('in turn gives each pod as many flows as any other', async () => {
    const pods = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name, index) => pod(`127.58.1.${index + 1}`, name)),
    );
    const shaping = { balancer: { kind: 'round-robin' } } as const;
    const harness = await mesh({ pods: pods.map(({ place }) => place), rules: { shaping } });
    for (let flow = 0; flow < 12; flow += 1) await (await client()).ask('x', harness.place);
    expect(pods.map(({ received }) => received.length)).toEqual([3, 3, 3, 3]);
  });

  test.each([
    ['NoBackendWeight', { weights: { dns: 0 } }],
    ['NoEndpoints', {}],
    ['Stopped', { rules: { isStopped: true } }],
  ])('%s: datagrams are dropped and counted', async (reason, said) => {
    const harness = await mesh({ pods: [], ...said });
    (await client()).send('x', harness.place);
    await until('it was dropped', () => harness.counts.of(`dropped ${reason}`) === 1);
    expect(harness.udp().flows).toBe(0);
  });
});

describe('policy', () => {
  const enforced = { policy: 'enforce', clients: [home] } as const;
  const open = { udp: { ports: undefined } };

  test('lets through what a UDPRoute opens', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], ...enforced, permission: open });
    expect(await (await client()).ask('x', harness.place)).toBe('pod x');
    expect(harness.counts.of('allow')).toBe(1);
  });

  test.each([
    ['no UDPRoute', 'RouteNotAllowed', { permission: { tcp: { ports: undefined } } }],
    ['another port', 'RouteNotAllowed', { permission: { udp: { ports: [9] } } }],
    ['another source', 'SourceNotAllowed', { permission: { ...open, sources: ['t/other'] } }],
  ])('%s: drops, counts, and says nothing', async (_, reason, said) => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], ...enforced, ...said });
    const one = await client();
    one.send('x', harness.place);
    await until('it was dropped', () => harness.counts.of(`dropped ${reason}`) === 1);
    expect(harness.counts.of(`deny ${reason}`)).toBe(1);
    expect([there.received, one.received, harness.udp().flows]).toEqual([[], [], 0]);
  });

  test('audit lets through and counts', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], ...enforced, policy: 'audit' });
    expect(await (await client()).ask('x', harness.place)).toBe('pod x');
    expect(harness.counts.of('audit RouteNotAllowed')).toBe(1);
  });

  test('an unknown source waits for word of its pod, and is heard in order', async () => {
    const there = await pod();
    const said = { pods: [there.place], policy: 'enforce', permission: open } as const;
    const harness = await mesh(said);
    const one = await client();
    for (const text of ['1', '2', '3']) one.send(text, harness.place);
    await until('it waits', () => harness.udp().waitingSources === 1);
    expect(there.received).toEqual([]);
    harness.publish({ ...said, clients: [home] });
    await until('all were answered', () => one.received.length === 3);
    expect(there.received.map(({ text }) => text)).toEqual(['1', '2', '3']);
    expect(harness.counts.of('opened')).toBe(1);
  });

  test('an unknown source is dropped after two seconds, and then at once', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], policy: 'enforce', permission: open });
    const one = await client();
    for (let turn = 0; turn < 10; turn += 1) one.send('x', harness.place);
    await until('two are too many', () => harness.counts.of('dropped WaitFull') === 2);
    harness.time.advance(2_100);
    expect(harness.counts.of('dropped SourceUnknown')).toBe(8);
    one.send('x', harness.place);
    await until('it was dropped', () => harness.counts.of('dropped SourceUnknown') === 9);
    expect(there.received).toEqual([]);
  });

  test('that changes ends flows: neither a question nor an answer passes any more', async () => {
    const there = await pod();
    const said = { pods: [there.place], ...enforced };
    const harness = await mesh({ ...said, permission: open });
    const [asks, hears] = [await client(), await client()];
    await asks.ask('x', harness.place);
    await hears.ask('x', harness.place);
    harness.publish(said);
    there.send('late', there.lastFrom());
    asks.send('x', harness.place);
    await until('both ended', () => harness.counts.of('ended policy') === 2);
    await until('it was dropped', () => harness.counts.of('dropped RouteNotAllowed') === 1);
    expect([there.received.length, hears.received.length]).toEqual([2, 1]);
  });

  test('the kill switch drops at once, and what comes after it is served', async () => {
    const there = await pod();
    const said = { pods: [there.place] };
    const harness = await mesh(said);
    const one = await client();
    await one.ask('x', harness.place);
    harness.publish({ ...said, rules: { isStopped: true } });
    one.send('y', harness.place);
    await until('it was dropped', () => harness.counts.of('dropped Stopped') === 1);
    expect(harness.counts.of('ended policy')).toBe(1);
    harness.publish(said);
    expect(await one.ask('z', harness.place)).toBe('pod z');
  });

  test('what a pod began is not that of the next one with its address', async () => {
    const there = await pod();
    const said = { pods: [there.place], clients: [home] };
    const harness = await mesh(said);
    const one = await client();
    await one.ask('x', harness.place);
    harness.publish({ ...said, clientPod: 'uid-next' });
    expect(harness.counts.of('ended source')).toBe(1);
    expect(harness.udp().flows).toBe(0);
  });
});

describe('a pod that goes', () => {
  test('from its Service: the next datagram goes to another, late answers still pass', async () => {
    const [old, next] = await Promise.all([pod('127.58.1.1', 'old'), pod('127.58.1.2', 'new')]);
    const harness = await mesh({ pods: [old.place] });
    const one = await client();
    await one.ask('1', harness.place);
    harness.publish({ pods: [next.place] });
    expect(await one.ask('2', harness.place)).toBe('new 2');
    old.send('late', old.lastFrom());
    await until('it passed', () => one.received.at(-1)?.text === 'late');
    expect(harness.udp()).toMatchObject({ flows: 1, leaving: 1 });
    harness.time.advance(5_100);
    expect(harness.udp()).toMatchObject({ flows: 1, leaving: 0 });
    expect(harness.counts.of('ended moved')).toBe(1);
  });

  test('that nobody listens at ends the flow; the next one tries another pod', async () => {
    const dead = await pod('127.58.1.1', 'dead');
    const alive = await pod('127.58.1.2', 'alive');
    const pods = [dead.place, alive.place];
    const harness = await mesh({ pods: [dead.place] });
    const one = await client();
    await one.ask('1', harness.place);
    dead.close();
    harness.publish({ pods });
    one.send('2', harness.place);
    await until('the flow ended', () => harness.counts.of('ended unreachable') === 1);
    for (let turn = 0; turn < 8; turn += 1) {
      expect(await (await client()).ask('3', harness.place)).toBe('alive 3');
    }
  });
});

describe('a late answer', () => {
  test('of a flow that another one has replaced reaches nobody: its port rests', async () => {
    const there = await pod();
    there.answer = undefined;
    const closed: number[] = [];
    let opened = 0;
    const connect: DatagramNetwork['connect'] = (to, events) => {
      const number = (opened += 1);
      const real = flowDatagrams.connect(to, events);
      return { send: real.send, close: () => (closed.push(number), real.close()) };
    };
    const harness = await mesh({ pods: [there.place], flowsMax: 4, network: { connect } });
    const [first, next] = [await client(), await client()];
    first.send('1', harness.place);
    await until('it came', () => there.received.length === 1);
    const old = there.lastFrom();
    next.send('2', harness.place);
    await until('the first is replaced', () => there.received.length === 2);
    expect(harness.udp()).toMatchObject({ flows: 1, resting: 1 });
    expect(there.lastFrom().port).not.toBe(old.port);
    there.send('late', old);
    there.send('right', there.lastFrom());
    await until('its own came', () => next.received.length === 1);
    expect([first.received, next.received[0]?.text, closed]).toEqual([[], 'right', []]);
    harness.time.advance(5_100);
    expect([closed, harness.udp().resting]).toEqual([[1], 0]);
  });

  test('is waited for only where something was asked lately', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    await (await client()).ask('x', harness.place);
    harness.time.advance(61_000);
    expect(harness.udp()).toMatchObject({ flows: 0, resting: 0 });
    expect(harness.counts.of('ended idle')).toBe(1);
  });
});

describe('bounds', () => {
  test('one source replaces its own oldest flows, and nobody else’s', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], flowsMax: 40 });
    const other = await client('127.58.0.8');
    await other.ask('x', harness.place);
    for (let flow = 0; flow < 25; flow += 1) await (await client()).ask('x', harness.place);
    expect(harness.udp().flows).toBe(11);
    expect(harness.counts.of('ended evicted')).toBe(15);
    await other.ask('x', harness.place);
    expect(harness.counts.of('opened')).toBe(26);
  });

  test('of all flows the one that was not used for longest goes', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], flowsMax: 8 });
    const sources = ['127.58.2.1', '127.58.2.2', '127.58.2.3', '127.58.2.4', '127.58.2.5'];
    const used = await client(sources[0]);
    await used.ask('x', harness.place);
    for (const address of sources.slice(1)) {
      for (let flow = 0; flow < 2; flow += 1) await (await client(address)).ask('x', harness.place);
      harness.time.advance(1_100);
      await used.ask('x', harness.place);
    }
    expect(harness.udp().flows).toBe(8);
    expect(harness.counts.of('ended evicted')).toBe(1);
    // The one that is used all the time is the first one's.
    expect(harness.counts.of('opened')).toBe(9);
  });

  test('a socket that is not taking drops, and counts', async () => {
    const there = await pod();
    const connect: DatagramNetwork['connect'] = (to, events) => {
      const real = flowDatagrams.connect(to, events);
      const send = (data: Uint8Array) => (data.length > 3 ? 'full' : real.send(data));
      return { send, close: real.close };
    };
    const harness = await mesh({ pods: [there.place], network: { connect } });
    const one = await client();
    one.send('long', harness.place);
    await until('it was dropped', () => harness.counts.of('dropped QueueFull') === 1);
    expect(await one.ask('ok', harness.place)).toBe('pod ok');
  });

  test('no socket to be had: the flow ends, and the next datagram tries again', async () => {
    const there = await pod();
    let isOut = true;
    const connect: DatagramNetwork['connect'] = (to, events) => {
      if (!isOut) return flowDatagrams.connect(to, events);
      queueMicrotask(() => events.failed(Object.assign(new Error('none'), { code: 'EMFILE' })));
      return { send: () => 'failed', close: () => undefined };
    };
    const harness = await mesh({ pods: [there.place], network: { connect } });
    const one = await client();
    one.send('x', harness.place);
    await until('it ended', () => harness.counts.of('ended failed') === 1);
    expect(harness.counts.of('dropped Unsent')).toBe(1);
    isOut = false;
    expect(await one.ask('y', harness.place)).toBe('pod y');
  });

  test('2 000 flows at once each get their own answers', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    const all = await Promise.all(Array.from({ length: 2_000 }, () => client()));
    for (let from = 0; from < all.length; from += 50) {
      const some = all.slice(from, from + 50);
      const asked = some.map((one, index) => one.ask(`${from + index}`, harness.place));
      expect(await Promise.all(asked)).toEqual(some.map((_, index) => `pod ${from + index}`));
    }
    expect(harness.udp().flows).toBe(2_000);
  });
});

describe('a way to another node', () => {
  const peers = {
    nodes: new Map(),
    dial: new Map([['node-b', ['127.58.3.1']]]),
    bare: new Set<string>(),
    deaf: new Set<string>(),
    knowsAllPods: true,
  };

  test.each(['permissive', 'strict'] as const)('%s: is never plain', async (mtls) => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place], podNode: 'node-b', peers, mtls });
    (await client()).send('x', harness.place);
    await until('dropped', () => harness.counts.of('dropped TunnelUnavailable') === 1);
    expect([there.received, harness.udp().flows]).toEqual([[], 0]);
  });
});

describe('listeners', () => {
  test('a worker that does not own the port leaves it alone', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    await one.ask('x', harness.place);
    harness.dataplane.ownUdp(() => false);
    expect(harness.udp()).toMatchObject({ listeners: [], flows: 0 });
    expect(harness.counts.of('ended closed')).toBe(1);
  });

  test('close with their Service, and their flows with them', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    await (await client()).ask('x', harness.place);
    harness.publish({ pods: [there.place], hasListener: false });
    expect(harness.udp()).toMatchObject({ listeners: [], flows: 0 });
  });

  test('a wildcard is opened address by address, so answers come from the right one', async () => {
    const there = await pod();
    await mesh({
      pods: [there.place],
      bindAddress: '0.0.0.0',
      targetPort: 28_058,
      network: { localAddresses: () => ['127.58.4.1', '127.58.4.2', '::1'] },
    });
    const one = await client();
    for (const address of ['127.58.4.1', '127.58.4.2']) {
      await one.ask('x', { address, port: 28_058 });
      expect(one.received.at(-1)?.from).toBe(address);
    }
  });

  test('serve to the last moment of a drain', async () => {
    const there = await pod();
    const harness = await mesh({ pods: [there.place] });
    const one = await client();
    await one.ask('x', harness.place);
    const drained = harness.dataplane.drain({ delayMs: 0, timeoutMs: 1_000 });
    harness.time.advance(1_100);
    await drained;
    expect(await one.ask('y', harness.place)).toBe('pod y');
    expect(await (await client()).ask('z', harness.place)).toBe('pod z');
  });
});
