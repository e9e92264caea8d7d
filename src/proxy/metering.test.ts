// What of an exchange gets into the access log: refusals, and in a namespace that only audits what
// would have been refused, though the caller was served.
import { describe, expect, test } from 'vitest';
import type { ExchangeFacts } from '../dataplane/index.ts';
import type { Verdict } from '../route/index.ts';
import { AccessLogRing, createMeterMemory, MeterArena } from '../telemetry/index.ts';
import { meteringObserver } from './metering.ts';

const destination = { namespace: 'shop', workload: 'Deployment/web' };

const exchange: ExchangeFacts = {
  source: { kind: 'unauthenticated' },
  remoteAddress: '10.0.0.9',
  servicePort: 80,
  hostname: 'web.shop.mesh',
  method: 'GET',
  path: '/',
  requestId: 'id-1',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
  host: undefined,
  backend: undefined,
  endpoint: undefined,
  destination: undefined,
  status: 200,
  reason: undefined,
  attempts: 1,
  requestBytes: 0,
  responseBytes: 5,
  startedMs: 0,
  firstByteMs: 1,
  durationMs: 2,
};

function fixture() {
  const ring = new AccessLogRing();
  const observer = meteringObserver({
    meters: new MeterArena(createMeterMemory(1_000), () => undefined),
    ring,
    mode: { kind: 'errors' },
    clock: { nowMs: () => 0, wallMs: () => 1_000 },
    random: () => 0.5,
    onBug: (error) => expect.unreachable(String(error)),
  });
  const run = (verdict: Verdict): unknown[] => {
    const facts = { ...exchange };
    observer.exchangeStarted(facts);
    observer.policyDecided(facts, verdict);
    observer.exchangeFinished(facts, 'answered');
    return (ring.take()?.lines ?? []).map((line): unknown => JSON.parse(line));
  };
  return { run };
}

describe('the access log of policy', () => {
  test('a would-be denial of a namespace that audits is logged, though it was served', () => {
    const { run } = fixture();
    const lines = run({ kind: 'audit', reason: 'SourceNotAllowed', destination });
    expect(lines).toEqual([
      expect.objectContaining({ status: 200, audit_deny: 'SourceNotAllowed' }),
    ]);
    expect(run({ kind: 'allow', destination })).toEqual([]);
  });
});
