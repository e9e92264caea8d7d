// The demo while somebody edits objects, as a person with kubectl would: a split, a TrafficTarget,
// a Service. Each edit has to show in what the pods answer. The edits go to the API server that the
// demo prints, the calls to the proxy from a pod's address, as the printed curl line says.
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolve } from 'node:path';
import { openConnection, resourcePath, type Connection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { runDemo } from '../../src/playground/index.ts';

const root = resolve(import.meta.dirname, '../..');
const stop = new AbortController();

let ended: Promise<number>;
let connection: Connection;
let caller: Agent;
let proxy: string;
let meshPort: string;

type Answer = { readonly status: number; readonly version: string };

beforeAll(async () => {
  let said = '';
  const ready = new Promise<void>((done) => {
    ended = runDemo({
      runtime: realRuntime,
      argv: [],
      root,
      program: [process.execPath, resolve(root, 'dist/weft.js')],
      environment: process.env,
      screen: {
        write: (text) => {
          said += text;
          if (said.includes('Ctrl-C ends it')) done();
        },
        isTerminal: false,
      },
      signal: stop.signal,
    });
    void ended.then(() => done());
  });
  await ready;
  const kubeconfig = /KUBECONFIG=(\S+)/.exec(said)?.[1] ?? '';
  const curl = /curl --interface (\S+) .* http:\/\/([\d.]+):(\d+)\//.exec(said);
  if (curl === null) throw new Error(said);
  caller = new Agent({ localAddress: curl[1] ?? '' });
  proxy = curl[2] ?? '';
  meshPort = curl[3] ?? '';
  const source = { kind: 'kubeconfig', file: kubeconfig, context: undefined } as const;
  connection = await openConnection(source, realRuntime);
}, 60_000);

afterAll(async () => {
  stop.abort();
  await caller.close();
  await connection.close();
  expect(await ended).toBe(0);
});

async function call(
  host: string,
  method: 'GET' | 'POST',
  path: string,
  port = meshPort,
): Promise<Answer> {
  const url = `http://${proxy}:${port}${path}`;
  const answer = await request(url, { method, headers: { host }, dispatcher: caller });
  const text = await answer.body.text();
  const version = /"version":"(\w*)"/.exec(text)?.[1] ?? '';
  return { status: answer.statusCode, version };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await holds())) if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
}

/** Twenty answers in a row are from this version. */
async function areAllFrom(version: string): Promise<boolean> {
  for (let calls = 0; calls < 20; calls += 1) {
    const answer = await call('reviews.shop.mesh', 'GET', '/');
    if (answer.status !== 200) throw new Error(`an edit failed a request: ${answer.status}`);
    if (answer.version !== version) return false;
  }
  return true;
}

const split = resourcePath({
  group: 'split.smi-spec.io',
  version: 'v1alpha4',
  plural: 'trafficsplits',
  namespace: 'shop',
  name: 'reviews',
});

function weights(v1: number, v2: number): unknown {
  const backends = [
    { service: 'reviews-v1', weight: v1 },
    { service: 'reviews-v2', weight: v2 },
  ];
  return { spec: { backends } };
}

test('new weights of a split move the traffic, and fail no request', async () => {
  await connection.patch(split, { kind: 'merge', body: weights(0, 100) });
  await until('all from v2', () => areAllFrom('v2'));
  await connection.patch(split, { kind: 'merge', body: weights(100, 0) });
  await until('all from v1', () => areAllFrom('v1'));
});

test('a TrafficTarget that goes denies its source, and lets it in when it is back', async () => {
  const targets = {
    group: 'access.smi-spec.io',
    version: 'v1alpha3',
    plural: 'traffictargets',
    namespace: 'checkout',
  };
  const path = resourcePath({ ...targets, name: 'cart-from-front' });
  const target = (await connection.get(path)) as { spec: unknown };
  const isStatus = async (status: number): Promise<boolean> =>
    (await call('cart.checkout.mesh', 'POST', '/items')).status === status;
  expect(await isStatus(200)).toBe(true);
  await connection.remove(path);
  await until('denied', () => isStatus(403));
  await connection.create(resourcePath(targets), {
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name: 'cart-from-front' },
    spec: target.spec,
  });
  await until('let in', () => isStatus(200));
});

test("a Service's selector and ports show at once", async () => {
  const service = (name: string): string =>
    resourcePath({ group: '', version: 'v1', plural: 'services', namespace: 'shop', name });
  const selector = { app: 'reviews', version: 'v2' };
  await connection.patch(service('reviews-v1'), { kind: 'merge', body: { spec: { selector } } });
  await until('v1 is served by v2', () => areAllFrom('v2'));
  const ports = [
    { name: 'http', port: 80, targetPort: 'http' },
    { name: 'more', port: 8081, targetPort: 'http' },
  ];
  await connection.patch(service('front'), { kind: 'merge', body: { spec: { ports } } });
  const meshService = resourcePath({
    group: '',
    version: 'v1',
    plural: 'services',
    namespace: 'weft-system',
    name: 'weft-http',
  });
  await until('front is served on its new port', async () => {
    const found = (await connection.get(meshService)) as {
      spec: { ports: { port: number; targetPort: number }[] };
    };
    const added = found.spec.ports.find((port) => port.port === 8081);
    if (added === undefined) return false;
    const answer = await call('front.shop.mesh', 'GET', '/', String(added.targetPort)).catch(
      () => undefined,
    );
    return answer?.status === 200;
  });
});
