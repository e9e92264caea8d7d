// Datagrams between nodes: each flow a stream of capsules in one session of mutual TLS, judged
// where the pod is. What cannot go that way goes nowhere: nothing here is ever plain text.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../kube/support/until.ts';
import { freePort } from '../support/dataplane-sockets.ts';
import { TestDatagrams, UdpCounts, type PodPlace } from '../support/udp-harness.ts';
import {
  clientPod,
  nodeAddress,
  otherPod,
  serverPod,
  TunnelMesh,
  type NodeOptions,
  type WorldOptions,
} from '../support/tunnel-mesh.ts';

let pod: TestDatagrams;
let place: PodPlace;
let mesh: TunnelMesh | undefined;
let a: UdpCounts;
let b: UdpCounts;
const clients: TestDatagrams[] = [];

beforeEach(async () => {
  pod = await TestDatagrams.pod(serverPod.address);
  place = { address: nodeAddress['node-a'], port: await freePort(nodeAddress['node-a']) };
  a = new UdpCounts();
  b = new UdpCounts();
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  pod.close();
  const ended = mesh;
  mesh = undefined;
  ended?.close();
  for (const { dataplane, bugs } of ended === undefined ? [] : [ended.a, ended.b]) {
    const { udp, ...state } = dataplane.state();
    expect(state).toMatchObject({ deadlines: 0, bufferedBytes: 0 });
    if (udp !== undefined) expect(udp).toMatchObject({ flows: 0, leaving: 0, arrived: 0 });
    expect(bugs).toEqual([]);
  }
  expect([...a.bugs, ...b.bugs]).toEqual([]);
});

function worldOf(said: Partial<WorldOptions> = {}): WorldOptions {
  return { endpoints: [{ ...pod.place, node: 'node-b' }], udpPort: place.port, ...said };
}

async function start(
  said: Partial<WorldOptions> = {},
  ofB: Partial<NodeOptions> = {},
  udpFlowsMax?: number,
): Promise<TunnelMesh> {
  const ofA = { udp: a.observer(), udpFlowsMax };
  mesh = await TunnelMesh.start(worldOf(said), ofA, { udp: b.observer(), ...ofB });
  return mesh;
}

async function client(from = clientPod): Promise<TestDatagrams> {
  const socket = await TestDatagrams.open(from.address);
  clients.push(socket);
  return socket;
}

function arrived(): number {
  return mesh?.b.dataplane.state().udp?.arrived ?? -1;
}

describe('a flow between nodes', () => {
  test('goes there and back, and its answers come from where the client sent to', async () => {
    await start();
    const one = await client();
    expect(await one.ask('question', place)).toBe('pod question');
    expect(one.received[0]).toMatchObject({ from: place.address, port: place.port });
    expect(mesh?.a.plain).toEqual([]);
    expect(a.counts.get('received')).toBe('question'.length);
    expect(a.counts.get('sent')).toBe('pod question'.length);
    // Counted by the caller's proxy, judged by the pod's.
    expect([b.of('opened'), b.of('received'), a.of('allow'), b.of('allow')]).toEqual([0, 0, 0, 1]);
  });

  test('many of them cost one handshake; identities never share a session', async () => {
    await start();
    const many = await Promise.all(Array.from({ length: 50 }, () => client()));
    const answers = await Promise.all(many.map((one, index) => one.ask(`${index}`, place)));
    expect(answers).toEqual(many.map((_, index) => `pod ${index}`));
    expect(mesh?.a.results('client')).toEqual(['ok']);
    await (await client(otherPod)).ask('x', place);
    expect(mesh?.a.results('client')).toEqual(['ok', 'ok']);
    expect(arrived()).toBe(51);
  });

  test('what comes before the tunnel is open waits for it, in order', async () => {
    await start();
    const one = await client();
    for (const text of ['1', '2', '3', '4']) one.send(text, place);
    await until('all were answered', () => one.received.length === 4);
    expect(pod.received.map(({ text }) => text)).toEqual(['1', '2', '3', '4']);
  });

  test.each([0, 1_472, 16_384, 65_507])('carries %i bytes there and back', async (bytes) => {
    await start();
    pod.answer = (data) => data;
    const answer = await (await client()).ask(Buffer.alloc(bytes, 'x'), place);
    expect(answer).toBe('x'.repeat(bytes));
  });

  test('1 000 datagrams in a row arrive whole and in order', async () => {
    await start();
    pod.answer = (data) => data;
    const one = await client();
    await one.ask('first', place);
    const texts = Array.from({ length: 1_000 }, (_, index) => `${index} ${'y'.repeat(index)}`);
    for (let at = 0; at < texts.length; at += 20) {
      for (const text of texts.slice(at, at + 20)) one.send(text, place);
      await until('these came', () => one.received.length >= at + 21);
    }
    expect(one.received.slice(1).map(({ text }) => text)).toEqual(texts);
  });

  test('ends on both nodes when its client’s proxy ends it', async () => {
    await start();
    await (await client()).ask('x', place);
    expect(arrived()).toBe(1);
    mesh?.a.dataplane.ownUdp(() => false);
    await until('it ended there', () => arrived() === 0);
    expect(a.of('ended closed')).toBe(1);
  });

  test('to a pod that nobody listens at ends', async () => {
    await start();
    const one = await client();
    await one.ask('x', place);
    pod.close();
    one.send('y', place);
    await until('it ended', () => a.of('ended failed') === 1);
    expect(arrived()).toBe(0);
  });
});

describe('flows that arrive', () => {
  test('are bounded by identity and node: one caller shuts out no other', async () => {
    await start({}, { udpFlowsMax: 8 });
    for (let flow = 0; flow < 12; flow += 1) await (await client()).ask('x', place);
    await until('the oldest went', () => arrived() === 2);
    const other = await client(otherPod);
    expect(await other.ask('y', place)).toBe('pod y');
    for (let flow = 0; flow < 4; flow += 1) await (await client()).ask('x', place);
    expect(arrived()).toBe(3);
    expect(await other.ask('z', place)).toBe('pod z');
    expect([a.of('dropped Shedding'), a.counts.get('opened')]).toEqual([0, 17]);
  });

  test('that policy denies take nobody’s place', async () => {
    await start({ policy: 'enforce', udp: { ports: undefined } }, { udpFlowsMax: 1 });
    const one = await client();
    await one.ask('x', place);
    const denied = await client(otherPod);
    await until('it is denied', () => {
      denied.send('no', place);
      return a.of('dropped SourceNotAllowed') > 0;
    });
    expect(await one.ask('y', place)).toBe('pod y');
    expect([a.of('ended failed'), arrived()]).toEqual([0, 1]);
  });

  test('a flood that is denied there evicts nobody here', async () => {
    await start({ policy: 'enforce', udp: { ports: undefined } }, {}, 1);
    const one = await client();
    await one.ask('x', place);
    for (let flow = 0; flow < 20; flow += 1) (await client(otherPod)).send('no', place);
    await until('all were looked at', () => a.of('opened') === 21);
    expect(await one.ask('z', place)).toBe('pod z');
    // It was not opened anew.
    expect([a.of('opened'), arrived()]).toEqual([21, 1]);
  });

  test('one that was replaced goes on anew at the next datagram', async () => {
    await start({}, { udpFlowsMax: 1 });
    const [one, next] = [await client(), await client(otherPod)];
    await one.ask('x', place);
    await next.ask('y', place);
    await until('the first has ended', () => a.of('ended failed') === 1);
    expect(await one.ask('z', place)).toBe('pod z');
    expect(arrived()).toBe(1);
  });
});

describe('policy where the pod is', () => {
  const open = { ports: undefined };

  test('lets in whom a UDPRoute allows', async () => {
    await start({ policy: 'enforce', udp: open });
    expect(await (await client()).ask('x', place)).toBe('pod x');
  });

  test.each([
    ['no UDPRoute', 'RouteNotAllowed', { tcp: open }, clientPod],
    ['a caller that is not named', 'SourceNotAllowed', { udp: open }, otherPod],
  ])('%s: nothing reaches the pod, and both nodes count', async (_, reason, said, from) => {
    await start({ policy: 'enforce', ...said });
    const one = await client(from);
    one.send('x', place);
    await until('the refusal is here', () => {
      if (a.of(`dropped ${reason}`) === 0) one.send('y', place);
      return a.of(`dropped ${reason}`) > 0;
    });
    expect(b.of(`deny ${reason}`)).toBe(1);
    expect([pod.received, arrived()]).toEqual([[], 0]);
    await until('it is asked again later', () => {
      one.send('z', place);
      return b.of(`deny ${reason}`) === 2;
    });
    expect(pod.received).toEqual([]);
  });

  test('that changes ends it before another datagram passes', async () => {
    await start({ policy: 'enforce', udp: open });
    const one = await client();
    await one.ask('x', place);
    await mesh?.publish(worldOf({ policy: 'enforce' }));
    one.send('y', place);
    await until('it ended there', () => arrived() === 0);
    expect(pod.received.map(({ text }) => text)).toEqual(['x']);
  });

  test('an answer is judged as well', async () => {
    await start({ policy: 'enforce', udp: open });
    const one = await client();
    await one.ask('x', place);
    await mesh?.publish(worldOf({ policy: 'enforce' }));
    pod.send('late', pod.lastFrom());
    await until('it ended there', () => arrived() === 0);
    expect(one.received).toHaveLength(1);
  });
});

describe('without a way', () => {
  test('a node whose proxy cannot be reached: dropped, never plain', async () => {
    const running = await start();
    running.b.dataplane.close();
    const one = await client();
    one.send('x', place);
    await until('it is dropped', () => {
      if (a.of('dropped TunnelUnavailable') === 0) one.send('y', place);
      return a.of('dropped TunnelUnavailable') > 0;
    });
    expect(pod.received).toEqual([]);
  });

  test('a pod that the other node does not have', async () => {
    await start({ pods: [clientPod, otherPod] });
    const one = await client();
    one.send('x', place);
    await until('it is dropped', () => {
      if (a.of('dropped TunnelUnavailable') === 0) one.send('y', place);
      return a.of('dropped TunnelUnavailable') > 0;
    });
    expect(pod.received).toEqual([]);
  });

  test('a pod that its node has not heard of yet: another one is asked', async () => {
    const late = { address: '127.0.2.9', port: pod.place.port, node: 'node-b' };
    await start({ endpoints: [late, { ...pod.place, node: 'node-b' }] });
    const many = await Promise.all(Array.from({ length: 20 }, () => client()));
    for (const one of many) for (const text of ['1', '2', '3']) one.send(text, place);
    await until('all were answered', () => many.every(({ received }) => received.length === 3));
    const [one] = many;
    expect(one?.received.map(({ text }) => text)).toEqual(['pod 1', 'pod 2', 'pod 3']);
    expect(a.of('ended refused')).toBeGreaterThan(0);
    expect([...a.counts.keys()].filter((what) => what.startsWith('dropped'))).toEqual([]);
  });

  test('a node that serves no UDP refuses it, and takes it for nothing else', async () => {
    mesh = await TunnelMesh.start(worldOf(), { udp: a.observer() }, {});
    const one = await client();
    one.send('x', place);
    await until('it is dropped', () => {
      const dropped = [...a.counts.keys()].some((what) => what.startsWith('dropped'));
      if (!dropped) one.send('y', place);
      return dropped;
    });
    expect(pod.received).toEqual([]);
  });
});
