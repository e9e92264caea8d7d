// Every class of request smuggling and response splitting by name, on both ways through the running
// data plane: what is refused reaches nobody, and what hides behind it is never read as a message.
// The finer cases of each class are in src/dataplane/http1/*.test.ts and test/cases.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import {
  connectTo,
  eventually,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

let harness: Harness;
let upstream: RawUpstream;
let clients: Peer[] = [];

beforeEach(async () => {
  upstream = await RawUpstream.start('127.0.0.2');
  harness = await startHarness({ endpoints: [upstream.endpoint], rules: { retryAttempts: 0 } });
});

afterEach(() => {
  for (const peer of clients) peer.socket.destroy();
  clients = [];
  harness.dataplane.close();
  upstream.close();
  expect(harness.bugs).toEqual([]);
});

async function client(): Promise<Peer> {
  const peer = await connectTo(harness.port);
  clients.push(peer);
  return peer;
}

/** All that the pod has got, over all connections. */
const podText = (): string => upstream.connections.map((peer) => peer.text).join('');

const smuggled = request('GET /smuggled');
const chunked = 'Transfer-Encoding: chunked';
const longText = 'a'.repeat(300);
const lastChunk = '0\r\n\r\n';
const host = 'Host: h1.t.mesh\r\n';

describe('a request is refused, and nothing behind it is read', () => {
  test.each<[string, string, number]>([
    ['obs-fold', request('GET /', 'X: a', ' b'), 400],
    ['bare LF as line end', `GET / HTTP/1.1\r\n${host}X: a\nY: b\r\n\r\n`, 400],
    ['bare CR in a value', request('GET /', 'X: a\rY: b'), 400],
    ['NUL in a value', request('GET /', 'X: a\0b'), 400],
    ['NUL in a name', request('GET /', 'X\0: a'), 400],
    ['white space before the colon', request('POST /', 'Content-Length : 5'), 400],
    ['duplicate Content-Length', request('POST /', 'Content-Length: 0', 'Content-Length: 44'), 400],
    ['comma-joined Content-Length', request('POST /', 'Content-Length: 5, 5'), 400],
    ['Transfer-Encoding with Content-Length', request('POST /', 'Content-Length: 4', chunked), 400],
    ['unknown transfer coding', request('POST /', 'Transfer-Encoding: gzip, chunked'), 501],
    ['misspelt transfer coding', request('POST /', 'Transfer-Encoding: xchunked'), 400],
    ['repeated transfer coding', request('POST /', 'Transfer-Encoding: chunked, chunked'), 400],
    ['repeated Transfer-Encoding', request('POST /', chunked, chunked), 400],
    ['chunk extension without end', `${request('POST /', chunked)}0;${longText}\r\n\r\n`, 400],
    ['chunk extension with bare LF', `${request('POST /', chunked)}0;a\n\r\n\r\n`, 400],
    ['chunk-size line that is too long', `${request('POST /', chunked)}${'0'.repeat(17)}\r\n`, 400],
    ['oversized head', request('GET /', `X: ${'a'.repeat(40_000)}`), 431],
    ['oversized trailers', `${request('POST /', chunked)}0\r\nX: ${'a'.repeat(40_000)}\r\n`, 431],
    ['too many fields', request('GET /', ...Array.from({ length: 140 }, () => 'X: y')), 431],
    ['absolute-form with a foreign scheme', request('GET https://h1.t.mesh/'), 400],
    ['two hosts beside an absolute-form', request('GET http://h1.t.mesh/', 'Host: other'), 400],
    ['invalid Host', `GET / HTTP/1.1\r\nHost: h1.t.mesh, b\r\n\r\n`, 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['TRACE', request('TRACE /', 'Connection: close'), 501],
    ['CONNECT', 'CONNECT h1.t.mesh:80 HTTP/1.1\r\nHost: h1.t.mesh:80\r\n\r\n', 501],
    ['Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${host}${chunked}\r\n\r\n`, 400],
    ['HTTP/2 in the request line', 'GET / HTTP/2.0\r\n\r\n', 505],
    ['bad trailer', `${request('POST /', chunked)}0\r\nX : y\r\n\r\n`, 400],
    ['chunk longer than its size', `${request('POST /', chunked)}1\r\nxy\r\n${lastChunk}`, 400],
  ])('%s', async (_, bytes, status) => {
    const c = await client();
    c.send(bytes + smuggled);
    const refusal = new RegExp(`^HTTP/1\\.1 ${status} [^]*weft-reason: BadRequest`);
    expect(await c.closed()).toMatch(refusal);
    // One answer, and the pod has seen neither what hid nor the end of a refused body.
    expect(c.text.split('HTTP/1.1 ')).toHaveLength(2);
    expect(podText()).not.toContain('smuggled');
    expect(podText()).not.toContain(lastChunk);
  });
});

describe('a request is made harmless', () => {
  async function forwarded(bytes: string): Promise<string> {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const c = await client();
    await c.send(bytes).see('\r\n\r\nok');
    return podText();
  }

  test('absolute-form: its authority replaces Host', async () => {
    const text = await forwarded(
      'GET http://h1.t.mesh/x HTTP/1.1\r\nHost: evil.example\r\n\r\n',
    );
    expect(text).toMatch(/^GET \/x HTTP\/1\.1\r\nhost: h1\.t\.mesh\r\n/i);
    expect(text).not.toContain('evil');
  });

  test('Connection-nominated fields go, but not Host and framing', async () => {
    const names = 'X-Hop, Host, Content-Length, close-not';
    const text = await forwarded(
      `${request('POST /', `Connection: ${names}`, 'X-Hop: 1', 'Content-Length: 2')}hi`,
    );
    expect(text).toMatch(/host: h1\.t\.mesh\r\n/i);
    expect(text).toMatch(/content-length: 2\r\n/i);
    expect(text).not.toMatch(/x-hop/i);
  });

  test('a trailer that Connection nominates goes, too', async () => {
    const trailers = 'X-Hop: 1\r\nX-Sum: 1\r\n';
    const text = await forwarded(
      `${request('POST /', 'Connection: x-hop', chunked)}1\r\nx\r\n0\r\n${trailers}\r\n`,
    );
    expect(text).toContain('0\r\nX-Sum: 1\r\n\r\n');
  });

  test.each([
    ['h2c', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMA']],
    ['without Connection', ['Upgrade: websocket']],
  ])('an Upgrade that lies (%s) is not passed on', async (_, lines) => {
    expect(await forwarded(request('GET /', ...lines))).not.toMatch(/upgrade|http2-settings/i);
  });

  test('an Upgrade with a body is no upgrade', async () => {
    const lines = ['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 2'];
    expect(await forwarded(`${request('POST /', ...lines)}hi`)).not.toMatch(/upgrade/i);
  });

  test('HTTP/1.0 is forwarded as HTTP/1.1 and closed', async () => {
    expect(await forwarded(`GET / HTTP/1.0\r\n${host}\r\n`)).toMatch(/^GET \/ HTTP\/1\.1\r\n/);
    await clients[0]?.closed();
  });

  test('chunk extensions are dropped, trailers pass, forbidden trailers do not', async () => {
    const trailers = 'X-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\n';
    const text = await forwarded(`${request('POST /', chunked)}1;a=b\r\nx\r\n0\r\n${trailers}\r\n`);
    expect(text).toContain('1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n');
    expect(text).not.toMatch(/a=b|evil|Content-Length: 9/);
  });

  test('a body of a GET is framed again, so that it is no request', async () => {
    const text = await forwarded(`${request('GET /', 'Content-Length: 12')}GET /evil HT`);
    expect(text).toMatch(/content-length: 12\r\n[^]*\r\n\r\nGET \/evil HT$/i);
  });

  test.each<[string, readonly string[], string]>([
    ['a length', ['Content-Length: 5'], 'hello'],
    ['chunks', [chunked], '5\r\nhello\r\n0\r\n\r\n'],
  ])('Expect before a body of %s: the 100 is passed on, then the body', async (_, lines, body) => {
    upstream.answer = (peer) => peer.send('HTTP/1.1 100 Continue\r\n\r\n');
    upstream.received = (peer, text) => {
      if (text.includes('hello')) peer.send(okAnswer('done'));
    };
    const c = await client();
    c.send(request('POST /', 'Expect: 100-continue', ...lines));
    expect(await c.see('100 Continue\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    expect(await c.send(body).see('done')).toContain('HTTP/1.1 200');
    expect(podText().endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  test.each<[string, readonly string[], string]>([
    ['a length', [`Content-Length: ${smuggled.length}`], smuggled],
    ['chunks', [chunked], `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
  ])('Expect that the pod refuses: a body of %s is no request', async (_, lines, body) => {
    upstream.answer = (peer) => peer.send('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n');
    const c = await client();
    await c.send(request('POST /', 'Expect: 100-continue', ...lines)).see('413');
    c.send(body + smuggled);
    await c.closed();
    expect(podText()).not.toContain('/smuggled');
    expect(c.text.split('HTTP/1.1 ')).toHaveLength(2);
  });

  test('Expect of a body that never comes leaves nothing to be read as a request', async () => {
    upstream.answer = (peer) => peer.send('HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n');
    const c = await client();
    c.send(request('POST /', 'Expect: 100-continue', `Content-Length: ${smuggled.length}`));
    await c.see('417');
    c.send(smuggled);
    await c.closed();
    expect(podText()).not.toContain('GET /smuggled');
    expect(c.text.split('HTTP/1.1 ')).toHaveLength(2);
  });

  test('a Content-Length that is too long: nothing completes the body', async () => {
    const c = await client();
    c.send(`${request('POST /', 'Content-Length: 50')}short`).end();
    const u = await upstream.accept();
    await u.closed();
    expect(u.text).not.toContain('GET');
  });

  test('a Content-Length that is too short: the rest is refused as a request', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    const c = await client();
    c.send(`${request('POST /', 'Content-Length: 2')}hi there\r\n\r\n`);
    expect(await c.closed()).toMatch(/200 OK[^]*ok[^]*HTTP\/1\.1 400 /);
    expect(podText()).not.toContain('there');
  });
});

const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON';
const answer = (...lines: readonly string[]): string =>
  ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');

describe('a response is refused: 502, and nothing of it reaches the client', () => {
  test.each<[string, string]>([
    ['obs-fold', answer('X: a', ' b', 'Content-Length: 0')],
    ['bare LF as line end', 'HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n'],
    ['bare CR in a value', answer('X: a\rSet-Cookie: evil', 'Content-Length: 0')],
    ['NUL in a value', answer('X: a\0b', 'Content-Length: 0')],
    ['NUL in a name', answer('X\0: a', 'Content-Length: 0')],
    ['white space before the colon', answer('Content-Length : 0')],
    ['duplicate Content-Length', answer('Content-Length: 0', 'Content-Length: 5')],
    ['comma-joined Content-Length', answer('Content-Length: 0, 5')],
    ['Transfer-Encoding with Content-Length', `${answer(chunked, 'Content-Length: 5')}0\r\n\r\n`],
    ['unknown transfer coding', answer('Transfer-Encoding: gzip')],
    ['repeated transfer coding', answer('Transfer-Encoding: chunked, chunked')],
    ['repeated Transfer-Encoding', answer(chunked, chunked)],
    ['misspelt transfer coding', answer('Transfer-Encoding: xchunked')],
    ['oversized head', answer(`X: ${'a'.repeat(40_000)}`)],
    ['too many fields', answer(...Array.from({ length: 140 }, () => 'X: y'), 'Content-Length: 0')],
    ['no version that is known', answer('Content-Length: 0').replace('1.1', '2.0')],
    ['Transfer-Encoding in HTTP/1.0', answer(chunked).replace('1.1', '1.0')],
    ['HTTP/2 frames', '\x00\x00\x12\x04\x00\x00\x00\x00\x00'],
    ['101 that nobody asked for', 'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
    ['content in an interim response', 'HTTP/1.1 103 E\r\nContent-Length: 99\r\n\r\n'],
    ['splitting in the reason phrase', 'HTTP/1.1 200 O\rSet-Cookie: evil\r\n\r\n'],
    ['too many interim responses', 'HTTP/1.1 102 P\r\n\r\n'.repeat(17)],
  ])('%s', async (name, bytes) => {
    upstream.answer = (peer) => peer.send(bytes + poison);
    const c = await client();
    c.send(request('POST /', 'Content-Length: 0'));
    const text = await c.see('\r\n\r\nweft');
    const interim = name.startsWith('too many') ? '(HTTP/1\\.1 102 [^]*?\\r\\n\\r\\n){0,16}' : '';
    expect(text).toMatch(new RegExp(`^${interim}HTTP/1\\.1 502 [^]*weft-reason: UpstreamProtocol`));
    expect(text).not.toMatch(/POISON|evil/);
    await eventually(() => harness.dataplane.state().upstreamOpen === 0, 'the pod is cut off');
  });
});

describe('a response that goes wrong later is visibly broken, or harmless', () => {
  test.each<[string, string]>([
    ['bad chunk', `${answer(chunked)}5\r\nhello\r\nZZ\r\n`],
    ['chunk longer than its size', `${answer(chunked)}1\r\nhello\r\n0\r\n\r\n`],
    ['chunk extension without end', `${answer(chunked)}5\r\nhello\r\n0;${longText}\r\n\r\n`],
    ['bad trailer', `${answer(chunked)}5\r\nhello\r\n0\r\nX : y\r\n\r\n`],
    ['oversized trailers', `${answer(chunked)}0\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`],
    ['chunk extension with bare LF', `${answer(chunked)}5;a\nhello\r\n0\r\n\r\n`],
    ['chunk-size line that is too long', `${answer(chunked)}${'0'.repeat(17)}\r\n\r\n`],
  ])('%s: no last chunk', async (_, bytes) => {
    upstream.answer = (peer) => peer.send(bytes + poison);
    const c = await client();
    c.send(request('POST /', 'Content-Length: 0'));
    await c.until(() => c.isClosed, 'the cut');
    expect(c.text).not.toContain('0\r\n\r\n');
    expect(c.text).not.toContain('POISON');
  });

  test('Content-Length that is too long: the connection is cut', async () => {
    upstream.answer = (peer) => peer.send(`${answer('Content-Length: 50')}short`).end();
    const c = await client();
    c.send(request('GET /'));
    await c.until(() => c.isClosed, 'the cut');
    expect(c.errorCode).toBe('ECONNRESET');
  });

  test('Content-Length that is too short, bytes after the end: they answer nobody', async () => {
    upstream.answer = (peer, head) => {
      peer.send(head.includes('/first') ? okAnswer('first') + poison : okAnswer('second'));
    };
    const c = await client();
    await c.send(request('GET /first')).see('\r\n\r\nfirst');
    await c.send(request('GET /second')).see('\r\n\r\nsecond');
    expect(c.text).not.toContain('POISON');
    expect(upstream.connections).toHaveLength(2);
  });

  test.each<[string, string, string]>([
    ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n'],
    ['304 with chunks', 'GET', `HTTP/1.1 304 Not Modified\r\n${chunked}\r\n\r\n`],
  ])('content behind an answer that has none (%s) answers nobody', async (_, method, head) => {
    upstream.answer = (peer, text) => {
      peer.send(text.includes('/first') ? head + poison : okAnswer('second'));
    };
    const c = await client();
    await c.send(request(`${method} /first`)).see('\r\n\r\n');
    await c.send(request('GET /second')).see('\r\n\r\nsecond');
    expect(c.text).not.toContain('POISON');
    expect(upstream.connections).toHaveLength(2);
  });

  test('an answer before the request is complete: the rest is never a request', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('early'));
    const c = await client();
    c.send(request('POST /', `Content-Length: ${smuggled.length + 9}`));
    await c.see('early');
    c.send(smuggled + smuggled);
    await c.closed();
    expect(c.text.split('HTTP/1.1 ')).toHaveLength(2);
    expect(podText()).not.toContain('GET /smuggled');
  });

  test('Connection-nominated fields and a lying Upgrade stay with the pod', async () => {
    const lines = ['Connection: X-Hop, upgrade', 'X-Hop: 1', 'Upgrade: h2c', 'Content-Length: 2'];
    upstream.answer = (peer) => peer.send(`${answer(...lines)}hi`);
    const text = await (await client()).send(request('GET /')).see('\r\n\r\nhi');
    expect(text).not.toMatch(/x-hop|upgrade/i);
    expect(text).toMatch(/content-length: 2\r\n/i);
  });

  test('a trailer that Connection nominates stays with the pod', async () => {
    const trailers = 'X-Hop: 1\r\nX-Sum: 1\r\n';
    const head = answer('Connection: x-hop', chunked);
    upstream.answer = (peer) => peer.send(`${head}1\r\nx\r\n0\r\n${trailers}\r\n`);
    const text = await (await client()).send(request('GET /')).see('X-Sum: 1\r\n\r\n');
    expect(text).not.toContain('X-Hop');
  });

  test('102 and 103 are passed on, 100 only where it is awaited', async () => {
    const interim = ['100', '102', '103'].map((one) => `HTTP/1.1 ${one} I\r\n\r\n`).join('');
    upstream.answer = (peer) => peer.send(interim + okAnswer('ok'));
    const text = await (await client()).send(request('GET /')).see('\r\n\r\nok');
    expect(text).toMatch(/^HTTP\/1\.1 102 [^]*HTTP\/1\.1 103 [^]*HTTP\/1\.1 200 /);
    expect(text).not.toContain('HTTP/1.1 100');
  });

  test('an HTTP/1.0 answer becomes HTTP/1.1', async () => {
    upstream.answer = (peer) => peer.send('HTTP/1.0 200 OK\r\n\r\nold').end();
    const c = await client();
    c.send(request('GET /'));
    expect(await c.see(lastChunk)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*chunked[^]*old/);
  });

  test('trailers that would be framing are dropped', async () => {
    const trailers = 'X-Sum: 1\r\nContent-Length: 99\r\nTransfer-Encoding: gzip\r\n';
    upstream.answer = (peer) => peer.send(`${answer(chunked)}1;a=b\r\nx\r\n0\r\n${trailers}\r\n`);
    const text = await (await client()).send(request('GET /')).see('0\r\nX-Sum: 1\r\n\r\n');
    expect(text).not.toMatch(/a=b|99|gzip/);
  });
});
