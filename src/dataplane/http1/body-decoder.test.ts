// Body framing: where a message ends, that nothing but data is called data, and that every line of
// the chunked grammar is held to the letter. Cuts at every byte are tried in test/fuzz.
import { describe, expect, test } from 'vitest';
import { createBodyDecoder } from './body-decoder.ts';
import type { BodyDecoder, BodyLimits } from './body-decoder.ts';
import type { Framing } from './framing.ts';
import { defaultHeadLimits } from './limits.ts';

const unused: BodyLimits = { limits: defaultHeadLimits, headBytes: 0, headFields: 0 };

type Read = {
  readonly body: string;
  readonly end: string;
  /** What follows the message. */
  readonly rest: string;
  readonly decoder: BodyDecoder;
};

function read(framing: Framing, text: string, limits = unused): Read {
  const decoder = createBodyDecoder(framing, limits);
  const bytes = Buffer.from(text, 'latin1');
  let at = 0;
  let body = '';
  for (;;) {
    const step = decoder.advance(bytes, at, bytes.length);
    at = decoder.position;
    if (step !== 'data') return { body, end: step, rest: text.slice(at), decoder };
    expect(decoder.dataEnd).toBeGreaterThan(decoder.dataStart);
    body += text.slice(decoder.dataStart, decoder.dataEnd);
  }
}

const chunked = (text: string, limits = unused): Read => read({ kind: 'chunked' }, text, limits);

describe('counted bodies', () => {
  test('no body and an empty body are complete before the first byte', () => {
    expect(read({ kind: 'none' }, 'GET')).toMatchObject({ end: 'end', body: '', rest: 'GET' });
    expect(read({ kind: 'length', length: 0 }, '')).toMatchObject({ end: 'end', body: '' });
  });

  test('a length ends where it says', () => {
    const whole = read({ kind: 'length', length: 5 }, 'helloGET');
    expect(whole).toMatchObject({ end: 'end', body: 'hello', rest: 'GET' });
    expect(whole.decoder.isComplete).toBe(true);
  });

  test('a close cuts off a length and completes an until-close body', () => {
    const short = read({ kind: 'length', length: 5 }, 'hell');
    expect(short.end).toBe('incomplete');
    expect(short.decoder.close()).toBe('truncated');
    const open = read({ kind: 'until-close' }, 'hello');
    expect(open).toMatchObject({ end: 'incomplete', body: 'hello' });
    expect(open.decoder.isComplete).toBe(false);
    expect(open.decoder.close()).toBe('end');
    expect(open.decoder.isComplete).toBe(true);
  });
});

describe('chunked bodies', () => {
  test.each([
    ['0\r\n\r\n', ''],
    ['5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['0A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
    ['0a\r\n0123456789\r\n000\r\n\r\n', '0123456789'],
    ['0000000000000005\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['2\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n', '\r\n0'],
    ['5;a=b\r\nhello\r\n0;x\r\n\r\n', 'hello'],
    ['5;a="b;c\\"d\xe9"\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['5;\r\nhello\r\n0\r\n\r\n', 'hello'],
  ])('%j', (text, body) => {
    expect(chunked(`${text}GET`)).toMatchObject({ end: 'end', body, rest: 'GET' });
    expect(chunked(text).decoder.trailers).toBeUndefined();
  });

  test.each([
    '\r\nhello',
    'g\r\n',
    ' 5\r\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    '5 ;a\r\nhello\r\n0\r\n\r\n',
    '-5\r\nhello',
    '+5\r\nhello',
    '0x5\r\nhello',
    '0_5\r\nhello',
    '5,\r\nhello',
    '5\nhello',
    '5\rhello',
    '5\r\r\nhello',
    '5;a\nb\r\nhello',
    '5;a\rb\r\nhello',
    '5;a\x00\r\nhello',
    '2\r\r;a\r\n02\r\n41\r\n0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '5\r\nhello\rX0\r\n\r\n',
    '5\r\nhelloX\n0\r\n\r\n',
    '5\r\nhello\r\n\r\n0\r\n\r\n',
    '5\r\nhello!\r\n0\r\n\r\n',
    '00000000000000005\r\nhello',
    'ffffffffffffffff\r\nhello',
    'ffffffffffffffff5\r\nhello',
    '10000000000000005\r\nhello',
    '20000000000000\r\nhello',
  ])('%j is refused', (text) => {
    const result = chunked(text);
    expect(result.end).toBe('reject');
    expect(result.decoder.reject).toMatchObject({ status: 400, reason: 'BadRequestFraming' });
    expect(result.decoder.isComplete).toBe(false);
    // Final: more bytes change nothing.
    expect(result.decoder.advance(Buffer.from('0\r\n\r\n'), 0, 5)).toBe('reject');
    expect(result.decoder.close()).toBe('truncated');
  });

  test('a size beyond 32 bits is counted, not wrapped', () => {
    const result = chunked('100000005\r\nhello\r\n0\r\n\r\n');
    expect(result).toMatchObject({ end: 'incomplete', body: 'hello\r\n0\r\n\r\n' });
    expect(chunked('1fffffffffffff\r\nx').end).toBe('incomplete');
  });

  test('every proper beginning is cut off when the peer closes', () => {
    const text = '5\r\nhello\r\n0\r\nX: y\r\n\r\n';
    for (let length = 0; length < text.length; length += 1) {
      const result = chunked(text.slice(0, length));
      expect(result.end).toBe('incomplete');
      expect(result.decoder.close()).toBe('truncated');
    }
    expect(chunked(text).end).toBe('end');
  });

  test('a chunk-size line has at most 256 bytes', () => {
    const line = (bytes: number): string => `5;${'a'.repeat(bytes - 2)}\r\nhello\r\n0\r\n\r\n`;
    expect(chunked(line(256)).end).toBe('end');
    expect(chunked(line(257)).end).toBe('reject');
    expect(chunked(`5;${'a'.repeat(254)}`).end).toBe('incomplete');
    expect(chunked(`5;${'a'.repeat(255)}`).end).toBe('reject');
  });

  test('a chunk-size line is as long when it comes byte by byte', () => {
    const decoder = createBodyDecoder({ kind: 'chunked' }, unused);
    const bytes = [...`5;${'a'.repeat(255)}`];
    const steps = bytes.map((byte) => decoder.advance(Buffer.from(byte), 0, 1));
    expect(steps.indexOf('reject')).toBe(256);
  });

  test('extensions are bounded per message, not per chunk', () => {
    const chunk = `1;${'a'.repeat(200)}\r\nx\r\n`;
    expect(chunked(`${chunk.repeat(81)}0\r\n\r\n`).end).toBe('end');
    expect(chunked(`${chunk.repeat(82)}0\r\n\r\n`).end).toBe('reject');
  });
});

describe('trailers', () => {
  test('are read as fields', () => {
    const result = chunked('0\r\nX-Sum: 1\r\nx-sum:2\r\n\r\nGET');
    expect(result).toMatchObject({ end: 'end', rest: 'GET' });
    expect(result.decoder.trailers?.values('x-sum')).toEqual(['1', '2']);
  });

  test.each([
    'foo',
    'X : a',
    ' X: a',
    'X: a\nb',
    'X: a\rb',
    'X: a\x00',
    ':',
    'X(: a',
    'X: a\r\n\rX',
  ])('line %j is refused', (line) => {
    const result = chunked(`0\r\n${line}\r\n\r\n`);
    expect(result.decoder.reject).toMatchObject({ status: 400, reason: 'BadRequestSyntax' });
  });

  test('count under the limits of their head', () => {
    const limits = { headBytesMax: 100, targetBytesMax: 50, fieldsMax: 4 };
    const used = { limits, headBytes: 80, headFields: 2 };
    expect(chunked('0\r\nA: 1\r\nB: 2\r\n\r\n', used).end).toBe('end');
    expect(chunked('0\r\nA: 1\r\nB: 2\r\nC:\r\n\r\n', used).decoder.reject?.status).toBe(431);
    expect(chunked(`0\r\nA: ${'x'.repeat(13)}\r\n\r\n`, used).end).toBe('end');
    expect(chunked(`0\r\nA: ${'x'.repeat(14)}\r\n\r\n`, used).decoder.reject?.status).toBe(431);
  });

  test('a head that used up its limits may still end its body', () => {
    const limits = { headBytesMax: 100, targetBytesMax: 50, fieldsMax: 2 };
    const used = { limits, headBytes: 100, headFields: 2 };
    expect(chunked('0\r\n\r\n', used).end).toBe('end');
    const decoder = createBodyDecoder({ kind: 'chunked' }, used);
    for (const byte of '0\r\n\r') {
      expect(decoder.advance(Buffer.from(byte), 0, 1)).toBe('incomplete');
    }
    expect(decoder.advance(Buffer.from('\n'), 0, 1)).toBe('end');
  });
});
