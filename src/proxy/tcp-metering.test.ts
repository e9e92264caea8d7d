// What counts and what is logged of a TCP connection: once each, by names of objects only. Counted
// in a real arena and read through the registry, as a scrape would see it.
import { describe, expect, test } from 'vitest';
import { heldOf } from '../../test/support/collected.ts';
import { plainRules } from '../../test/support/sections.ts';
import type { TcpEnd, TcpFacts } from '../dataplane/index.ts';
import { AccessLogRing, MeterArena, parseAccessLogMode } from '../telemetry/index.ts';
import { createRegistry } from '../telemetry/control.ts';
import { tcpMetering } from './tcp-metering.ts';

const to = { protocol: 'tcp', namespace: 'shop', service: 'db', servicePort: 5432 } as const;

function connection(said: Partial<TcpFacts> = {}): TcpFacts {
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
    to,
    host: { namespace: 'shop', service: 'db', rules: plainRules },
    backend: undefined,
    endpoint: undefined,
    destination: { namespace: 'shop', workload: 'StatefulSet/db' },
    reason: undefined,
    attempts: 1,
    receivedBytes: 10,
    sentBytes: 20,
    durationMs: 30,
    ...said,
  };
}

function metered(mode = 'all') {
  const clock = { nowMs: () => 0, wallMs: () => 1_700_000_000_030 };
  const registry = createRegistry({ clock, component: 'proxy', version: 'v', nodeVersion: 'n' });
  const meters = new MeterArena(registry.openArena(0), (one) => registry.define(0, [one]));
  const ring = new AccessLogRing();
  const observer = tcpMetering({
    meters,
    ring,
    mode: parseAccessLogMode(mode) ?? { kind: 'off' },
    clock,
    random: () => 0,
    onBug: () => undefined,
  });
  /** Values of a metric's series, with the labels that a test names. */
  const samples = async (name: string): Promise<readonly string[]> => {
    const { body } = await registry.render(undefined);
    return body.split('\n').filter((line) => line.startsWith(name));
  };
  const lines = (): readonly Record<string, unknown>[] =>
    (ring.take()?.lines ?? []).map((line) => JSON.parse(line) as Record<string, unknown>);
  return { observer, samples, lines };
}

const edge =
  'source_namespace="shop",source_workload="front",destination_namespace="shop",' +
  'destination_workload="db",destination_service="db"';

describe('counting', () => {
  test('a connection is counted when it opens, its bytes while it lives', async () => {
    const { observer, samples } = metered();
    const facts = connection();
    const meter = observer.tcpOpened(facts);
    meter.moved(3, 4);
    meter.moved(1, 0);
    observer.tcpOpened(facts);
    observer.tcpOpened(facts).closed();
    observer.tcpEnded(facts, 'ended');
    expect(await samples('weft_tcp_connections_open{')).toEqual([
      `weft_tcp_connections_open{${edge}} 2`,
    ]);
    expect(await samples('weft_tcp_connections_opened_total{')).toEqual([
      `weft_tcp_connections_opened_total{${edge}} 3`,
    ]);
    expect(await samples('weft_tcp_received_bytes_total{')).toEqual([
      `weft_tcp_received_bytes_total{${edge}} 4`,
    ]);
    expect(await samples('weft_tcp_sent_bytes_total{')).toEqual([
      `weft_tcp_sent_bytes_total{${edge}} 4`,
    ]);
  });

  test('verdicts count with those of requests, and a refusal by its reason', async () => {
    const { observer, samples } = metered();
    const facts = connection({ reason: 'SourceNotAllowed' });
    const destination = { namespace: 'shop', workload: 'StatefulSet/db' };
    observer.tcpJudged(facts, { kind: 'deny', reason: 'SourceNotAllowed', destination });
    observer.tcpEnded(facts, 'refused');
    expect(await samples('weft_policy_decisions_total')).toEqual([
      `weft_policy_decisions_total{${edge},action="deny",reason="SourceNotAllowed"} 1`,
    ]);
    expect(await samples('weft_tcp_connections_refused_total')).toEqual([
      'weft_tcp_connections_refused_total{destination_namespace="shop",' +
        'destination_service="db",reason="SourceNotAllowed"} 1',
    ]);
    expect(await samples('weft_tcp_connections_opened_total{')).toEqual([]);
  });

  test('a connection by tunnel, whose end nobody tells, is not held for its audit', async () => {
    const { observer } = metered();
    const destination = { namespace: 'shop', workload: 'StatefulSet/db' };
    const held = await heldOf(100, () => {
      const facts = connection();
      observer.tcpJudged(facts, { kind: 'audit', reason: 'SourceNotAllowed', destination });
      return facts;
    });
    expect(held).toBeLessThan(10);
  });

  test('a service that is gone is named by its listener', async () => {
    const { observer, samples } = metered();
    const nobody = { host: undefined, destination: undefined };
    observer.tcpEnded(connection({ ...nobody, reason: 'UnknownService' }), 'refused');
    expect((await samples('weft_tcp_connections_refused_total'))[0]).toContain(
      'destination_namespace="shop",destination_service="db",reason="UnknownService"} 1',
    );
  });
});

describe('the access log', () => {
  const ends = (mode: string, said: Partial<TcpFacts>, end: TcpEnd): number => {
    const { observer, lines } = metered(mode);
    observer.tcpEnded(connection(said), end);
    return lines().length;
  };

  test('a line has what an exchange has but what only a request has', () => {
    const { observer, lines } = metered();
    observer.tcpEnded(connection(), 'ended');
    expect(lines()).toEqual([
      {
        time: '2023-11-14T22:13:20.000Z',
        source_namespace: 'shop',
        source_workload: 'front',
        source_address: '10.1.0.1',
        destination_namespace: 'shop',
        destination_service: 'db',
        destination_workload: 'db',
        protocol: 'tcp',
        attempts: 1,
        duration_ms: 30,
        request_bytes: 10,
        response_bytes: 20,
      },
    ]);
  });

  test('by default what was refused or broke off has a line, and what ended well has none', () => {
    expect(ends('errors', {}, 'ended')).toBe(0);
    expect(ends('errors', {}, 'reset')).toBe(1);
    expect(ends('errors', { reason: 'TimeoutIdle' }, 'cut')).toBe(1);
    expect(ends('errors', { reason: 'NoEndpoints' }, 'refused')).toBe(1);
  });

  test('denied: what policy refused, or would have', () => {
    expect(ends('denied', { reason: 'NoEndpoints' }, 'refused')).toBe(0);
    expect(ends('denied', { reason: 'RouteNotAllowed' }, 'refused')).toBe(1);
    const { observer, lines } = metered('denied');
    const facts = connection();
    const destination = { namespace: 'shop', workload: 'StatefulSet/db' };
    observer.tcpJudged(facts, { kind: 'audit', reason: 'SourceNotAllowed', destination });
    observer.tcpEnded(facts, 'ended');
    observer.tcpEnded(facts, 'ended');
    expect(lines().map((line) => line['audit_deny'])).toEqual(['SourceNotAllowed']);
  });
});
