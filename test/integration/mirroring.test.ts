// Copies of requests (`weft.dev/mirror`) on real sockets: which come, what is in them, and that no
// fault of a mirror, nor its absence, is anything that the original's client could see.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { slotWidths } from '../../src/telemetry/slots.ts';
import { targetOf } from '../support/builders.ts';
import { eventually, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import { copyObjects, MirrorMesh, nowhere } from '../support/mirror-mesh.ts';
import { serviceObjects } from '../support/settings-mesh.ts';

let mesh: MirrorMesh;

beforeEach(async () => {
  mesh = await MirrorMesh.start();
});

afterEach(() => mesh.close());

const get = request('GET /a?b=c', 'x-user: 7');

function post(body: string, ...lines: string[]): string {
  return request('POST /p', `Content-Length: ${body.length}`, ...lines) + body;
}

/** The original's client got its pod's answer. */
function expectUntouched(answer: string): void {
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer).toMatch(/app(?:\r\n0\r\n\r\n)?$/);
}

describe('a copy', () => {
  test('is the request as the pod gets it, and says whose copy it is', async () => {
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['answered']);
    const [original] = mesh.app.got;
    const [copy] = mesh.mirror.got;
    expect(copy).toMatchObject({ method: 'GET', url: '/a?b=c', body: '' });
    const { 'weft-mirror': mark, ...headers } = copy?.headers ?? {};
    expect(mark).toBe('t/h1');
    expect(headers).toEqual(original?.headers);
    expect(headers).toMatchObject({ host: 'h1.t.mesh', 'x-user': '7', via: '1.1 weft' });
    expect(original?.headers['weft-mirror']).toBeUndefined();
  });

  test('has the body, of whatever framing, with its trailers', async () => {
    await mesh.ask(post('hello'));
    await mesh.ended(1);
    const chunked = request('PUT /c', 'Transfer-Encoding: chunked', 'Trailer: x-sum');
    await mesh.ask(`${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n`);
    await mesh.ended(2);
    const [plain, cut] = mesh.mirror.got;
    expect(plain).toMatchObject({ method: 'POST', body: 'hello' });
    expect(plain?.headers['content-length']).toBe('5');
    expect(cut).toMatchObject({ method: 'PUT', body: 'abcde', trailers: { 'x-sum': '5' } });
  });

  test('of a body that comes in pieces is sent when it is whole', async () => {
    const client = await mesh.client();
    client.send(post('').replace('Length: 0', 'Length: 200000'));
    client.send('a'.repeat(100_000));
    await eventually(() => mesh.app.began === 1, 'the original has begun');
    expect(mesh.mirror.began).toBe(0);
    client.send('b'.repeat(100_000));
    await client.see('app');
    await mesh.ended(1);
    expect(mesh.mirror.got[0]?.body).toBe('a'.repeat(100_000) + 'b'.repeat(100_000));
  });

  test('waits for no 100', async () => {
    const client = await mesh.client();
    client.send(request('POST /p', 'Content-Length: 2', 'Expect: 100-continue'));
    client.send('hi');
    await client.see('app');
    await mesh.ended(1);
    expect(mesh.mirror.got[0]).toMatchObject({ body: 'hi' });
    expect(mesh.mirror.got[0]?.headers.expect).toBeUndefined();
  });

  test('of a stream of HTTP/2 is no different', async () => {
    const caller = new Http2Caller(mesh.harness.port);
    const call = caller.open({ ':method': 'POST', ':path': '/h2' }).send('one').end('two');
    expect(await call.reply).toMatchObject({ status: 200, body: 'app' });
    expect(await caller.get('/get')).toMatchObject({ status: 200 });
    expect(await mesh.ended(2)).toEqual(['answered', 'answered']);
    expect(mesh.mirror.got[0]).toMatchObject({ method: 'POST', url: '/h2', body: 'onetwo' });
    expect(mesh.mirror.got[1]).toMatchObject({ method: 'GET', headers: { host: 'h1.t.mesh' } });
    caller.session.destroy();
  });

  test('is no exchange of its own, but a try at a pod', async () => {
    await mesh.ask(get);
    await mesh.ended(1);
    expect(mesh.exchanges.map(({ host }) => host?.service)).toEqual(['h1']);
    const tried = mesh.attempts.map(({ backend, status }) => `${backend.service} ${status}`);
    expect(tried.sort()).toEqual(['copy 200', 'h1 200']);
  });

  test('is made once, however often the original is tried', async () => {
    mesh.settle({}, { endpoints: [nowhere, mesh.app.endpoint] });
    for (let n = 1; n <= 8; n += 1) {
      expectUntouched(await mesh.ask(post('hello')));
      await mesh.ended(n);
    }
    expect(mesh.exchanges.some(({ attempts }) => attempts > 1)).toBe(true);
    expect(mesh.mirror.got.length).toBe(8);
  });

  test('goes on connections that only copies use, and uses them again', async () => {
    for (let n = 0; n < 5; n += 1) {
      await mesh.ask(get);
      await mesh.ended(n + 1);
    }
    const { mirrors, upstreamOpen } = mesh.harness.dataplane.state();
    expect({ ofCopies: mirrors.upstreamOpen, upstreamOpen }).toEqual({
      ofCopies: 1,
      upstreamOpen: 1,
    });
  });
});

describe('what is not copied', () => {
  test('all but a share, where a share is said', async () => {
    mesh.settle({ mirror: 'copy@25%' });
    const client = await mesh.client();
    for (let n = 1; n <= 200; n += 1) {
      client.send(get);
      await client.seeTimes('app', n);
    }
    await eventually(() => mesh.outcomes.length === mesh.mirror.got.length, 'all have ended');
    // 50 ± 4 standard deviations of 6.1; the seed is fixed.
    expect(mesh.mirror.got.length).toBeGreaterThan(25);
    expect(mesh.mirror.got.length).toBeLessThan(75);
  });

  test('anything, once the annotation is gone', async () => {
    await mesh.ask(get);
    await mesh.ended(1);
    mesh.settle({ mirror: '' });
    await mesh.ask(get);
    expect(mesh.outcomes).toEqual(['answered']);
    expect(mesh.harness.dataplane.state().mirrors.copies).toBe(0);
  });

  test.each(['Content-Length: 1100000', 'Transfer-Encoding: chunked'])(
    'a body of more than 1 MiB (%s)',
    async (framing) => {
      const client = await mesh.client();
      client.send(request('POST /p', framing));
      const isChunked = framing.includes('chunked');
      for (let n = 0; n < 11; n += 1) {
        const piece = 'x'.repeat(100_000);
        client.send(isChunked ? `${(100_000).toString(16)}\r\n${piece}\r\n` : piece);
      }
      if (isChunked) client.send('0\r\n\r\n');
      await client.see('app');
      expect(mesh.app.got[0]?.body.length).toBe(1_100_000);
      expect(await mesh.ended(1)).toEqual(['too_large']);
      expect(mesh.mirror.began).toBe(0);
    },
  );

  test('a stream that nobody ends', async () => {
    const caller = new Http2Caller(mesh.harness.port);
    const grpc = { ':method': 'POST', ':path': '/s.S/Chat', 'content-type': 'application/grpc' };
    caller.open(grpc).send('a message');
    await eventually(() => mesh.app.began === 1, 'the original has begun');
    expect(mesh.harness.dataplane.state().mirrors).toMatchObject({ copies: 1, bytes: 9 });
    // To close a stream of Node's client would be to end it first.
    caller.session.destroy();
    expect(await mesh.ended(1)).toEqual(['incomplete']);
    expect(mesh.mirror.began).toBe(0);
  });

  test('a request whose client goes away before it is whole', async () => {
    const client = await mesh.client();
    client.send(request('POST /p', 'Content-Length: 10')).send('hello');
    await eventually(() => mesh.app.began === 1, 'the original has begun');
    client.socket.destroy();
    expect(await mesh.ended(1)).toEqual(['incomplete']);
    expect(mesh.mirror.began).toBe(0);
  });

  test('an upgrade', async () => {
    const client = await mesh.client();
    client.send(request('GET /ws', 'Connection: upgrade', 'Upgrade: websocket'));
    await eventually(() => mesh.app.got.length === 1, 'the original has come');
    expect(mesh.harness.dataplane.state().mirrors.copies).toBe(0);
    expect(mesh.outcomes).toEqual([]);
  });

  test('a copy, whatever its service says, nor a call that bears its mark', async () => {
    mesh.settle({ onCopy: { 'weft.dev/mirror': 'h1' } });
    await mesh.ask(get);
    expect(await mesh.ended(1)).toEqual(['answered']);
    await mesh.ask(request('GET /', 'weft-mirror: t/h1'));
    expect(mesh.app.got.length).toBe(2);
    expect(mesh.mirror.got.length).toBe(1);
    expect(mesh.app.got[1]?.headers['weft-mirror']).toBeUndefined();
  });

  test('what the original was refused', async () => {
    const fault = { onService: { 'weft.dev/mirror': 'copy', 'weft.dev/fault': 'abort=503@100%' } };
    mesh.settle({}, fault);
    expect(await mesh.ask(get)).toContain('FaultInjected');
    mesh.settle({}, { onService: { 'weft.dev/mirror': 'copy', 'weft.dev/traffic': 'stop' } });
    expect(await mesh.ask(get)).toContain('Stopped');
    expect(mesh.outcomes).toEqual([]);
  });
});

describe('the budget', () => {
  test('of copies under way: what is more is skipped, and said', async () => {
    mesh.mirror.answer = () => undefined;
    const client = await mesh.client();
    for (let n = 1; n <= 103; n += 1) {
      client.send(get);
      await client.seeTimes('app', n);
    }
    await eventually(() => mesh.mirror.got.length === 100, 'a hundred copies have come');
    expect(mesh.harness.dataplane.state().mirrors.copies).toBe(100);
    expect(mesh.outcomes).toEqual(['over_budget', 'over_budget', 'over_budget']);
    mesh.mirror.close();
  });

  test('of bytes: what is more is skipped, and said', async () => {
    mesh.mirror.answer = () => undefined;
    const body = 'x'.repeat(1_000_000);
    for (let n = 1; n <= 10; n += 1) expectUntouched(await mesh.ask(post(body)));
    await eventually(() => mesh.mirror.got.length === 8, 'eight megabytes have come');
    expect(mesh.harness.dataplane.state().mirrors).toMatchObject({ copies: 8, bytes: 8_000_000 });
    expect(mesh.outcomes).toEqual(['over_budget', 'over_budget']);
    mesh.mirror.close();
  });

  test("is no other mirror's, however long the first one hangs", async () => {
    mesh.mirror.answer = () => undefined;
    const client = await mesh.client();
    for (let n = 1; n <= 101; n += 1) {
      client.send(get);
      await client.seeTimes('app', n);
    }
    expect(await mesh.ended(1)).toEqual(['over_budget']);
    const spare = serviceObjects('spare', [nowhere]);
    mesh.settleObjects('spare', [...copyObjects([mesh.mirror.endpoint]), ...spare]);
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(2)).toEqual(['over_budget', 'failed']);
    expect(mesh.harness.dataplane.state().mirrors.copies).toBe(100);
    mesh.mirror.close();
  });
});

describe('what copies find out', () => {
  test('holds for copies', async () => {
    mesh.settleObjects('copy', copyObjects([mesh.mirror.endpoint, nowhere]));
    for (let n = 1; n <= 30; n += 1) {
      expectUntouched(await mesh.ask(get));
      await mesh.ended(n);
    }
    // The one that refuses is ejected by its first copy.
    expect(mesh.outcomes.filter((one) => one === 'failed').length).toBeLessThan(2);
  });

  test('is nothing that a call of the mirror itself would notice', async () => {
    const { slots } = mesh.harness;
    slots.apply({ set: [['service', 't/copy', 2]], freed: [] });
    mesh.settle({ onCopy: { 'weft.dev/circuit-breaker-expression': 'NetworkErrorRatio() > 0.5' } });
    mesh.mirror.answer = (response) => response.socket?.destroy();
    for (let n = 1; n <= 10; n += 1) {
      await mesh.ask(get);
      await mesh.ended(n);
    }
    const { address, port } = mesh.mirror.endpoint;
    const at = slots.offset('endpoint', `${address}:${port}`);
    const cells = slots.cells.endpoint.subarray(at, at + slotWidths.endpoint);
    expect(at).toBeGreaterThan(0);
    expect([...cells]).toEqual(Array.from(cells, () => 0));
    expect(slots.breaker('t/copy')?.total(Date.now())).toBe(0);
  });

  test('a copy waits for no place: who calls the mirror itself does', async () => {
    mesh.settle({ onCopy: { 'weft.dev/max-requests': '1' } });
    const waiting: (() => void)[] = [];
    mesh.mirror.answer = (response) => waiting.push(() => response.end('ok'));
    await mesh.ask(get);
    await eventually(() => waiting.length === 1, 'the first copy has come');
    await mesh.ask(get);
    for (const answer of waiting) answer();
    await mesh.ended(2);
    expect([...mesh.outcomes].sort()).toEqual(['answered', 'refused']);
    expect(mesh.mirror.got.length).toBe(1);
  });
});

describe('the original is untouched by a mirror that', () => {
  test('is not there', async () => {
    mesh.settleObjects('copy', copyObjects([nowhere]));
    expectUntouched(await mesh.ask(post('hello')));
    expect(await mesh.ended(1)).toEqual(['failed']);
    // Nothing is tried again, however provably unsent it is.
    const tried = mesh.attempts.filter(({ backend }) => backend.service === 'copy');
    expect(tried.length).toBe(1);
  });

  test('has no pods', async () => {
    mesh.settleObjects('copy', copyObjects([]));
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['failed']);
  });

  test('fails', async () => {
    mesh.mirror.answer = (response) => {
      response.writeHead(500);
      response.end();
    };
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['answered']);
    expect(mesh.mirror.got.length).toBe(1);
  });

  test('cuts its connections', async () => {
    mesh.mirror.answer = (response) => response.socket?.destroy();
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['failed']);
    expect(mesh.mirror.got.length).toBe(1);
  });

  test('never answers', async () => {
    mesh.mirror.answer = () => undefined;
    mesh.settle({ onCopy: { 'weft.dev/timeout': '100ms' } });
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['timeout']);
  });

  test('never answers, and has no time-out of its own: five seconds', async () => {
    mesh.mirror.answer = () => undefined;
    const began = performance.now();
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['timeout']);
    expect(performance.now() - began).toBeGreaterThanOrEqual(4_990);
    // How long a copy waits says nothing of the pod.
    expect(mesh.attempts.find(({ backend }) => backend.service === 'copy')?.isCancelled).toBe(true);
  });

  test('reads nothing', async () => {
    const deaf = await RawUpstream.start('127.0.0.5');
    const objects = copyObjects([deaf.endpoint], { 'weft.dev/timeout': '500ms' });
    mesh.settleObjects('copy', objects);
    const accepted = deaf.accept().then((peer) => peer.socket.pause());
    expectUntouched(await mesh.ask(post('x'.repeat(1_000_000))));
    await accepted;
    expect(await mesh.ended(1)).toEqual(['timeout']);
    deaf.close();
  });

  test('answers without end', async () => {
    mesh.mirror.answer = (response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['answered']);
  });

  test('speaks no HTTP', async () => {
    const odd = await RawUpstream.start('127.0.0.5');
    odd.received = (peer) => peer.send('SSH-2.0-nothing\r\n\r\n');
    mesh.settleObjects('copy', copyObjects([odd.endpoint]));
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['failed']);
    odd.close();
  });

  test('is limited, or stopped', async () => {
    mesh.settle({ onCopy: { 'weft.dev/rate-limit-average': '0.1' } });
    for (let n = 0; n < 3; n += 1) expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(3)).toContain('refused');
    expect(mesh.mirror.got.length).toBe(1);
    mesh.settle({ onCopy: { 'weft.dev/traffic': 'stop' } });
    expectUntouched(await mesh.ask(get));
    expect((await mesh.ended(4))[3]).toBe('refused');
    expect(mesh.mirror.got.length).toBe(1);
  });
});

describe('a mirror is called as its service', () => {
  test('by the source of the original, which its TrafficTargets have to allow', async () => {
    mesh.settle({}, { ...enforced, others: [toApp] });
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(1)).toEqual(['denied']);
    mesh.settle({}, { ...enforced, others: [toApp, toCopy] });
    expectUntouched(await mesh.ask(get));
    expect(await mesh.ended(2)).toEqual(['denied', 'answered']);
    expect(mesh.mirror.got.length).toBe(1);
  });

  test('with the Host that its own annotation says', async () => {
    mesh.settle({ onCopy: { 'weft.dev/upstream-host': 'service' } });
    await mesh.ask(get);
    await mesh.ended(1);
    expect(mesh.mirror.got[0]?.headers).toMatchObject({
      host: 'copy.t.svc.cluster.local',
      'x-forwarded-host': 'h1.t.mesh',
    });
  });
});

const enforced = {
  keepsPolicy: true,
  onNamespace: { 'weft.dev/policy': 'enforce', 'weft.dev/mtls': 'off' },
};
const toApp = targetOf('t/app', 'default', ['t/client']);
const toCopy = targetOf('t/copy', 'copy', ['t/client']);

describe('a table that comes while a copy is under way', () => {
  test.each([
    ['denies it', () => mesh.settle({}, { ...enforced, others: [toApp] }), 'denied'],
    ['stops its service', () => mesh.settle({ onCopy: { 'weft.dev/traffic': 'stop' } }), 'refused'],
    ['knows its service no more', () => mesh.settleObjects('copy', []), 'refused'],
  ])('and %s, while its body comes, is the one that counts', async (_, settle, outcome) => {
    mesh.settle({}, { ...enforced, others: [toApp, toCopy] });
    const client = await mesh.client();
    client.send(request('POST /p', 'Content-Length: 10')).send('hello');
    await eventually(() => mesh.app.began === 1, 'the original has begun');
    settle();
    client.send('world');
    await client.see('app');
    expect(await mesh.ended(1)).toEqual([outcome]);
    expect(mesh.mirror.began).toBe(0);
  });

  test.each([
    ['denied', () => mesh.settle({}, { ...enforced, others: [toApp] })],
    ['refused', () => mesh.settle({ onCopy: { 'weft.dev/traffic': 'stop' } })],
  ])('ends what streams: %s', async (outcome, settle) => {
    mesh.settle({}, { ...enforced, others: [toApp, toCopy] });
    mesh.mirror.answer = (response) => response.write('the beginning');
    expectUntouched(await mesh.ask(get));
    const copyAnswers = (): boolean => mesh.attempts.length === 1 && mesh.mirror.got.length === 1;
    await eventually(copyAnswers, 'the copy has come');
    // Until its answer has begun, which nobody tells, a table lets it come.
    await eventually(() => {
      settle();
      return mesh.outcomes.length > 0;
    }, 'the copy has ended');
    expect(mesh.outcomes).toEqual([outcome]);
  });
});

describe('a target that is not there', () => {
  test.each([
    ['ghost', 'annotation weft.dev/mirror names Service t/ghost, which is no Service of the mesh'],
    ['copy:81', 'annotation weft.dev/mirror names Service t/copy, which has no HTTP port 81'],
  ])('%s is a problem, and nothing is copied', async (mirror, message) => {
    const problems = mesh.settle({ mirror });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^MirrorMissing: /);
    expect(problems[0]).toContain(message);
    expectUntouched(await mesh.ask(get));
    expect(mesh.outcomes).toEqual([]);
  });

  test('is copied to when it comes', async () => {
    expect(mesh.settleObjects('copy', [])).toHaveLength(1);
    await mesh.ask(get);
    expect(mesh.settle({})).toEqual([]);
    await mesh.ask(get);
    expect(await mesh.ended(1)).toEqual(['answered']);
  });

  test('is told once on a Namespace, whose Services do not mirror themselves', async () => {
    const onNamespace = { 'weft.dev/mirror': 'copy' };
    expect(mesh.settle({ mirror: '' }, { onNamespace })).toEqual([]);
    await mesh.ask(get);
    expect(await mesh.ended(1)).toEqual(['answered']);
    await mesh.ask(get.replace('h1.t.mesh', 'copy.t.mesh'));
    expect(mesh.mirror.got.length).toBe(2);
    const elsewhere = { 'weft.dev/mirror': 'ghost' };
    const problems = mesh.settle({ mirror: '' }, { onNamespace: elsewhere });
    expect(problems).toHaveLength(1);
    expect(mesh.settle({ mirror: 'h1' })[0]).toContain('InvalidSetting');
  });
});

test('a fault of ours in a copy ends the copy, and nothing else', async () => {
  mesh.onAttempt = ({ backend }) => {
    if (backend.service === 'copy') throw new Error('planted');
  };
  expectUntouched(await mesh.ask(post('hello')));
  expect(await mesh.ended(1)).toEqual(['failed']);
  expect(mesh.harness.bugs.splice(0)).toContainEqual(new Error('planted'));
});

test('a drain ends copies at once and begins none', async () => {
  mesh.mirror.answer = () => undefined;
  const client = await mesh.client();
  client.send(get);
  await client.see('app');
  await eventually(() => mesh.mirror.got.length === 1, 'the copy has come');
  client.clear();
  const drained = mesh.harness.dataplane.drain({ delayMs: 100, timeoutMs: 5_000 });
  expect(mesh.outcomes).toEqual(['incomplete']);
  client.send(get);
  await client.see('app');
  await drained;
  expect(mesh.mirror.got.length).toBe(1);
});
