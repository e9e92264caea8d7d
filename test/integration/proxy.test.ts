// One proxy from flags to exit code, with workers in this process, against the embedded API server:
// its admin pages, its metrics, several addresses, its end, and what it says when it cannot run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openConnection, resourcePath, type Connection } from '../../src/kube/index.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer, type ApiServer } from '../../src/playground/index.ts';
import { until } from '../kube/support/until.ts';
import { launch, type LaunchedProxy } from '../support/launched-proxy.ts';

/** Nobody else's: several runs of the tests share a machine. */
const block = `127.56.${process.pid % 250}`;
/** Two, because a proxy may have several. */
const [first, second] = [`${block}.1`, `${block}.2`] as const;
const podAddress = `${block}.3`;
const ports = { admin: 15_020, dns: 15_053, http: 15_180 } as const;

let server: ApiServer;
let connection: Connection;
let directory: string;
let pod: http.Server;
const running: LaunchedProxy[] = [];
/** What the pod sees of active checks, and what it says to them. */
const checks = { seen: 0, pass: true };

beforeAll(async () => {
  server = await startApiServer({ runtime: realRuntime });
  directory = mkdtempSync(join(tmpdir(), 'weft-proxy-'));
  writeFileSync(join(directory, 'kubeconfig'), server.kubeconfig());
  const file = join(directory, 'kubeconfig');
  connection = await openConnection({ kind: 'kubeconfig', file, context: undefined }, realRuntime);
  for (const name of ['weft-system', 'shop']) {
    await create('', 'namespaces', { kind: 'Namespace', metadata: { name } });
  }
  await create('', 'services', serviceObject('weft-system', 'weft-http', ports.http));
  await create('', 'services', serviceObject('shop', 'web', 8_080));
  await createPod();
  await create('discovery.k8s.io', 'endpointslices', {
    kind: 'EndpointSlice',
    metadata: {
      namespace: 'shop',
      name: 'web-1',
      labels: {
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8_080, protocol: 'TCP' }],
    endpoints: [
      {
        addresses: [podAddress],
        conditions: { ready: true },
        nodeName: 'node-1',
        targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-1' },
      },
    ],
  });
  pod = http.createServer((request, response) => {
    request.resume();
    const isCheck = request.url === '/health';
    checks.seen += isCheck ? 1 : 0;
    response.statusCode = isCheck && !checks.pass ? 500 : 200;
    response.end('well');
  });
  await new Promise<void>((resolve) => pod.listen(8_080, podAddress, resolve));
}, 60_000);

afterEach(async () => {
  for (const proxy of running.splice(0)) {
    proxy.raise();
    await proxy.exitCode;
  }
});

afterAll(async () => {
  pod.closeAllConnections();
  pod.close();
  await connection.close();
  await server.close();
  rmSync(directory, { recursive: true });
});

/** Loopback addresses are never external ones: who has one has to be a pod. */
async function createPod(): Promise<void> {
  const metadata = { namespace: 'shop', name: 'web-1' };
  const containers = [{ name: 'app', image: 'none' }];
  await create('', 'pods', { kind: 'Pod', metadata, spec: { nodeName: 'node-1', containers } });
  const path = { group: '', version: 'v1', plural: 'pods', ...metadata, subresource: 'status' };
  const status = { phase: 'Running', podIP: podAddress, podIPs: [{ ip: podAddress }] };
  await connection.patch(resourcePath(path), { kind: 'merge', body: { status } });
}

function serviceObject(namespace: string, name: string, targetPort: number) {
  return {
    kind: 'Service',
    metadata: { namespace, name, labels: { 'weft.dev/component': 'mesh-service' } },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort }] },
  };
}

type Created = {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
};

async function create(group: string, plural: string, object: Created): Promise<void> {
  const { namespace } = object.metadata;
  const place = namespace === undefined ? {} : { namespace };
  const apiVersion = group === '' ? 'v1' : `${group}/v1`;
  const path = resourcePath({ group, version: 'v1', plural, ...place });
  await connection.create(path, { apiVersion, ...object });
}

/** Of Service `web`; null takes one away. */
async function annotate(annotations: Readonly<Record<string, string | null>>): Promise<void> {
  const place = { group: '', version: 'v1', plural: 'services', namespace: 'shop', name: 'web' };
  await connection.patch(resourcePath(place), {
    kind: 'merge',
    body: { metadata: { annotations } },
  });
}

function start(flags: Readonly<Record<string, readonly string[]>> = {}): LaunchedProxy {
  const proxy = launch({
    kubeconfig: [join(directory, 'kubeconfig')],
    'node-name': ['node-1'],
    'bind-address': [first],
    'drain-delay': ['0s'],
    'drain-timeout': ['2s'],
    'access-log': ['all'],
    ...flags,
  });
  running.push(proxy);
  return proxy;
}

type Page = { readonly status: number; readonly body: string };

function ask(options: http.RequestOptions): Promise<Page> {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', reject).end();
  });
}

function page(path: string, method = 'GET', host: string = first): Promise<Page> {
  return ask({ host, port: ports.admin, path, method });
}

async function items(path: string): Promise<readonly Record<string, unknown>[]> {
  // A page of our own.
  return (JSON.parse((await page(path)).body) as { items: Record<string, unknown>[] }).items;
}

function call(host: string = first): Promise<Page> {
  return ask({ host, port: ports.http, headers: { host: 'web.shop.mesh' } });
}

async function ready(host: string = first): Promise<void> {
  await until('the proxy is ready', async () => {
    const answer = await page('/readyz', 'GET', host).catch(() => undefined);
    return answer?.status === 200;
  });
}

function isRefused(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.on('connect', () => resolve(false)).on('connect', () => socket.destroy());
    socket.on('error', () => resolve(true));
  });
}

/** Value of the one sample that matches. */
async function metric(pattern: RegExp): Promise<number> {
  const { body } = await page('/metrics');
  const line = body.split('\n').find((one) => pattern.test(one));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

describe('a running proxy', () => {
  test('when it is ready its listeners are open and it routes', async () => {
    start();
    await ready();
    expect(await call()).toEqual({ status: 200, body: 'well' });
  });

  test('checks the pods of its node as long as their Service asks for it', async () => {
    start();
    await ready();
    const checkedOut = (): Promise<number> =>
      metric(/^weft_endpoints_checked_out\{.*destination_service="web"/);
    await annotate({ 'weft.dev/health-check': '/health@1s' });
    await until('it is checked', () => checks.seen > 0);
    expect(await checkedOut()).toBe(0);
    checks.pass = false;
    await until('it is known to fail', async () => (await checkedOut()) === 1);
    // The only one: all serve.
    expect(await call()).toEqual({ status: 200, body: 'well' });
    checks.pass = true;
    await until('it is known to be well', async () => (await checkedOut()) === 0);
    await annotate({ 'weft.dev/health-check': null });
    await until('nothing is said of it', async () => Number.isNaN(await checkedOut()));
  });

  test('serves traffic, names and pages on each of its addresses', async () => {
    start({ 'bind-address': [first, second] });
    await ready(second);
    for (const host of [first, second]) {
      expect((await call(host)).status).toBe(200);
      expect((await page('/livez', 'GET', host)).status).toBe(200);
      expect(await isRefused(host, ports.dns)).toBe(false);
    }
  });

  test('its pages tell version, configuration, problems, workers and watches', async () => {
    start();
    await ready();
    const facts = JSON.parse((await page('/version')).body) as Record<string, unknown>;
    expect(facts['build']).toBe('9.9.9-test');
    expect(facts['version']).toMatch(/^\w+$/);
    expect(facts['recent']).toEqual([facts['policyVersion']]);
    expect((await page('/debug/version')).body).toBe((await page('/version')).body);
    const { body } = await page('/debug/config');
    expect(JSON.parse(body)).toMatchObject({
      version: facts['version'],
      sections: { 'service/shop/web': { kind: 'service' } },
      node: { nodeName: 'node-1' },
    });
    expect(body).not.toContain(server.adminToken);
    expect(await items('/debug/problems')).toEqual([]);
    const workers = await items('/debug/workers');
    expect(workers).toHaveLength(1);
    expect(workers[0]).toMatchObject({
      index: 0,
      isRunning: true,
      isSettled: true,
      restarts: 0,
      version: facts['version'],
      openPorts: [ports.http],
      dataplane: { isDraining: false },
    });
    const kinds = (await items('/debug/watch')).map(({ kind }) => kind);
    expect(kinds).toContain('EndpointSlice');
    expect(await page('/debug/nothing')).toMatchObject({ status: 404 });
    // Only with --test-hooks.
    expect((await page('/debug/workers/0/kill', 'POST')).status).toBe(404);
  });

  test('its metrics tell what is in force, and each publication once', async () => {
    start();
    await ready();
    const { version } = JSON.parse((await page('/version')).body) as { version: string };
    const { body } = await page('/metrics');
    expect(body).toContain(`weft_config_version_info{version="${version}"} 1`);
    expect(body).toContain('weft_watch_relists_total{kind="Pod"} 0');
    expect(body).toContain('weft_worker_restarts_total 0');
    expect(body).toContain('weft_worker_direct_sockets{worker="0"} 0');
    expect(body).toContain('weft_bugs_total 0');
    const count = () => metric(/^weft_config_applied_seconds_count /);
    expect(await count()).toBe(1);
    for (const name of ['one', 'two', 'three']) {
      await create('', 'services', serviceObject('shop', name, 8_080));
      await until('it is in force', async () => {
        const { body: config } = await page('/debug/config');
        return config.includes(`service/shop/${name}`);
      });
    }
    // A page of metrics is kept for a second.
    await until('three more were counted', async () => (await count()) >= 4);
    expect(await count()).toBe(4);
    expect(await metric(/^weft_config_applied_seconds_sum /)).toBeLessThan(30);
  });

  test('lines of the access log go to stdout, each whole', async () => {
    const proxy = start();
    await ready();
    await Promise.all(Array.from({ length: 20 }, () => call()));
    await until('all lines are there', () => proxy.stdout().split('\n').length === 21);
    for (const line of proxy.stdout().trim().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({ destination_service: 'web', status: 200 });
    }
  });

  test('a worker that throws is replaced and counted, as a fault too', async () => {
    const proxy = start({ 'test-hooks': ['true'] });
    await ready();
    expect(await page('/debug/workers/0/kill', 'POST')).toMatchObject({ status: 200 });
    await until('it was counted', async () => (await metric(/^weft_worker_restarts_total/)) === 1);
    await ready();
    expect((await call()).status).toBe(200);
    expect(await metric(/^weft_bugs_total/)).toBe(1);
    expect(proxy.stderr()).toContain('worker 0 died');
    expect(proxy.stderr()).toContain('test hook');
  });
});

describe('the end of a proxy', () => {
  test('a drain that was asked for ends it like a signal, with nothing left open', async () => {
    const proxy = start();
    await ready();
    expect((await page('/debug/drain')).body).toContain('false');
    expect((await page('/debug/drain', 'POST')).body).toContain('true');
    expect(await proxy.exitCode).toBe(0);
    for (const port of Object.values(ports)) expect(await isRefused(first, port)).toBe(true);
  });

  test('while it drains it serves, stays ready and says so', async () => {
    const proxy = start({ 'drain-delay': ['1s'] });
    await ready();
    proxy.raise();
    await until('it drains', async () => (await page('/debug/drain')).body.includes('true'));
    expect((await call()).status).toBe(200);
    expect((await page('/readyz')).status).toBe(200);
    expect(await proxy.exitCode).toBe(0);
  });
});

describe('a proxy that cannot run', () => {
  test.each([
    ['without a node', { 'node-name': [] }, /^weft proxy: .*--node-name/],
    ['without its kubeconfig', { kubeconfig: ['/nowhere/config'] }, /nowhere/],
    ['with a context that is not there', { context: ['prod'] }, /prod/],
    ['with an access log of no kind', { 'access-log': ['some'] }, /--access-log/],
  ])('%s ends with 2 and one line', async (_, flags, expected) => {
    const proxy = start(flags);
    expect(await proxy.exitCode).toBe(2);
    expect(proxy.stderr()).toMatch(/^weft proxy: [^\n]+\n$/);
    expect(proxy.stderr()).toMatch(expected);
  });

  test('with a kubeconfig that is no YAML it is one line, too', async () => {
    const file = join(directory, 'broken');
    writeFileSync(file, 'clusters:\n  - [\n  name: "x\n');
    const proxy = start({ kubeconfig: [file] });
    expect(await proxy.exitCode).toBe(2);
    expect(proxy.stderr()).toMatch(/^weft proxy: [^\n]*broken[^\n]*\n$/);
  });

  test('because its admin port is taken leaves nothing open', async () => {
    const other = http.createServer();
    await new Promise<void>((resolve) => other.listen(ports.admin, second, resolve));
    const proxy = start({ 'bind-address': [first, second] });
    expect(await proxy.exitCode).toBe(2);
    other.close();
    expect(proxy.stderr().trim().split('\n').at(-1)).toMatch(/^weft proxy: listen on .* 15020/);
    for (const port of [ports.admin, ports.dns]) expect(await isRefused(first, port)).toBe(true);
  });
});

test('asked for more than it has or does, it warns', async () => {
  const proxy = start({ workers: ['4'], 'trace-sample': ['0.1'] });
  await ready();
  expect(proxy.stderr()).toMatch(/fewer workers than asked for/);
  expect(proxy.stderr()).toMatch(/--trace-sample.*not built yet/);
});
