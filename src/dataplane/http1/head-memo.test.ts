// A parser that remembers the last head answers exactly as one that remembers nothing: the same
// head again, a head that differs in one byte, whole, cut anywhere, at any place in a buffer.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../lib/random.ts';
import { HeadMemo } from './head-memo.ts';
import { defaultHeadLimits as limits } from './limits.ts';
import { RequestHeadParser } from './request-head.ts';
import type { HttpRequestHead } from './request-head.ts';
import { ResponseHeadParser } from './response-head.ts';
import type { HttpResponseHead } from './response-head.ts';

const requestText =
  'GET /a?b=c HTTP/1.1\r\nHost: web.shop.mesh\r\nX-One: 1\r\nConnection: keep-alive\r\n\r\n';
const responseText =
  'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: now\r\nConnection: close\r\n\r\n';
const get = { method: 'GET', upgrade: undefined };

type Result = ReturnType<RequestHeadParser['parse']> | ReturnType<ResponseHeadParser['parse']>;
type Parser = { readonly parse: (buffer: Buffer, start: number, end: number) => Result };

const requests = (): Parser => new RequestHeadParser({ limits, servicePort: 80 });
const responses = (): Parser => {
  const parser = new ResponseHeadParser(limits);
  return { parse: (buffer, start, end) => parser.parse(buffer, start, end, get) };
};

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

function parseAll(parser: Parser, text: string): Result {
  return parser.parse(bytesOf(text), 0, text.length);
}

/** All that can be seen of a result. */
function shown(result: Result): unknown {
  if (result.kind !== 'head') return result;
  const { fields, nominated, ...rest } = result.head;
  return { end: result.end, fields: [...fields], nominated: [...nominated], ...plain(rest) };
}

function plain(head: object): object {
  return Object.fromEntries(Object.entries(head).filter(([, value]) => !isHidden(value)));
}

/** Functions differ from object to object. */
function isHidden(value: unknown): boolean {
  return typeof value === 'function';
}

function headOf(result: Result): HttpRequestHead | HttpResponseHead {
  if (result.kind !== 'head') throw new Error(JSON.stringify(result));
  return result.head;
}

/** Has read the head twice, which is when it begins to remember. */
function warm(make: () => Parser, text: string): Parser {
  const parser = make();
  parseAll(parser, text);
  parseAll(parser, text);
  return parser;
}

describe.each([
  ['requests', requests, requestText],
  ['responses', responses, responseText],
])('%s', (_, make, text) => {
  test('the same bytes are the same head', () => {
    const parser = make();
    const [first, second, third] = [1, 2, 3].map(() => headOf(parseAll(parser, text)));
    expect(second).not.toBe(first);
    expect(third).toBe(second);
  });

  test('a head that differs in any one byte is parsed anew', () => {
    for (let at = 0; at < text.length; at += 1) {
      for (const byte of ['x', '0', ' ', ':', '\n', '\0']) {
        const other = text.slice(0, at) + byte + text.slice(at + 1);
        if (other === text) continue;
        const found = shown(parseAll(warm(make, text), other));
        expect(found, JSON.stringify(other)).toEqual(shown(parseAll(make(), other)));
      }
    }
  });

  test('a head that begins or ends like the last one is parsed anew', () => {
    const longer = text.replace('\r\n\r\n', '\r\nX-Two: 2\r\n\r\n');
    const shorter = text.replace(/\r\nConnection: [a-z-]+/, '');
    expect(shown(parseAll(warm(make, text), longer))).toEqual(shown(parseAll(make(), longer)));
    expect(shown(parseAll(warm(make, text), shorter))).toEqual(shown(parseAll(make(), shorter)));
  });

  test('where the head is cut makes no difference', () => {
    for (let cut = 1; cut < text.length; cut += 1) {
      const parser = warm(make, text);
      const bytes = bytesOf(text);
      expect(parser.parse(bytes, 0, cut).kind).toBe('incomplete');
      const rest = parser.parse(bytes, cut, text.length);
      expect(shown(rest)).toEqual(shown(parseAll(make(), text)));
      expect(headOf(parseAll(parser, text))).toBeDefined();
    }
  });

  test('what the buffer holds later does not change what is remembered', () => {
    const parser = make();
    const buffer = Buffer.alloc(4096);
    for (let time = 0; time < 3; time += 1) {
      buffer.write(text, 7, 'latin1');
      const head = parser.parse(buffer, 7, 7 + text.length);
      buffer.fill('!');
      expect(shown(head)).toEqual({
        ...(shown(parseAll(make(), text)) as object), // a head, not a reject
        end: 7 + text.length,
      });
    }
    expect(parser.parse(buffer, 0, buffer.length).kind).toBe('reject');
  });

  test('any sequence of heads in any pieces is read as by a parser without memory', () => {
    const random = seededRandom(11);
    const longer = text.replace('\r\n\r\n', '\r\nA: b\r\n\r\n');
    const variants = [text, text, text.replace('Conn', 'Konn'), longer];
    for (let round = 0; round < 200; round += 1) {
      const sent = Array.from({ length: 12 }, () => variants[Math.floor(random() * 4)] ?? text);
      const stream = bytesOf(sent.join(''));
      const parser = make();
      const read: unknown[] = [];
      for (let at = 0, end = 0; at < stream.length || end < stream.length; ) {
        if (at === end) end = Math.min(stream.length, end + 1 + Math.floor(random() * 300));
        const result = parser.parse(stream, at, end);
        at = result.kind === 'head' ? result.end : end;
        if (result.kind === 'incomplete') continue;
        read.push({ ...(shown(result) as object), end: 0 }); // a head: all that is sent is one
      }
      const fresh = sent.map((one) => ({ ...(shown(parseAll(make(), one)) as object), end: 0 }));
      expect(read).toEqual(fresh);
    }
  });
});

test('an answer to HEAD has no body, whatever the same bytes meant before', () => {
  const parser = new ResponseHeadParser(limits);
  const bytes = bytesOf(responseText);
  const framingFor = (method: string): unknown => {
    const result = parser.parse(bytes, 0, bytes.length, { method, upgrade: undefined });
    return result.kind === 'head' ? result.head.framing.kind : result.kind;
  };
  const methods = ['GET', 'GET', 'HEAD', 'GET', 'HEAD', 'HEAD', 'GET'];
  expect(methods.map(framingFor)).toEqual(
    methods.map((method) => (method === 'HEAD' ? 'none' : 'length')),
  );
});

test('a switch of protocols is judged each time', () => {
  const parser = new ResponseHeadParser(limits);
  const bytes = bytesOf('HTTP/1.1 101 Y\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n');
  const kindFor = (upgrade: string | undefined): string =>
    parser.parse(bytes, 0, bytes.length, { method: 'GET', upgrade }).kind;
  expect(['chat', 'chat', 'chat', undefined].map(kindFor)).toEqual([
    'head',
    'head',
    'head',
    'reject',
  ]);
});

test('a long head is not kept', () => {
  const memo = new HeadMemo<string>();
  const long = Buffer.alloc(5_000, 'a');
  memo.keep(long, 0, 10, 'first');
  memo.keep(long, 0, 5_000, 'long');
  expect(memo.find(long, 0, 5_000)).toBeUndefined();
});

describe('a parser says which head it remembers', () => {
  const parse = (parser: RequestHeadParser, text: string): HttpRequestHead => {
    const result = parser.parse(bytesOf(text), 0, text.length);
    if (result.kind !== 'head') throw new Error(JSON.stringify(result));
    return result.head;
  };

  test('not the first one: many connections carry a single request', () => {
    const parser = new RequestHeadParser({ limits, servicePort: 80 });
    expect(parser.remembers(parse(parser, requestText))).toBe(false);
  });

  test('the second one, until another head comes', () => {
    const parser = new RequestHeadParser({ limits, servicePort: 80 });
    parse(parser, requestText);
    const second = parse(parser, requestText);
    expect(parser.remembers(second)).toBe(true);
    expect(parse(parser, requestText)).toBe(second);
    parse(parser, requestText.replace('X-One: 1', 'X-One: 2'));
    expect(parser.remembers(second)).toBe(false);
  });
});
