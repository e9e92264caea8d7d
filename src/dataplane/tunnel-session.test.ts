// Whether a session is noticed to be dead: two of them back to back in memory, under a clock that
// the test moves. What they carry is test/integration/tcp-tunnel.test.ts.
import { expect, test } from 'vitest';
import { fakeTime } from '../../test/support/fake-time.ts';
import type { SecureSocket, SocketReader } from '../lib/network.ts';
import { Deadlines } from './deadlines.ts';
import type { Engine } from './engine.ts';
import { FrameBuffers } from './http2/frame-writer.ts';
import { silentObserver } from './observer.ts';
import { BodyBuffers } from './read-buffers.ts';
import { TunnelSession } from './tunnel-session.ts';
import { TunnelStream } from './tunnel-stream.ts';
import { TurnClock } from './turn-clock.ts';

/** One end of a pipe; what is written to a pipe that is cut is lost without a word. */
class PipeEnd {
  other: PipeEnd | undefined;
  isCut = false;
  /** Its peer takes nothing. */
  isStuck = false;
  destroyed = false;
  writableLength = 0;
  #reader: SocketReader | undefined;
  readonly #listeners = new Map<string, () => void>();

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, listener);
  }

  readInto(reader: SocketReader): void {
    this.#reader = reader;
  }

  write(bytes: Buffer): boolean {
    if (!this.isCut) this.other?.arrive(Buffer.from(bytes));
    return true;
  }

  arrive(bytes: Buffer): void {
    const buffer = this.#reader?.readBuffer();
    if (buffer === undefined) return;
    bytes.copy(buffer);
    this.#reader?.read(buffer, bytes.length);
  }

  destroySoon(): void {
    if (!this.isStuck) this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#listeners.get('close')?.();
  }
}

function sessions() {
  const time = fakeTime();
  const clock = new TurnClock(time.clock);
  const deadlines = new Deadlines(clock, time.timers);
  const steps: (() => void)[] = [];
  // What a session asks of an engine, and no more.
  const engine = {
    clock,
    deadlines,
    buffers: new BodyBuffers(),
    frameBuffers: new FrameBuffers(),
    observer: silentObserver,
    counts: { connections: 0, exchanges: 0, lingering: 0, bufferedBytes: 0 },
    turnEnd: {
      add: (step: () => void) => steps.push(step),
      soon: (step: () => void) => steps.push(step),
    },
  } as unknown as Engine;
  const ends = [new PipeEnd(), new PipeEnd()] as const;
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  const closed: string[] = [];
  const made = (role: 'client' | 'server', end: PipeEnd): TunnelSession<TunnelStream> =>
    new TunnelSession<TunnelStream>({
      role,
      engine,
      make: () => new TunnelStream(engine.counts),
      // What a session asks of a socket, and no more.
      socket: end as unknown as SecureSocket,
      arrived: (stream) => stream.accept(),
      changed: () => undefined,
      closed: () => closed.push(role),
    });
  const server = made('server', ends[1]);
  const client = made('client', ends[0]);
  const settle = (): void => {
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) step();
  };
  const pass = (seconds: number): void => {
    for (let second = 0; second < seconds; second += 1) {
      time.advance(1_000);
      settle();
    }
  };
  settle();
  return { client, server, ends, closed, settle, pass, counts: engine.counts, deadlines };
}

function open({ client, settle, counts }: ReturnType<typeof sessions>): TunnelStream {
  const stream = new TunnelStream(counts);
  stream.await(() => undefined);
  const head = [
    { name: ':method', value: 'CONNECT' },
    { name: ':authority', value: '10.1.0.2:5432' },
  ];
  expect(client.open(stream, head)).toBe(true);
  settle();
  return stream;
}

test('a session that carries silent connections lives as long as its peer answers', () => {
  const both = sessions();
  const stream = open(both);
  both.pass(600);
  expect(both.closed).toEqual([]);
  expect(stream.destroyed).toBe(false);
});

test('a peer that is gone without a word is noticed, and what it carried is told', () => {
  const both = sessions();
  const stream = open(both);
  let isClosed = false;
  stream.on('close', () => (isClosed = true));
  both.pass(20);
  for (const end of both.ends) end.isCut = true;
  both.pass(31);
  expect([...both.closed].sort()).toEqual(['client', 'server']);
  expect([isClosed, stream.errored === null]).toEqual([true, false]);
  expect(both.deadlines.armed).toBe(0);
});

test('one that carries nothing is not asked', () => {
  const both = sessions();
  for (const end of both.ends) end.isCut = true;
  both.pass(600);
  expect(both.closed).toEqual([]);
});

test('nothing begins on a session that is being closed', () => {
  const both = sessions();
  open(both).resetAndDestroy();
  both.settle();
  both.client.closeIfIdle();
  expect(both.client.canOpen).toBe(false);
});

test('one whose peer does not take its last bytes is cut, and not before', () => {
  const both = sessions();
  open(both).resetAndDestroy();
  both.settle();
  const [end] = both.ends;
  end.isStuck = true;
  end.writableLength = 4_000;
  both.client.closeIfIdle();
  for (const bytesLeft of [3_000, 2_000, 1_000]) {
    end.writableLength = bytesLeft;
    both.pass(15);
    expect(both.closed).toEqual([]);
  }
  both.pass(31);
  expect(both.closed).toEqual(['client']);
});

test('one that has failed and whose peer does not read why is cut soon', () => {
  const both = sessions();
  const [end] = both.ends;
  open(both);
  end.isStuck = true;
  end.writableLength = 1_000;
  // No frame is that long.
  end.arrive(Buffer.alloc(9, 0xff));
  expect(both.closed).toEqual([]);
  both.pass(3);
  expect(both.closed).toEqual(['client']);
});
