// DNS through the whole mesh, as users write and ask it: controller and proxies with two workers as
// programs, objects by the API server, a resolver that is not ours (c-ares, in Node) and a server
// in a pod. From the Service to the last datagram, and when the worker that serves the port dies.
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resourcePath } from '../../src/kube/index.ts';
import type { PodServer } from '../../src/playground/cluster/pod-server.ts';
import { until } from '../kube/support/until.ts';
import { dnsPort, PlaygroundMesh, type MeshService } from '../support/playground-mesh.ts';

const podPort = 5_353;
/** What every name has as its address. */
const answered = '192.0.2.53';

let mesh: PlaygroundMesh;
let front: PodServer;
let stranger: PodServer;
const servers: Socket[] = [];
const queries = { dns: 0, far: 0 };

beforeAll(async () => {
  mesh = await PlaygroundMesh.start();
  await mesh.create({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', annotations: { 'weft.dev/policy': 'enforce' } },
  });
  front = await mesh.startPod({ name: 'front-1', node: 1, account: 'front' });
  stranger = await mesh.startPod({ name: 'stranger-1', node: 1, account: 'stranger' });
  const pods = [
    ['dns', await mesh.startPod({ name: 'dns-1', node: 1, account: 'dns' })],
    ['far', await mesh.startPod({ name: 'far-1', node: 2, account: 'dns', app: 'far' })],
  ] as const;
  for (const [name, pod] of pods) {
    servers.push(await dnsServer(pod.facts.address, () => (queries[name] += 1)));
    await mesh.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'shop', name },
      spec: {
        selector: { app: name },
        ports: [{ name: 'dns', port: 53, protocol: 'UDP', targetPort: podPort }],
      },
    });
  }
  await mesh.create({
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'UDPRoute',
    metadata: { namespace: 'shop', name: 'dns' },
    spec: { matches: { ports: [podPort] } },
  });
  await mesh.create({
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { namespace: 'shop', name: 'resolve' },
    spec: {
      destination: { kind: 'ServiceAccount', name: 'dns', namespace: 'shop' },
      sources: [{ kind: 'ServiceAccount', name: 'front', namespace: 'shop' }],
      rules: [{ kind: 'UDPRoute', name: 'dns' }],
    },
  });
  await mesh.startProxies('--workers', '2');
  const resolver = await resolverOf(front, 'dns');
  await until('names resolve', async () => (await resolved(resolver)) === answered);
}, 90_000);

afterAll(async () => {
  for (const server of servers) server.close();
  await mesh.stop();
});

async function dnsServer(address: string, asked: () => void): Promise<Socket> {
  const server = createSocket('udp4', (query, from) => {
    asked();
    server.send(addressReply(query), from.port, from.address);
  });
  await new Promise<void>((resolve) => server.bind(podPort, address, resolve));
  return server;
}

/** The query with one A record behind its question (RFC 1035 §4.1). */
function addressReply(query: Buffer): Buffer {
  const questionEnd = query.indexOf(0, 12) + 5;
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.writeUInt16BE(0, 10);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 53]);
  return Buffer.concat([head, query.subarray(12, questionEnd), record]);
}

/** What kube-proxy would do: port 53 of the service's place → the port that the proxies open. */
async function targetPortOf(service: string): Promise<number> {
  const found: number[] = [];
  const path = { group: '', version: 'v1', plural: 'services', namespace: 'weft-system' };
  await until(`${service} has a place`, async () => {
    for (const name of ['weft-l4-0', 'weft-l4-1']) {
      // The API server answers a Service.
      const object = (await mesh.connection
        .get(resourcePath({ ...path, name }))
        .catch(() => undefined)) as (MeshService & ServiceMeta) | undefined;
      const owners = object?.metadata.annotations?.['weft.dev/ports'] ?? '{}';
      // Written by the controller.
      const owner = (JSON.parse(owners) as Readonly<Record<string, string>>)['UDP/53'];
      const port = object?.spec.ports.find((one) => one.port === 53)?.targetPort;
      if (owner === `shop/${service}` && port !== undefined) found.push(port);
    }
    return found.length > 0;
  });
  return found[0] ?? 0;
}

type ServiceMeta = {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
};

/** c-ares asks from a new port each time. */
async function resolverOf(pod: PodServer, service: string): Promise<Resolver> {
  const resolver = new Resolver({ timeout: 500, tries: 2 });
  resolver.setServers([`${mesh.addressOf(1)}:${await targetPortOf(service)}`]);
  resolver.setLocalAddress(pod.facts.address);
  return resolver;
}

function resolved(resolver: Resolver, name = 'name.example'): Promise<string | undefined> {
  return resolver.resolve4(name).then(
    (addresses) => addresses[0],
    () => undefined,
  );
}

async function metric(pattern: RegExp): Promise<number> {
  const { body } = await mesh.admin(1, '/metrics');
  const lines = body.split('\n').filter((one) => pattern.test(one));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

test('the mesh name of a UDP service has the address of its place', async () => {
  const resolver = new Resolver({ timeout: 500, tries: 4 });
  resolver.setServers([`${mesh.addressOf(1)}:${dnsPort}`]);
  const [address] = await resolver.resolve4('dns.shop.mesh');
  expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
});

test('a resolver is answered through the mesh, and every question is counted', async () => {
  const resolver = await resolverOf(front, 'dns');
  const ofFront =
    /^weft_udp_received_datagrams_total\{source_namespace="shop",source_workload="[^"]+",d/;
  const [before, counted] = [queries.dns, await metric(ofFront)];
  for (let question = 0; question < 100; question += 1) {
    expect(await resolved(resolver, `name-${question}.example`)).toBe(answered);
  }
  expect(queries.dns - before).toBe(100);
  // Flows tell once a second: questions of before may come to light only now.
  await until('all are counted', async () => (await metric(ofFront)) >= counted + 100);
  expect(await metric(ofFront)).toBeLessThanOrEqual(queries.dns);
  expect(await metric(/^weft_udp_flows_open\{/)).toBeGreaterThan(0);
});

test('a server on another node answers through mutual TLS, to whom policy allows', async () => {
  const plain = await metric(/^weft_plain_requests_total/);
  const resolver = await resolverOf(front, 'far');
  await until('names resolve', async () => (await resolved(resolver)) === answered);
  for (let question = 0; question < 50; question += 1) {
    expect(await resolved(resolver, `name-${question}.example`)).toBe(answered);
  }
  expect(await metric(/^weft_plain_requests_total/)).toBe(plain);
  const before = queries.far;
  expect(await resolved(await resolverOf(stranger, 'far'))).toBeUndefined();
  expect(queries.far).toBe(before);
});

test('a pod that no TrafficTarget names gets no answer, and the server no question', async () => {
  const before = queries.dns;
  expect(await resolved(await resolverOf(stranger, 'dns'))).toBeUndefined();
  expect(queries.dns).toBe(before);
  const dropped = /^weft_udp_dropped_datagrams_total\{.*reason="SourceNotAllowed"\}/;
  await until('the drops are counted', async () => (await metric(dropped)) > 0);
});

test('whichever worker dies, the port is served again at once', async () => {
  const resolver = await resolverOf(front, 'dns');
  for (const worker of [0, 1]) {
    await mesh.admin(1, `/debug/workers/${worker}/kill`, 'POST');
    await until('names resolve again', async () => (await resolved(resolver)) === answered, 5_000);
  }
});
