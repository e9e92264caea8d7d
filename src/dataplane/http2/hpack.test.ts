// HPACK: the examples of RFC 7541 appendix C, the code's completeness, a round trip of any lists
// through tables of any size, and what a malformed or greedy block comes to.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import type { DecodedBlock } from './hpack-decoder.ts';
import { blockBytesMax, HpackEncoder } from './hpack-encoder.ts';
import { decodeHuffman } from './hpack-huffman.ts';
import type { HeaderField } from './hpack-table.ts';

const limits = { listBytesMax: 32 * 1024, fieldsMax: 128 };

function decodeHex(decoder: HpackDecoder, hex: string): DecodedBlock | undefined {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(bytes, 0, bytes.length);
}

const linesOf = (block: DecodedBlock | undefined): readonly string[] | undefined =>
  block?.fields.map(({ name, value }) => `${name}: ${value}`);

function encodeTo(encoder: HpackEncoder, fields: readonly HeaderField[]): Buffer {
  const buffer = Buffer.alloc(blockBytesMax(fields));
  return buffer.subarray(0, encoder.encode(fields, buffer, 0));
}

const request1 = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const request2 = [...request1, 'cache-control: no-cache'];
const request3 = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
];
const date21 = 'Mon, 21 Oct 2013 20:13:21 GMT';
const date22 = 'Mon, 21 Oct 2013 20:13:22 GMT';
const location = 'location: https://www.example.com';
const answer1 = [':status: 302', 'cache-control: private', `date: ${date21}`, location];
const answer2 = [':status: 307', ...answer1.slice(1)];
const answer3 = [
  ':status: 200',
  'cache-control: private',
  `date: ${date22}`,
  location,
  'content-encoding: gzip',
  'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
];

describe('RFC 7541 appendix C', () => {
  test.each([
    [
      'C.2.1',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      'custom-key: custom-header',
    ],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path'],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret'],
    ['C.2.4', '82', ':method: GET'],
  ])('%s', (_, hex, line) => {
    expect(linesOf(decodeHex(new HpackDecoder(limits), hex))).toEqual([line]);
  });

  test.each([
    ['C.3', [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ]],
    ['C.4', [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ]],
  ])('%s, requests', (_, blocks) => {
    const decoder = new HpackDecoder(limits);
    const lists = blocks.map((hex) => linesOf(decodeHex(decoder, hex)));
    expect(lists).toEqual([request1, request2, request3]);
  });

  test.each([
    ['C.5', [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a' +
        '3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04' +
        '677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745' +
        '4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ]],
    ['C.6', [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e' +
        '919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7' +
        '821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0' +
        '03ed 4ee5 b106 3d50 07',
    ]],
  ])('%s, answers with a table of 256 bytes', (_, blocks) => {
    const decoder = new HpackDecoder(limits);
    // A table size update of 256 in front of the first block.
    decodeHex(decoder, '3fe101');
    const lists = blocks.map((hex) => linesOf(decodeHex(decoder, hex)));
    expect(lists).toEqual([answer1, answer2, answer3]);
  });
});

describe('the Huffman code', () => {
  test('ends only in less than eight ones, and never in its end symbol', () => {
    const decode = (hex: string): string | undefined => {
      const bytes = Buffer.from(hex, 'hex');
      return decodeHuffman(bytes, 0, bytes.length);
    };
    expect(decode('07')).toBe('0');
    expect(decode('00')).toBeUndefined();
    expect(decode('07ff')).toBeUndefined();
    expect(decode('3fffffff')).toBeUndefined();
    expect(decode('ffffffff')).toBeUndefined();
    expect(decode('')).toBe('');
  });
});

describe('round trip', () => {
  const namePool = [':path', 'cookie', 'x-a', 'x-b', 'date', 'accept', 'authorization', 'etag'];

  function anyFields(random: () => number): HeaderField[] {
    return Array.from({ length: Math.floor(random() * 12) }, () => {
      const value = 'v'.repeat(Math.floor(random() ** 6 * 2_000)) + Math.floor(random() * 6);
      return { name: namePool[Math.floor(random() * namePool.length)] ?? '', value };
    });
  }

  test('any lists over any table sizes come out as they went in', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 60; round += 1) {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(limits);
      const again: (readonly HeaderField[])[] = [];
      for (let step = 0; step < 40; step += 1) {
        if (random() < 0.1) encoder.limitTable(Math.floor(random() * 6_000));
        const known = again[Math.floor(random() * 20)];
        const fields = known ?? anyFields(random);
        again.push(fields);
        const bytes = encodeTo(encoder, fields);
        const block = decoder.decode(bytes, 0, bytes.length);
        const told = block?.fields.map(({ name, value }) => ({ name, value }));
        expect(told).toEqual(fields.map(({ name, value }) => ({ name, value })));
      }
    }
  });

  test('what is sent again costs a byte per line, and is the same object at the other end', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(limits);
    const fields = [':method', 'x-one', 'x-two'].map((name) => ({ name, value: 'GET' }));
    const blocks = Array.from({ length: 5 }, () => {
      const bytes = Buffer.from(encodeTo(encoder, fields));
      return { bytes: bytes.length, block: decoder.decode(bytes, 0, bytes.length) };
    });
    expect(blocks.slice(2).map(({ bytes }) => bytes)).toEqual([3, 3, 3]);
    expect(blocks[4]?.block).toBe(blocks[3]?.block);
    expect(blocks[3]?.block).toBe(blocks[2]?.block);
  });

  test('a block is remembered as long as the table is the same, of many senders as well', () => {
    const encoder = new HpackEncoder(new WeakMap());
    const lists = Array.from({ length: 64 }, (_, index) => [
      { name: 'x-same', value: 'for all' },
      { name: 'date', value: String(index) },
    ]);
    for (const list of [...lists, ...lists]) encodeTo(encoder, list);
    for (const list of lists) {
      expect(encoder.blockOf(list)).toEqual(encodeTo(encoder, list));
    }
    const another = [{ name: 'x-another', value: 'one' }];
    encodeTo(encoder, another);
    encodeTo(encoder, [...another]);
    for (const list of lists) {
      expect(encoder.blockOf(list)).toBeUndefined();
      const bytes = encodeTo(encoder, list);
      expect(encoder.blockOf(list)).toEqual(bytes);
    }
  });

  test('secrets are never put into a table, on no hop', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(limits);
    const fields = [
      { name: 'authorization', value: 'a' },
      { name: 'cookie', value: 'b' },
      { name: 'x-own', value: 'c', isSensitive: true },
    ];
    const sizes = [1, 2, 3].map(() => {
      const bytes = encodeTo(encoder, fields);
      const told = decoder.decode(bytes, 0, bytes.length)?.fields;
      expect(told?.map(({ isSensitive }) => isSensitive)).toEqual([true, true, true]);
      return bytes.length;
    });
    expect(new Set(sizes).size).toBe(1);
  });

  test('values that never repeat push nothing out of the table', () => {
    const encoder = new HpackEncoder();
    const stable = [{ name: 'x-stable', value: 'same' }];
    encodeTo(encoder, stable);
    encodeTo(encoder, stable);
    for (let index = 0; index < 1_000; index += 1) {
      encodeTo(encoder, [{ name: 'x-new', value: String(index) }]);
    }
    expect(encodeTo(encoder, [...stable]).length).toBe(1);
  });
});

describe('malformed blocks', () => {
  test.each([
    ['index 0', '80'],
    ['an index beyond the tables', 'be'],
    ['a name beyond the tables', '7f00 0161'],
    ['an integer without end', 'ffff ffff ffff ffff'],
    ['an integer that is cut', 'ff'],
    ['a text longer than the block', '0003 6162'],
    ['a text that is missing', '0001 61'],
    ['a Huffman text with wrong padding', '0081 00 0161'],
    ['a table larger than was allowed', '3fe2 1f'],
    ['a table size behind a field', '8220'],
  ])('%s', (_, hex) => {
    expect(decodeHex(new HpackDecoder(limits), hex)).toBeUndefined();
  });

  test('a bomb of references is counted and not kept', () => {
    const decoder = new HpackDecoder(limits);
    const value = Buffer.alloc(3_000, 'a');
    const bomb = Buffer.concat([
      Buffer.from('400161', 'hex'),
      Buffer.from([0x7f, (3_000 - 127) & 0x7f | 0x80, (3_000 - 127) >> 7]),
      value,
      Buffer.alloc(16_000, 0xbe),
    ]);
    const block = decoder.decode(bomb, 0, bomb.length);
    expect(block?.isTooLarge).toBe(true);
    expect(block?.fields.length).toBeLessThan(12);
    expect(linesOf(decodeHex(decoder, '82be'))?.length).toBe(2);
  });
});
