// Ten thousand pods on a real kube-apiserver: how long a full sync takes, how long it blocks the
// loop, and what stays in memory. The figures are printed; asserted is only that all is there.
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openConnection, resourcePath, watchCluster } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import type { ControlPlane } from './support/control-plane.ts';
import { startControlPlane } from './support/control-plane.ts';
import { podManifest } from './support/objects.ts';
import { until } from './support/until.ts';

const podCount = 10_000;
const pods = resourcePath({ group: '', version: 'v1', plural: 'pods', namespace: 'default' });
let plane: ControlPlane;
let connection: Connection;

async function open(): Promise<Connection> {
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  return openConnection(source, realRuntime);
}

async function createPods(): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < podCount) {
      const at = next;
      next += 1;
      await connection.create(pods, podManifest(`web-${at}`, `node-${at % 100}`));
    }
  };
  await Promise.all(Array.from({ length: 24 }, worker));
}

beforeAll(async () => {
  plane = await startControlPlane();
  connection = await open();
  await createPods();
}, 180_000);

afterAll(async () => {
  await connection.close();
  await plane.stop();
});

test('ten thousand pods are all there, and one more is seen', async () => {
  for (const round of [1, 2, 3]) {
    const own = await open();
    const turns = measureTurns();
    const heapBefore = process.memoryUsage().heapUsed;
    const started = performance.now();
    const watch = watchCluster({
      connection: own,
      runtime: realRuntime,
      log: silentLog,
      podScope: { kind: 'cluster' },
      onChange: () => undefined,
    });
    await until('synced', () => watch.isSynced());
    const tookMs = performance.now() - started;
    const longest = turns.stop();
    const memory = process.memoryUsage();
    console.log(
      `sync ${round}: ${Math.round(tookMs)} ms, longest turn of the loop ${longest.wallMs} ms` +
        ` (${longest.cpuMs} ms of CPU), RSS ${Math.round(memory.rss / 2 ** 20)} MB,` +
        ` heap +${Math.round((memory.heapUsed - heapBefore) / 2 ** 20)} MB`,
    );
    expect(watch.state().pods.size).toBeGreaterThanOrEqual(podCount);
    const name = `late-${round}`;
    await connection.create(pods, podManifest(name, 'node-1'));
    await until('the late pod is there', () => watch.state().pods.has(`default/${name}`));
    await watch.stop();
    await own.close();
  }
});

type LongestTurn = { readonly wallMs: string; readonly cpuMs: string };

/** The longest turn of the loop; on a shared machine wall clock and CPU time differ. */
function measureTurns(): { readonly stop: () => LongestTurn } {
  let wallMs = 0;
  let cpuUs = 0;
  let isOn = true;
  let lastMs = performance.now();
  let last = process.cpuUsage();
  const look = (): void => {
    const nowMs = performance.now();
    const used = process.cpuUsage(last);
    wallMs = Math.max(wallMs, nowMs - lastMs);
    cpuUs = Math.max(cpuUs, used.user + used.system);
    lastMs = nowMs;
    last = process.cpuUsage();
    if (isOn) setImmediate(look);
  };
  setImmediate(look);
  return {
    stop: () => {
      isOn = false;
      return { wallMs: wallMs.toFixed(1), cpuMs: (cpuUs / 1000).toFixed(1) };
    },
  };
}
