// What counts and what is logged of an exchange: once each, by names of objects only. Counted in a
// real arena and read through the registry, as a scrape would see it.
import { describe, expect, test } from 'vitest';
import { heldOf } from '../../test/support/collected.ts';
import { plainRules } from '../../test/support/sections.ts';
import { requestHead } from '../../test/support/request-head.ts';
import type { AttemptFacts, ExchangeFacts } from '../dataplane/index.ts';
import type { Backend, Destination, Endpoint, VirtualHost } from '../route/index.ts';
import { backendId } from '../snapshot/index.ts';
import { AccessLogRing, MeterArena, parseAccessLogMode } from '../telemetry/index.ts';
import { createRegistry } from '../telemetry/control.ts';
import { meteringObserver } from './metering.ts';

const host: VirtualHost = { namespace: 'shop', service: 'web', rules: plainRules };
const destination: Destination = { namespace: 'shop', workload: 'Deployment/web-v2' };
const endpoint: Endpoint = {
  id: '10.1.0.2:8080',
  namespace: 'shop',
  address: '10.1.0.2',
  port: 8080,
  nodeName: 'node-1',
  podName: 'web-v2-1',
};
const backend: Backend = {
  id: backendId('shop', 'web-v2', 80),
  namespace: 'shop',
  service: 'web-v2',
  port: 80,
  scheme: 'http',
  endpoints: [endpoint],
};

function exchange(said: Partial<ExchangeFacts> = {}): ExchangeFacts {
  return {
    source: {
      kind: 'workload',
      namespace: 'shop',
      serviceAccount: 'front',
      principal: 'shop/front',
      workload: 'Deployment/front',
      podName: 'front-1',
    },
    remoteAddress: '10.1.0.1',
    request: requestHead({ path: '/cart?card=4711' }),
    requestId: 'request-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    host,
    backend,
    endpoint,
    destination,
    status: 200,
    reason: undefined,
    answer: { protocol: 'http/1.1', grpcStatus: undefined },
    attempts: 1,
    requestBytes: 10,
    responseBytes: 20,
    startedMs: 1_000,
    firstByteMs: 2,
    durationMs: 30,
    ...said,
  };
}

function attempt(said: Partial<AttemptFacts> = {}): AttemptFacts {
  const plain = { status: 200, grpcStatus: undefined, reason: undefined, durationMs: 20 };
  const kept = { isCancelled: false, saysNothing: false };
  return { backend, endpoint, destination, ...plain, ...kept, ...said };
}

/** An answer to a call of gRPC. */
function grpc(grpcStatus: number | 'unknown') {
  return { protocol: 'http/2', grpcStatus } as const;
}

function metered(mode = 'all', random = 0) {
  const clock = { nowMs: () => 0, wallMs: () => 1_700_000_000_030 };
  const registry = createRegistry({ clock, component: 'proxy', version: 'v', nodeVersion: 'n' });
  const meters = new MeterArena(registry.openArena(0), (one) => registry.define(0, [one]));
  const ring = new AccessLogRing();
  const bugs: unknown[] = [];
  const parsed = parseAccessLogMode(mode);
  if (parsed === undefined) throw new Error(`no mode: ${mode}`);
  const observer = meteringObserver({
    meters,
    ring,
    mode: parsed,
    clock,
    random: () => random,
    onBug: (error) => bugs.push(error),
  });
  /** Samples of a metric, without comments. */
  const samples = async (name: string): Promise<readonly string[]> => {
    const { body } = await registry.render(undefined);
    return body.split('\n').filter((line) => line.startsWith(name));
  };
  const lines = (): readonly Record<string, unknown>[] =>
    (ring.take()?.lines ?? []).map((line) => JSON.parse(line) as Record<string, unknown>);
  return { observer, samples, lines, bugs };
}

describe('counting', () => {
  test('copies count by what became of them, at the service that they went to', async () => {
    const { observer, samples } = metered();
    for (const outcome of ['answered', 'denied', 'answered'] as const) {
      observer.copyEnded(host, outcome);
    }
    const labels = 'destination_namespace="shop",destination_service="web"';
    expect(await samples('weft_mirrored_requests_total')).toEqual([
      `weft_mirrored_requests_total{${labels},outcome="answered"} 2`,
      `weft_mirrored_requests_total{${labels},outcome="denied"} 1`,
    ]);
  });

  test('the series of a new split backend exist before its first request', async () => {
    const { observer, samples } = metered();
    const { host } = exchange();
    if (host === undefined) throw new Error('the exchange has no host');
    observer.announce(host, destination);
    const [line] = await samples('weft_http_attempts_total');
    expect(line).toMatch(/destination_workload="web-v2".*code="200"} 0$/);
    observer.attemptFinished(exchange(), attempt());
  });

  test('a request that is no exchange is counted by its reason', async () => {
    const { observer, samples } = metered();
    const reject = { reason: 'BadRequestHost', status: 400, remoteAddress: '10.1.0.9' } as const;
    observer.requestRejected({ ...reject, servicePort: 80, detail: 'no Host' });
    expect(await samples('weft_http_rejected_total')).toEqual([
      'weft_http_rejected_total{reason="BadRequestHost"} 1',
    ]);
  });

  test('tunnels are counted by side and outcome, plain ways by their reason', async () => {
    const { observer, samples } = metered();
    const facts = { side: 'client', peer: 'node-b', message: '' } as const;
    observer.tunnelHandshake({ ...facts, result: 'ok' });
    observer.tunnelHandshake({ ...facts, result: 'Unreachable' });
    observer.tunnelOpened('client');
    observer.tunnelOpened('client');
    observer.tunnelClosed('client');
    observer.wentPlain('mtls_off');
    // No label says which peer: those are logged.
    expect(await samples('weft_tunnel_handshakes_total')).toEqual([
      'weft_tunnel_handshakes_total{side="client",result="ok"} 1',
      'weft_tunnel_handshakes_total{side="client",result="Unreachable"} 1',
    ]);
    expect(await samples('weft_tunnels_open')).toEqual(['weft_tunnels_open{side="client"} 1']);
    expect(await samples('weft_plain_requests_total')).toEqual([
      'weft_plain_requests_total{reason="mtls_off"} 1',
    ]);
  });

  test('a caller that a certificate proves is named by its account, as that', async () => {
    const { observer, samples } = metered();
    const { source } = exchange();
    if (source.kind !== 'workload') throw new Error('no workload');
    const proven = { ...source, workload: 'ServiceAccount/front', podName: '' };
    const reason = 'SourceNotAllowed';
    observer.policyDecided(exchange({ source: proven }), { kind: 'deny', reason, destination });
    const [line] = await samples('weft_policy_decisions_total');
    expect(line).toContain('source_workload="ServiceAccount/front"');
  });

  test('a call of gRPC counts once more, by its status', async () => {
    const { observer, samples } = metered();
    for (const status of [0, 14, 14, 'unknown'] as const) {
      observer.exchangeStarted(exchange());
      observer.exchangeFinished(exchange({ answer: grpc(status) }), 'answered');
    }
    const [line] = await samples('weft_http_requests_total');
    expect(line).toMatch(/protocol="http\/2"} 4$/);
    const calls = await samples('weft_grpc_calls_total');
    expect(calls.map((one) => /grpc_status=.*/.exec(one)?.[0])).toEqual([
      'grpc_status="0"} 1',
      'grpc_status="14"} 2',
      'grpc_status="unknown"} 1',
    ]);
  });

  test('a try of a call of gRPC counts by what the pod said as well', async () => {
    const { observer, samples } = metered();
    for (const grpcStatus of [14, 0, 0]) {
      observer.attemptFinished(exchange(), attempt({ grpcStatus }));
    }
    // It has no answer.
    observer.attemptFinished(exchange(), attempt({ status: 502 }));
    const tries =
      'destination_namespace="shop",destination_workload="web-v2",destination_service="web"';
    expect(await samples('weft_grpc_attempts_total')).toEqual([
      `weft_grpc_attempts_total{${tries},grpc_status="14"} 1`,
      `weft_grpc_attempts_total{${tries},grpc_status="0"} 2`,
    ]);
    expect(await samples('weft_http_attempts_total')).toEqual([
      `weft_http_attempts_total{${tries},code="200"} 3`,
      `weft_http_attempts_total{${tries},code="502"} 1`,
    ]);
  });

  test('an exchange with a retry counts once, each try once more', async () => {
    const { observer, samples } = metered();
    const facts = exchange({ attempts: 2 });
    observer.exchangeStarted(facts);
    observer.attemptFinished(facts, attempt({ status: 502, durationMs: 5 }));
    observer.retryStarted(facts);
    observer.attemptFinished(facts, attempt());
    observer.exchangeFinished(facts, 'answered');
    const labels =
      'source_namespace="shop",source_workload="front",destination_namespace="shop",' +
      'destination_workload="web-v2",destination_service="web"';
    expect(await samples('weft_http_requests_total')).toEqual([
      `weft_http_requests_total{${labels},method="GET",code="200",protocol="http/1.1"} 1`,
    ]);
    const tries =
      'destination_namespace="shop",destination_workload="web-v2",destination_service="web"';
    expect(await samples('weft_http_attempts_total')).toEqual([
      `weft_http_attempts_total{${tries},code="502"} 1`,
      `weft_http_attempts_total{${tries},code="200"} 1`,
    ]);
    expect(await samples('weft_http_attempt_duration_seconds_count')).toEqual([
      `weft_http_attempt_duration_seconds_count{${tries}} 2`,
    ]);
    expect(await samples('weft_http_request_duration_seconds_sum')).toEqual([
      `weft_http_request_duration_seconds_sum{${labels},protocol="http/1.1"} 0.03`,
    ]);
    expect(await samples('weft_retries_total')).toEqual([
      'weft_retries_total{destination_namespace="shop",destination_service="web",' +
        'outcome="started"} 1',
    ]);
  });

  test('what is in flight goes up and down with the exchange', async () => {
    const during = metered();
    during.observer.exchangeStarted(exchange());
    const name = 'weft_http_requests_in_flight';
    expect(await during.samples(name)).toEqual([expect.stringMatching(/service="web"} 1$/)]);
    const after = metered();
    after.observer.exchangeStarted(exchange());
    after.observer.exchangeFinished(exchange(), 'cancelled');
    expect(await after.samples(name)).toEqual([expect.stringMatching(/service="web"} 0$/)]);
  });

  test('a try that was given up for another one is none', async () => {
    const { observer, samples } = metered();
    observer.attemptFinished(exchange(), attempt({ isCancelled: true }));
    expect(await samples('weft_http_attempts_total')).toEqual([]);
  });

  test('an unknown name is counted by what the client got, never by the name', async () => {
    const { observer, samples } = metered();
    const none = { host: undefined, backend: undefined, endpoint: undefined };
    for (const hostname of ['a.evil.mesh', 'b.evil.mesh']) {
      const facts = exchange({
        ...none,
        destination: undefined,
        source: { kind: 'unauthenticated' },
        request: requestHead({ hostname, method: 'BREW' }),
        status: 404,
        reason: 'UnknownService',
      });
      observer.exchangeStarted(facts);
      observer.exchangeFinished(facts, 'refused');
    }
    expect(await samples('weft_http_requests_total')).toEqual([
      'weft_http_requests_total{source_namespace="",source_workload="unauthenticated",' +
        'destination_namespace="",destination_workload="",destination_service="",' +
        'method="OTHER",code="404",protocol="http/1.1"} 2',
    ]);
    expect(await samples('weft_http_requests_in_flight')).toEqual([]);
  });

  test('verdicts are counted with what they would do', async () => {
    const { observer, samples } = metered();
    const reason = 'SourceNotAllowed';
    observer.policyDecided(exchange(), { kind: 'allow', destination });
    observer.policyDecided(exchange(), { kind: 'audit', reason, destination });
    observer.policyDecided(exchange(), { kind: 'deny', reason, destination });
    observer.policyDecided(exchange(), { kind: 'deny', reason, destination });
    const told = (await samples('weft_policy_decisions_total')).map((line) =>
      line.replace(/^.*action=/, ''),
    );
    expect(told).toEqual([
      '"allow",reason=""} 1',
      `"audit_deny",reason="${reason}"} 1`,
      `"deny",reason="${reason}"} 2`,
    ]);
  });

  test('a call by tunnel, whose end nobody tells, is not held for its audit', async () => {
    const { observer, lines } = metered('denied');
    const verdict = { kind: 'audit', reason: 'SourceNotAllowed', destination } as const;
    const held = await heldOf(100, () => {
      const facts = exchange();
      observer.policyDecided(facts, verdict);
      return facts;
    });
    expect(held).toBeLessThan(10);
    const facts = exchange();
    observer.policyDecided(facts, verdict);
    observer.exchangeFinished(facts, 'answered');
    expect(lines().map((line) => line['audit_deny'])).toEqual(['SourceNotAllowed']);
  });

  test('names that are equal are one series, whichever objects carry them', async () => {
    const { observer, samples } = metered();
    observer.exchangeFinished(exchange(), 'answered');
    observer.exchangeFinished(
      exchange({ host: { ...host }, destination: { ...destination } }),
      'answered',
    );
    expect(await samples('weft_http_requests_total')).toEqual([expect.stringMatching(/} 2$/)]);
  });

  test('a fault of ours is passed on, once', async () => {
    const { observer, bugs, samples } = metered();
    observer.bugFound(new Error('BUG: impossible'));
    expect(bugs).toHaveLength(1);
    expect(await samples('weft_bugs_total')).toEqual([]);
  });
});

describe('the access log', () => {
  test('a line says who called whom and what came of it, without the query', () => {
    const { observer, lines } = metered();
    observer.exchangeFinished(exchange(), 'answered');
    expect(lines()).toEqual([
      {
        time: '2023-11-14T22:13:20.000Z',
        source_namespace: 'shop',
        source_workload: 'front',
        source_address: '10.1.0.1',
        destination_namespace: 'shop',
        destination_service: 'web',
        destination_workload: 'web-v2',
        endpoint: '10.1.0.2:8080',
        method: 'GET',
        host: 'web.shop.mesh',
        path: '/cart',
        protocol: 'http/1.1',
        status: 200,
        attempts: 1,
        duration_ms: 30,
        request_bytes: 10,
        response_bytes: 20,
        request_id: 'request-1',
        trace_id: '0af7651916cd43dd8448eb211c80319c',
      },
    ]);
  });

  test('nobody who is known is nobody in the log', () => {
    const { observer, lines } = metered();
    observer.exchangeFinished(exchange({ source: { kind: 'unauthenticated' } }), 'answered');
    expect(lines()[0]).toMatchObject({ source_namespace: '', source_workload: '' });
  });

  test.each([
    ['errors', 'well', {}, 'answered', 0],
    ['errors', 'without a pod', { status: 503, reason: 'NoEndpoints' }, 'refused', 1],
    ['errors', 'limited by the pod', { status: 429 }, 'answered', 1],
    ['errors', 'unavailable to gRPC', { answer: grpc(14) }, 'refused', 1],
    ['errors', 'not found by gRPC', { answer: grpc(5) }, 'answered', 0],
    ['errors', 'denied', { status: 403, reason: 'RouteNotAllowed' }, 'refused', 1],
    ['errors', 'forbidden by the pod', { status: 403 }, 'answered', 0],
    ['errors', 'cut off', {}, 'broken', 1],
    ['errors', 'left by the client', { status: 0 }, 'cancelled', 1],
    ['denied', 'denied', { status: 403, reason: 'SourceUnknown' }, 'refused', 1],
    ['denied', 'without a pod', { status: 503, reason: 'NoEndpoints' }, 'refused', 0],
    ['off', 'without a pod', { status: 503, reason: 'NoEndpoints' }, 'refused', 0],
    ['all', 'well', {}, 'answered', 1],
  ] as const)('"%s" and an exchange that was %s', (mode, _, said, outcome, count) => {
    const { observer, lines } = metered(mode);
    observer.exchangeFinished(exchange(said), outcome);
    expect(lines()).toHaveLength(count);
  });

  test('samples are a share by chance', () => {
    const lucky = metered('sample:1/10', 0.09);
    lucky.observer.exchangeFinished(exchange(), 'answered');
    expect(lucky.lines()).toHaveLength(1);
    const unlucky = metered('sample:1/10', 0.11);
    unlucky.observer.exchangeFinished(exchange(), 'answered');
    expect(unlucky.lines()).toHaveLength(0);
  });
});
