// Known attacks on HTTP/2 (CVE numbers beside them) against the data plane over real sockets: the
// attacker's connection is ended or bounded, what reaches the pod stays small, memory too, and
// clients of other connections are served as if nothing was.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import { connectTo, eventually, okAnswer, RawUpstream } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import type { SeenFrame } from '../support/http2-client.ts';
import {
  beginRaw,
  blockText,
  frameText,
  framesOf,
  getFields,
  goAwayCode,
  Http2Caller,
  word,
} from '../support/http2-client.ts';

const type = { data: 0, headers: 1, priority: 2, reset: 3, settings: 4, push: 5, ping: 6 } as const;
const windowUpdate = 8;
const continuation = 9;
const endStream = 1;
const endHeaders = 4;
const protocolError = 1;
const flowControlError = 3;
const refusedStream = 7;
const cancel = 8;
const enhanceYourCalm = 11;

let upstream: RawUpstream;
let harness: Harness;
let innocent: Http2Caller;
let attacker: Peer;
let podRequests = 0;

beforeEach(async () => {
  podRequests = 0;
  upstream = await RawUpstream.start();
  upstream.answer = (peer) => {
    podRequests += 1;
    peer.send(okAnswer('ok'));
  };
  harness = await startHarness({ endpoints: [upstream.endpoint] });
  innocent = new Http2Caller(harness.port);
  expect((await innocent.get('/')).body).toBe('ok');
  podRequests = 0;
  attacker = beginRaw(await connectTo(harness.port));
  await attacker.until(() => framesOf(attacker.text).length > 0, 'SETTINGS');
});

/** The others were served all the time, and nothing of the attack is left. */
afterEach(async () => {
  expect((await innocent.get('/')).body).toBe('ok');
  innocent.session.destroy();
  attacker.socket.destroy();
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0, lingering: 0 });
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
  expect(dataplane.state().deadlines).toBe(0);
});

function headers(streamId: number, flags: number, fields = getFields as readonly Field[]): string {
  return frameText(type.headers, flags, streamId, blockText(fields));
}

type Field = readonly [name: string, value: string];
const post: readonly Field[] = [[':method', 'POST'], ...getFields.slice(1)];

/** One text per stream of so many, with rising ids. */
function streams(count: number, of: (streamId: number) => string): string {
  return Array.from({ length: count }, (_, index) => of(1 + 2 * index)).join('');
}

async function expectEnd(code: number): Promise<void> {
  await attacker.closed();
  expect(goAwayCode(attacker)).toBe(code);
}

describe('floods end the connection', () => {
  test('rapid reset (CVE-2023-44487)', async () => {
    const reset = (id: number): string => frameText(type.reset, 0, id, word(cancel));
    attacker.send(streams(2_000, (id) => headers(id, endStream | endHeaders) + reset(id)));
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBeLessThanOrEqual(200);
  });

  test('rapid reset, read by read', async () => {
    for (let id = 1; id < 800 && !attacker.isClosed && !attacker.hasEnded; id += 2) {
      attacker.send(headers(id, endStream | endHeaders));
      attacker.send(frameText(type.reset, 0, id, word(cancel)));
      await new Promise((done) => setImmediate(done));
    }
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBeLessThanOrEqual(200);
  });

  test('resets that the server is made to send (CVE-2025-8671)', async () => {
    const provoked = (id: number): string => frameText(windowUpdate, 0, id, word(0));
    attacker.send(streams(500, (id) => headers(id, endHeaders, post) + provoked(id)));
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBeLessThanOrEqual(200);
  });

  test('CONTINUATION without end (CVE-2024-27316)', async () => {
    const more = frameText(continuation, 0, 1, blockText([['x-a', 'b'.repeat(100)]]).repeat(100));
    attacker.send(headers(1, endStream) + more.repeat(50));
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBe(0);
  });

  test('empty CONTINUATION without end', async () => {
    attacker.send(headers(1, endStream) + frameText(continuation, 0, 1).repeat(5_000));
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBe(0);
  });

  test.each([
    ['SETTINGS (CVE-2019-9515)', frameText(type.settings, 0, 0)],
    ['PING (CVE-2019-9512)', frameText(type.ping, 0, 0, '12345678')],
    ['PRIORITY', frameText(type.priority, 0, 1, `${word(3)}\x10`)],
    ['frames of unknown types', frameText(0x77, 0, 0, 'x')],
    ['WINDOW_UPDATE', frameText(windowUpdate, 0, 0, word(1))],
  ])('%s', async (_, frame) => {
    attacker.send(frame.repeat(5_000));
    await expectEnd(enhanceYourCalm);
  });

  test('empty DATA (CVE-2019-9518)', async () => {
    attacker.send(headers(1, endHeaders, post) + frameText(type.data, 0, 1).repeat(5_000));
    await expectEnd(enhanceYourCalm);
  });

  test('pings whose answers are never read', async () => {
    attacker.socket.pause();
    const burst = frameText(type.ping, 0, 0, '12345678').repeat(10_000);
    for (let count = 0; count < 20; count += 1) attacker.send(burst);
    const { dataplane } = harness;
    await eventually(() => dataplane.state().connections === 1, 'the end of the attacker');
  });

  test('answers without content that are never read', async () => {
    attacker.socket.pause();
    const { dataplane } = harness;
    const head: readonly Field[] = [
      [':method', 'HEAD'],
      [':scheme', 'http'],
      [':authority', 'nobody.t.mesh'],
      [':path', '/'],
    ];
    let id = 1;
    const next = (): string => headers((id += 2), endStream | endHeaders, head);
    const burst = (): string => Array.from({ length: 10_000 }, next).join('');
    for (let count = 0; count < 20; count += 1) attacker.send(burst());
    await eventually(() => dataplane.state().connections === 1, 'the end of the attacker');
  });

  test('header lists that are huge when they are unpacked', async () => {
    // One entry of 4 000 bytes in the table, then references to it.
    const name = '\x03x-b';
    const big = `\x40${name}\x7f\xa1\x1e${'z'.repeat(4_000)}`;
    const bomb = big + '\xbe'.repeat(8_000);
    attacker.send(frameText(type.headers, endStream | endHeaders, 1, blockText(getFields) + bomb));
    const again = blockText(getFields) + '\xbe'.repeat(8_000);
    attacker.send(
      streams(200, (id) => frameText(type.headers, endStream | endHeaders, id + 2, again)),
    );
    await expectEnd(enhanceYourCalm);
    expect(podRequests).toBe(0);
  });
});

describe('what is no HTTP/2 ends the connection', () => {
  test('PUSH_PROMISE', async () => {
    attacker.send(headers(1, endHeaders, post));
    attacker.send(frameText(type.push, endHeaders, 1, word(2) + blockText(getFields)));
    await expectEnd(protocolError);
  });

  test('a head that ends its connection begins no request', async () => {
    // With PRIORITY: the stream depends on itself.
    const block = `${word(1)}\x10${blockText(getFields)}`;
    attacker.send(frameText(type.headers, endStream | endHeaders | 0x20, 1, block));
    await expectEnd(protocolError);
    expect(podRequests).toBe(0);
  });

  test('a window that is opened by nothing', async () => {
    attacker.send(frameText(windowUpdate, 0, 0, word(0)));
    await expectEnd(protocolError);
  });

  test('a window beyond its maximum', async () => {
    attacker.send(frameText(windowUpdate, 0, 0, word(0x7fffffff)));
    await expectEnd(flowControlError);
  });

  test('more DATA than the window of the stream', async () => {
    upstream.answer = undefined;
    attacker.send(headers(1, endHeaders, post));
    const pod = await upstream.accept();
    pod.keepsText = false;
    pod.socket.pause();
    const data = frameText(type.data, 0, 1, 'x'.repeat(16_384));
    // The pod takes what fits into the kernel; the rest waits, and its window stays shut.
    for (let count = 0; count < 1_200; count += 1) attacker.send(data);
    const isReset = (): boolean => framesOf(attacker.text).some((one) => one.type === type.reset);
    await attacker.until(() => isReset() || attacker.hasEnded, 'the end of the stream');
    pod.socket.resume();
    await pod.closed();
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
  });
});

describe('what is allowed is bounded', () => {
  test('no more than a thousand streams are open; others are refused, not queued', async () => {
    upstream.answer = undefined;
    attacker.send(streams(1_030, (id) => headers(id, endHeaders, post)));
    const refusals = (): number =>
      framesOf(attacker.text).filter(
        (one) => one.type === type.reset && one.payload === word(refusedStream),
      ).length;
    await attacker.until(() => refusals() === 30, '30 refusals');
    expect(harness.dataplane.state().exchanges).toBe(1_000);
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    expect((await innocent.get('/')).body).toBe('ok');
  });

  test('answers that nobody reads hold little, and no other connection', async () => {
    const body = 'y'.repeat(1 << 20);
    upstream.answer = (peer, head) => peer.send(okAnswer(head.includes('GET /big') ? body : 'ok'));
    const big = [...getFields.slice(0, 3), [':path', '/big']] as const;
    // A window of nothing for all streams.
    attacker.send(frameText(type.settings, 0, 0, `\0\x04${word(0)}`));
    attacker.send(streams(200, (id) => headers(id, endStream | endHeaders, big)));
    const heads = (): number => framesOf(attacker.text).filter((one) => one.type === 1).length;
    await attacker.until(() => heads() === 200, '200 heads');
    expect(harness.dataplane.state().bufferedBytes).toBeLessThan(32 << 20);
    expect((await innocent.get('/')).body).toBe('ok');
  });

  test('answers that nobody reads end the newest streams', async () => {
    const body = 'y'.repeat(80_000);
    upstream.answer = (peer, head) => peer.send(okAnswer(head.includes('GET /big') ? body : 'ok'));
    const big = [...getFields.slice(0, 3), [':path', '/big']] as const;
    attacker.send(frameText(type.settings, 0, 0, `\0\x04${word(0)}`));
    attacker.send(streams(900, (id) => headers(id, endStream | endHeaders, big)));
    const of = (wanted: number): SeenFrame[] =>
      framesOf(attacker.text).filter((one) => one.type === wanted);
    await attacker.until(() => of(type.headers).length === 900, '900 heads');
    await eventually(() => harness.dataplane.state().bufferedBytes <= 32 << 20, 'little is held');
    await attacker.until(() => of(type.reset).length > 0, 'resets');
    expect(of(type.reset).every(({ payload }) => payload === word(enhanceYourCalm))).toBe(true);
    expect(of(type.reset).some(({ streamId }) => streamId < 300)).toBe(false);
    expect((await innocent.get('/')).body).toBe('ok');
  });

  test('windows opened byte by byte cost their own connection', async () => {
    upstream.answer = (peer) => peer.send(okAnswer('z'.repeat(3_000)));
    attacker.send(frameText(type.settings, 0, 0, `\0\x04${word(0)}`));
    attacker.send(headers(1, endStream | endHeaders));
    await attacker.until(() => framesOf(attacker.text).some((one) => one.type === 1), 'a head');
    attacker.send(frameText(windowUpdate, 0, 1, word(1)).repeat(1_000));
    const bytes = (): number => framesOf(attacker.text).filter((one) => one.type === 0).length;
    await attacker.until(() => bytes() >= 1_000 || attacker.hasEnded, 'a thousand bytes');
    upstream.answer = (peer) => peer.send(okAnswer('ok'));
    expect((await innocent.get('/')).body).toBe('ok');
  });

  test('a table that is thrashed serves on', async () => {
    const insert = (count: number): string =>
      `\x40\x03x-t\x20${String(count).padStart(32, '0')}`;
    const thrash = (id: number): string =>
      Array.from({ length: 60 }, (_, at) => insert(id * 100 + at)).join('');
    const block = (id: number): string => blockText(getFields) + thrash(id);
    const whole = endStream | endHeaders;
    attacker.send(streams(100, (id) => frameText(type.headers, whole, id, block(id))));
    const heads = (): number => framesOf(attacker.text).filter((one) => one.type === 1).length;
    await attacker.until(() => heads() === 100, '100 answers');
    expect(podRequests).toBe(100);
  });
});
