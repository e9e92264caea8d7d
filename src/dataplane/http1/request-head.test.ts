// Request heads, a table per rule of RFC 9112: request line, field lines, Host, framing,
// connection options, limits, and reading in pieces.
import { describe, expect, test } from 'vitest';
import { defaultHeadLimits } from './limits.ts';
import { RequestHeadParser } from './request-head.ts';
import type { HttpRequestHead, RequestHeadResult } from './request-head.ts';

function parse(text: string, limits = defaultHeadLimits): RequestHeadResult {
  const parser = new RequestHeadParser({ limits, servicePort: 8080 });
  const bytes = Buffer.from(text, 'latin1');
  return parser.parse(bytes, 0, bytes.length);
}

function headOf(text: string): HttpRequestHead {
  const result = parse(text);
  if (result.kind !== 'head') throw new Error(`${text}: ${JSON.stringify(result)}`);
  return result.head;
}

/** A GET with these field lines, Host included. */
const get = (...lines: readonly string[]): string =>
  `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

const post = (...lines: readonly string[]): string => get(...lines).replace('GET', 'POST');

describe('request line', () => {
  test.each([
    ['GET / HTTP/1.1', 'GET', '/', 11],
    ['GET / HTTP/1.0', 'GET', '/', 10],
    ['GET / HTTP/1.2', 'GET', '/', 11],
    ['FROBNICATE /x HTTP/1.1', 'FROBNICATE', '/x', 11],
    ['get / HTTP/1.1', 'get', '/', 11],
    ["M!#$%&'*+-.^_`|~9 / HTTP/1.1", "M!#$%&'*+-.^_`|~9", '/', 11],
  ])('%s is read', (line, method, target, version) => {
    const head = headOf(`${line}\r\nHost: a\r\n\r\n`);
    expect(head).toMatchObject({ method, target, version, servicePort: 8080 });
  });

  test.each([
    'GET\t/ HTTP/1.1',
    'GET  / HTTP/1.1',
    'GET /  HTTP/1.1',
    'GET / HTTP/1.1 ',
    'GET / HTTP/1.1\t',
    ' GET / HTTP/1.1',
    'GET /\rX HTTP/1.1',
    'GET /\nHTTP/1.1',
    'GET /\x00 HTTP/1.1',
    'GET /\x7f HTTP/1.1',
    'GET /\x80 HTTP/1.1',
    'GET /a HTTP/1.1 /b HTTP/1.1',
    'GET /a#b HTTP/1.1',
    'GET HTTP/1.1',
    'GET  HTTP/1.1',
    'GET /',
    'GET',
    '',
    '/ HTTP/1.1',
    'GET / http/1.1',
    'GET / HTTP/1.1x',
    'GET / HTTP/1.01',
    'GET / HTTP/01.1',
    'GET / HTTP/1,1',
    'GET / HTTP/11',
    'GET / HTTP/-1.1',
    'GET / HTTP/1.',
    'GET / HTTP/1.1\n',
    'GET / HTTP/1.1X\nA: b',
    'GET / HTTP/1.1\rXA: b',
    'GET / RTSP/1.0',
    'G\x00T / HTTP/1.1',
    'G(T / HTTP/1.1',
    'G:T / HTTP/1.1',
  ])('%j is refused', (line) => {
    const result = parse(`${line}\r\nHost: a\r\n\r\n`);
    expect(result).toMatchObject({ kind: 'reject', status: 400, reason: 'BadRequestSyntax' });
  });

  test.each(['HTTP/2.0', 'HTTP/0.9', 'HTTP/3.0'])('%s is 505', (version) => {
    const result = parse(`GET / ${version}\r\nHost: a\r\n\r\n`);
    expect(result).toMatchObject({ status: 505, reason: 'BadRequestUnsupported' });
  });

  test('one empty line before it is ignored, two are not', () => {
    expect(parse(`\r\n${get()}`).kind).toBe('head');
    expect(parse(`\r\n\r\n${get()}`)).toMatchObject({ status: 400 });
    expect(parse(`\n${get()}`)).toMatchObject({ status: 400 });
    expect(parse(`\r${get()}`)).toMatchObject({ status: 400 });
  });

  test('a peer that speaks something else is refused at its first byte', () => {
    expect(parse('\x16\x03\x01')).toMatchObject({ status: 400 });
    expect(parse('\x00')).toMatchObject({ status: 400 });
    expect(parse('GET / X')).toMatchObject({ status: 400 });
  });
});

describe('field lines', () => {
  test('keep order, case and bytes, and lose the white space around the value', () => {
    const head = headOf(get('X-A: \t one \t', 'x-b:two', 'X-a:', 'X-C: \xe9\x80\xff'));
    expect([...head.fields]).toEqual([
      ['Host', 'a'],
      ['X-A', 'one'],
      ['x-b', 'two'],
      ['X-a', ''],
      ['X-C', '\xe9\x80\xff'],
    ]);
    expect(head.fieldValues('x-a')).toEqual(['one', '']);
    expect(head.fieldValues('missing')).toEqual([]);
  });

  test('white space that is not SP or TAB belongs to the value', () => {
    expect(headOf(get('X: \xa0a\x85')).fields.get('x')).toBe('\xa0a\x85');
  });

  test.each([
    'X : a',
    'X\t: a',
    ' X: a',
    '\tX: a',
    ':',
    ': a',
    'X',
    'X Y: a',
    'X(Y): a',
    '"X": a',
    '{x}: a',
    'X\x00: a',
    'X\xe9: a',
    'X\x7f: a',
    'X: a\rb',
    'X: a\nb',
    'X: a\x00',
    'X: a\x0b',
    'X: a\x0c',
    'X: a\x7f',
    'X: a\r\n b',
    'X: a\r\n\tb',
    'X: a\r',
    'X\r\n: a',
    'X: a\r\n\rX',
    'X: a\r\n\r\r\n',
    ':\n',
  ])('%j is refused', (line) => {
    expect(parse(get(line))).toMatchObject({ status: 400, reason: 'BadRequestSyntax' });
  });

  test.each([
    'GET / HTTP/1.1\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\n\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\n',
  ])('a bare LF ends no line: %j', (text) => {
    expect(parse(text)).toMatchObject({ status: 400, reason: 'BadRequestSyntax' });
  });
});

describe('Host', () => {
  test.each([
    ['no Host', 'GET / HTTP/1.1\r\nX: y\r\n\r\n'],
    ['two equal', get('Host: a')],
    ['two different', get('host: b')],
    ['empty', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
    ['list', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n'],
    ['two beside an absolute target', 'GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    ['none beside an absolute target', 'GET http://a/ HTTP/1.1\r\n\r\n'],
    ['bad beside an absolute target', 'GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['HTTP/1.0 without', 'GET / HTTP/1.0\r\n\r\n'],
    ['HTTP/1.0 with two', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n'],
  ])('%s is refused', (_case, text) => {
    expect(parse(text)).toMatchObject({ status: 400, reason: 'BadRequestHost' });
  });

  test('the authority of an absolute target replaces it', () => {
    const head = headOf('GET http://Web.Shop.mesh.:81/x HTTP/1.1\r\nHost: other\r\n\r\n');
    expect(head).toMatchObject({ authority: 'Web.Shop.mesh.:81', hostname: 'web.shop.mesh' });
    expect(headOf('GET http://b/ HTTP/1.0\r\n\r\n').hostname).toBe('b');
  });
});

describe('framing', () => {
  test.each([
    [[], { kind: 'none' }],
    [['Content-Length: 0'], { kind: 'length', length: 0 }],
    [['Content-Length: 5'], { kind: 'length', length: 5 }],
    [['content-length:\t005 '], { kind: 'length', length: 5 }],
    [['Content-Length: 9007199254740991'], { kind: 'length', length: 2 ** 53 - 1 }],
    [['Transfer-Encoding: chunked'], { kind: 'chunked' }],
    [['transfer-encoding:\tCHUNKED\t '], { kind: 'chunked' }],
    [['Transfer_Encoding: chunked', 'Content-Length: 5'], { kind: 'length', length: 5 }],
    [['Content-Length0: 9'], { kind: 'none' }],
  ])('%j', (lines, framing) => {
    expect(headOf(post(...lines)).framing).toEqual(framing);
    expect(headOf(get(...lines)).framing).toEqual(framing);
  });

  test.each(
    ['-5', '-0', '+5', '0_5', '5e0', '5 5', '5abc', '', ' ', '5;a=b', '0x5', '5.0']
      .concat(['18446744073709551616', '9007199254740992', '5, 6', '5, 5', '5,', '"5"', '\xb25'])
      .map((value) => [value]),
  )('Content-Length %j is refused', (value) => {
    const result = parse(post(`Content-Length: ${value}`));
    expect(result).toMatchObject({ status: 400, reason: 'BadRequestFraming' });
  });

  test.each([
    ['identity'],
    ['gzip'],
    ['xchunked'],
    ['chunkedchunked'],
    ['chunked, chunked'],
    ['chunked, gzip'],
    ['chunked,'],
    [',chunked'],
    ['"chunked"'],
    ['chunked;q=1'],
    ['\xa0chunked\xa0'],
    [''],
    ['gzip chunked'],
  ])('Transfer-Encoding %j is refused', (value) => {
    const result = parse(post(`Transfer-Encoding: ${value}`));
    expect(result).toMatchObject({ status: 400, reason: 'BadRequestFraming' });
  });

  test('a coding that is right but unknown is 501', () => {
    const result = parse(post('Transfer-Encoding: gzip, chunked'));
    expect(result).toMatchObject({ status: 501, reason: 'BadRequestUnsupported' });
  });

  test.each([
    ['both', post('Content-Length: 0', 'Transfer-Encoding: chunked')],
    ['both, the other way', post('Transfer-Encoding: chunked', 'Content-Length: 5')],
    ['two equal lengths', post('Content-Length: 5', 'Content-Length: 5')],
    ['two lengths', post('Content-Length: 0', 'Content-Length: 43')],
    ['an empty and a real length', post('Content-Length:', 'Content-Length: 43')],
    ['two codings', post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')],
    ['chunked then identity', post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')],
    ['HTTP/1.0 chunked', post('Transfer-Encoding: chunked').replace('1.1', '1.0')],
  ])('%s is refused', (_case, text) => {
    expect(parse(text)).toMatchObject({ status: 400, reason: 'BadRequestFraming' });
  });
});

describe('connection', () => {
  test.each([
    ['1.1', [], true],
    ['1.1', ['Connection: close'], false],
    ['1.1', ['Connection: X, CLOSE'], false],
    ['1.1', ['Connection: keep-alive', 'Connection: close'], false],
    ['1.0', [], false],
    ['1.0', ['Connection: Keep-Alive'], true],
    ['1.0', ['Connection: keep-alive, close'], false],
    ['1.0', ['Proxy-Connection: keep-alive'], false],
  ])('HTTP/%s with %j: keep-alive %s', (version, lines, isKeepAlive) => {
    expect(headOf(get(...lines).replace('1.1', version)).isKeepAlive).toBe(isKeepAlive);
  });

  test('nominated names are gathered from all lines, without those that it cannot strip', () => {
    const head = headOf(
      get('Connection: X-One,\t x-Two', 'Connection: Host, Content-Length, transfer-encoding, x y'),
    );
    expect([...head.nominated]).toEqual(['x-one', 'x-two']);
  });

  test.each([
    [['Connection: Upgrade', 'Upgrade: websocket'], 'websocket'],
    [['Connection: keep-alive, upgrade', 'Upgrade: WebSocket'], 'WebSocket'],
    [['Connection: upgrade', 'Upgrade: SPDY/3.1'], 'SPDY/3.1'],
    [['Connection: upgrade', 'Upgrade: h2c, websocket'], 'websocket'],
    [['Connection: upgrade', 'Upgrade: foo', 'Upgrade: websocket'], 'foo, websocket'],
    [['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 0'], 'websocket'],
    [['Upgrade: websocket'], undefined],
    [['Connection: upgrade'], undefined],
    [['Connection: upgrade', 'Upgrade: h2c'], undefined],
    [['Connection: upgrade', 'Upgrade: H2C'], undefined],
    [['Connection: upgrade', 'Upgrade: HTTP/2.0, TLS/1.3'], undefined],
    [['Connection: upgrade', 'Upgrade: web socket'], undefined],
    [['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 5'], undefined],
    [['Connection: upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked'], undefined],
  ])('%j offers %s', (lines, upgrade) => {
    expect(headOf(get(...lines)).upgrade).toBe(upgrade);
  });

  test('HTTP/1.0 offers no upgrade', () => {
    const text = get('Connection: upgrade', 'Upgrade: websocket').replace('1.1', '1.0');
    expect(headOf(text).upgrade).toBeUndefined();
  });

  test.each([
    [['Expect: 100-Continue', 'Content-Length: 5'], true],
    [['Expect: 100-continue', 'Transfer-Encoding: chunked'], true],
    [['Expect: 100-continue'], false],
    [['Expect: 100-continue', 'Content-Length: 0'], false],
    [['Expect: cookies', 'Content-Length: 5'], false],
    [['Expect: 100-continue, x', 'Content-Length: 5'], true],
    [['Expect: 100-continue', 'Expect: 100-continue', 'Content-Length: 5'], true],
    [['Expect: x100-continue', 'Content-Length: 5'], false],
  ])('%j waits for 100: %s', (lines, expectsContinue) => {
    expect(headOf(post(...lines)).expectsContinue).toBe(expectsContinue);
  });

  test('Max-Forwards counts for OPTIONS only', () => {
    expect(headOf(get('Max-Forwards: 1')).maxForwards).toBeUndefined();
    expect(headOf(get('Max-Forwards: x')).maxForwards).toBeUndefined();
    expect(headOf(get('Max-Forwards: 0').replace('GET', 'OPTIONS')).maxForwards).toBe(0);
    expect(parse(get('Max-Forwards: -1').replace('GET', 'OPTIONS'))).toMatchObject({ status: 400 });
  });
});

describe('limits', () => {
  const limits = { headBytesMax: 200, targetBytesMax: 20, fieldsMax: 3 };
  const tooLarge = { status: 431, reason: 'BadRequestHeadTooLarge' };
  const padded = (bytes: number): string => {
    const empty = get('X: ');
    return empty.replace('X: ', `X: ${'x'.repeat(bytes - empty.length)}`);
  };

  test('a head of exactly the limit is read, one byte more is 431', () => {
    expect(parse(padded(200), limits)).toMatchObject({ kind: 'head', end: 200 });
    expect(parse(padded(201), limits)).toMatchObject(tooLarge);
    expect(parse(padded(5000), limits)).toMatchObject(tooLarge);
  });

  test('an unfinished head is refused as soon as it cannot fit any more', () => {
    expect(parse(padded(300).slice(0, 199), limits).kind).toBe('incomplete');
    expect(parse(padded(300).slice(0, 200), limits)).toMatchObject(tooLarge);
  });

  test('an error behind the limit is not looked at', () => {
    expect(parse(`${padded(300).slice(0, 230)}\x00`, limits)).toMatchObject(tooLarge);
  });

  test('one field more than the limit is 431', () => {
    expect(parse(get('A: 1', 'B: 2'), limits).kind).toBe('head');
    expect(parse(get('A: 1', 'B: 2', 'C: 3'), limits)).toMatchObject(tooLarge);
  });

  test('one target byte more than the limit is 414', () => {
    const target = (bytes: number): string => get().replace('/', `/${'a'.repeat(bytes - 1)}`);
    expect(parse(target(20), limits).kind).toBe('head');
    const tooLong = { status: 414, reason: 'BadRequestTargetTooLong' };
    expect(parse(target(21), limits)).toMatchObject(tooLong);
    expect(parse(`GET /${'a'.repeat(20)}`, limits)).toMatchObject(tooLong);
  });

  test('a monstrous method is 501', () => {
    const unsupported = { status: 501, reason: 'BadRequestUnsupported' };
    expect(parse(get().replace('GET', 'A'.repeat(64))).kind).toBe('head');
    expect(parse(get().replace('GET', 'A'.repeat(65)))).toMatchObject(unsupported);
    expect(parse('A'.repeat(9000))).toMatchObject(unsupported);
  });
});

describe('incremental parsing', () => {
  test('a head that arrives byte by byte in one small buffer is read', () => {
    const value = Array.from({ length: 5_000 }, (_, index) => index).join('.');
    const text = get(`X: ${value}`);
    const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
    const byte = Buffer.alloc(1);
    let result: RequestHeadResult = { kind: 'incomplete' };
    for (const character of text) {
      expect(result.kind).toBe('incomplete');
      byte.write(character, 'latin1');
      result = parser.parse(byte, 0, 1);
    }
    if (result.kind !== 'head') throw new Error(result.kind);
    expect(result.end).toBe(1);
    expect(result.head.bytes).toBe(text.length);
    expect(result.head.fields.get('x')).toBe(value);
  });

  test('pipelined heads are read one after the other', () => {
    const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
    const text = get('A: 1') + get('B: 2') + get('C: 3').slice(0, 20);
    const bytes = Buffer.from(text, 'latin1');
    let at = 0;
    for (const name of ['a', 'b']) {
      const result = parser.parse(bytes, at, bytes.length);
      if (result.kind !== 'head') throw new Error(result.kind);
      expect(result.head.fields.has(name)).toBe(true);
      expect(result.head.fields.size).toBe(2);
      at = result.end;
    }
    expect(parser.hasPartialHead).toBe(false);
    expect(parser.parse(bytes, at, bytes.length).kind).toBe('incomplete');
    expect(parser.hasPartialHead).toBe(true);
  });

  test('an empty line between requests is no partial head', () => {
    const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
    expect(parser.parse(Buffer.from('\r\n'), 0, 2).kind).toBe('incomplete');
    expect(parser.hasPartialHead).toBe(false);
    expect(parser.parse(Buffer.from('G'), 0, 1).kind).toBe('incomplete');
    expect(parser.hasPartialHead).toBe(true);
  });
});
