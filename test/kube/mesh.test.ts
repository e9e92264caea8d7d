// The main job on real input: a real kube-apiserver holds the objects, `weft controller` and three
// `weft proxy` watch it, and requests to mesh names are routed, split and authorised as they say.
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLoad } from './support/load.ts';
import {
  endpointSlice,
  proxyAddress,
  startMeshCluster,
  type MeshCluster,
  type SimulatedPod,
} from './support/mesh-cluster.ts';
import { until } from './support/until.ts';

const split = { group: 'split.smi-spec.io', version: 'v1alpha4', plural: 'trafficsplits' };
const target = { group: 'access.smi-spec.io', version: 'v1alpha3', plural: 'traffictargets' };
const group = { group: 'specs.smi-spec.io', version: 'v1alpha4', plural: 'httproutegroups' };
const nodes = [1, 2, 3];

let mesh: MeshCluster;
let front: SimulatedPod[];
let prying: SimulatedPod;
let blue: SimulatedPod[];
let green: SimulatedPod[];

function trafficSplit(blueWeight: number, greenWeight: number) {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace: 'shop', name: 'reviews' },
    spec: {
      service: 'reviews',
      backends: [
        { service: 'reviews-blue', weight: blueWeight },
        { service: 'reviews-green', weight: greenWeight },
      ],
    },
  };
}

const splitPath = { ...split, namespace: 'shop', name: 'reviews' };

beforeAll(async () => {
  mesh = await startMeshCluster({ nodes: 3 });
  const path = { group: '', version: 'v1', plural: 'namespaces' };
  await mesh.create(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  await mesh.create(path, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'vault', annotations: { 'weft.dev/policy': 'enforce' } },
  });
  const pod = (name: string, node: number, serviceAccount: string, namespace = 'shop') =>
    mesh.startPod({ namespace, name, node, serviceAccount });
  front = await Promise.all(nodes.map((node) => pod(`front-${node}`, node, 'front')));
  prying = await pod('prying', 2, 'prying');
  blue = await Promise.all(nodes.map((node) => pod(`blue-${node}`, node, 'reviews')));
  green = await Promise.all(nodes.map((node) => pod(`green-${node}`, node, 'reviews')));
  await mesh.serve('shop', 'reviews', blue);
  await mesh.serve('shop', 'reviews-blue', blue);
  await mesh.serve('shop', 'reviews-green', green);
  const secrets = await pod('secrets', 3, 'secrets', 'vault');
  await mesh.serve('vault', 'secrets', [secrets]);
  let last: unknown;
  const isRouting = async (): Promise<boolean> => {
    const answers = await Promise.all(
      front.flatMap((from) =>
        ['reviews.shop.mesh', 'secrets.vault.mesh'].map((host) =>
          mesh.call({ from, host }).catch((error: unknown) => String(error)),
        ),
      ),
    );
    last = answers;
    return answers.every(
      (answer) => typeof answer === 'object' && (answer.status === 200 || answer.status === 403),
    );
  };
  await until('every node routes', isRouting).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}\n${mesh.logs()}`);
  });
}, 90_000);

afterAll(async () => {
  await mesh.stop();
});

function caller(index: number): SimulatedPod {
  const pod = front[index % front.length];
  if (pod === undefined) throw new Error('there is no front pod');
  return pod;
}

/** Requests in a row that say the same on a node count as "in force" there. */
async function bodiesOf(node: number, count: number): Promise<Set<string>> {
  const bodies = new Set<string>();
  for (let one = 0; one < count; one += 1) {
    const answer = await mesh.call({ from: caller(node - 1), host: 'reviews.shop.mesh' });
    bodies.add(answer.body.split('-')[0] ?? '');
  }
  return bodies;
}

describe('the mesh on a real API server', () => {
  test('a request to a mesh name reaches a pod of the service, from every node', async () => {
    for (const from of front) {
      const answer = await mesh.call({ from, host: 'reviews.shop.mesh' });
      expect(answer).toMatchObject({ status: 200 });
      expect(answer.body).toMatch(/^blue-/);
    }
  });

  test('an unknown name is 404 with a reason', async () => {
    const answer = await mesh.call({ from: caller(0), host: 'nobody.shop.mesh' });
    expect(answer).toMatchObject({ status: 404, reason: 'UnknownService' });
  });

  test('a TrafficSplit shares the requests exactly as its weights say', async () => {
    await mesh.apply(splitPath, trafficSplit(9, 1));
    await until('the split is in force', async () => (await bodiesOf(1, 20)).size === 2);
    for (const pod of [...blue, ...green]) pod.received.length = 0;
    const calls = Array.from({ length: 200 }, () =>
      mesh.call({ from: caller(0), host: 'reviews.shop.mesh' }),
    );
    const answers = await Promise.all(calls);
    const share = answers.filter((answer) => answer.body.startsWith('green')).length;
    expect(share).toBe(20);
    expect(green.reduce((sum, pod) => sum + pod.received.length, 0)).toBe(20);
    await mesh.remove(splitPath);
    await until('it is gone', async () => (await bodiesOf(1, 20)).size === 1);
  });

  test('under enforce a call needs a TrafficTarget, and only what it names is open', async () => {
    const denied = await mesh.call({ from: caller(0), host: 'secrets.vault.mesh' });
    expect(denied).toMatchObject({ status: 403, reason: 'SourceNotAllowed' });
    await mesh.apply(
      { ...group, namespace: 'vault', name: 'reads' },
      {
        apiVersion: 'specs.smi-spec.io/v1alpha4',
        kind: 'HTTPRouteGroup',
        metadata: { namespace: 'vault', name: 'reads' },
        spec: { matches: [{ name: 'public', pathRegex: '/public/.*', methods: ['GET'] }] },
      },
    );
    await mesh.apply(
      { ...target, namespace: 'vault', name: 'front-reads' },
      {
        apiVersion: 'access.smi-spec.io/v1alpha3',
        kind: 'TrafficTarget',
        metadata: { namespace: 'vault', name: 'front-reads' },
        spec: {
          destination: { kind: 'ServiceAccount', name: 'secrets', namespace: 'vault' },
          sources: [{ kind: 'ServiceAccount', name: 'front', namespace: 'shop' }],
          rules: [{ kind: 'HTTPRouteGroup', name: 'reads', matches: ['public'] }],
        },
      },
    );
    const host = 'secrets.vault.mesh';
    const path = '/public/key';
    await until('every node allows it', async () => {
      const answers = await Promise.all(front.map((from) => mesh.call({ from, host, path })));
      return answers.every((answer) => answer.status === 200);
    });
    const other = await mesh.call({ from: caller(0), host, path: '/private/key' });
    expect(other).toMatchObject({ status: 403, reason: 'RouteNotAllowed' });
    const stranger = await mesh.call({ from: prying, host, path });
    expect(stranger).toMatchObject({ status: 403, reason: 'SourceNotAllowed' });
    const elsewhere = await mesh.call({ from: caller(0), host, path, node: 2 });
    expect(elsewhere).toMatchObject({ status: 403, reason: 'SourceUnknown' });
  });

  test('an object whose spec makes no sense changes nothing else and is a problem', async () => {
    const path = { ...split, namespace: 'shop', name: 'broken' };
    await mesh.apply(path, {
      ...trafficSplit(1, 1),
      metadata: { namespace: 'shop', name: 'broken' },
      spec: { service: 'nobody', backends: [{ service: 'constructor', weight: 1 }] },
    });
    await until('the problem is told', async () => {
      const answer = await mesh.admin(1, '/debug/problems');
      return answer.body.includes('broken');
    });
    expect(await bodiesOf(1, 5)).toEqual(new Set(['blue']));
    await mesh.remove(path);
  });
});

describe('changes under load', () => {
  test('200 changes of a split, of endpoints and of policy fail no request', async () => {
    await mesh.apply(splitPath, trafficSplit(1, 0));
    const load = startLoad(mesh, front);
    let expected = 'blue';
    for (let change = 0; change < 200; change += 1) {
      const wanted = change % 2 === 0 ? 'green' : 'blue';
      await mesh.apply(splitPath, wanted === 'blue' ? trafficSplit(1, 0) : trafficSplit(0, 1));
      if (change % 10 === 0) await moveEndpoints(change);
      await Promise.all(
        nodes.map((node) =>
          until(
            `node ${node} says ${wanted}`,
            async () => (await bodiesOf(node, 1)).has(wanted),
            5_000,
          ),
        ),
      );
      expected = wanted;
    }
    const result = await load.stop();
    console.log(
      'changes under load:',
      JSON.stringify({ ...result, failures: result.failures.slice(0, 3) }),
    );
    expect(result.failures).toEqual([]);
    expect(result.posts).toBeGreaterThan(100);
    expect(await bodiesOf(1, 3)).toEqual(new Set([expected]));
  }, 120_000);

  test('while the API server is away traffic goes on, and the proxies catch up', async () => {
    const seconds = Number(process.env['WEFT_OUTAGE_SECONDS'] ?? 10);
    const load = startLoad(mesh, front);
    await mesh.plane.kill();
    await until('the outage has lasted', () => load.elapsedMs() > seconds * 1_000, 120_000);
    await mesh.plane.start();
    await mesh.apply(splitPath, trafficSplit(1, 0));
    await Promise.all(
      nodes.map((node) =>
        until(`node ${node} has caught up`, async () => (await bodiesOf(node, 1)).has('blue')),
      ),
    );
    const result = await load.stop();
    console.log(
      'API server away:',
      JSON.stringify({ seconds, ...result, failures: result.failures.slice(0, 3) }),
    );
    expect(result.failures).toEqual([]);
  }, 180_000);

  test('while the controller is away traffic goes on and changes are still enforced', async () => {
    const load = startLoad(mesh, front);
    await mesh.controller.kill();
    await mesh.apply(splitPath, trafficSplit(0, 1));
    await Promise.all(
      nodes.map((node) =>
        until(`node ${node} says green`, async () => (await bodiesOf(node, 1)).has('green')),
      ),
    );
    mesh.controller.start();
    const result = await load.stop();
    expect(result.failures).toEqual([]);
    await mesh.remove(splitPath);
  });

  test('a worker that throws takes only its own connections and is back', async () => {
    const restarts = async (): Promise<number> => {
      const answer = await mesh.admin(1, '/metrics');
      return Number(/weft_worker_restarts_total (\d+)/.exec(answer.body)?.[1] ?? 0);
    };
    const before = await restarts();
    await new Promise<void>((resolve, reject) => {
      const path = '/debug/workers/0/kill';
      const options = { host: proxyAddress(1), port: 15_020, path, method: 'POST' };
      http
        .request(options, (response) => response.resume().on('end', resolve))
        .on('error', reject)
        .end();
    });
    await until('the worker was replaced', async () => (await restarts()) > before);
    await until(
      'it serves again',
      async () => {
        const answer = await mesh
          .call({ from: caller(0), host: 'reviews.shop.mesh' })
          .catch(() => undefined);
        return answer?.status === 200;
      },
      2_000,
    );
    expect((await mesh.call({ from: caller(1), host: 'reviews.shop.mesh' })).status).toBe(200);
  });
});

/** Endpoints come and go while they are in use: the pods live on, as terminating ones do. */
async function moveEndpoints(change: number): Promise<void> {
  const slices = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' };
  const some = (pods: readonly SimulatedPod[]) =>
    pods.filter((_, index) => index !== (change / 10) % 3);
  for (const [name, pods] of [
    ['reviews-blue', some(blue)],
    ['reviews-green', some(green)],
  ] as const) {
    const path = { ...slices, namespace: 'shop', name: `${name}-1` };
    await mesh.apply(path, endpointSlice('shop', name, pods));
  }
}
