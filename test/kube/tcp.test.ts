// TCP services on a real API server: `weft controller` gives an annotated Service its place, the
// proxy listens there at once, carries bytes, and opens and closes as TrafficTargets say.
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resourcePath } from '../../src/kube/index.ts';
import {
  proxyAddress,
  startMeshCluster,
  type MeshCluster,
  type SimulatedPod,
} from './support/mesh-cluster.ts';
import { until } from './support/until.ts';

const specs = { group: 'specs.smi-spec.io', version: 'v1alpha4', namespace: 'vault' };
const access = { group: 'access.smi-spec.io', version: 'v1alpha3', namespace: 'vault' };
const target = { ...access, plural: 'traffictargets', name: 'db' };
/** Of `serve`; raw TCP here, whatever pods speak behind it. */
const servicePort = 80;

let mesh: MeshCluster;
let front: SimulatedPod;
let db: SimulatedPod;

beforeAll(async () => {
  mesh = await startMeshCluster({ nodes: 1 });
  const namespaces = { group: '', version: 'v1', plural: 'namespaces' };
  for (const [name, policy] of [['shop', 'off'], ['vault', 'enforce']]) {
    const metadata = { name, annotations: { 'weft.dev/policy': policy } };
    await mesh.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
  }
  const caller = { namespace: 'shop', name: 'front', serviceAccount: 'front' };
  front = await mesh.startPod({ ...caller, node: 1 });
  db = await mesh.startPod({ namespace: 'vault', name: 'db-0', node: 1, serviceAccount: 'db' });
  await mesh.serve('vault', 'db', [db], { 'weft.dev/traffic-type': 'tcp' });
}, 90_000);

afterAll(() => mesh.stop());

/** What kube-proxy would do: the place of `vault/db` → the port of the proxies. */
async function flowPort(): Promise<number | undefined> {
  const services = { group: '', version: 'v1', plural: 'services', namespace: 'weft-system' };
  const path = resourcePath({ ...services, name: 'weft-l4-0' });
  const found = await mesh.connection.get(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const { spec } = found as { spec: { ports: { port: number; targetPort: number }[] } };
  return spec.ports.find(({ port }) => port === servicePort)?.targetPort;
}

type Ended = { readonly text: string; readonly error: string | undefined };

/** Speaks HTTP to the pod under a name that no mesh has: only the listener says whom it is for. */
async function ask(): Promise<Ended> {
  const { socket, ended } = await openFlow();
  socket.write('GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n');
  return ended;
}

async function openFlow() {
  const port = (await flowPort()) ?? 0;
  const address = { host: proxyAddress(1), port, localAddress: front.address };
  const socket = net.connect(address);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  const ended = new Promise<Ended>((resolve) => {
    let error: string | undefined;
    socket.on('error', (cause: NodeJS.ErrnoException) => (error = cause.code));
    socket.on('close', () => resolve({ text, error }));
  });
  return { socket, ended };
}

test('a Service of traffic type tcp has a listener, closed without a target', async () => {
  await until('it has a port of its own', async () => {
    const port = await flowPort();
    return port !== undefined && port >= 20_000 && port <= 29_999;
  });
  // Refused before the proxy listens, reset from then on: nobody may call it yet.
  await until('it is reset', async () => (await ask()).error === 'ECONNRESET');
  expect(db.received).toEqual([]);
}, 30_000);

test('a TCPRoute opens it, and taking the target away closes what is open', async () => {
  const route = { namespace: 'vault', name: 'port' };
  await mesh.create(
    { ...specs, plural: 'tcproutes' },
    {
      apiVersion: 'specs.smi-spec.io/v1alpha4',
      kind: 'TCPRoute',
      metadata: route,
      spec: { matches: { ports: [8080] } },
    },
  );
  await mesh.create(
    { ...access, plural: 'traffictargets' },
    {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { namespace: 'vault', name: 'db' },
      spec: {
        destination: { kind: 'ServiceAccount', name: 'db', namespace: 'vault' },
        sources: [{ kind: 'ServiceAccount', name: 'front', namespace: 'shop' }],
        rules: [{ kind: 'TCPRoute', name: 'port' }],
      },
    },
  );
  await until('it carries bytes', async () => (await ask()).text.endsWith('db-0'));
  const { socket, ended } = await openFlow();
  socket.write('GET /half HTTP/1.1\r\nHost: nobody.example\r\n\r\n');
  await until('it is open', () => Promise.resolve(db.received.includes('GET /half')));
  await mesh.remove(target);
  expect((await ended).error).toBe('ECONNRESET');
}, 30_000);
