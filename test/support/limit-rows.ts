// Settings that refuse, limit or spread requests, and how each is seen to be in force: rows of the
// suite in setting-rows.ts. No row waits for time to pass.
import { eventually } from './dataplane-sockets.ts';
import type { SettingRow } from './setting-rows.ts';
import type { PodRequest } from './settings-pod.ts';
import { isRefused, isWell } from './settings-world.ts';
import type { SettingsWorld, Told } from './settings-world.ts';

export const limitRows: readonly SettingRow[] = [
  {
    setting: 'rateLimitAverage',
    value: '1',
    bad: '0',
    isInForce: async (world) => {
      const told = await world.askTimes(2);
      return told.some((one) => isRefused(one, 'RateLimited'));
    },
  },
  {
    setting: 'rateLimitBurst',
    value: '3',
    bad: 'many',
    beside: { 'weft.dev/rate-limit-average': '0.5' },
    isInForce: async (world) => {
      const told = await world.askTimes(5);
      const limited = told.map((one) => isRefused(one, 'RateLimited'));
      return limited.join(' ') === 'false false false true true';
    },
  },
  {
    setting: 'loadBalancer',
    value: 'round-robin',
    bad: 'fairest',
    // Strict turns; by chance alone once in two thousand.
    isInForce: async (world) => {
      const told = await world.askTimes(12);
      return told.every(({ body }, at) => at === 0 || body !== told[at - 1]?.body);
    },
  },
  {
    setting: 'outlierDetection',
    value: 'off',
    bad: 'maybe',
    beside: { 'weft.dev/load-balancer': 'round-robin' },
    // The first pod fails all the time, and goes on getting its turns.
    isInForce: async (world) => {
      const [first] = world.pods;
      if (first === undefined) return false;
      first.answer = (request) => request.fail();
      const told = await world.askTimes(30);
      return told.filter((one) => !isWell(one)).length === 15;
    },
  },
  {
    setting: 'traffic',
    value: 'stop',
    bad: 'halt',
    isInForce: async (world) => isRefused(await world.ask(), 'Stopped'),
  },
  {
    setting: 'maxRequestBodyBytes',
    value: '9',
    bad: 'little',
    isInForce: async (world) => {
      const told = await world.ask({ method: 'POST', body: '0123456789' });
      return isRefused(told, 'BadRequestBodyTooLarge');
    },
  },
  {
    setting: 'circuitBreaker',
    value: 'ResponseCodeRatio(500, 600, 0, 600) > 0.5',
    bad: 'ResponseCodeRatio(500) > 0.5',
    beside: { 'weft.dev/outlier-detection': 'off' },
    isInForce: async (world) => {
      world.answers((request) => request.fail());
      await world.askTimes(10);
      world.lookAtBreakers();
      const told = await world.ask();
      return isRefused(told, 'CircuitOpen') && isSoon(told);
    },
  },
  {
    setting: 'fault',
    value: 'abort=418@100%',
    bad: 'abort=9@1%',
    isInForce: async (world) => {
      const { headers, status, grpcStatus } = await world.ask();
      // UNKNOWN: gRPC has no teapot.
      const isTold = world.protocol === 'grpc' ? grpcStatus === 2 : status === 418;
      return isTold && headers['weft-reason'] === 'FaultInjected';
    },
  },
  {
    setting: 'mirror',
    value: 'copy',
    bad: 'elsewhere/copy',
    // Service `copy` has the same pods: what comes marked is a copy.
    isInForce: async (world) => {
      await world.ask({ path: '/now' });
      const { dataplane } = world.harness;
      await eventually(() => dataplane.state().mirrors.copies === 0, 'no copy is under way');
      const asked = world.requests.filter(({ path }) => path === '/now');
      return asked.some(({ headers }) => headers['weft-mirror'] === 't/h1');
    },
  },
  {
    setting: 'maxRequests',
    value: '1',
    bad: '-1',
    isInForce: isThirdRefused,
  },
  {
    setting: 'maxConnections',
    value: '1',
    bad: '0',
    isInForce: async (world) => {
      // Of HTTP/2: a request needs a connection of its own.
      for (const pod of world.pods) pod.streamsMax = 1;
      while (world.pods.some(({ requests }) => requests.length === 0)) await world.ask();
      return isThirdRefused(world);
    },
  },
];

/** Two endpoints that take their time: the third request arrives, or waits in vain. */
async function isThirdRefused(world: SettingsWorld): Promise<boolean> {
  const arrived: PodRequest[] = [];
  world.answers((request) => arrived.push(request));
  const told: Told[] = [];
  const calls = [1, 2, 3].map(() => world.open());
  const replies = calls.map(({ reply }) => reply.then((one) => told.push(one)));
  await eventually(() => arrived.length === 3 || told.length > 0, 'the third is settled');
  for (const request of arrived) request.ok();
  await Promise.all(replies);
  return arrived.length === 2 && told.some((one) => isRefused(one, 'Overloaded'));
}

/** The breaker has opened a moment ago. */
function isSoon({ headers }: Told): boolean {
  return headers['retry-after'] === '10' || headers['retry-after'] === '9';
}
