// Response heads from upstream: the same grammar as requests, and what status codes, HEAD and 101
// mean for framing and for the connection.
import { describe, expect, test } from 'vitest';
import { defaultHeadLimits } from './limits.ts';
import { ResponseHeadParser } from './response-head.ts';
import type { AnsweredRequest, HttpResponseHead, ResponseHeadResult } from './response-head.ts';

const getRequest: AnsweredRequest = { method: 'GET', upgrade: undefined };

function parse(text: string, request = getRequest): ResponseHeadResult {
  const bytes = Buffer.from(text, 'latin1');
  return new ResponseHeadParser(defaultHeadLimits).parse(bytes, 0, bytes.length, request);
}

function headOf(text: string, request = getRequest): HttpResponseHead {
  const result = parse(text, request);
  if (result.kind !== 'head') throw new Error(`${text}: ${JSON.stringify(result)}`);
  return result.head;
}

const answer = (status: string, ...lines: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

describe('status line', () => {
  test.each([
    ['HTTP/1.1 200 OK', 200, 'OK', 11],
    ['HTTP/1.0 404 Not Found', 404, 'Not Found', 10],
    ['HTTP/1.1 200 ', 200, '', 11],
    ['HTTP/1.1 200', 200, '', 11],
    ['HTTP/1.1 599 \xc9tat\t!', 599, '\xc9tat\t!', 11],
    ['HTTP/1.9 200 OK', 200, 'OK', 11],
  ])('%j is read', (line, status, statusText, version) => {
    expect(headOf(`${line}\r\n\r\n`)).toMatchObject({ status, statusText, version });
  });

  test.each([
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 abc OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 600 OK',
    'HTTP/1.1 +20 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 200 O\x00K',
    'HTTP/1.1 200 O\rX: y',
    'HTTP/1.1 200 O\rXA: b',
    'HTTP/1.10 200 OK',
    'HTTP/2.0 200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    'hello world',
    ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'HTTP/1.1 200 OK\nX: y',
    '<html>',
  ])('%j is refused', (line) => {
    expect(parse(`${line}\r\n\r\n`).kind).toBe('reject');
  });

  test('what is no HTTP is refused at its first byte', () => {
    expect(parse('S').kind).toBe('reject');
    expect(parse('HTTP/1.1 2').kind).toBe('incomplete');
    expect(parse('HTTP/1.1 2x').kind).toBe('reject');
  });
});

describe('fields', () => {
  test.each([
    'X A: b',
    'X : b',
    'X\x00: b',
    'X\xe9: b',
    'X: a\x00b',
    'X: a\rb',
    ' X: b',
    ':',
    'X: b\r\n\rX',
  ])('%j is refused', (line) => {
    expect(parse(answer('200 OK', line)).kind).toBe('reject');
  });

  test('a head over the limit is refused', () => {
    expect(parse(answer('200 OK', `X: ${'a'.repeat(70_000)}`)).kind).toBe('reject');
    const many = Array.from({ length: 129 }, () => 'X: y');
    expect(parse(answer('200 OK', ...many)).kind).toBe('reject');
    expect(parse(answer('200 OK', ...many.slice(1))).kind).toBe('head');
  });
});

describe('framing', () => {
  test.each([
    ['GET', '200 OK', [], { kind: 'until-close' }],
    ['GET', '200 OK', ['Content-Length: 5'], { kind: 'length', length: 5 }],
    ['GET', '200 OK', ['Content-Length: 0'], { kind: 'length', length: 0 }],
    ['GET', '200 OK', ['Transfer-Encoding: Chunked'], { kind: 'chunked' }],
    ['HEAD', '200 OK', ['Content-Length: 5'], { kind: 'none' }],
    ['HEAD', '200 OK', ['Transfer-Encoding: chunked'], { kind: 'none' }],
    ['GET', '204 No Content', ['Content-Length: 5'], { kind: 'none' }],
    ['GET', '204 No Content', ['Transfer-Encoding: chunked'], { kind: 'none' }],
    ['GET', '304 Not Modified', ['Content-Length: 5'], { kind: 'none' }],
    ['GET', '205 Reset Content', ['Content-Length: 0'], { kind: 'length', length: 0 }],
    ['GET', '103 Early Hints', [], { kind: 'none' }],
    ['head', '200 OK', ['Content-Length: 5'], { kind: 'length', length: 5 }],
  ])('%s answered %s with %j', (method, status, lines, framing) => {
    const head = headOf(answer(status, ...lines), { method, upgrade: undefined });
    expect(head.framing).toEqual(framing);
  });

  test.each([
    [['Content-Length: +5']],
    [['Content-Length: abc']],
    [['Content-Length: 18446744073709551621']],
    [['Content-Length: 5.0']],
    [['Content-Length: 5', 'Content-Length: 5']],
    [['Content-Length: 5', 'Transfer-Encoding: chunked']],
    [['Transfer-Encoding: gzip']],
    [['Transfer-Encoding: gzip, chunked']],
    [['Transfer-Encoding: chunked, chunked']],
    [['Transfer-Encoding: "chunked"']],
    [['Transfer-Encoding:']],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
  ])('%j is refused, also where there is no body', (lines) => {
    expect(parse(answer('200 OK', ...lines)).kind).toBe('reject');
    const head = { method: 'HEAD', upgrade: undefined };
    expect(parse(answer('200 OK', ...lines), head).kind).toBe('reject');
  });

  test('chunks in HTTP/1.0 are refused', () => {
    const text = answer('200 OK', 'Transfer-Encoding: chunked').replace('1.1', '1.0');
    expect(parse(text).kind).toBe('reject');
  });

  test('an interim response has no content', () => {
    expect(parse(answer('103 Early Hints', 'Content-Length: 46')).kind).toBe('reject');
    expect(parse(answer('100 Continue', 'Transfer-Encoding: chunked')).kind).toBe('reject');
    expect(parse(answer('100 Continue', 'Content-Length: 0')).kind).toBe('head');
  });

  test('the length of what a GET would get is kept', () => {
    const head = { method: 'HEAD', upgrade: undefined };
    expect(headOf(answer('200 OK', 'Content-Length: 5'), head).contentLength).toBe(5);
    expect(headOf(answer('304 Not Modified', 'Content-Length: 7')).contentLength).toBe(7);
  });
});

describe('reuse of the connection', () => {
  test.each([
    ['1.1', '200 OK', ['Content-Length: 5'], true],
    ['1.1', '200 OK', ['Content-Length: 5', 'Connection: close'], false],
    ['1.1', '200 OK', [], false],
    ['1.0', '200 OK', ['Content-Length: 5'], false],
    ['1.0', '200 OK', ['Content-Length: 5', 'Connection: keep-alive'], true],
    ['1.1', '204 No Content', [], true],
    ['1.1', '204 No Content', ['Content-Length: 0'], true],
    ['1.1', '204 No Content', ['Content-Length: 5'], false],
    ['1.1', '204 No Content', ['Transfer-Encoding: chunked'], false],
    ['1.1', '304 Not Modified', ['Content-Length: 5'], true],
  ])('HTTP/%s %s with %j: %s', (version, status, lines, isKeepAlive) => {
    const text = answer(status, ...lines).replace('1.1', version);
    expect(headOf(text).isKeepAlive).toBe(isKeepAlive);
  });
});

describe('101', () => {
  const offer = (upgrade: string | undefined): AnsweredRequest => ({ method: 'GET', upgrade });
  const switching = (...lines: readonly string[]): string =>
    answer('101 Switching Protocols', 'Connection: upgrade', ...lines);

  test('passes for a protocol that was offered', () => {
    const head = headOf(switching('Upgrade: WebSocket'), offer('foo, websocket'));
    expect(head).toMatchObject({ status: 101, upgrade: 'WebSocket', framing: { kind: 'none' } });
    expect(head.isKeepAlive).toBe(false);
  });

  test.each([
    ['websocket', undefined],
    ['foo', 'websocket'],
    ['h2c', 'websocket'],
    ['websocket, foo', 'websocket, foo'],
    ['', 'websocket'],
  ])('to %j is refused when %j was offered', (accepted, offered) => {
    expect(parse(switching(`Upgrade: ${accepted}`), offer(offered)).kind).toBe('reject');
  });

  test('without Upgrade is refused', () => {
    expect(parse(switching(), offer('websocket')).kind).toBe('reject');
  });
});

test('interim responses and the final one are read one after the other', () => {
  const parser = new ResponseHeadParser(defaultHeadLimits);
  const text = answer('103 Early Hints', 'Link: </a>') + answer('200 OK', 'Content-Length: 0');
  const bytes = Buffer.from(text, 'latin1');
  const first = parser.parse(bytes, 0, bytes.length, getRequest);
  if (first.kind !== 'head') throw new Error(first.kind);
  expect(first.head.status).toBe(103);
  expect(parser.hasPartialHead).toBe(false);
  const second = parser.parse(bytes, first.end, bytes.length, getRequest);
  expect(second).toMatchObject({ kind: 'head', end: bytes.length, head: { status: 200 } });
});
