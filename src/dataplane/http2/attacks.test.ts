// What a hostile peer sends, frame by frame, to either side of a session: each attack ends its own
// connection with the code that fits, after a bounded number of frames and with a bounded number of
// streams told; what a busy peer does that behaves ends nothing.
import { describe, expect, test } from 'vitest';
import { blockText, frameText, framesOf } from '../../../test/support/http2-client.ts';
import { prefaceText, word } from '../../../test/support/http2-client.ts';
import { get, ok, open, Side } from '../../../test/support/http2-sides.ts';
import { defaultSessionLimits } from './limits.ts';

type Role = 'server' | 'client';

const request = blockText([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'a'],
  [':path', '/'],
]);
const answer = blockText([[':status', '200']]);
/** More fields than a list may have. */
const tooMany = blockText(Array.from({ length: 200 }, () => ['a', 'b']));
const endHeaders = 4;
const endBoth = 5;

/** A side whose peer has said nothing but SETTINGS; a client has three open calls. */
function sideOf(role: Role): Side {
  const side = new Side(role);
  feed(side, (role === 'server' ? prefaceText : '') + frameText(4, 0, 0));
  for (let call = 0; role === 'client' && call < 3; call += 1) open(side).sendHeaders(get);
  side.session.flush();
  return side;
}

function feed(side: Side, text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  side.session.read(bytes, 0, bytes.length);
}

/** Feeds frames until the side has had enough; how many it took, or undefined. */
function endure(side: Side, most: number, frames: (turn: number) => string): number | undefined {
  for (let turn = 0; turn < most; turn += 1) {
    feed(side, frames(turn));
    if (side.session.isOver) return turn + 1;
  }
  return undefined;
}

/** The code of the GOAWAY that was written. */
function goAwayOf(side: Side): number | undefined {
  const text = Buffer.concat(side.written).toString('latin1');
  const skipped = text.startsWith('PRI') ? 24 : 0;
  const last = framesOf(text.slice(skipped))
    .filter(({ type }) => type === 7)
    .pop();
  return last === undefined ? undefined : Buffer.from(last.payload, 'latin1').readUInt32BE(4);
}

const streamIdOf = (turn: number): number => 2 * turn + 1;
const head = (turn: number, flags = endHeaders): string =>
  frameText(1, flags, streamIdOf(turn), request);

describe('floods end with ENHANCE_YOUR_CALM', () => {
  type Flood = readonly [title: string, most: number, frames: (turn: number) => string];
  const atBoth: readonly Flood[] = [
    ['SETTINGS', 60, () => frameText(4, 0, 0)],
    ['PING', 250, () => frameText(6, 0, 0, '12345678')],
    ['acknowledgements of SETTINGS that nobody sent', 600, () => frameText(4, 1, 0)],
    ['answers to pings that nobody sent', 250, () => frameText(6, 1, 0, '12345678')],
    ['PRIORITY', 600, () => frameText(2, 0, 9, word(0) + '\x10')],
    ['frames of unknown types', 600, () => frameText(77, 0, 0, 'x')],
    ['windows opened byte by byte', 2_100, () => frameText(8, 0, 0, word(1))],
    ['RST_STREAM of streams that are gone', 5_000, (turn) => resetOfGone(turn)],
  ];
  const atServers: readonly Flood[] = [
    ['rapid reset', 160, (turn) => head(turn) + frameText(3, 0, streamIdOf(turn), word(8))],
    [
      'streams that we have to reset: a window opened by nothing',
      60,
      (turn) => head(turn) + frameText(8, 0, streamIdOf(turn), word(0)),
    ],
    [
      'streams that we have to reset: DATA behind the end',
      60,
      (turn) => head(turn, endBoth) + frameText(0, 0, streamIdOf(turn), 'x'),
    ],
    [
      'streams that we have to reset: a window beyond its maximum',
      60,
      (turn) => head(turn) + frameText(8, 0, streamIdOf(turn), word(0x7fffffff)),
    ],
    ['malformed requests', 60, (turn) => frameText(1, endBoth, streamIdOf(turn), answer)],
    ['empty DATA', 260, (turn) => (turn === 0 ? head(0) : '') + frameText(0, 0, 1)],
    ['lists that are too long', 60, (turn) => bomb(turn)],
    ['more streams than were offered', defaultSessionLimits.streamsMax + 60, (turn) => head(turn)],
  ];

  test.each(atBoth)('%s, at either side', (_, most, frames) => {
    for (const role of ['server', 'client'] as const) {
      const side = sideOf(role);
      expect(endure(side, most, frames)).toBeDefined();
      expect(goAwayOf(side)).toBe(11);
      expect(side.told.at(-1)).toBe('failed 11');
    }
  });

  test.each(atServers)('%s', (_, most, frames) => {
    const side = sideOf('server');
    expect(endure(side, most, frames)).toBeDefined();
    expect(goAwayOf(side)).toBe(11);
    const told = side.told.filter((line) => line.startsWith('headers')).length;
    expect(told).toBeLessThanOrEqual(defaultSessionLimits.streamsMax);
    expect(side.session.streams.size).toBe(0);
  });

  test.each([
    ['with content', 'x'.repeat(16_384)],
    ['without content', ''],
  ])('CONTINUATION without end, %s, at either side', (_, content) => {
    for (const role of ['server', 'client'] as const) {
      const side = sideOf(role);
      feed(side, frameText(1, 0, 1, ''));
      expect(endure(side, 20, () => frameText(9, 0, 1, content))).toBeLessThan(18);
      expect(goAwayOf(side)).toBe(11);
    }
  });

  test('answers that the peer does not read', () => {
    const side = sideOf('server');
    Object.defineProperty(side, 'unsentBytes', { value: 2 * 1024 * 1024 });
    feed(side, frameText(6, 0, 0, '12345678'));
    expect(goAwayOf(side)).toBe(11);
  });

  test.each([
    ['heads', 5_000, frameText(1, endHeaders, 1, answer)],
    ['heads beyond the limits', 60, frameText(1, endHeaders, 1, tooMany)],
    ['empty DATA', 5_000, frameText(0, 0, 1)],
    ['resets', 5_000, frameText(3, 0, 1, word(8))],
  ])('%s of a stream that we have reset', (_, most, frames) => {
    const side = sideOf('client');
    feed(side, frameText(8, 0, 1, word(0)));
    expect(endure(side, most, () => frames)).toBeDefined();
    expect(goAwayOf(side)).toBe(11);
  });

  test('rapid reset reaches the application less than 200 times', () => {
    const side = sideOf('server');
    endure(side, 100_000, (turn) => head(turn) + frameText(3, 0, streamIdOf(turn), word(8)));
    expect(side.told.filter((line) => line.startsWith('headers')).length).toBeLessThan(200);
  });
});

/** RST_STREAM of a stream that has been: the same one, again and again. */
function resetOfGone(turn: number): string {
  const begin = turn === 0 ? frameText(1, endHeaders, 1, request) : '';
  return begin + frameText(3, 0, 1, word(8));
}

/** A block that refers to one large entry a thousand times, on a stream of its own. */
function bomb(turn: number): string {
  const name = '\x40\x01a';
  const value = `\x7f${String.fromCharCode(((3_000 - 127) & 0x7f) | 0x80, (3_000 - 127) >> 7)}`;
  const entry = turn === 0 ? name + value + 'v'.repeat(3_000) : '';
  return frameText(1, endBoth, streamIdOf(turn), request + entry + '\xbe'.repeat(1_000));
}

describe('errors end the connection with the code of RFC 9113', () => {
  type Fault = readonly [title: string, code: number, frames: string];
  const atBoth: readonly Fault[] = [
    ['a frame that is too long', 6, frameText(0, 0, 1, 'x'.repeat(16_385))],
    ['PING of another length', 6, frameText(6, 0, 0, '1234')],
    ['SETTINGS of another length', 6, frameText(4, 0, 0, '12345')],
    ['SETTINGS acknowledged with content', 6, frameText(4, 1, 0, '123456')],
    ['WINDOW_UPDATE of another length', 6, frameText(8, 0, 0, '123')],
    ['RST_STREAM of another length', 6, frameText(3, 0, 1, '123')],
    ['GOAWAY that is too short', 6, frameText(7, 0, 0, '1234567')],
    ['SETTINGS on a stream', 1, frameText(4, 0, 1)],
    ['PING on a stream', 1, frameText(6, 0, 1, '12345678')],
    ['GOAWAY on a stream', 1, frameText(7, 0, 1, word(0) + word(0))],
    ['DATA on no stream', 1, frameText(0, 0, 0, 'x')],
    ['HEADERS on no stream', 1, frameText(1, endHeaders, 0, request)],
    ['RST_STREAM on no stream', 1, frameText(3, 0, 0, word(8))],
    ['CONTINUATION of nothing', 1, frameText(9, endHeaders, 1, request)],
    ['PUSH_PROMISE', 1, frameText(5, endHeaders, 1, word(2) + request)],
    ['DATA of a stream that never was', 1, frameText(0, 0, 99, 'x')],
    ['RST_STREAM of a stream that never was', 1, frameText(3, 0, 99, word(8))],
    ['WINDOW_UPDATE of a stream that never was', 1, frameText(8, 0, 99, word(8))],
    ['HEADERS with an even id', 1, frameText(1, endHeaders, 2, request)],
    ['a frame within a header block', 1, frameText(1, 0, 1, '') + frameText(6, 0, 0, '12345678')],
    ['padding longer than its frame', 1, frameText(1, 0xc, 1, '\xff')],
    ['a window opened by nothing', 1, frameText(8, 0, 0, word(0))],
    ['a window beyond its maximum', 3, frameText(8, 0, 0, word(0x7fffffff))],
    ['SETTINGS with a window that cannot be', 3, frameText(4, 0, 0, '\0\x04' + word(0x80000000))],
    ['SETTINGS with a frame size that cannot be', 1, frameText(4, 0, 0, '\0\x05' + word(16_383))],
    ['SETTINGS that enable push by more than 1', 1, frameText(4, 0, 0, '\0\x02' + word(2))],
    ['a malformed header block', 9, frameText(1, endHeaders, 1, '\x80')],
  ];

  test.each(atBoth)('%s', (_, code, frames) => {
    for (const role of ['server', 'client'] as const) {
      const side = sideOf(role);
      feed(side, frames);
      expect([role, goAwayOf(side)]).toEqual([role, code]);
      // Nothing behind it is looked at.
      const { length } = side.told;
      feed(side, frameText(1, endBoth, 101, request));
      expect(side.told.length).toBe(length);
    }
  });

  test('a head that depends on itself is not executed, nor is what is behind it', () => {
    const side = sideOf('server');
    const dependent = frameText(1, 0x25, 1, word(1) + '\x10' + request);
    feed(side, dependent + head(1, endBoth));
    expect(side.told).toEqual(['failed 1']);
    expect(goAwayOf(side)).toBe(1);
    expect([side.session.streams.size, side.session.isInMidst]).toEqual([0, false]);
  });

  test('a server that enables push', () => {
    const side = sideOf('client');
    feed(side, frameText(4, 0, 0, '\0\x02' + word(1)));
    expect(goAwayOf(side)).toBe(1);
  });

  test.each([
    ['the preface of a client is another protocol', 'server', 'GET / HTTP/1.1\r\n\r\n', 1],
    ['a server answers in HTTP/1.1', 'client', 'HTTP/1.1 400 Bad Request\r\n\r\n', 6],
    ['the first frame is not SETTINGS', 'client', frameText(6, 0, 0, '12345678'), 1],
  ] as const)('%s', (_, role, text, code) => {
    const side = new Side(role);
    feed(side, text);
    expect(goAwayOf(side)).toBe(code);
    expect(side.session.hasSettings).toBe(false);
  });

  test('more than the window of the connection', () => {
    const side = new Side('server', { connectionWindowBytes: 70_000 });
    side.consumes = false;
    feed(side, prefaceText + frameText(4, 0, 0) + head(0));
    const piece = frameText(0, 0, 1, 'x'.repeat(16_384));
    expect(endure(side, 10, () => piece)).toBe(5);
    expect(goAwayOf(side)).toBe(3);
  });
});

test('a window opened byte by byte while an answer waits ends with ENHANCE_YOUR_CALM', () => {
  const side = sideOf('server');
  feed(side, frameText(4, 0, 0, '\0\x04' + word(0)) + head(0, endBoth));
  side.streams[0]?.sendHeaders(ok);
  side.streams[0]?.sendData(Buffer.alloc(16_384), 0, 16_384);
  const took = endure(side, 3_000, () => frameText(8, 0, 1, word(1)));
  expect(took).toBeLessThan(2_100);
  expect(goAwayOf(side)).toBe(11);
});

describe('a hostile server harms the call that it answers, and no other', () => {
  const data = frameText(0, 0, 1, 'x');
  test.each([
    ['DATA in front of a head', data],
    ['no status', frameText(1, endHeaders, 1, blockText([['a', 'b']]))],
    ['a status that is none', frameText(1, endHeaders, 1, blockText([[':status', '2000']]))],
    ['status 101', frameText(1, endHeaders, 1, blockText([[':status', '101']]))],
    ['an interim answer that ends', frameText(1, endBoth, 1, blockText([[':status', '103']]))],
    ['a field of requests', frameText(1, endHeaders, 1, request)],
    ['upper case', frameText(1, endHeaders, 1, answer + blockText([['A', 'b']]))],
    ['a line break', frameText(1, endHeaders, 1, answer + blockText([['a', 'b\r\nc: d']]))],
    ['connection', frameText(1, endHeaders, 1, answer + blockText([['connection', 'x']]))],
    ['chunks', frameText(1, 4, 1, answer + blockText([['transfer-encoding', 'chunked']]))],
    ['two lengths', frameText(1, 4, 1, answer + blockText(['1', '1'].map(lengthOf)))],
    ['less than its length', frameText(1, endBoth, 1, answer + blockText([lengthOf('1')]))],
    ['more than its length', frameText(1, 4, 1, answer + blockText([lengthOf('0')])) + data],
    ['a second head that ends nothing', frameText(1, 4, 1, answer) + frameText(1, 4, 1, answer)],
    ['trailers with a status', frameText(1, 4, 1, answer) + frameText(1, 5, 1, answer)],
    ['a window opened by nothing', frameText(8, 0, 1, word(0))],
  ])('%s', (_, frames) => {
    const side = sideOf('client');
    feed(side, frames);
    expect(side.told.filter((line) => line.startsWith('reset 1 1 fault')).length).toBe(1);
    feed(side, frameText(1, endBoth, 3, answer));
    expect(side.told).toContain('ended 3');
    // What was on its way when the stream was reset is ignored.
    feed(side, frameText(0, 0, 1, 'late'));
    expect(side.session.isOver).toBe(false);
  });

  test('a server of few streams never gets more, and one of none gets none', () => {
    const side = sideOf('client');
    feed(side, frameText(4, 0, 0, '\0\x03' + word(4)));
    expect(side.session.openStream('fourth')).toBeDefined();
    expect(side.session.openStream('fifth')).toBeUndefined();
    feed(side, frameText(4, 0, 0, '\0\x03' + word(0)));
    expect(side.session.canOpen).toBe(false);
  });

  test('a table of no bytes is kept empty', () => {
    const side = sideOf('client');
    side.written.length = 0;
    feed(side, frameText(4, 0, 0, '\0\x01' + word(0)));
    for (let call = 0; call < 3; call += 1) open(side).sendHeaders([...get, ...ok.slice(1)]);
    side.session.flush();
    const heads = framesOf(Buffer.concat(side.written).toString('latin1'));
    const blocks = heads.filter(({ type }) => type === 1).map(({ payload }) => payload);
    // The new size is said once, and nothing is ever inserted (0x40 to 0x7f at a field's begin).
    expect(blocks[0]?.charCodeAt(0)).toBe(0x20);
    expect(blocks[1]).toBe(blocks[0]?.slice(1));
  });
});

function lengthOf(length: string): readonly [string, string] {
  return ['content-length', length];
}

describe('what behaves is not taken for an attack', () => {
  test('frames at a pace, for hours', () => {
    const side = sideOf('server');
    for (let second = 0; second < 20_000; second += 1) {
      side.nowMs += 1_000;
      feed(side, frameText(6, 0, 0, '12345678') + frameText(4, 0, 0) + frameText(77, 0, 0));
      for (let call = 0; call < 3; call += 1) {
        const turn = second * 3 + call;
        feed(side, head(turn) + frameText(3, 0, streamIdOf(turn), word(8)));
      }
    }
    expect(side.session.isOver).toBe(false);
  });

  test('a thousand calls that are given up at once after a while', () => {
    const side = sideOf('server');
    for (let turn = 0; turn < 1_000; turn += 1) feed(side, head(turn));
    side.nowMs += 2_000;
    for (let turn = 0; turn < 1_000; turn += 1) {
      feed(side, frameText(3, 0, streamIdOf(turn), word(8)));
    }
    expect([side.session.isOver, side.session.streams.size]).toEqual([false, 0]);
  });

  test('late frames of a thousand calls that were given up at once', () => {
    const side = sideOf('client');
    feed(side, frameText(4, 0, 0, '\0\x03' + word(1_001)));
    const given = Array.from({ length: 997 }, () => open(side));
    for (const stream of given) stream.sendHeaders(get);
    for (const stream of given) stream.reset(8);
    for (const { id } of given) {
      const content = frameText(0, 0, id, 'x'.repeat(100)) + frameText(0, 0, id, 'x');
      feed(side, frameText(1, endHeaders, id, answer) + content + frameText(0, 1, id));
      feed(side, frameText(3, 0, id, word(8)));
    }
    feed(side, frameText(1, endBoth, 1, answer));
    expect(side.told).toContain('ended 1');
    expect(side.session.isOver).toBe(false);
  });

  test('late frames of one call that was given up before hundreds of others were answered', () => {
    const side = sideOf('client');
    feed(side, frameText(4, 0, 0, '\0\x03' + word(1_001)));
    const given = open(side);
    given.sendHeaders(get);
    given.reset(8);
    for (let call = 0; call < 300; call += 1) {
      const stream = open(side);
      stream.sendHeaders(get);
      stream.end();
      feed(side, frameText(1, endBoth, stream.id, answer));
    }
    feed(side, frameText(1, endHeaders, given.id, answer) + frameText(0, 1, given.id, 'x'));
    expect(side.session.isOver).toBe(false);
    // What was never opened is known as well as before.
    feed(side, frameText(0, 0, 9_999, 'x'));
    expect(goAwayOf(side)).toBe(1);
  });

  test('a window update for each frame of a long download', () => {
    const side = sideOf('server');
    feed(side, head(0, endBoth));
    const [stream] = side.streams;
    stream?.sendHeaders(ok);
    const piece = Buffer.alloc(16_384);
    for (let turn = 0; turn < 20_000; turn += 1) {
      stream?.sendData(piece, 0, piece.length);
      side.session.flush();
      side.written.length = 0;
      feed(side, frameText(8, 0, 0, word(16_384)) + frameText(8, 0, 1, word(16_384)));
    }
    expect(side.session.isOver).toBe(false);
  });

  test('windows opened in steps of 4 kB while many short answers are read, as by Go', () => {
    const side = sideOf('server');
    const piece = Buffer.alloc(16_384);
    for (let call = 0; call < 2_000; call += 1) {
      const id = 2 * call + 1;
      feed(side, frameText(1, endBoth, id, request));
      const stream = side.streams[call];
      stream?.sendHeaders(ok);
      stream?.sendData(piece, 0, piece.length);
      side.session.flush();
      side.written.length = 0;
      const step = frameText(8, 0, 0, word(4_096)) + frameText(8, 0, id, word(4_096));
      feed(side, step.repeat(4));
      stream?.end();
    }
    expect(side.session.isOver).toBe(false);
  });
});
