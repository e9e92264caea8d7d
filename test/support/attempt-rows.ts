// Settings of attempts: how long they may take, what is tried again, and what the pod sees of it.
// Where a row waits, the pod takes longer than the setting says by several times, on the same event
// loop: which of both timers comes first does not depend on how fast the machine is.
import { eventually } from './dataplane-sockets.ts';
import type { SettingRow } from './setting-rows.ts';
import type { PodRequest } from './settings-pod.ts';
import { isRefused, isWell } from './settings-world.ts';
import type { Protocol, SettingsWorld, Told } from './settings-world.ts';

const slowMs = 400;
const shortMs = '50ms';

/** One request, to pods that answer late. */
function askSlowPods(world: SettingsWorld): Promise<Told> {
  world.answers((request) => void setTimeout(() => request.ok(), slowMs));
  return world.ask();
}

/** One request, to pods whose first answer is this and whose second is good. */
function askAfter(world: SettingsWorld, first: (request: PodRequest) => void): Promise<Told> {
  let isFirst = true;
  world.answers((request) => {
    if (isFirst) first(request);
    else request.ok();
    isFirst = false;
  });
  return world.ask();
}

async function askAtOnce(world: SettingsWorld, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => world.ask()));
}

const plainHttp: readonly Protocol[] = ['http/1.1', 'http/2'];

export const attemptRows: readonly SettingRow[] = [
  {
    setting: 'timeoutMs',
    value: shortMs,
    bad: 'soon',
    isInForce: async (world) => isRefused(await askSlowPods(world), 'TimeoutRequest'),
  },
  {
    setting: 'perTryTimeoutMs',
    value: shortMs,
    bad: '0s',
    isInForce: async (world) => isRefused(await askSlowPods(world), 'TimeoutRequest'),
  },
  {
    setting: 'idleTimeoutMs',
    value: shortMs,
    bad: '5',
    isInForce: async (world) => isRefused(await askSlowPods(world), 'TimeoutIdle'),
  },
  {
    setting: 'connectTimeoutMs',
    value: shortMs,
    bad: 'never',
    beside: { 'weft.dev/timeout': `${slowMs}ms`, 'weft.dev/retry-attempts': '0' },
    isInForce: async (world) => {
      for (const pod of world.pods) pod.hangUp();
      const { dataplane } = world.harness;
      await eventually(() => dataplane.state().upstreamOpen === 0, 'no connection is left');
      world.swallowing.isOn = true;
      return isRefused(await world.ask(), 'TimeoutConnect');
    },
  },
  {
    setting: 'retryAttempts',
    value: '1',
    maeshValue: '2',
    bad: '11',
    protocols: plainHttp,
    isInForce: async (world) => {
      return isWell(await askAfter(world, (request) => request.answer({ status: 503 })));
    },
  },
  {
    setting: 'retryAttempts',
    value: '1',
    maeshValue: '2',
    bad: '11',
    protocols: ['grpc'],
    beside: { 'weft.dev/retry-on': 'unavailable' },
    isInForce: async (world) => {
      return isWell(await askAfter(world, (request) => request.answer({ grpcStatus: 14 })));
    },
  },
  {
    setting: 'retryOn',
    value: '500',
    bad: 'sometimes',
    protocols: plainHttp,
    beside: { 'weft.dev/retry-attempts': '1' },
    isInForce: async (world) => {
      return isWell(await askAfter(world, (request) => request.answer({ status: 500 })));
    },
  },
  {
    setting: 'retryOn',
    value: 'unavailable',
    bad: '14',
    protocols: ['grpc'],
    beside: { 'weft.dev/retry-attempts': '1' },
    isInForce: async (world) => {
      return isWell(await askAfter(world, (request) => request.answer({ grpcStatus: 14 })));
    },
  },
  {
    setting: 'retryBudgetPercent',
    value: '0%',
    bad: 'a lot',
    beside: {
      'weft.dev/retry-attempts': '1',
      'weft.dev/retry-on': '503, unavailable',
      'weft.dev/outlier-detection': 'off',
    },
    // Good answers earn retries; beside them a budget holds ten a second, over ten seconds.
    isInForce: async (world) => {
      await askAtOnce(world, 150);
      world.answers((request) => {
        request.answer(request.isGrpc ? { grpcStatus: 14 } : { status: 503 });
      });
      const before = world.requests.length;
      await askAtOnce(world, 120);
      return world.requests.length - before === 220;
    },
  },
  {
    setting: 'hedgeAfter',
    value: shortMs,
    bad: 'p99',
    // Calls of gRPC are POSTs, which are sent once.
    protocols: plainHttp,
    isInForce: async (world) => {
      const before = world.requests.length;
      const isFirst = (): boolean => world.requests.length === before + 1;
      world.answers((request) => {
        if (isFirst()) setTimeout(() => request.ok(), slowMs);
        else request.ok();
      });
      await world.ask();
      return world.requests.length === before + 2;
    },
  },
  {
    setting: 'healthCheck',
    value: '/up@100ms',
    bad: 'up@1s',
    // A pod of HTTP/2 is only asked whether it accepts; see health-checks.test.ts.
    protocols: ['http/1.1'],
    beside: { 'weft.dev/load-balancer': 'round-robin' },
    isInForce: async (world) => {
      const [bad] = world.pods;
      world.answers((request) => request.ok());
      if (bad === undefined) return false;
      const checked = (): number => bad.requests.filter(({ path }) => path === '/up').length;
      const before = checked();
      bad.answer = (request) => {
        if (request.path === '/up') request.answer({ status: 500 });
        else request.ok();
      };
      const told = await world.askTimes(1);
      if (told.length === 0) return false;
      await new Promise((done) => setTimeout(done, slowMs));
      const hasChecks = checked() > before + 2;
      const seen = await world.askTimes(6);
      return hasChecks && seen.every(({ body }) => body !== bad.endpoint.address);
    },
  },
  {
    setting: 'upstreamHost',
    value: 'service',
    bad: 'a host',
    isInForce: async (world) => {
      await world.ask();
      return world.requests.at(-1)?.host === 'h1.t.svc.cluster.local';
    },
  },
  {
    setting: 'scheme',
    value: 'h2c',
    bad: 'spdy',
    protocols: ['http/1.1'],
    isInForce: (world) => wasAskedIn(world, '2.0'),
  },
  {
    setting: 'scheme',
    value: 'http',
    bad: 'http/1.1',
    protocols: ['http/2', 'grpc'],
    isInForce: (world) => wasAskedIn(world, '1.1'),
  },
  {
    setting: 'scheme',
    value: 'https',
    bad: 'tls',
    isInForce: async (world) => {
      const told = await world.ask();
      return isWell(told) && world.requests.at(-1)?.isSecure === true;
    },
  },
  {
    setting: 'tlsVerify',
    value: 'system',
    bad: 'on',
    beside: { 'weft.dev/scheme': 'https' },
    isInForce: async (world) => isRefused(await world.ask(), 'UpstreamConnect'),
  },
  {
    setting: 'trafficType',
    value: 'tcp',
    bad: 'sctp',
    // Its listener is another one; the port of HTTP does not know the name any more.
    isInForce: async (world) => isRefused(await world.ask(), 'UnknownService'),
  },
];

async function wasAskedIn(world: SettingsWorld, version: string): Promise<boolean> {
  const told = await world.ask();
  return isWell(told) && world.requests.at(-1)?.version === version;
}
