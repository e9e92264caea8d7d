// A flow through a tunnel, both ends of it on a stream in memory: what waits, what is let in, what
// ends it. The tunnel itself, and the network, are test/integration/udp-tunnel.test.ts.
import { describe, expect, test } from 'vitest';
import { fakeTime } from '../../test/support/fake-time.ts';
import { udpTable, type UdpMeshOptions } from '../../test/support/udp-harness.ts';
import type { Source } from '../route/index.ts';
import { Deadlines } from './deadlines.ts';
import { ArrivedFlow } from './udp-arrived.ts';
import { renderDatagram } from './udp-capsules.ts';
import { streamPath } from './udp-stream.ts';
import type { FlowPathEvents } from './udp-upstream.ts';

/** One end of a stream: what it writes is kept, what it is told is said by the test. */
class FakeStream {
  readonly remoteAddress = undefined;
  destroyed = false;
  errored = null;
  writableLength = 0;
  writableNeedDrain = false;
  failure: { readonly reason: 'SourceNotAllowed' } | undefined;
  readonly written: string[] = [];
  readonly said: string[] = [];
  readonly #listeners = new Map<string, (data: Buffer) => void>();

  on(event: string, listener: (data: never) => void): void {
    // The test tells each event what it takes.
    this.#listeners.set(event, listener as (data: Buffer) => void);
  }

  tell(event: string, data: Uint8Array = Buffer.alloc(0)): void {
    this.#listeners.get(event)?.(Buffer.from(data));
  }

  datagram(text: string): void {
    this.tell('data', renderDatagram(Buffer.from(text)));
  }

  write(data: Uint8Array): boolean {
    this.written.push(Buffer.from(data).toString('latin1'));
    return true;
  }

  resetAndDestroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.said.push('reset');
    this.tell('close');
  }

  accept(): void {
    this.said.push('accept');
  }

  refuse(reason: string): void {
    this.said.push(`refuse ${reason}`);
    this.destroyed = true;
  }

  end(): void {
    this.said.push('end');
  }

  destroy(): void {
    this.resetAndDestroy();
  }

  destroySoon(): void {
    this.end();
  }

  pause(): void {
    this.said.push('pause');
  }

  resume(): void {
    this.said.push('resume');
  }

  cork(): void {
    return;
  }

  uncork(): void {
    return;
  }
}

/** Of a length that is beyond any datagram. */
const noCapsule = Uint8Array.of(0, 0xc0, 1, 0, 0, 0, 0, 0, 0);

function capsule(text: string): string {
  return renderDatagram(Buffer.from(text)).toString('latin1');
}

describe('the end of the caller', () => {
  const roomBytes = 400_000;

  function opened(room = { bytes: roomBytes }) {
    const told: string[] = [];
    const stream = new FakeStream();
    const events: FlowPathEvents = {
      accepted: () => stream.said.push('accepted'),
      received: (data) => told.push(Buffer.from(data).toString()),
      lost: (why) => told.push(`lost ${why}`),
      refused: (reason, unsent) =>
        told.push(`refused ${reason} ${unsent.map((one) => Buffer.from(one).toString()).join()}`),
      unreachable: () => told.push('unreachable'),
      broken: () => told.push('broken'),
    };
    const path = streamPath(stream, events, room);
    const send = (text: string) => path.send(Buffer.from(text));
    return { stream, path, send, told, room };
  }

  test('keeps what comes until it is let in, and then sends it in order', () => {
    const { stream, send, room } = opened();
    const texts = Array.from({ length: 200 }, (_, index) => `${index}`);
    expect(new Set(texts.map(send))).toEqual(new Set(['sent']));
    expect([stream.written, stream.said]).toEqual([[], []]);
    stream.tell('connect');
    expect(stream.said).toEqual(['accepted']);
    send('last');
    expect(stream.written).toEqual([...texts, 'last'].map(capsule));
    expect(room.bytes).toBe(roomBytes);
  });

  test('keeps no more than 256 kB, however small or large what comes is', () => {
    const [small, large] = [opened(), opened()];
    const count = (send: (text: string) => string, text: string): number => {
      let sent = 0;
      while (sent < 10_000 && send(text) === 'sent') sent += 1;
      return sent;
    };
    expect(count(small.send, '')).toBe(2_048);
    expect(count(large.send, 'x'.repeat(4_000))).toBe(63);
    expect(small.room.bytes).toBe(roomBytes - 262_144);
  });

  test('leaves others of the worker their room, and gives back its own in the end', () => {
    const room = { bytes: 1_000 };
    const [first, second] = [opened(room), opened(room)];
    expect(['x'.repeat(600), 'y'.repeat(600)].map(first.send)).toEqual(['sent', 'full']);
    expect(second.send('z'.repeat(200))).toBe('full');
    first.path.close();
    expect([second.send('z'.repeat(200)), room.bytes]).toEqual(['sent', 672]);
    second.stream.tell('close');
    expect(room.bytes).toBe(1_000);
  });

  test('drops what the stream does not take', () => {
    const { stream, send } = opened();
    stream.tell('connect');
    stream.writableLength = 1024 * 1024;
    expect(send('x')).toBe('full');
    stream.writableLength = 0;
    expect(send('y')).toBe('sent');
    expect(stream.written).toEqual([capsule('y')]);
  });

  test('takes answers, whatever they are cut into', () => {
    const { stream, told } = opened();
    stream.tell('connect');
    const bytes = renderDatagram(Buffer.from('answer'));
    stream.tell('data', bytes.subarray(0, 3));
    stream.tell('data', bytes.subarray(3));
    expect(told).toEqual(['answer']);
  });

  test.each([
    ['what is no capsule', (stream: FakeStream) => stream.tell('data', noCapsule)],
    ['the end of the stream', (stream: FakeStream) => stream.tell('end')],
    ['a reset', (stream: FakeStream) => stream.resetAndDestroy()],
  ])('%s breaks it', (_, breakIt) => {
    const { stream, send, told } = opened();
    stream.tell('connect');
    breakIt(stream);
    expect([told, send('x'), stream.destroyed]).toEqual([['broken'], 'failed', true]);
  });

  test('one that had failed before it was used says so at its first datagram', () => {
    const { stream, send, told } = opened();
    stream.destroyed = true;
    expect([send('x'), send('y'), told]).toEqual([
      'sent',
      'failed',
      ['refused TunnelUnavailable x'],
    ]);
  });

  test.each([
    ['was refused', { reason: 'SourceNotAllowed' as const }, 'refused SourceNotAllowed x'],
    ['was not opened has no tunnel', undefined, 'refused TunnelUnavailable x'],
  ])('one that %s', (_, failure, expected) => {
    const { stream, send, told } = opened();
    send('x');
    stream.failure = failure;
    stream.tell('close');
    expect([told, send('y')]).toEqual([[expected], 'failed']);
  });
});

describe('the end of the pod', () => {
  const place = { address: '10.1.0.1', port: 5_353 };
  const source: Source = {
    kind: 'workload',
    namespace: 't',
    serviceAccount: 'client',
    principal: 't/client',
    workload: 'ServiceAccount/client',
    podName: '',
  };
  const open = { udp: { ports: undefined } };
  const allowed = { pods: [place], policy: 'enforce', permission: open } as const;

  function arrived(said: UdpMeshOptions) {
    const time = fakeTime();
    const deadlines = new Deadlines(time.clock, time.timers);
    const stream = new FakeStream();
    const told: string[] = [];
    let table = udpTable(said);
    let pod: FlowPathEvents | undefined;
    const flow = new ArrivedFlow({
      deadlines,
      table: () => table,
      observer: {
        flowJudged: ({ backend }, { kind }) => told.push(`${kind} at ${backend.id}`),
      },
      stream,
      target: {
        transport: 'udp',
        namespace: 't',
        service: 'dns',
        port: 53,
        address: place.address,
        podPort: place.port,
      },
      source,
      remoteAddress: '10.0.0.2',
      key: 'arrived 1',
      used: () => told.push('used'),
      open: (_, endpoint, events) => {
        pod = events;
        told.push(`open ${endpoint.id}`);
        return {
          send: (data) => {
            told.push(Buffer.from(data).toString());
            return 'sent';
          },
          close: () => told.push('close'),
        };
      },
      ended: () => told.push('ended'),
    });
    flow.begin();
    const publish = (next: UdpMeshOptions): void => {
      table = udpTable(next, table);
    };
    return { stream, told, time, deadlines, publish, pod: () => pod };
  }

  const begun = ['allow at t/dns:53/udp', 'open 10.1.0.1:5353/udp'];

  test('lets in whom policy allows, and carries both ways', () => {
    const { stream, told, pod } = arrived(allowed);
    stream.datagram('question');
    pod()?.received(Buffer.from('answer'));
    expect(stream.said).toEqual(['accept']);
    expect(told).toEqual([...begun, 'question']);
    expect(stream.written).toEqual([capsule('answer')]);
  });

  test.each([
    ['no UDPRoute', 'RouteNotAllowed', { ...allowed, permission: {} }],
    ['another source', 'SourceNotAllowed', { ...allowed, permission: { sources: ['t/no'] } }],
    ['no such pod', 'PodNotHere', { ...allowed, pods: [] }],
    ['a pod of another node', 'PodNotHere', { ...allowed, podNode: 'node-b' }],
  ])('%s: is refused, and nothing is opened', (_, reason, said) => {
    const { stream, told, deadlines } = arrived(said);
    expect(stream.said[0]).toBe(`refuse ${reason}`);
    expect(told.at(-1)).toBe('ended');
    expect(told.filter((one) => one.startsWith('open'))).toEqual([]);
    expect(deadlines.armed).toBe(0);
  });

  test.each([
    ['is not allowed any more', { ...allowed, permission: {} }],
    ['has lost its pod', { ...allowed, pods: [] }],
  ])('one that %s passes nothing more, and ends', (_, said) => {
    for (const isQuestion of [true, false]) {
      const { stream, told, publish, pod, deadlines } = arrived(allowed);
      publish(said);
      if (isQuestion) stream.datagram('late');
      else pod()?.received(Buffer.from('late'));
      expect(told).toEqual([...begun, 'close', 'ended']);
      expect([stream.written, stream.destroyed, deadlines.armed]).toEqual([[], true, 0]);
    }
  });

  test('one whose pod has left its Service passes what is under way, for a while', () => {
    const { stream, told, time, publish, pod, deadlines } = arrived(allowed);
    stream.datagram('asked before');
    publish({ ...allowed, pods: [], leaving: [place] });
    pod()?.received(Buffer.from('answer'));
    stream.datagram('sent by who has not heard');
    expect(told).toEqual([...begun, 'asked before', 'sent by who has not heard']);
    expect(stream.written).toEqual([capsule('answer')]);
    time.advance(5_100);
    expect(told.slice(-2)).toEqual(['close', 'ended']);
    expect(deadlines.armed).toBe(0);
  });

  test('one whose pod has left passes nothing that policy denies', () => {
    const { stream, told, publish, pod } = arrived(allowed);
    publish({ ...allowed, pods: [], leaving: [place], permission: {} });
    pod()?.received(Buffer.from('answer'));
    expect([stream.written, told.at(-1)]).toEqual([[], 'ended']);
  });

  test('a table that changes nothing for it leaves it alone', () => {
    const { stream, told, publish } = arrived(allowed);
    publish({ ...allowed, rules: { idleTimeoutMs: 5_000 } });
    stream.datagram('on');
    expect(told).toEqual([...begun, 'on']);
  });

  test.each([
    ['its stream ends', (stream: FakeStream) => stream.tell('end')],
    ['its stream is reset', (stream: FakeStream) => stream.resetAndDestroy()],
    ['what comes is no capsule', (stream: FakeStream) => stream.tell('data', noCapsule)],
  ])('ends when %s', (_, happen) => {
    const { stream, told, deadlines } = arrived(allowed);
    happen(stream);
    expect(told).toEqual([...begun, 'close', 'ended']);
    expect(deadlines.armed).toBe(0);
  });

  test('ends with the pod that nobody listens at', () => {
    const { stream, told, pod } = arrived(allowed);
    pod()?.unreachable();
    expect([told.at(-1), stream.destroyed]).toEqual(['ended', true]);
  });

  test('moves in the order of use as its caller sends, now and then', () => {
    const { stream, told, time } = arrived(allowed);
    for (const text of ['1', '2', '3']) {
      time.advance(600);
      stream.datagram(text);
    }
    expect(told).toEqual([...begun, '1', 'used', '2', '3']);
  });

  test('outlives the caller’s own time-out, and not by much', () => {
    const { stream, told, time } = arrived(allowed);
    stream.datagram('1');
    time.advance(119_000);
    expect(told.at(-1)).toBe('1');
    expect(told).not.toContain('used');
    time.advance(1_100);
    expect(told.at(-1)).toBe('ended');
  });
});
