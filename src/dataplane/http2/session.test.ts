// Two sessions talk to each other through memory, and one talks to a peer that is written frame by
// frame. Laws: what is sent arrives, wherever the bytes are cut; nobody holds more than the windows
// allow; every stream is told its end exactly once.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { fieldsOf, get, ok, only, open, pair } from '../../../test/support/http2-sides.ts';
import { post, settle } from '../../../test/support/http2-sides.ts';
import { defaultSessionLimits } from './limits.ts';

describe('a call', () => {
  test('with bodies and trailers both ways is told to both sides', () => {
    const { client, server } = pair();
    const stream = open(client);
    stream.sendHeaders(post);
    stream.sendData(Buffer.from('question'), 0, 8);
    stream.end([{ name: 'checksum', value: '1' }]);
    settle(client, server);
    const answer = only(server);
    answer.sendHeaders(fieldsOf(':status=103'));
    answer.sendHeaders(ok);
    answer.sendData(Buffer.from('answer'), 0, 6);
    answer.end([{ name: 'grpc-status', value: '0' }]);
    settle(client, server);
    expect(server.told).toEqual([
      'headers 1 :method=POST,:scheme=http,:path=/,:authority=web',
      'ended 1 checksum',
      'closed 1',
    ]);
    expect(server.contentOf(1).toString()).toBe('question');
    expect(client.told).toEqual([
      'headers 1 :status=103',
      'headers 1 :status=200,server=x',
      'ended 1 grpc-status',
      'closed 1',
    ]);
    expect(client.contentOf(1).toString()).toBe('answer');
    expect([client.session.streams.size, server.session.streams.size]).toEqual([0, 0]);
  });

  test('ends with trailers that are longer than a frame', () => {
    const { client, server } = pair();
    const stream = open(client);
    stream.sendHeaders(post);
    stream.sendData(Buffer.from('x'), 0, 1);
    stream.end([{ name: 'a', value: 'l'.repeat(20_000) }, { name: 'b', value: '2' }]);
    settle(client, server);
    expect(server.told.slice(1)).toEqual(['ended 1 a b']);
    const answer = only(server);
    answer.sendHeaders([...ok, { name: 'a', value: 'l'.repeat(20_000) }]);
    answer.end();
    settle(client, server);
    expect(client.told.slice(1)).toEqual(['ended 1', 'closed 1']);
  });

  test('that is cut anywhere is the same call', () => {
    const random = seededRandom(3);
    const run = (cut: () => number): readonly unknown[] => {
      const { client, server } = pair();
      for (let index = 0; index < 4; index += 1) {
        const stream = open(client);
        stream.sendHeaders([...post, { name: 'x-long', value: 'l'.repeat(index * 7_000) }]);
        stream.sendData(Buffer.alloc(5_000 * index, index), 0, 5_000 * index);
        stream.end();
      }
      settle(client, server, cut);
      for (const stream of server.streams) {
        stream.sendHeaders(ok);
        stream.sendData(server.contentOf(stream.id), 0, server.contentOf(stream.id).length);
        stream.end([{ name: 'a', value: 'b' }]);
      }
      settle(client, server, cut);
      const echoed = [1, 3, 5, 7].map((id) => client.contentOf(id).length);
      return [client.told, server.told, echoed];
    };
    const whole = run(() => Infinity);
    expect(whole[2]).toEqual([0, 5_000, 10_000, 15_000]);
    expect(run(() => 1)).toEqual(whole);
    for (let round = 0; round < 20; round += 1) {
      expect(run(() => 1 + Math.floor(random() ** 3 * 9_000))).toEqual(whole);
    }
  });
});

describe('back-pressure', () => {
  test('a reader that passes nothing on gets no more than the window of its stream', () => {
    const { client, server } = pair({ streamWindowBytes: 100_000 });
    server.consumes = false;
    const stream = open(client);
    stream.sendHeaders(post);
    expect(stream.sendData(Buffer.alloc(250_000), 0, 250_000)).toBe(false);
    stream.end();
    settle(client, server);
    expect(server.contentOf(1).length).toBe(100_000);
    expect([stream.isFull, stream.unsentBytes]).toEqual([true, 150_000]);
    only(server).consumed(60_000);
    settle(client, server);
    expect(server.contentOf(1).length).toBe(160_000);
    server.consumes = true;
    only(server).consumed(100_000);
    settle(client, server);
    expect(server.contentOf(1).length).toBe(250_000);
    expect(server.told.at(-1)).toBe('ended 1');
  });

  test('who waits is told also where the end of the message leaves with the last bytes', () => {
    const { client, server } = pair({ streamWindowBytes: 100_000 });
    server.consumes = false;
    const stream = open(client);
    stream.sendHeaders(post);
    expect(stream.sendData(Buffer.alloc(110_000), 0, 110_000)).toBe(false);
    stream.end();
    settle(client, server);
    expect(client.told).toEqual([]);
    only(server).consumed(100_000);
    settle(client, server);
    expect([stream.isSendingOver, stream.isClosed]).toEqual([true, false]);
    expect(client.told).toEqual(['drained 1']);
    // Not where the stream ends with it: its end is told, and is the last thing.
    only(server).sendHeaders(ok);
    only(server).sendData(Buffer.alloc(300_000), 0, 300_000);
    only(server).end();
    settle(client, server);
    expect(server.told.slice(-2)).toEqual(['ended 1', 'closed 1']);
  });

  test('a stream that nobody reads does not hold up the others', () => {
    const { client, server } = pair();
    const slow = open(client);
    const quick = open(client);
    for (const stream of [slow, quick]) stream.sendHeaders(get);
    for (const stream of [slow, quick]) stream.end();
    settle(client, server);
    client.consumes = false;
    const body = Buffer.alloc(1_000_000, 'x');
    only(server).sendHeaders(ok);
    only(server).sendData(body, 0, body.length);
    settle(client, server);
    client.consumes = true;
    only(server, 1).sendHeaders(ok);
    only(server, 1).sendData(body, 0, body.length);
    only(server, 1).end();
    settle(client, server);
    expect(client.contentOf(1).length).toBe(defaultSessionLimits.streamWindowBytes);
    expect(client.contentOf(3).length).toBe(body.length);
    expect(client.told).toContain('closed 3');
  });

  test('what a stream held that is reset is granted to the others again', () => {
    const { client, server } = pair({ connectionWindowBytes: 300_000 });
    server.consumes = false;
    for (let index = 0; index < 10; index += 1) {
      const stream = open(client);
      stream.sendHeaders(post);
      stream.sendData(Buffer.alloc(200_000), 0, 200_000);
      settle(client, server);
      expect(server.contentOf(stream.id).length).toBe(200_000);
      only(server, index).reset(8);
      settle(client, server);
    }
    expect(client.told).toContain('reset 19 8 peer');
    expect([client.session.streams.size, server.session.streams.size]).toEqual([0, 0]);
  });

  test('the transport is not filled: streams wait and take turns', () => {
    const { client, server } = pair();
    Object.defineProperty(client, 'unsentBytes', { value: 300_000, configurable: true });
    const streams = [open(client), open(client)];
    for (const stream of streams) {
      stream.sendHeaders(post);
      stream.sendData(Buffer.alloc(50_000), 0, 50_000);
      stream.end();
    }
    expect(streams.map(({ unsentBytes }) => unsentBytes)).toEqual([50_000, 50_000]);
    Object.defineProperty(client, 'unsentBytes', { value: 0, configurable: true });
    client.session.drained();
    settle(client, server);
    expect([1, 3].map((id) => server.contentOf(id).length)).toEqual([50_000, 50_000]);
  });
});

describe('a connection whose window holds those of all its streams', () => {
  test.each([0, 16, 31])('carries one on while %d are not read', (unread) => {
    const streamWindowBytes = 32 * 1024;
    const streamsMax = 32;
    const connectionWindowBytes = streamsMax * streamWindowBytes;
    const { client, server } = pair({ streamsMax, streamWindowBytes, connectionWindowBytes });
    const streams = Array.from({ length: unread + 1 }, () => open(client));
    for (const stream of streams) stream.sendHeaders(get);
    client.consumes = false;
    settle(client, server);
    const full = Buffer.alloc(streamWindowBytes);
    for (let index = 0; index <= unread; index += 1) {
      only(server, index).sendHeaders(ok);
      if (index < unread) only(server, index).sendData(full, 0, full.length);
    }
    const live = only(server, unread);
    let got = 0;
    for (let round = 0; round < 200; round += 1) {
      if (!live.isFull) live.sendData(full, 0, full.length);
      settle(client, server);
      const bytes = client.contentOf(live.id).length;
      client.received.delete(live.id);
      streams[unread]?.consumed(bytes);
      settle(client, server);
      got += bytes;
    }
    expect(got).toBeGreaterThan(3 * connectionWindowBytes);
  });
});

describe('the end', () => {
  test('a reset by the user is told to the peer alone, and late frames do no harm', () => {
    const { client, server } = pair();
    const stream = open(client);
    stream.sendHeaders(get);
    stream.end();
    settle(client, server);
    only(server).sendHeaders(ok);
    only(server).sendData(Buffer.alloc(70_000), 0, 70_000);
    stream.reset(8);
    settle(server, client);
    expect(client.told).toEqual(['closed 1']);
    expect(server.told.slice(2)).toEqual(['reset 1 8 peer', 'closed 1']);
  });

  test('requests above the last id of GOAWAY are told as refused, the others go on', () => {
    const { client, server } = pair();
    const first = open(client);
    first.sendHeaders(get);
    settle(client, server);
    server.session.leave();
    const second = open(client);
    second.sendHeaders(get);
    settle(client, server);
    first.end();
    settle(client, server);
    only(server).sendHeaders(ok);
    only(server).end();
    settle(client, server);
    expect(client.told).toEqual([
      'reset 3 7 peer',
      'closed 3',
      'goAway 1 0',
      'headers 1 :status=200,server=x',
      'ended 1',
      'closed 1',
    ]);
    expect(client.session.canOpen).toBe(false);
    expect(server.told.some((line) => line.startsWith('failed'))).toBe(false);
  });

  test('a connection that is gone ends every stream once', () => {
    const { client, server } = pair();
    const streams = [open(client), open(client)];
    streams[0]?.sendHeaders(get);
    settle(client, server);
    client.session.disconnected();
    client.session.disconnected();
    expect(client.told).toEqual([
      'reset 1 8 connection',
      'closed 1',
      'reset 0 8 connection',
      'closed 0',
    ]);
    expect(client.session.streams.size).toBe(0);
    expect(client.session.canOpen).toBe(false);
  });

  test('no more streams are opened than the server takes', () => {
    const { client, server } = pair({ streamsMax: 2 });
    const streams = [open(client), open(client)];
    expect(client.session.openStream('third')).toBeUndefined();
    streams[0]?.sendHeaders(get);
    streams[0]?.reset(8);
    expect(client.session.canOpen).toBe(true);
    settle(client, server);
  });
});
