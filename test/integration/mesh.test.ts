// The whole mesh as people run it: production controller and two production proxies against the
// embedded API server, callers and pods on loopback addresses. What a user sees is asserted –
// answers, names, problems, exit codes – never the proxies' own counts of themselves. The same on
// a real API server is test/kube/mesh.test.ts.
import { Resolver } from 'node:dns/promises';
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PodServer } from '../../src/playground/cluster/pod-server.ts';
import { until } from '../kube/support/until.ts';
import {
  adminPort,
  dnsPort,
  exchange,
  PlaygroundMesh,
  runWeft,
  serviceObject,
  type Answer,
} from '../support/playground-mesh.ts';

const host = 'reviews.shop.mesh';
/** "At once" for a user: an apply is seen in traffic within this, on a busy machine too. */
const visibleMs = 5_000;

let mesh: PlaygroundMesh;
let front: readonly [PodServer, PodServer];
let prying: PodServer;
let blue: readonly PodServer[];
let green: readonly PodServer[];

beforeAll(async () => {
  mesh = await PlaygroundMesh.start();
  await mesh.create(namespace('shop'));
  await mesh.create(namespace('vault', { 'weft.dev/policy': 'enforce' }));
  const pod = (name: string, node: number, account: string, app = account) =>
    mesh.startPod({ name, node, account, app });
  front = [await pod('front-1', 1, 'front'), await pod('front-2', 2, 'front')];
  prying = await pod('prying', 2, 'prying');
  blue = [await pod('blue-1', 1, 'reviews', 'blue'), await pod('blue-2', 2, 'reviews', 'blue')];
  green = [await pod('green-1', 1, 'reviews', 'green')];
  await mesh.startPod({ name: 'secrets', node: 2, account: 'secrets', namespace: 'vault' });
  await mesh.serve('shop', 'reviews', 'blue');
  await mesh.serve('shop', 'reviews-blue', 'blue');
  await mesh.serve('shop', 'reviews-green', 'green');
  await mesh.serve('vault', 'secrets', 'secrets');
  await mesh.startProxies();
  await until('both nodes route', async () => {
    const answers = await Promise.all(front.map((from) => asked(from)));
    return answers.every((answer) => answer?.status === 200);
  });
}, 60_000);

afterAll(() => mesh.stop());

function namespace(name: string, annotations: Readonly<Record<string, string>> = {}) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, annotations } };
}

function trafficSplit(blueWeight: number, greenWeight: number, name = 'reviews') {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace: 'shop', name },
    spec: {
      service: 'reviews',
      backends: [
        { service: 'reviews-blue', weight: blueWeight },
        { service: 'reviews-green', weight: greenWeight },
      ],
    },
  };
}

const reads = {
  apiVersion: 'specs.smi-spec.io/v1alpha4',
  kind: 'HTTPRouteGroup',
  metadata: { namespace: 'vault', name: 'reads' },
  spec: { matches: [{ name: 'public', pathRegex: '/public/.*', methods: ['GET'] }] },
};
const frontReads = {
  apiVersion: 'access.smi-spec.io/v1alpha3',
  kind: 'TrafficTarget',
  metadata: { namespace: 'vault', name: 'front-reads' },
  spec: {
    destination: { kind: 'ServiceAccount', name: 'secrets', namespace: 'vault' },
    sources: [{ kind: 'ServiceAccount', name: 'front', namespace: 'shop' }],
    rules: [{ kind: 'HTTPRouteGroup', name: 'reads', matches: ['public'] }],
  },
};

/** One request; `undefined` when the connection fails. */
function asked(from: PodServer, to = host): Promise<Answer | undefined> {
  return mesh.call({ from, host: to }).catch(() => undefined);
}

/** The colours of the pods that answer some requests in a row. */
async function coloursOf(from: PodServer, count: number): Promise<ReadonlySet<string>> {
  const colours = new Set<string>();
  for (let one = 0; one < count; one += 1) {
    const answer = await mesh.call({ from, host });
    colours.add(/^shop\/(blue|green)-/.exec(answer.pod ?? '')?.[1] ?? `status ${answer.status}`);
  }
  return colours;
}

function untilColours(what: string, ...colours: readonly string[]): Promise<void> {
  return until(what, async () => {
    const seen = await Promise.all(front.map((from) => coloursOf(from, 4)));
    return seen.every((one) => one.size === colours.length && colours.every((c) => one.has(c)));
  }, visibleMs);
}

function received(pods: readonly PodServer[]): number {
  return pods.reduce((sum, pod) => sum + pod.received, 0);
}

/** `reason kind namespace/name: message` of all problems that a node knows. */
async function problemsOf(node: number): Promise<string> {
  type Told = Readonly<Record<'reason' | 'kind' | 'namespace' | 'name' | 'message', string>>;
  const answer = await mesh.admin(node, '/debug/problems');
  // A page of our own.
  const { items } = JSON.parse(answer.body) as { readonly items: readonly Told[] };
  return items
    .map((one) => `${one.reason} ${one.kind} ${one.namespace}/${one.name}: ${one.message}`)
    .join('\n');
}

function untilProblem(pattern: RegExp): Promise<void> {
  const isTold = async () => pattern.test(await problemsOf(1));
  return until(`a problem says ${pattern}`, isTold, visibleMs);
}

describe('routing', () => {
  test('a mesh name reaches a pod of its service, from every node', async () => {
    for (const from of front) {
      const answer = await mesh.call({ from, host });
      expect(answer).toMatchObject({ status: 200, reason: undefined });
      expect(answer.pod).toMatch(/^shop\/blue-/);
    }
  });

  test('an unknown name is 404 with a reason', async () => {
    const answer = await mesh.call({ from: front[0], host: 'nobody.shop.mesh' });
    expect(answer).toMatchObject({ status: 404, reason: 'UnknownService' });
  });

  test('a TrafficSplit shares requests exactly, from the moment it is seen', async () => {
    await mesh.apply(trafficSplit(1, 1));
    await untilColours('the split is in force', 'blue', 'green');
    await mesh.apply(trafficSplit(9, 1));
    const version = async () => (await mesh.admin(1, '/version')).body;
    const before = await version();
    await mesh.apply(trafficSplit(19, 1));
    const isNew = async () => (await version()) !== before;
    await until('the new weights are in force', isNew, visibleMs);
    await until('the worker has them', () => isInForce(1), visibleMs);
    const sums = [received(blue), received(green)];
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => mesh.call({ from: front[0], host })),
    );
    expect(answers.filter(({ pod }) => pod?.startsWith('shop/green') === true)).toHaveLength(10);
    expect([received(blue) - (sums[0] ?? 0), received(green) - (sums[1] ?? 0)]).toEqual([190, 10]);
    await mesh.apply(trafficSplit(0, 1));
    await untilColours('all goes to green', 'green');
    await mesh.remove(trafficSplit(0, 1));
    await untilColours('the split is gone', 'blue');
  });

  test('an annotation sends copies to another Service, which metrics count', async () => {
    const { metadata, ...rest } = serviceObject('shop', 'copied', 'blue');
    const annotated = (annotations: Readonly<Record<string, string>>) => ({
      ...rest,
      metadata: { ...metadata, annotations },
    });
    await mesh.apply(annotated({ 'weft.dev/mirror': 'reviews-green' }));
    const to = 'copied.shop.mesh';
    const path = '/copied';
    const isServed = async () => (await asked(front[0], to))?.pod?.startsWith('shop/blue') === true;
    await until('it is served', isServed, visibleMs);
    for (let n = 0; n < 10; n += 1) {
      expect((await mesh.call({ from: front[0], host: to, path })).pod).toMatch(/^shop\/blue-/);
    }
    const copies = () => green.reduce((sum, pod) => sum + pod.receivedAt(path), 0);
    await until('ten copies have come', () => Promise.resolve(copies() === 10), visibleMs);
    const counted =
      /weft_mirrored_requests_total\{[^}]*="reviews-green",outcome="answered"\} (\d+)/;
    await until('they are counted', async () => {
      const { body } = await mesh.admin(1, '/metrics');
      return Number(counted.exec(body)?.[1]) >= 10;
    }, visibleMs);
    await mesh.apply(annotated({ 'weft.dev/mirror': 'nobody' }));
    await untilProblem(/MirrorMissing Service shop\/copied: .*shop\/nobody/);
    await mesh.remove(annotated({}));
  });

  test('endpoints follow pods that come and go', async () => {
    const sea = await mesh.startPod({ name: 'blue-3', node: 2, account: 'reviews', app: 'blue' });
    await until('the new pod is called', async () => {
      await asked(front[0]);
      return sea.received > 0;
    }, visibleMs);
    await mesh.remove(podPath('blue-3'));
    await until('it is called no more', async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => asked(front[1])));
      return answers.every((one) => one?.status === 200 && one.pod !== 'shop/blue-3');
    }, visibleMs);
  });
});

function podPath(name: string) {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'shop', name } };
}

/** Whether the workers of a node have the version that it published. */
async function isInForce(node: number): Promise<boolean> {
  const { version } = JSON.parse((await mesh.admin(node, '/version')).body) as { version: string };
  return (await workersOf(node)).every((one) => one.version === version);
}

async function workersOf(node: number) {
  // A page of our own.
  const { items } = JSON.parse((await mesh.admin(node, '/debug/workers')).body) as {
    items: { version: string; restarts: number; dataplane?: { connections: number } }[];
  };
  return items.map(({ dataplane, ...worker }) => ({
    ...worker,
    connections: dataplane?.connections ?? 0,
  }));
}

describe('policy', () => {
  const secrets = 'secrets.vault.mesh';
  const path = '/public/key';
  const statuses = () =>
    Promise.all(
      front.map(async (from) => (await mesh.call({ from, host: secrets, path })).status),
    );

  test('enforced: only what a TrafficTarget names is allowed, and changes are seen', async () => {
    const denied = await mesh.call({ from: front[0], host: secrets, path });
    expect(denied).toMatchObject({ status: 403, reason: 'SourceNotAllowed' });
    await mesh.apply(reads);
    await mesh.apply(frontReads);
    const isAllowed = async () => (await statuses()).every((one) => one === 200);
    await until('every node allows it', isAllowed, visibleMs);
    const other = await mesh.call({ from: front[0], host: secrets, path: '/private/key' });
    expect(other).toMatchObject({ status: 403, reason: 'RouteNotAllowed' });
    const post = await mesh.call({ from: front[0], host: secrets, path, method: 'POST' });
    expect(post).toMatchObject({ status: 403, reason: 'RouteNotAllowed' });
    const stranger = await mesh.call({ from: prying, host: secrets, path });
    expect(stranger).toMatchObject({ status: 403, reason: 'SourceNotAllowed' });
    // The address is a pod's, but not of this node: nobody who can be known here.
    const elsewhere = await mesh.call({ from: front[0], host: secrets, path, node: 2 });
    expect(elsewhere).toMatchObject({ status: 403, reason: 'SourceUnknown' });
    await mesh.remove(frontReads);
    const isDenied = async () => (await statuses()).every((one) => one === 403);
    await until('every node denies it again', isDenied, visibleMs);
  });
});

describe('mesh DNS', () => {
  function resolver(): Resolver {
    const asking = new Resolver({ timeout: 2_000, tries: 2 });
    asking.setServers([`${mesh.addressOf(1)}:${dnsPort}`]);
    return asking;
  }

  test('a name has the address of the mesh Service, in any case', async () => {
    const { spec } = await mesh.meshService();
    expect(await resolver().resolve4(host)).toEqual([spec.clusterIP]);
    expect(await resolver().resolve4(`${host}.svc.cluster.local`)).toEqual([spec.clusterIP]);
    expect(await resolver().resolve4('Reviews.SHOP.Mesh', { ttl: true })).toEqual([
      { address: spec.clusterIP, ttl: 5 },
    ]);
  });

  test('an unknown name does not exist, and other zones are refused', async () => {
    await expect(resolver().resolve4('nobody.shop.mesh')).rejects.toThrow(/ENOTFOUND/);
    await expect(resolver().resolve6(host)).rejects.toThrow(/ENODATA/);
    await expect(resolver().resolve4('example.com')).rejects.toThrow(/EREFUSED/);
  });
});

describe('bad objects harm nobody', () => {
  test('an object that contradicts itself is a problem that names it', async () => {
    const broken = {
      ...trafficSplit(1, 1, 'broken'),
      spec: { service: 'nobody', backends: [{ service: 'constructor', weight: 1 }] },
    };
    await mesh.apply(broken);
    await untilProblem(/TrafficSplit shop\/broken: .*nobody/);
    expect(await coloursOf(front[0], 5)).toEqual(new Set(['blue']));
    await mesh.remove(broken);
    await until('the problem is gone', async () => !(await problemsOf(1)).includes('broken'));
  });

  test('so is one of a kind whose schema lets everything pass', async () => {
    // PlaygroundMesh defines TrafficSplit as laxly as other meshes do.
    const { metadata, ...rest } = trafficSplit(1, 1, 'malformed');
    const malformed = { ...rest, metadata, spec: { service: ['reviews'], backends: { a: 1 } } };
    await mesh.create(malformed);
    await untilProblem(/InvalidObject TrafficSplit shop\/malformed/);
    for (const from of front) expect(await coloursOf(from, 5)).toEqual(new Set(['blue']));
    await mesh.remove(malformed);
  });

  test('a Service named like a property of objects is served like any other', async () => {
    await mesh.serve('shop', 'constructor', 'green');
    await until('it is served', async () => {
      const answer = await asked(front[0], 'constructor.shop.mesh');
      return answer?.pod === 'shop/green-1';
    }, visibleMs);
    expect(await coloursOf(front[0], 5)).toEqual(new Set(['blue']));
    await mesh.remove(serviceObject('shop', 'constructor', 'green'));
  });

  test('annotations as large as the API server takes them are no trouble', async () => {
    const { metadata, ...rest } = serviceObject('shop', 'large', 'green');
    const annotated = (bytes: number) => ({
      ...rest,
      metadata: { ...metadata, annotations: { 'weft.dev/retry-attempts': 'x'.repeat(bytes) } },
    });
    await expect(mesh.create(annotated(1024 * 1024))).rejects.toThrow(/annotations/);
    await mesh.create(annotated(250 * 1024));
    await untilProblem(/Service shop\/large: .*retry-attempts/);
    expect((await problemsOf(1)).length).toBeLessThan(10_000);
    expect(await coloursOf(front[1], 5)).toEqual(new Set(['blue']));
    await mesh.remove(annotated(0));
  });

  test('an EndpointSlice with nonsense is a problem and opens no way', async () => {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace: 'shop',
        name: 'nonsense',
        labels: { 'kubernetes.io/service-name': 'reviews' },
      },
      addressType: 'FQDN',
      ports: [{ name: 'http', port: 1, protocol: 'TCP' }],
      endpoints: [{ addresses: ['evil.example.com'] }],
    };
    await mesh.create(slice);
    await untilProblem(/EndpointSlice shop\/nonsense: addressType/);
    expect(await coloursOf(front[0], 12)).toEqual(new Set(['blue']));
    await mesh.remove(slice);
  });
});

describe('faults', () => {
  test('a worker that throws takes only its own connections, and is back at once', async () => {
    const agents = Array.from({ length: 12 }, () => new http.Agent({ keepAlive: true }));
    const kept = (agent: http.Agent) =>
      mesh.call({ from: front[0], host, agent }).then(
        ({ status }) => status === 200,
        () => false,
      );
    const atOthers = async () =>
      (await workersOf(1)).slice(1).reduce((sum, { connections }) => sum + connections, 0);
    // Other nodes' tunnels are there already.
    const before = await atOthers();
    expect(await Promise.all(agents.map(kept))).not.toContain(false);
    const others = (await atOthers()) - before;
    expect((await mesh.admin(1, '/debug/workers/0/kill', 'POST')).body).toContain('true');
    expect((await mesh.call({ from: front[1], host })).status).toBe(200);
    const isReplaced = async () => (await workersOf(1))[0]?.restarts === 1;
    await until('the worker was replaced', isReplaced, visibleMs);
    const isBack = async () => (await asked(front[0]))?.status === 200;
    await until('the node serves again', isBack, visibleMs);
    // A kept connection that is cut makes Node open a new one only when it had noticed.
    const survivors = agents.filter((agent) => Object.keys(agent.freeSockets).length > 0);
    expect(survivors).toHaveLength(others);
    expect(await Promise.all(survivors.map(kept))).not.toContain(false);
    for (const agent of agents) agent.destroy();
    expect((await mesh.admin(1, '/readyz')).status).toBe(200);
    await until('the restart was counted', async () => {
      const { body } = await mesh.admin(1, '/metrics');
      return body.includes('weft_worker_restarts_total 1');
    }, visibleMs);
  });

  test('what a dead worker had in flight is not held against its pods', async () => {
    const to = 'reviews-green.shop.mesh';
    // By requests in flight alone: a pod that has been slow may be left alone for many seconds.
    await mesh.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        namespace: 'shop',
        name: 'reviews-green',
        annotations: { 'weft.dev/load-balancer': 'least-request' },
      },
    });
    const before = received(green);
    for (const pod of green) pod.fault = { delayMs: 3_000, failShare: 0 };
    const lost = Array.from({ length: 6 }, () => asked(front[0], to));
    await until('they are at the pod', () => received(green) === before + 6, visibleMs);
    for (const pod of green) pod.fault = { delayMs: 0, failShare: 0 };
    const restarts = (await workersOf(1)).map((one) => one.restarts);
    for (const index of restarts.keys()) {
      await mesh.admin(1, `/debug/workers/${index}/kill`, 'POST');
    }
    expect(await Promise.all(lost)).toEqual(lost.map(() => undefined));
    await mesh.startPod({ name: 'green-2', node: 1, account: 'reviews', app: 'green' });
    // With six phantoms in flight the old pod would always be the busier one.
    const pods = new Set<string>();
    await until('both pods are called', async () => {
      pods.add((await asked(front[0], to))?.pod ?? '');
      return pods.has('shop/green-1') && pods.has('shop/green-2');
    }, visibleMs);
    await mesh.remove(podPath('green-2'));
  });

  test('while the API server is away traffic goes on, and changes are caught up', async () => {
    mesh.server.faults.inject({ fault: { kind: 'status', code: 503 } });
    mesh.server.cutConnections();
    await expect(mesh.meshService()).rejects.toThrow();
    for (const from of front) expect(await coloursOf(from, 20)).toEqual(new Set(['blue']));
    expect((await mesh.admin(1, '/readyz')).status).toBe(200);
    mesh.server.faults.clear();
    await mesh.apply(trafficSplit(0, 1));
    await untilColours('it was caught up', 'green');
    await mesh.remove(trafficSplit(0, 1));
    await untilColours('the split is gone', 'blue');
  });

  test('without an API server a new proxy is alive, not ready, and says why', async () => {
    const lonely = mesh.addressOf(1).replace(/\.\d+$/, '.9');
    mesh.server.faults.inject({ fault: { kind: 'status', code: 503 } });
    const child = runWeft([
      'proxy', '--kubeconfig', mesh.kubeconfig, '--node-name', 'node-9', '--bind-address', lonely,
    ]);
    const page = (path: string) =>
      exchange({ host: lonely, port: adminPort, path, agent: false }).catch(() => undefined);
    await until('it is alive', async () => (await page('/livez'))?.status === 200);
    const ready = await page('/readyz');
    expect(ready?.status).toBe(503);
    expect(ready?.body).toContain('the first list of every kind from the API server');
    mesh.server.faults.clear();
    await until('it is ready', async () => (await page('/readyz'))?.status === 200);
    child.process.kill('SIGTERM');
    // Whoever asks twice does not want to wait.
    child.process.kill('SIGINT');
    child.process.kill('SIGTERM');
    expect([130, 143]).toContain(await child.ended);
  });

  test('a taken admin port and a missing cluster are one line and exit code 2', async () => {
    const flags = ['proxy', '--node-name', 'node-1', '--kubeconfig'];
    const taken = runWeft([...flags, mesh.kubeconfig, '--bind-address', mesh.addressOf(1)]);
    const missing = runWeft([...flags, '/nowhere/kubeconfig']);
    const unknown = runWeft(['proxy', '--node', 'x']);
    for (const [child, says] of [
      [taken, /15020/],
      [missing, /nowhere/],
      [unknown, /--node/],
    ] as const) {
      expect(await child.ended).toBe(2);
      const lines = child.stderr().trim().split('\n');
      expect(lines.at(-1)).toMatch(/^weft proxy: /);
      expect(lines.at(-1)).toMatch(says);
    }
  });

  test('SIGTERM: what is in flight ends well, answers say close, the exit code is 0', async () => {
    for (const pod of blue) pod.fault = { delayMs: 1_500, failShare: 0 };
    const agent = new http.Agent({ keepAlive: true });
    const before = received(blue);
    const slow = Promise.all(
      [undefined, agent].map((one) =>
        mesh.call({ from: front[0], host, method: 'POST', ...(one && { agent: one }) })),
    );
    await until('both requests are at a pod', () => received(blue) === before + 2);
    for (const pod of blue) pod.fault = { delayMs: 0, failShare: 0 };
    const child = mesh.childOf('proxy 1');
    child.process.kill('SIGTERM');
    await until('it drains', async () => {
      const { body } = await mesh.admin(1, '/debug/drain');
      return body.includes('true');
    });
    // kube-proxy may go on sending to it, and the kubelet must go on calling it ready.
    const late = await mesh.call({ from: front[0], host });
    expect(late).toMatchObject({ status: 200, headers: { connection: 'close' } });
    expect((await mesh.admin(1, '/readyz')).status).toBe(200);
    for (const answer of await slow) {
      expect(answer).toMatchObject({ status: 200, headers: { connection: 'close' } });
    }
    expect(await child.ended).toBe(0);
    agent.destroy();
    expect((await mesh.call({ from: front[1], host })).status).toBe(200);
    await mesh.startProxy(1);
    await mesh.ready(1);
    expect((await mesh.call({ from: front[0], host })).status).toBe(200);
  });
});
