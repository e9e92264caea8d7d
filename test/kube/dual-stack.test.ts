// A cluster with both address families, as far as a real kube-apiserver goes: mesh Services get an
// address of each, keep both when they are created again, and mesh DNS gives both. Pods with two
// addresses need kubelets and are not tried here.
import { spawn, type ChildProcess } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubeReason, openConnection } from '../../src/kube/index.ts';
import type { Connection } from '../../src/kube/index.ts';
import { Replica } from '../support/controller-suite.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

const home = '/api/v1/namespaces/weft-system';
const shop = '/api/v1/namespaces/shop/services';
const dnsPort = 25_053;

type Service = {
  readonly metadata: { readonly uid: string };
  readonly spec: { readonly clusterIPs: readonly string[]; readonly ipFamilies: readonly string[] };
};

let plane: ControlPlane;
let admin: Connection;
let controller: Replica;
let proxy: ChildProcess;

async function meshService(name: string): Promise<Service> {
  let found: Service | undefined;
  await until(`${name} is there`, async () => {
    found = await admin.get(`${home}/services/${name}`).then(
      (service) => service as Service,
      () => undefined,
    );
    return found !== undefined;
  });
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

/** Empty until the controller has written it. */
async function kept(): Promise<Readonly<Record<string, string>>> {
  try {
    const { data } = (await admin.get(`${home}/configmaps/weft-addresses`)) as {
      readonly data: Readonly<Record<string, string>>;
    };
    return data;
  } catch (error) {
    if (kubeReason(error) !== 'NotFound') throw error;
    return {};
  }
}

/** Answers of the proxy's DNS, both families, sorted. */
async function resolved(name: string): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: 1_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${dnsPort}`]);
  const none = (): readonly string[] => [];
  const [four, six] = await Promise.all([
    resolver.resolve4(name).catch(none),
    resolver.resolve6(name).catch(none),
  ]);
  return [...four, ...six];
}

/** As servers write addresses: `fd00:96::1`, not `fd00:96:0:0:0:0:0:1`. */
function sorted(addresses: readonly string[]): readonly string[] {
  return addresses
    .map((address) => (isIPv6(address) ? new URL(`http://[${address}]/`).hostname : address))
    .sort();
}

function startProxy(): ChildProcess {
  const flags = ['--node-name', 'node-1', '--bind-address', '127.0.0.1'];
  const ports = ['--dns-port', String(dnsPort), '--admin-port', '25020'];
  const args = ['dist/weft.js', 'proxy', '--kubeconfig', plane.kubeconfigPath, ...flags, ...ports];
  return spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore'] });
}

beforeAll(async () => {
  plane = await startControlPlane({
    serverFlags: ['--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112'],
  });
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  const connect = () => openConnection(source, realRuntime);
  admin = await connect();
  for (const name of ['weft-system', 'shop']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await admin.create('/api/v1/namespaces', namespace);
  }
  for (const [name, port] of [
    ['web', { port: 80 }],
    ['db', { name: 'tcp-sql', port: 5432 }],
  ] as const) {
    const metadata = { name, namespace: 'shop' };
    const spec = { ports: [port] };
    await admin.create(shop, { apiVersion: 'v1', kind: 'Service', metadata, spec });
  }
  controller = await Replica.start({ connect, stop: () => Promise.resolve() }, realRuntime);
  proxy = startProxy();
}, 90_000);

afterAll(async () => {
  proxy.kill('SIGKILL');
  await controller.stop();
  await admin.close();
  await plane.stop();
});

describe('with both address families', () => {
  test('mesh Services get an address of each', async () => {
    for (const name of ['weft-http', 'weft-dns', 'weft-l4-0']) {
      const { spec } = await meshService(name);
      expect(spec.ipFamilies, name).toEqual(['IPv4', 'IPv6']);
      expect([spec.clusterIPs.some(isIPv4), spec.clusterIPs.some(isIPv6)], name).toEqual([
        true,
        true,
      ]);
    }
  });

  test('both are kept, and asked for again when a mesh Service is deleted', async () => {
    const before = await meshService('weft-http');
    const text = before.spec.clusterIPs.join(',');
    await until('they are kept', async () => (await kept())['weft-http'] === text);
    await admin.remove(`${home}/services/weft-http`);
    await until('it is another', async () => {
      const { metadata } = await meshService('weft-http');
      return metadata.uid !== before.metadata.uid;
    });
    expect((await meshService('weft-http')).spec.clusterIPs).toEqual(before.spec.clusterIPs);
  });

  test.each([
    ['an HTTP service', 'web.shop.mesh', 'weft-http'],
    ['a TCP service', 'db.shop.mesh', 'weft-l4-0'],
  ])('mesh DNS gives both addresses of %s', async (_what, name, place) => {
    const { spec } = await meshService(place);
    await until(`${name} resolves`, async () => (await resolved(name)).length === 2);
    expect(sorted(await resolved(name))).toEqual(sorted(spec.clusterIPs));
  });
});
