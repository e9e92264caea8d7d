// Retries exactly as the contract has them (§3 `retry-…`, §4): what is tried again, how often,
// where, and what never is. Each row is one request against upstreams that misbehave in a given
// order.
import { afterEach, describe, expect, test } from 'vitest';
import type { ExchangeFacts, ExchangeObserver } from '../../src/dataplane/index.ts';
import { withdrawRetry } from '../../src/dataplane/retry-budget.ts';
import type { Timer, Timers } from '../../src/lib/clock.ts';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { startHarness, testRuntime } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import {
  connectTo,
  eventually,
  freePort,
  okAnswer,
  RawUpstream,
  request,
} from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';

/** What an upstream does with the n-th request it gets. */
type Deed = 'ok' | 'reset' | 'close' | 'half-head' | 'cut-body' | 'hang' | number;

let harness: Harness | undefined;
let upstreams: RawUpstream[] = [];
let client: Peer | undefined;
let held: HeldTimers | undefined;

afterEach(async () => {
  held?.letGo();
  held = undefined;
  client?.socket.destroy();
  const { dataplane } = harness ?? {};
  await eventually(() => dataplane?.state().connections === 0, 'all connections closed');
  expect(dataplane?.state().exchanges).toBe(0);
  expect(dataplane?.state().bufferedBytes).toBe(0);
  expect(harness?.inFlight()).toBe(0);
  expect(harness?.bugs).toEqual([]);
  dataplane?.close();
  for (const upstream of upstreams) upstream.close();
});

function carryOut(deed: Deed, peer: Peer): void {
  if (deed === 'ok') peer.send(okAnswer('ok'));
  else if (deed === 'reset') peer.reset();
  else if (deed === 'close') peer.end();
  else if (deed === 'half-head') peer.send('HTTP/1.1 200 OK\r\nX-').end();
  else if (deed === 'cut-body') peer.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf').end();
  else if (deed !== 'hang') {
    peer.send(`HTTP/1.1 ${deed} Some Reason\r\nContent-Length: 4\r\n\r\nwhy?`);
  }
}

type Setup = {
  /** One endpoint each; the deeds of all, in the order in which requests arrive anywhere. */
  readonly endpoints?: number;
  readonly refusing?: number;
  readonly deeds: readonly Deed[];
  readonly rules?: Partial<ServiceRules>;
  readonly observer?: Partial<ExchangeObserver>;
  /** Whoever waits for any time waits for the end of the test. */
  readonly isTimeless?: boolean;
};

type Started = { readonly heads: string[]; readonly finished: ExchangeFacts[] };

/** Timers that begin to count when they are let go. */
class HeldTimers implements Timers {
  #held: (() => void)[] | undefined = [];

  readonly after = (delayMs: number, callback: () => void): Timer => {
    let timer: Timer | undefined;
    let isCancelled = false;
    const begin = (): void => {
      if (!isCancelled) timer = testRuntime.timers.after(delayMs, callback);
    };
    if (this.#held === undefined) begin();
    else this.#held.push(begin);
    return {
      cancel: () => {
        isCancelled = true;
        timer?.cancel();
      },
    };
  };

  letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const begin of held) begin();
  }
}

/** Endpoints on 127.0.0.2, .3 …; those that refuse are on ports where nobody listens. */
async function start(setup: Setup): Promise<Started> {
  const heads: string[] = [];
  const finished: ExchangeFacts[] = [];
  upstreams = [];
  for (let n = 0; n < (setup.endpoints ?? 1); n += 1) {
    const upstream = await RawUpstream.start(`127.0.0.${n + 2}`);
    upstream.answer = (peer, head) => {
      heads.push(`${peer.socket.localAddress} ${head}`);
      carryOut(setup.deeds[heads.length - 1] ?? 'ok', peer);
    };
    upstreams.push(upstream);
  }
  const endpoints = upstreams.map((upstream) => upstream.endpoint);
  for (let n = 0; n < (setup.refusing ?? 0); n += 1) {
    const address = `127.0.1.${n + 1}`;
    endpoints.push({ address, port: await freePort(address) });
  }
  harness = await startHarness({
    endpoints,
    ...(setup.rules === undefined ? {} : { rules: setup.rules }),
    ...(setup.isTimeless === true ? { timers: (held = new HeldTimers()) } : {}),
    observer: { ...setup.observer, exchangeFinished: (facts) => finished.push(facts) },
  });
  client = await connectTo(harness.port);
  return { heads, finished };
}

async function send(text: string): Promise<number> {
  client?.clear();
  client?.send(text);
  const answer = (await client?.see('\r\n\r\n')) ?? '';
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}

const get = request('GET /');
const post = request('POST /', 'Content-Length: 5') + 'hello';
const put = request('PUT /', 'Content-Length: 5') + 'hello';
const keyedPost = request('POST /', 'Idempotency-Key: 1', 'Content-Length: 5') + 'hello';

type Row = {
  readonly what: string;
  readonly text: string;
  readonly setup: Setup;
  readonly status: number;
  /** Requests that reached an upstream. */
  readonly arrived: number;
  readonly attempts: number;
  readonly reason?: string;
};

const once = { retryAttempts: 1, retryOn: ['connect-failure', 'reset', 'gateway-error'] } as const;

const rows: readonly Row[] = [
  // Without the annotation: one more for what may be repeated.
  {
    what: 'GET, reset',
    text: get,
    setup: { deeds: ['reset'] },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'GET, closed',
    text: get,
    setup: { deeds: ['close'] },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'PUT, reset, body sent again',
    text: put,
    setup: { deeds: ['reset'] },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'POST with Idempotency-Key, reset',
    text: keyedPost,
    setup: { deeds: ['reset'] },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'GET, reset twice: one more, not two',
    text: get,
    setup: { deeds: ['reset', 'reset'] },
    status: 502,
    arrived: 2,
    attempts: 2,
    reason: 'UpstreamReset',
  },
  {
    what: 'POST, reset: may have had effects',
    text: post,
    setup: { deeds: ['reset'] },
    status: 502,
    arrived: 1,
    attempts: 1,
    reason: 'UpstreamReset',
  },
  {
    what: 'GET, 503 is an answer',
    text: get,
    setup: { deeds: [503] },
    status: 503,
    arrived: 1,
    attempts: 1,
  },
  {
    what: 'GET, half a head: the pod did act',
    text: get,
    setup: { deeds: ['half-head'] },
    status: 502,
    arrived: 1,
    attempts: 1,
    reason: 'UpstreamProtocol',
  },
  // Provably unsent: two more, of any method.
  {
    what: 'POST, one of two refuses',
    text: post,
    setup: { refusing: 1, deeds: ['ok'] },
    status: 200,
    arrived: 1,
    attempts: -2,
  },
  {
    what: 'POST, all refuse: three attempts',
    text: post,
    setup: { endpoints: 0, refusing: 3, deeds: [] },
    status: 502,
    arrived: 0,
    attempts: 3,
    reason: 'UpstreamConnect',
  },
  {
    what: 'POST, the only one refuses: it is asked again',
    text: post,
    setup: { endpoints: 0, refusing: 1, deeds: [] },
    status: 502,
    arrived: 0,
    attempts: 3,
    reason: 'UpstreamConnect',
  },
  // With the annotation.
  {
    what: 'retry-attempts 0: none at all',
    text: get,
    setup: { deeds: ['reset'], rules: { retryAttempts: 0, retryOn: once.retryOn } },
    status: 502,
    arrived: 1,
    attempts: 1,
    reason: 'UpstreamReset',
  },
  {
    what: 'retry-attempts 1, 503 then well',
    text: get,
    setup: { deeds: [503], rules: once },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'retry-attempts 1, 503 twice: the pod’s answer',
    text: get,
    setup: { deeds: [503, 503], rules: once },
    status: 503,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'retry-attempts 3, three failures',
    text: get,
    setup: { deeds: ['reset', 502, 504], rules: { ...once, retryAttempts: 3 } },
    status: 200,
    arrived: 4,
    attempts: 4,
  },
  {
    what: '500 is no gateway error',
    text: get,
    setup: { deeds: [500], rules: once },
    status: 500,
    arrived: 1,
    attempts: 1,
  },
  {
    what: '5xx covers 500',
    text: get,
    setup: { deeds: [500], rules: { ...once, retryOn: ['5xx'] } },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: '5xx covers silence',
    text: get,
    setup: { deeds: ['reset'], rules: { ...once, retryOn: ['5xx'] } },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'a status code of its own',
    text: get,
    setup: { deeds: [429], rules: { ...once, retryOn: [429] } },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'retriable-4xx is 409',
    text: get,
    setup: { deeds: [409], rules: { ...once, retryOn: ['retriable-4xx'] } },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'POST is not repeated, whatever the list says',
    text: post,
    setup: { deeds: [503], rules: { ...once, retryOn: ['5xx', 'reset'] } },
    status: 503,
    arrived: 1,
    attempts: 1,
  },
  {
    what: 'reset is not on the list',
    text: get,
    setup: { deeds: ['reset'], rules: { ...once, retryOn: ['connect-failure'] } },
    status: 502,
    arrived: 1,
    attempts: 1,
    reason: 'UpstreamReset',
  },
  {
    what: 'a per-try timeout is tried again',
    text: get,
    setup: { deeds: ['hang'], rules: { ...once, perTryTimeoutMs: 300 } },
    status: 200,
    arrived: 2,
    attempts: 2,
  },
  {
    what: 'a per-try timeout of a POST is not',
    text: post,
    setup: { deeds: ['hang'], rules: { ...once, perTryTimeoutMs: 300 } },
    status: 504,
    arrived: 1,
    attempts: 1,
    reason: 'TimeoutRequest',
  },
  {
    what: 'the total timeout covers all attempts',
    text: get,
    setup: {
      deeds: new Array<Deed>(9).fill('hang'),
      rules: { ...once, retryAttempts: 8, perTryTimeoutMs: 50, timeoutMs: 200 },
    },
    status: 504,
    arrived: -1,
    attempts: -1,
    reason: 'TimeoutRequest',
  },
];

describe('the matrix', () => {
  test.each(rows)('$what', async (row) => {
    const { heads, finished } = await start(row.setup);
    expect(await send(row.text)).toBe(row.status);
    await eventually(() => finished.length === 1, 'the exchange is over');
    // Negative: at most so many, or any number, where chance decides which endpoint comes first.
    if (row.arrived >= 0) expect(heads).toHaveLength(row.arrived);
    if (row.attempts >= 0) expect(finished[0]?.attempts).toBe(row.attempts);
    expect(finished[0]?.reason).toBe(row.reason);
  });
});

describe('where and when', () => {
  test('a retry goes to an endpoint that was not tried', async () => {
    const { heads } = await start({ endpoints: 3, deeds: ['reset'] });
    expect(await send(get)).toBe(200);
    const [first, second] = heads.map((head) => head.split(' ')[0]);
    expect(first).not.toBe(second);
  });

  test.each<Deed>(['reset', 'close', 'half-head', 503, 502])(
    'the first retry waits for nothing where another endpoint is well (%s)',
    async (deed) => {
      const deeds = [deed];
      const rules = { ...once, retryAttempts: 2 };
      const { heads } = await start({ endpoints: 2, deeds, rules, isTimeless: true });
      expect(await send(get)).toBe(200);
      expect(heads).toHaveLength(2);
    },
  );

  test.each<Setup>([{ deeds: ['reset', 'ok'] }, { endpoints: 2, deeds: [503, 503, 'ok'] }])(
    'a retry at whom has failed, or behind a service that does, waits: %o',
    async (setup) => {
      const started: number[] = [];
      const observer = { retryStarted: (facts: ExchangeFacts) => started.push(facts.attempts) };
      const rules = { ...once, retryAttempts: 2 };
      const { heads } = await start({ ...setup, rules, observer, isTimeless: true });
      const last = setup.deeds.length - 1;
      client?.send(get);
      await eventually(() => started.length === last, 'the last retry is to come');
      // Whoever did not wait would have asked by the time that another connection gets its answer.
      const other = await connectTo(harness?.port ?? 0);
      other.send(request('OPTIONS /', 'Max-Forwards: 0'));
      await other.see('\r\n\r\n');
      other.socket.destroy();
      expect(heads).toHaveLength(last);
      client?.socket.destroy();
    },
  );

  test('a body that was sent is sent again, whole', async () => {
    const { heads } = await start({ deeds: ['reset'] });
    const body = 'b'.repeat(60_000);
    await send(request('PUT /', `Content-Length: ${body.length}`) + body);
    expect(heads).toHaveLength(2);
    const again = upstreams[0]?.connections.at(-1);
    await again?.until(() => again.text.endsWith(body), 'the whole body');
  });

  test('a body over 64 kB is sent once', async () => {
    const { heads } = await start({ deeds: ['reset'] });
    const body = 'b'.repeat(70_000);
    expect(await send(request('PUT /', `Content-Length: ${body.length}`) + body)).toBe(502);
    expect(heads).toHaveLength(1);
  });

  test('nothing is retried after the first byte of an answer', async () => {
    const { heads } = await start({ deeds: ['cut-body'] });
    client?.send(get);
    await client?.until(() => client?.isClosed === true, 'the cut');
    expect(heads).toHaveLength(1);
  });

  test('nothing is retried after an interim answer', async () => {
    const { heads } = await start({ deeds: [] });
    const upstream = upstreams[0];
    if (upstream === undefined) throw new Error('no upstream');
    upstream.answer = (peer, head) => {
      heads.push(head);
      peer.send('HTTP/1.1 103 Early Hints\r\n\r\n');
      setTimeout(() => peer.reset(), 30);
    };
    client?.send(get);
    await client?.see('HTTP/1.1 502');
    expect(heads).toHaveLength(1);
  });

  test('a stale kept connection costs a GET nothing, and opens a new one', async () => {
    const { heads } = await start({ deeds: ['ok', 'reset', 'ok'] });
    expect(await send(get)).toBe(200);
    expect(await send(get)).toBe(200);
    expect(heads).toHaveLength(3);
    expect(upstreams[0]?.connections).toHaveLength(2);
  });

  test('retries stop when the proxy has used up the budget of the service', async () => {
    const exhausted: ExchangeFacts[] = [];
    const { heads } = await start({
      deeds: [503, 503, 503],
      rules: { ...once, retryBudgetPercent: 0 },
      observer: { retryBudgetExhausted: (facts) => exhausted.push(facts) },
    });
    // Another worker takes what the reserve of ten a second over ten seconds allows, but for one.
    const { slots } = harness ?? {};
    const place = { cells: slots?.cells.service ?? new Int32Array(), offset: 32 };
    expect(slots?.offset('service', 't/h1')).toBe(place.offset);
    for (let n = 0; n < 99; n += 1) withdrawRetry(place, Date.now());
    expect(await send(get)).toBe(503);
    expect(heads).toHaveLength(2);
    expect(await send(get)).toBe(503);
    expect(heads).toHaveLength(3);
    expect(exhausted).toHaveLength(1);
  });

  test('a good answer earns a part of a retry, a request that failed earns nothing', async () => {
    const { heads } = await start({
      deeds: [503, 'ok', 503, 'ok'],
      rules: { ...once, retryBudgetPercent: 100 },
    });
    const { slots } = harness ?? {};
    const place = { cells: slots?.cells.service ?? new Int32Array(), offset: 32 };
    expect(slots?.offset('service', 't/h1')).toBe(place.offset);
    while (withdrawRetry(place, Date.now()));
    expect(await send(get)).toBe(503);
    expect(heads).toHaveLength(1);
    expect(await send(get)).toBe(200);
    expect(await send(get)).toBe(200);
    expect(heads).toHaveLength(4);
  });
});
