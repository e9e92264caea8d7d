// Capsules with datagrams (RFC 9297, RFC 9298): whole, cut anywhere, unknown, too long. The bytes
// are written by hand where they show the form.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import { CapsuleReader, datagramBytesMax, renderDatagram } from './udp-capsules.ts';

/** What comes out of `bytes`, cut into pieces of `size`; `broken` where it cannot go on. */
function readAll(bytes: Uint8Array, size = bytes.length): (string | number)[] {
  const told: (string | number)[] = [];
  const reader = new CapsuleReader((data) => told.push(data.toString('latin1')));
  for (let at = 0; at < bytes.length; at += size) {
    if (reader.read(Buffer.from(bytes.subarray(at, at + size)))) continue;
    told.push('broken');
    break;
  }
  return told;
}

const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);

describe('a datagram', () => {
  test('is type, length, context and the datagram', () => {
    expect(renderDatagram(Buffer.from('hi'))).toEqual(bytes(0, 3, 0, 104, 105));
    expect(renderDatagram(new Uint8Array(0))).toEqual(bytes(0, 1, 0));
    expect(renderDatagram(Buffer.alloc(100)).subarray(0, 4)).toEqual(bytes(0, 0x40, 101, 0));
    const long = renderDatagram(Buffer.alloc(20_000));
    expect(long.subarray(0, 6)).toEqual(bytes(0, 0x80, 0, 0x4e, 0x21, 0));
  });

  test.each([0, 1, 62, 63, 64, 16_382, 16_383, 16_384, datagramBytesMax])(
    'of %i bytes comes out as it went in',
    (length) => {
      const data = Buffer.alloc(length, 'x');
      const told = readAll(renderDatagram(data));
      expect(told.map((one) => String(one).length)).toEqual([length]);
    },
  );

  test('comes out the same however the stream is cut', () => {
    const random = seededRandom(3);
    const texts = Array.from({ length: 40 }, (_, index) => {
      return `${index}`.repeat(Math.floor(random() * 200));
    });
    const stream = Buffer.concat(texts.map((text) => renderDatagram(Buffer.from(text))));
    for (const size of [1, 2, 3, 7, 64, 1_000]) expect(readAll(stream, size)).toEqual(texts);
  });

  test('keeps none of the bytes that it was read from', () => {
    const told: Buffer[] = [];
    const chunk = renderDatagram(Buffer.from('mine'));
    new CapsuleReader((data) => told.push(data)).read(chunk);
    chunk.fill(0);
    expect(told[0]?.toString()).toBe('mine');
  });
});

describe('what is no datagram', () => {
  const next = renderDatagram(Buffer.from('next'));

  test.each([
    ['another type', bytes(0x21, 3, 1, 2, 3)],
    ['another type without value', bytes(0x21, 0)],
    ['a type of eight bytes', bytes(0xc0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x40, 2, 9, 9)],
    ['another context', bytes(0, 3, 2, 9, 9)],
    ['no context', bytes(0, 0)],
  ])('%s is passed over', (_, capsule) => {
    const stream = Buffer.concat([capsule, next]);
    for (const size of [1, 100]) expect(readAll(stream, size)).toEqual(['next']);
  });

  test('the same integers in longer spellings mean the same', () => {
    expect(readAll(bytes(0x40, 0, 0x80, 0, 0, 2, 0, 65))).toEqual(['A']);
  });

  test('a datagram that is too long breaks the stream before a byte of it is held', () => {
    expect(readAll(bytes(0, 0x80, 1, 0, 0))).toEqual(['broken']);
    expect(readAll(bytes(0, 0x80, 0, 0xff, 0xf9))).toEqual(['broken']);
    expect(readAll(bytes(0, 0x80, 0, 0xff, 0xf8))).toEqual([]);
  });

  test('a length that is beyond numbers breaks the stream', () => {
    expect(readAll(bytes(0x21, 0xff, 255, 255, 255, 255, 255, 255, 255))).toEqual(['broken']);
  });
});
