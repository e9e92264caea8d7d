// What the HTTP/1.1 codec costs: nanoseconds per head parsed, per head written, per chunked body
// walked over. Medians of several rounds of the process's own CPU time, warm. The codec
// has to stay well below what a socket read and write cost (some 5 000 ns).
import { createBodyDecoder } from '../../src/dataplane/http1/body-decoder.ts';
import { defaultHeadLimits } from '../../src/dataplane/http1/limits.ts';
import { RequestHeadParser } from '../../src/dataplane/http1/request-head.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import { ResponseHeadParser } from '../../src/dataplane/http1/response-head.ts';
import type { HttpResponseHead } from '../../src/dataplane/http1/response-head.ts';
import { renderRequestHead, renderResponseHead } from '../../src/dataplane/http1/serialise.ts';

// The browser-like head of 388 bytes and seven fields that other parsers were measured with.
const requestText =
  'GET /api/v1/products/42/reviews?page=2 HTTP/1.1\r\n' +
  'Host: reviews.shop.mesh\r\n' +
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n' +
  'Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\n' +
  'Accept-Encoding: gzip, deflate, br\r\n' +
  'X-Request-Id: 7f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f\r\n' +
  'Cookie: session=0123456789abcdef0123456789abcdef\r\n' +
  'Connection: keep-alive\r\n\r\n';

const responseText =
  'HTTP/1.1 200 OK\r\n' +
  'Content-Type: application/json; charset=utf-8\r\n' +
  'Content-Length: 200\r\n' +
  'Cache-Control: no-store\r\n' +
  'ETag: W/"c8-0123456789abcdef"\r\n' +
  'Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n' +
  'Connection: keep-alive\r\n\r\n';

const rounds = 9;
const callsPerRound = 40_000;
const getRequest = { method: 'GET', upgrade: undefined };

/** Lines for people; the promise lets the caller run all benches alike. */
export function benchCodec(): Promise<string[]> {
  return Promise.resolve([
    `parse a request head of ${requestText.length} bytes, 7 fields: ${benchRequestHead()} ns`,
    `the same, cut in two: ${benchCutRequestHead()} ns`,
    `write it again: ${benchRenderRequest()} ns`,
    `parse a response head of ${responseText.length} bytes, 6 fields: ${benchResponseHead()} ns`,
    `write it again: ${benchRenderResponse()} ns`,
    `walk over a chunked body of four chunks: ${benchChunks()} ns`,
  ]);
}

function median(call: () => unknown): number {
  const results: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begin = process.cpuUsage();
    for (let index = 0; index < callsPerRound; index += 1) call();
    results.push((process.cpuUsage(begin).user * 1000) / callsPerRound);
  }
  results.sort((left, right) => left - right);
  return Math.round(results[rounds >> 1] ?? 0);
}

function requestHead(): HttpRequestHead {
  const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
  const result = parser.parse(Buffer.from(requestText), 0, requestText.length);
  if (result.kind !== 'head') throw new Error(result.kind);
  return result.head;
}

function responseHead(): HttpResponseHead {
  const parser = new ResponseHeadParser(defaultHeadLimits);
  const result = parser.parse(Buffer.from(responseText), 0, responseText.length, getRequest);
  if (result.kind !== 'head') throw new Error(result.kind);
  return result.head;
}

function benchRequestHead(): number {
  const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
  const bytes = Buffer.from(requestText, 'latin1');
  return median(() => parser.parse(bytes, 0, bytes.length));
}

function benchCutRequestHead(): number {
  const parser = new RequestHeadParser({ limits: defaultHeadLimits, servicePort: 80 });
  const bytes = Buffer.from(requestText, 'latin1');
  return median(() => {
    parser.parse(bytes, 0, 200);
    return parser.parse(bytes, 200, bytes.length);
  });
}

function benchRenderRequest(): number {
  const head = requestHead();
  const forwarded = { for: '10.1.2.3', host: head.authority, proto: 'http', port: 80 } as const;
  const requestId = '7f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f';
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const connection = 'keep-alive';
  const { authority } = head;
  const rendering = { head, authority, forwarded, requestId, traceparent, connection } as const;
  return median(() => flat(renderRequestHead(rendering)));
}

function benchResponseHead(): number {
  const parser = new ResponseHeadParser(defaultHeadLimits);
  const bytes = Buffer.from(responseText, 'latin1');
  return median(() => parser.parse(bytes, 0, bytes.length, getRequest));
}

function benchRenderResponse(): number {
  const head = responseHead();
  const { framing } = head;
  const rendering = { head, framing, connection: 'keep-alive', clientVersion: 11 } as const;
  return median(() => flat(renderResponseHead(rendering)));
}

const written = Buffer.alloc(4096);

/** Joined strings are ropes until somebody reads them: writing is part of what they cost. */
function flat(text: string): number {
  return written.write(text, 0, 'latin1');
}

function benchChunks(): number {
  const chunk = `400\r\n${'x'.repeat(1024)}\r\n`;
  const bytes = Buffer.from(`${chunk.repeat(4)}0\r\n\r\n`, 'latin1');
  const limits = { limits: defaultHeadLimits, headBytes: 0, headFields: 0 };
  return median(() => {
    const decoder = createBodyDecoder({ kind: 'chunked' }, limits);
    let at = 0;
    while (decoder.advance(bytes, at, bytes.length) === 'data') at = decoder.position;
    return at;
  });
}
