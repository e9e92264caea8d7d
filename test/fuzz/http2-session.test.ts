// Sessions of HTTP/2 under random frames, well-formed and not, whole and cut, from either side:
// nothing throws, every stream is told its end once and nothing after it, and where the bytes were
// cut changes nothing of what is told.
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import type { Random } from '../../src/lib/clock.ts';
import { blockText, frameText, prefaceText, word } from '../support/http2-client.ts';
import { get, ok, open, Side } from '../support/http2-sides.ts';

const rounds = 300;
const framesPerRound = 40;

type Role = 'server' | 'client';

const request = blockText([
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a'],
  [':path', '/'],
]);
const blocks = [
  request,
  blockText([[':status', '200']]),
  blockText([[':status', '100']]),
  blockText([['grpc-status', '0']]),
  blockText([
    [':status', '200'],
    ['content-length', '3'],
  ]),
  '\x40\x01a\x01b',
  '\xbe',
  '\x80',
  '',
];

function pick<T>(random: Random, list: readonly T[]): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** A frame that may be right, or nearly. */
function anyFrame(random: Random): string {
  const type = Math.floor(random() * 11);
  const streamId = random() < 0.2 ? 0 : Math.floor(random() * 12);
  const flags = random() < 0.5 ? pick(random, [0, 1, 4, 5]) : Math.floor(random() * 64);
  const number = word(Math.floor(random() ** 4 * 2 ** 32));
  const contents: readonly string[] = [
    'x'.repeat(Math.floor(random() ** 3 * 17_000)),
    pick(random, blocks) ?? '',
    number + '\x10',
    number,
    pick(random, ['', '\0\x03', '\0\x04', '\0\x01'])?.concat(number) ?? '',
    word(2) + request,
    '12345678',
    number + word(0),
    number,
    pick(random, blocks) ?? '',
    'unknown',
  ];
  const content = random() < 0.05 ? number.slice(1) : (contents[type] ?? '');
  return frameText(type, flags ?? 0, streamId, content);
}

/** What a side tells of these bytes; users answer, hold back, and reset now and then. */
function run(role: Role, pieces: readonly string[], seed: number): readonly string[] {
  const side = new Side(role);
  const random = seededRandom(seed);
  side.consumes = random() < 0.5;
  for (let call = 0; role === 'client' && call < 4; call += 1) {
    const stream = open(side);
    stream.sendHeaders(get);
    stream.sendData(Buffer.alloc(100_000), 0, call * 30_000);
    if (call > 1) stream.end();
  }
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    side.session.read(bytes, 0, bytes.length);
  }
  for (const stream of side.streams) {
    stream.sendHeaders(ok);
    stream.sendData(Buffer.alloc(50_000), 0, 50_000);
    stream.end();
  }
  side.session.flush();
  side.session.disconnected();
  expect(side.session.streams.size).toBe(0);
  return side.told;
}

function cut(text: string, random: Random): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = at + 1 + Math.floor(random() ** 4 * 9_000);
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

test.each(['server', 'client'] as const)('a %s survives any frames', (role) => {
  const random = seededRandom(2026);
  for (let round = 0; round < rounds; round += 1) {
    const frames = Array.from({ length: framesPerRound }, () => anyFrame(random));
    // Behind one malformed frame nothing is read: half of the rounds are gentle at first.
    const begin = frameText(4, 0, 0) + (round % 2 === 0 ? frameText(1, 4, 1, request) : '');
    const text = (role === 'server' ? prefaceText : '') + begin + frames.join('');
    const told = run(role, [text], round);
    expect(run(role, cut(text, random), round)).toEqual(told);
    const closed = told.filter((line) => line.startsWith('closed'));
    if (role === 'server') expect(new Set(closed).size).toBe(closed.length);
    expect(told.filter((line) => line.startsWith('failed')).length).toBeLessThanOrEqual(1);
    for (const line of new Set(closed)) {
      const [, id] = line.split(' ');
      const behind = told.slice(told.lastIndexOf(line) + 1);
      expect(behind.filter((one) => one.split(' ')[1] === id && !/^(goAway|failed)/.test(one)))
        .toEqual([]);
    }
  }
});
