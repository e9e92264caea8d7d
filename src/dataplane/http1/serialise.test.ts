// What is written: which fields pass, which are made anew, how bodies are framed for the other
// side, and that no value can end a line early.
import { describe, expect, test } from 'vitest';
import { createBodyDecoder } from './body-decoder.ts';
import type { Fields } from './fields.ts';
import { defaultHeadLimits } from './limits.ts';
import { RequestHeadParser } from './request-head.ts';
import type { HttpRequestHead } from './request-head.ts';
import { ResponseHeadParser } from './response-head.ts';
import type { AnsweredRequest, HttpResponseHead } from './response-head.ts';
import {
  countOwnVia,
  downstreamFraming,
  renderChunk,
  renderChunkPrefix,
  renderLastChunk,
  renderRequestHead,
  renderResponseHead,
  renderSimpleResponse,
} from './serialise.ts';
import type { RequestRendering, ResponseRendering } from './serialise.ts';

const lined = (lines: readonly string[]): string => lines.map((line) => `${line}\r\n`).join('');

function requestOf(start: string, ...lines: readonly string[]): HttpRequestHead {
  const text = `${start}\r\nHost: web\r\n${lined(lines)}\r\n`;
  const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
  const result = parser.parse(Buffer.from(text, 'latin1'), 0, text.length);
  if (result.kind !== 'head') throw new Error(JSON.stringify(result));
  return result.head;
}

const get = (...lines: readonly string[]): HttpRequestHead =>
  requestOf('GET /a?b HTTP/1.1', ...lines);

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Lines of the forwarded head. */
function forwarded(head: HttpRequestHead, options: Partial<RequestRendering> = {}): string[] {
  const text = renderRequestHead({
    head,
    authority: 'web',
    forwarded: { for: '10.0.0.9', host: 'web', proto: 'http', port: 80 },
    requestId: 'id-1',
    traceparent,
    connection: 'keep-alive',
    ...options,
  });
  expect(text.endsWith('\r\n\r\n')).toBe(true);
  return text.slice(0, -4).split('\r\n');
}

const own = [
  'x-forwarded-for: 10.0.0.9',
  'x-forwarded-host: web',
  'x-forwarded-proto: http',
  'x-forwarded-port: 80',
  'x-request-id: id-1',
  `traceparent: ${traceparent}`,
  'via: 1.1 weft',
];

const plain = ['GET /a?b HTTP/1.1', 'host: web', ...own];

describe('a forwarded request', () => {
  test('keeps what is end-to-end, in order and as sent', () => {
    const lines = ['X-A: 1', 'x-a:2', 'Cookie: a=b', 'X-Empty:', 'X-High: \xe9', '__proto__: x'];
    const [start, host, ...rest] = forwarded(get(...lines));
    expect([start, host]).toEqual(['GET /a?b HTTP/1.1', 'host: web']);
    const kept = ['X-A: 1', 'x-a: 2', 'Cookie: a=b', 'X-Empty: ', 'X-High: \xe9', '__proto__: x'];
    expect(rest).toEqual([...kept, ...own]);
  });

  test.each([
    ['Connection: close'],
    ['Connection: keep-alive, X-Drop', 'X-Drop: 1', 'x-drop: 2'],
    ['Connection: X-One', 'Connection: x-two', 'X-One: 1', 'X-Two: 2'],
    ['Keep-Alive: timeout=5'],
    ['Proxy-Connection: keep-alive'],
    ['Proxy-Authorization: Basic x'],
    ['TE: gzip, trailers;q=0.5', 'Connection: TE'],
    ['Upgrade: websocket'],
    ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMA'],
    ['HTTP2-Settings: AAMA'],
    ['Trailer: X-Sum'],
    ['X-Forwarded-For: 1.2.3.4', 'x-forwarded-for: 5.6.7.8'],
    ['X-Forwarded-Host: evil', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 1'],
    ['X_Forwarded_For: 1.2.3.4'],
    ['Forwarded: for=1.2.3.4'],
    ['X-Forwarded-Client-Cert: URI=spiffe://a'],
    ['L5d-Client-Id: admin'],
    ['Weft-Identity: spiffe://a', 'weft-reason: x', 'Weft_Identity: spiffe://a'],
    ['X-Mesh-Source: spiffe://a', 'X_Mesh_Source: spiffe://a'],
    ['X-Request-Id: theirs', 'Traceparent: theirs', 'Tracestate: a=b'],
  ])('loses %j', (...lines) => {
    expect(forwarded(get(...lines))).toEqual(plain);
  });

  test('Connection cannot strip Host or framing', () => {
    const names = 'Host, Content-Length, Transfer-Encoding';
    const post = (line: string): HttpRequestHead =>
      requestOf('POST / HTTP/1.1', `Connection: ${names}`, line);
    expect(forwarded(post('Content-Length: 5'))).toContain('content-length: 5');
    const chunkedLines = forwarded(post('Transfer-Encoding: CHUNKED'));
    expect(chunkedLines).toContain('transfer-encoding: chunked');
    expect(chunkedLines).toContain('host: web');
  });

  test.each([
    [['Content-Length: 0'], 'content-length: 0'],
    [['Content-Length: 0005'], 'content-length: 5'],
    [['Transfer-Encoding: Chunked'], 'transfer-encoding: chunked'],
  ])('a GET with %j stays framed', (lines, framing) => {
    const found = forwarded(get(...lines)).filter((line) => /^(content-l|transfer-e)/i.test(line));
    expect(found).toEqual([framing]);
  });

  test('a body without framing is not framed', () => {
    const found = forwarded(requestOf('POST / HTTP/1.1'));
    expect(found.some((line) => /^(content-l|transfer-e)/i.test(line))).toBe(false);
  });

  test('TE keeps trailers alone, and Trailer stays with chunks', () => {
    expect(forwarded(get('TE: gzip, Trailers'))).toContain('te: trailers');
    const head = requestOf('POST / HTTP/1.1', 'Transfer-Encoding: chunked', 'Trailer: X-Sum');
    expect(forwarded(head)).toContain('Trailer: X-Sum');
  });

  test('an upgrade is offered again', () => {
    const lines = forwarded(get('Connection: Upgrade', 'Upgrade: h2c, websocket', 'Sec-X: 1'));
    expect(lines).toContain('connection: upgrade');
    expect(lines).toContain('upgrade: websocket');
    expect(lines).toContain('Sec-X: 1');
  });

  test('its own trace keeps its state', () => {
    const lines = forwarded(get(`Traceparent: ${traceparent}`, 'Tracestate: a=b'));
    expect(lines).toContain('Tracestate: a=b');
  });

  test('is HTTP/1.1 whatever the client speaks', () => {
    const lines = forwarded(requestOf('GET / HTTP/1.0', 'Expect: 100-continue', 'Via: 1.1 x'));
    expect(lines[0]).toBe('GET / HTTP/1.1');
    const found = lines.filter((line) => /^(via|expect)/i.test(line));
    expect(found).toEqual(['Via: 1.1 x', 'via: 1.0 weft']);
  });

  test('counts Max-Forwards down for OPTIONS', () => {
    const options = requestOf('OPTIONS * HTTP/1.1', 'Max-Forwards: 3');
    const found = forwarded(options).filter((line) => /^max-forwards/i.test(line));
    expect(found).toEqual(['max-forwards: 2']);
    expect(forwarded(get('Max-Forwards: 3'))).toContain('Max-Forwards: 3');
  });

  test('says close, another Host and fields of ours when it is told to', () => {
    const lines = forwarded(get(), {
      authority: 'web.shop.svc',
      connection: 'close',
      extra: [['weft-service', 'shop/web']],
    });
    expect(lines[1]).toBe('host: web.shop.svc');
    expect(lines).toContain('connection: close');
    expect(lines.at(-1)).toBe('weft-service: shop/web');
  });

  test.each([
    { authority: 'a\r\nX: y' },
    { requestId: 'a\nb' },
    { extra: [['a', 'b\rc']] as const },
    { extra: [['a b', 'c']] as const },
    { extra: [['a', '\u0100']] as const },
  ])('never holds a line break that a caller brings along: %j', (options) => {
    expect(() => forwarded(get(), options)).toThrow('BUG:');
  });
});

function responseOf(
  status: string,
  lines: readonly string[],
  request: AnsweredRequest = { method: 'GET', upgrade: undefined },
): HttpResponseHead {
  const text = `HTTP/1.1 ${status}\r\n${lined(lines)}\r\n`;
  const parser = new ResponseHeadParser(defaultHeadLimits);
  const result = parser.parse(Buffer.from(text, 'latin1'), 0, text.length, request);
  if (result.kind !== 'head') throw new Error(JSON.stringify(result));
  return result.head;
}

function answered(head: HttpResponseHead, options: Partial<ResponseRendering> = {}): string[] {
  const clientVersion = options.clientVersion ?? 11;
  const framing = downstreamFraming(head, clientVersion);
  const connection = 'keep-alive';
  const text = renderResponseHead({ head, framing, connection, clientVersion, ...options });
  expect(text.endsWith('\r\n\r\n')).toBe(true);
  return text.slice(0, -4).split('\r\n');
}

describe('a forwarded response', () => {
  test('keeps what is end-to-end and its length', () => {
    const lines = ['ETag: W/"x"', 'Set-Cookie: a', 'Set-Cookie: b', 'Content-Length: 05'];
    expect(answered(responseOf('200 Fine', lines))).toEqual([
      'HTTP/1.1 200 Fine',
      'ETag: W/"x"',
      'Set-Cookie: a',
      'Set-Cookie: b',
      'content-length: 5',
    ]);
  });

  test.each([
    [['Connection: X-Secret, close', 'X-Secret: 1', 'Keep-Alive: timeout=77']],
    [['Upgrade: h2c', 'Connection: Upgrade']],
    [['Proxy-Connection: close']],
    [['weft-reason: NoEndpoints']],
    [['Trailer: X']],
  ])('loses %j', (lines) => {
    const head = responseOf('200 OK', [...lines, 'Content-Length: 0']);
    expect(answered(head)).toEqual(['HTTP/1.1 200 OK', 'content-length: 0']);
  });

  test.each([
    [11, [], ['transfer-encoding: chunked']],
    [10, [], ['connection: keep-alive']],
    [11, ['Transfer-Encoding: chunked'], ['transfer-encoding: chunked']],
    [10, ['Transfer-Encoding: chunked'], ['connection: keep-alive']],
    [10, ['Content-Length: 1'], ['content-length: 1', 'connection: keep-alive']],
  ] as const)('is framed for HTTP/%s with %j as %j', (clientVersion, lines, wanted) => {
    const head = responseOf('200 OK', lines);
    expect(answered(head, { clientVersion }).slice(1)).toEqual(wanted);
  });

  test('a body that ends with the connection stays so for HTTP/1.0', () => {
    expect(downstreamFraming(responseOf('200 OK', []), 10)).toEqual({ kind: 'until-close' });
  });

  test('HEAD and 304 keep the length, 204 has none', () => {
    const head = { method: 'HEAD', upgrade: undefined };
    const length = ['Content-Length: 5'];
    expect(answered(responseOf('200 OK', length, head))).toContain('content-length: 5');
    expect(answered(responseOf('304 X', length))).toContain('content-length: 5');
    expect(answered(responseOf('204 X', length))).toEqual(['HTTP/1.1 204 X']);
    const chunked = ['Transfer-Encoding: chunked'];
    expect(answered(responseOf('204 X', chunked))).toEqual(['HTTP/1.1 204 X']);
  });

  test('an interim response has fields of its own only', () => {
    const head = responseOf('103 Early Hints', ['Link: </a>', 'Content-Length: 0']);
    expect(answered(head, { connection: 'close', date: 'now' })).toEqual([
      'HTTP/1.1 103 Early Hints',
      'Link: </a>',
    ]);
  });

  test('a switch names the protocol', () => {
    const lines = ['Connection: upgrade', 'Upgrade: websocket', 'Sec-X: 1'];
    const head = responseOf('101 S', lines, { method: 'GET', upgrade: 'websocket' });
    expect(answered(head)).toEqual([
      'HTTP/1.1 101 S',
      'Sec-X: 1',
      'connection: upgrade',
      'upgrade: websocket',
    ]);
  });

  test('Date is written where upstream sent none', () => {
    const bare = responseOf('200 OK', ['Content-Length: 0']);
    expect(answered(bare, { date: 'now' })).toContain('date: now');
    const dated = responseOf('200 OK', ['Date: then', 'Content-Length: 0']);
    const found = answered(dated, { date: 'now' }).filter((line) => /^date/i.test(line));
    expect(found).toEqual(['Date: then']);
  });
});

describe('chunks', () => {
  test('have a hex size, and are never empty', () => {
    expect(renderChunkPrefix(255)).toBe('ff\r\n');
    expect(() => renderChunkPrefix(0)).toThrow('BUG:');
  });

  const none: ReadonlySet<string> = new Set();

  function trailersOf(...lines: readonly string[]): Fields | undefined {
    const used = { limits: defaultHeadLimits, headBytes: 0, headFields: 0 };
    const decoder = createBodyDecoder({ kind: 'chunked' }, used);
    const text = `0\r\n${lined(lines)}\r\n`;
    expect(decoder.advance(Buffer.from(text), 0, text.length)).toBe('end');
    return decoder.trailers;
  }

  test('the last one carries trailers', () => {
    expect(renderLastChunk(trailersOf(), none)).toBe('0\r\n\r\n');
    expect(renderLastChunk(trailersOf('X-Sum: 1', 'grpc-status: 0'), none)).toBe(
      '0\r\nX-Sum: 1\r\ngrpc-status: 0\r\n\r\n',
    );
  });

  test('it leaves out what Connection nominated', () => {
    const trailers = trailersOf('X-Hop: 1', 'ETag: "a"', 'X-Stay: 2');
    const nominated = new Set(['x-hop', 'etag']);
    expect(renderLastChunk(trailers, nominated)).toBe('0\r\nX-Stay: 2\r\n\r\n');
  });

  test.each([
    'Content-Length: 100',
    'Transfer-Encoding: identity',
    'Host: evil',
    'Connection: close',
    'Authorization: x',
    'Content-Type: text/html',
    'Set-Cookie: a',
    'X-Forwarded-For: 1.2.3.4',
    'weft-reason: x',
    'X_Mesh_Source: x',
  ])('%s is no trailer', (line) => {
    expect(renderLastChunk(trailersOf(line), none)).toBe('0\r\n\r\n');
  });
});

describe('a response of our own', () => {
  const refusal = {
    status: 403,
    reason: 'SourceNotAllowed',
    text: 'no \u2192 way\r\nX: y',
    connection: 'keep-alive',
    isHead: false,
  } as const;

  test('is complete, and its text cannot end it early', () => {
    const [head = '', body = ''] = renderSimpleResponse(refusal).split('\r\n\r\n');
    expect(body).toBe('no ? way??X: y\n');
    expect(head.split('\r\n')).toEqual([
      'HTTP/1.1 403 Forbidden',
      'content-type: text/plain; charset=utf-8',
      'weft-reason: SourceNotAllowed',
      `content-length: ${body.length}`,
    ]);
  });

  test('answers HEAD with its length alone, and may close', () => {
    const text = renderSimpleResponse({ ...refusal, isHead: true, connection: 'close' });
    expect(text.endsWith('content-length: 15\r\n\r\n')).toBe(true);
    expect(text).toContain('connection: close\r\n');
  });
});

test('our own entry in Via is counted, over members and lines', () => {
  const lines = ['Via: 1.1 weft, 1.0 other', 'Via: 1.1 WEFT (x), HTTP/1.1\tweft', 'Via: 1.1 wefts'];
  const head = get(...lines);
  expect(countOwnVia(head.fields)).toBe(3);
  expect(countOwnVia(get('Via: weft').fields)).toBe(0);
});

describe('a chunk', () => {
  const textOf = (around: string): string => {
    const start = around.indexOf('data');
    return renderChunk(Buffer.from(around, 'latin1'), start, start + 4);
  };

  test.each([
    '4\r\ndata\r\n',
    'x\r\n4\r\ndata\r\n0\r\n\r\n',
    '4;a=b\r\ndata\r\n',
    '04\r\ndata\r\n',
    '8\r\ndatadata\r\n',
    'data\r\n',
    '4\r\ndata',
    '4\r\ndata\r',
    '4\r\ndata\n\n',
    '14\ndata\r\n',
  ])('is framed the same whatever stands around its data: %j', (around) => {
    expect(textOf(around)).toBe('4\r\ndata\r\n');
  });
});
