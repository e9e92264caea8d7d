// What breaks around a mesh: a node is drained, a node vanishes, the API server is away, the
// controllers are, CoreDNS is restarted, somebody overwrites the Corefile. Traffic of the nodes
// that stand goes on throughout. Breaking nodes and the control plane needs the cluster kit.
import { afterAll, describe, expect, test } from 'vitest';
import { call, failuresOf, get, outcome, startLoad, type LoadResult } from './support/calls.ts';
import {
  allRolledOut,
  kit,
  meshNamespace,
  nodeNames,
  proxies,
  rolledOut,
} from './support/cluster.ts';
import { kubectl, tryKubectl } from './support/kubectl.ts';
import { pause } from './support/load-everywhere.ts';
import { apiUrl, callerOn, callers } from './support/shop.ts';
import { startPodLoad } from './support/pod-load.ts';
import { until } from './support/until.ts';

const coreDns = ['-n', 'kube-system'];
const text = ['-o', 'jsonpath={.data.Corefile}'];

function readCorefile(): Promise<string> {
  return kubectl([...coreDns, 'get', 'configmap', 'coredns', ...text]);
}

async function writeCorefile(Corefile: string): Promise<void> {
  const patch = JSON.stringify({ data: { Corefile } });
  await kubectl([...coreDns, 'patch', 'configmap', 'coredns', '--type=merge', '-p', patch]);
}

/** What the mesh keeps in a Corefile. */
const block = /# weft:begin[^]*?# weft:end[^\n]*\n/g;
const controllers = 'app.kubernetes.io/component=controller';
const apiAwayMs = 120_000;

function unfailing(results: readonly LoadResult[]): void {
  expect(results.flatMap(failuresOf)).toEqual([]);
  for (const { sent, answered } of results) expect(answered).toBe(sent);
}

/**
 * Who was away long enough is NotReady for a moment when it is back, and with it its pods: for the
 * whole cluster that is so after the API server was away.
 */
async function settled(): Promise<void> {
  await kubectl(['wait', 'nodes', '--all', '--for=condition=Ready', '--timeout=90s'], {
    timeoutMs: 100_000,
  });
  await proxies(120_000);
  await rolledOut('kube-system', 'deployment/coredns');
  await Promise.all([allRolledOut('shop'), allRolledOut('web')]);
}

/** How many failed, by name and second after the API server came back. */
function afterwards({ failures, sent }: LoadResult, backMs: number): string {
  const counts = new Map<string, number>();
  for (const { startedMs, url } of failures) {
    const key = `${url} +${Math.floor((startedMs - backMs) / 1_000)} s`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return `${sent} sent; failed: ${JSON.stringify(Object.fromEntries(counts))}`;
}

/** Nodes but the last, which is the one that is broken. */
async function standing(): Promise<readonly string[]> {
  return (await nodeNames()).slice(0, -1);
}

/** Of one that has vanished nobody knows: `Unknown`. */
async function isNotReady(node: string): Promise<true | undefined> {
  const ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
  return (await kubectl(['get', 'node', node, '-o', ready])) === 'True' ? undefined : true;
}

async function lastNode(): Promise<string> {
  return (await nodeNames()).at(-1) ?? '';
}

afterAll(async () => {
  // Whatever failed: the next file finds a cluster that works.
  await kit(['start']);
  await kubectl(['uncordon', await lastNode()]);
});

describe('faults', () => {
  test('both controllers are away: traffic, new connections and DNS go on', async () => {
    await kubectl(['-n', meshNamespace, 'scale', 'deployment/weft-controller', '--replicas=0']);
    const gone = ['wait', 'pods', '--for=delete', '--timeout=60s', '-l', controllers];
    await kubectl(['-n', meshNamespace, ...gone]);
    const loads = await Promise.all(
      (await callers()).map((from) => startLoad(from, { urls: [apiUrl], perSecond: 40 })),
    );
    await pause(8_000);
    unfailing(await Promise.all(loads.map((load) => load.stop())));
    await kubectl(['-n', meshNamespace, 'scale', 'deployment/weft-controller', '--replicas=2']);
    await rolledOut(meshNamespace, 'deployment/weft-controller');
  });

  test('CoreDNS is restarted: connections that are held go on, names are back', async () => {
    const plan = { urls: [apiUrl], perSecond: 20, holdsOne: true };
    const loads = await Promise.all((await callers()).map((from) => startLoad(from, plan)));
    await kubectl(['-n', 'kube-system', 'rollout', 'restart', 'deployment/coredns']);
    await rolledOut('kube-system', 'deployment/coredns');
    const results = await Promise.all(loads.map((load) => load.stop()));
    unfailing(results);
    for (const { keptConnections, sent } of results) {
      expect(sent).toBeGreaterThan(20);
      expect(keptConnections).toBe(1);
    }
    for (const from of await callers()) {
      const answers = await call(from, [{ url: apiUrl, times: 10 }]);
      expect(answers.map(outcome)).toEqual(Array.from({ length: 10 }, () => '200'));
    }
  });

  test('somebody overwrites the Corefile: the mesh is put back, the rest is theirs', async () => {
    const ours = await readCorefile();
    expect(ours).toContain('weft');
    const theirs = `# edited by hand\n${ours.replace(block, '')}`;
    expect(theirs).not.toContain('weft');
    await writeCorefile(theirs);
    const again = await until('the block is back', async () => {
      const now = await readCorefile();
      return now.includes('weft') ? now : undefined;
    });
    expect(again).toContain('# edited by hand');
    await writeCorefile(ours);
  });

  test('the API server is away for two minutes: no request fails', async () => {
    // Plain names, too: what Kubernetes itself does to them when nodes are NotReady for a moment
    // afterwards is not ours.
    const urls = [apiUrl, 'http://api.shop/'];
    const seconds = apiAwayMs / 1_000 + 40;
    const loads = await Promise.all(
      (await callers()).map((from) => startPodLoad(from, { urls, perSecond: 60, seconds })),
    );
    await kit(['stop', 'kube-apiserver']);
    await pause(apiAwayMs);
    const backMs = Date.now();
    await kit(['start']);
    await until('the API server is back', async () => {
      const { status } = await tryKubectl(['get', '--raw', '/readyz']);
      return status === 0 ? true : undefined;
    });
    const results = await Promise.all(loads.map((load) => load.result()));
    console.log(results.map((result) => afterwards(result, backMs)).join('\n'));
    for (const { failures, sent } of results) {
      expect(sent).toBeGreaterThan(seconds * 50);
      expect(failures.filter(({ startedMs }) => startedMs < backMs)).toEqual([]);
    }
  }, 420_000);

  test('changes are taken up once it is back', async () => {
    await settled();
    await kubectl(['annotate', 'namespace', 'shop', 'weft.dev/traffic=stop']);
    const [from] = await callers();
    if (from === undefined) throw new Error('the cluster has no node');
    await until('the change is in force', async () =>
      outcome(await get(from, apiUrl)) === '503 Stopped' ? true : undefined,
    );
    await kubectl(['annotate', 'namespace', 'shop', 'weft.dev/traffic-']);
    await until('and taken back', async () =>
      outcome(await get(from, apiUrl)) === '200' ? true : undefined,
    );
  });

  test('a node is drained: callers on other nodes notice nothing', async () => {
    const node = await lastNode();
    // Both replicas of CoreDNS may be there, and here no budget keeps one of them alive: that all
    // names are away for seconds would be the cluster's own doing.
    await kubectl(['cordon', node]);
    await kubectl([...coreDns, 'rollout', 'restart', 'deployment/coredns']);
    await rolledOut('kube-system', 'deployment/coredns');
    const from = (await standing()).map(callerOn);
    const loads = await Promise.all(
      from.map((one) => startLoad(one, { urls: [apiUrl], perSecond: 40 })),
    );
    const flags = ['--ignore-daemonsets', '--delete-emptydir-data', '--timeout=90s', '--force'];
    await kubectl(['drain', node, ...flags], { timeoutMs: 100_000 });
    await pause(3_000);
    const results = await Promise.all(loads.map((load) => load.stop()));
    await kubectl(['uncordon', node]);
    unfailing(results);
    await Promise.all([allRolledOut('shop'), allRolledOut('web')]);
  });

  test('a node vanishes: callers on other nodes get answers, and it comes back', async () => {
    const node = await lastNode();
    const from = (await standing()).map(callerOn);
    const loads = await Promise.all(
      from.map((one) => startLoad(one, { urls: [apiUrl], perSecond: 30 })),
    );
    await kit(['stop', node]);
    const vanishedMs = Date.now();
    // Until then its pods count as ready; the moment at which they do not is looked past, too.
    await until('Kubernetes has noticed', () => isNotReady(node), 120_000);
    const noticed = `NotReady after ${Math.round((Date.now() - vanishedMs) / 1_000)} s`;
    await pause(12_000);
    const results = await Promise.all(loads.map((load) => load.stop()));
    // What was in flight to its pods, and what had been sent to them before they were ejected:
    // a POST without an Idempotency-Key is not sent twice.
    const late = results.flatMap(({ failures }) =>
      failures.filter(({ startedMs }) => startedMs > vanishedMs + 15_000),
    );
    const counts = results.map(({ sent, failed }) => `${failed} of ${sent} failed`);
    console.log(`${noticed}; ${counts.join(', ')}`);
    expect(late).toEqual([]);
    await kit(['start']);
    await settled();
    await until(`${node} is served again`, async () =>
      outcome(await get(callerOn(node), apiUrl)) === '200' ? true : undefined,
    );
  });
});
