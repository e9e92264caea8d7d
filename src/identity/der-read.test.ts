// The reader of DER against an own encoder and against chance: what it takes is the one encoding of
// a value, everything else is refused, and nothing makes it throw, hang or read too much.
import { describe, expect, test } from 'vitest';
import { oid, tlv } from '../../test/support/crafted-certificates.ts';
import { seededRandom } from '../lib/random.ts';
import { dotted, newTrail, readDer, type DerNode } from './der-read.ts';

function read(bytes: Uint8Array): DerNode | string {
  const trail = newTrail();
  const node = readDer(bytes, trail);
  return trail.fault ?? node;
}

/** The one encoding of what was read. */
function encoded(node: DerNode): Buffer {
  const isConstructed = (node.tag & 0x20) !== 0;
  return tlv(node.tag, ...(isConstructed ? node.children.map(encoded) : [node.content]));
}

describe('readDer', () => {
  test('reads nested values', () => {
    const node = read(tlv(0x30, tlv(0x02, Buffer.of(5)), tlv(0x30, tlv(0x05))));
    if (typeof node === 'string') throw new Error(node);
    expect(node.children.map(({ tag }) => tag)).toEqual([0x02, 0x30]);
    expect([...(node.children[0]?.content ?? [])]).toEqual([5]);
    expect(node.children[1]?.children[0]?.tag).toBe(0x05);
  });

  test.each([
    ['nothing', ''],
    ['a tag alone', '30'],
    ['a truncated value', '0401'],
    ['a truncated length', '048201'],
    ['an end of contents', '0000'],
    ['an indefinite length', '30800500 0000'],
    ['a reserved length', '04ff00'],
    ['a short length in the long form', '04810161'],
    ['a long length with a zero', '04820080'.padEnd(8 + 256, '0')],
    ['a length of five bytes', '04850000000001 61'],
    ['bytes after the end', '050000'],
    ['a high tag number', '1f2100'],
    ['a constructed octet string', '2403040161'],
    ['a primitive sequence', '1000'],
    ['a boolean of two bytes', '01020000'],
    ['a boolean that is 1', '010101'],
    ['an integer of no bytes', '0200'],
    ['a padded positive integer', '02020001'],
    ['a padded negative integer', '0202ff80'],
    ['a null with content', '050161'],
    ['a bit string of no bytes', '0300'],
    ['8 unused bits', '03020800'],
    ['unused bits without bits', '030101'],
    ['unused bits that are set', '03020101'],
    ['an object id of no bytes', '0600'],
    ['an object id that is cut', '06012a86'.replace('01', '02')],
    ['an arc that is padded', '06032a8001'],
    ['an arc of 56 bits', '06092aff ff ff ff ff ff ff 7f'],
    ['a child that is longer than its parent', '30030402 61'],
  ])('refuses %s', (_what, hex) => {
    expect(read(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toEqual(expect.any(String));
  });

  test('what it takes has no other encoding', () => {
    const random = seededRandom(690);
    const seeds = [
      tlv(0x30, tlv(0x31, tlv(0x02, Buffer.of(1)), tlv(0x02, Buffer.of(2))), oid('1.2.840.10045')),
      tlv(0x30, tlv(0x03, Buffer.of(3, 0xf8)), tlv(0xa0, tlv(0x01, Buffer.of(0xff))), tlv(0x05)),
      tlv(0x04, Buffer.alloc(200)),
    ];
    let takenCount = 0;
    for (let round = 0; round < 30_000; round += 1) {
      const bytes = Buffer.from(seeds[round % seeds.length] ?? '');
      for (let change = 0; change < random() * 3; change += 1) {
        bytes[Math.floor(random() * Math.min(bytes.length, 24))] = Math.floor(random() * 256);
      }
      const node = read(bytes);
      if (typeof node === 'string') continue;
      takenCount += 1;
      expect(encoded(node).toString('hex')).toBe(bytes.toString('hex'));
    }
    expect(takenCount).toBeGreaterThan(1_000);
  });

  test('depth and number of values are bounded', () => {
    const deep = (levels: number): Buffer =>
      levels === 0 ? tlv(0x05) : tlv(0x30, deep(levels - 1));
    const wide = (count: number) => tlv(0x30, ...new Array<Buffer>(count).fill(tlv(0x05)));
    expect(read(deep(12))).not.toEqual(expect.any(String));
    expect(read(deep(13))).toContain('levels');
    expect(read(wide(1_999))).toMatchObject({ tag: 0x30 });
    expect(read(wide(2_000))).toContain('values');
  });
});

test.each(['1.2.840.10045.4.3.2', '2.5.29.17', '0.9.2342.19200300.100.1.25', '2.999.3'])(
  'dotted %s',
  (text) => {
    const bytes = text === '2.999.3' ? Buffer.of(0x88, 0x37, 3) : oid(text).subarray(2);
    expect(dotted(bytes)).toBe(text);
  },
);
