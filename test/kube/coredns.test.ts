// What the Corefile patch writes, loaded by the real CoreDNS, with the `kubernetes` plugin on a
// real API server behind it, and asked about mesh names: the answers are those of a real mesh DNS
// server. Every golden case that is patched is loaded.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeNetwork } from '../../src/dataplane/index.ts';
import { buildZone, patchCorefile, removeFromCorefile } from '../../src/dns/index.ts';
import type { MeshDnsWish } from '../../src/dns/index.ts';
import { openConnection } from '../../src/kube/index.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { openDatagrams } from '../../src/main/node-datagrams.ts';
import { startDnsServer, type DnsServer } from '../../src/proxy/dns-server.ts';
import { dnsSections, readDnsCase, runDnsCase } from '../support/golden-dns.ts';
import { brokenCorefile, randomCorefile } from '../support/random-corefile.ts';
import { meshSection, serviceSection } from '../support/sections.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { ask, CoreDns, findCoreDns, type Question } from './support/coredns.ts';
import { realRuntime } from './support/runtime.ts';
import { until } from './support/until.ts';

/** Of mesh DNS in every golden case; local in the network namespace of these tests. */
const meshDns = '10.96.7.7';
const program = findCoreDns();
const page = readFileSync('test/golden/dns/corefile.md', 'utf8');
const cases = dnsSections(page).map(readDnsCase);
let plane: ControlPlane;
let server: DnsServer;

beforeAll(async () => {
  plane = await startControlPlane();
  const domains = ['mesh', 'traefik.mesh', 'other.mesh'];
  const hostnames = ['cluster.local', 'corp.example'].flatMap((cluster) =>
    [...domains, `mesh.svc.${cluster}`].map((domain) => `web.shop.${domain}`),
  );
  const zone = buildZone([
    meshSection({ meshDomains: [...domains, 'mesh.svc.corp.example'] }),
    serviceSection('shop/web', { hostnames: [...new Set(hostnames)] }),
  ]);
  server = startDnsServer({
    addresses: [meshDns],
    port: 53,
    network: nodeNetwork(),
    openDatagrams,
    runtime: realRuntime,
    zone: () => zone,
    onFailed: ({ message }) => {
      throw new Error(message);
    },
  });
  await until('mesh DNS listens', () => server.listening().open === 2 || undefined);
});

afterAll(async () => {
  server.close();
  await plane.stop();
});

/** Namespace `mesh` with a headless Service whose endpoint is named so that it is a mesh name. */
async function imitate(): Promise<void> {
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  const connection = await openConnection(source, realRuntime);
  const metadata = { name: 'shop', namespace: 'mesh' };
  const create = (path: string, object: Readonly<Record<string, unknown>>) =>
    connection.create(path, object);
  await create('/api/v1/namespaces', { metadata: { name: 'mesh' } });
  const ports = [{ name: 'http', port: 80 }];
  const spec = { clusterIP: 'None', ports };
  await create('/api/v1/namespaces/mesh/services', { metadata, spec });
  await create('/apis/discovery.k8s.io/v1/namespaces/mesh/endpointslices', {
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'shop' } },
    addressType: 'IPv4',
    ports,
    endpoints: [{ addresses: ['10.66.6.6'], hostname: 'web', conditions: { ready: true } }],
  });
  await connection.close();
}

/** As it would stand on a node: placeholders filled in, ports that are free here. */
function localised(text: string): string {
  return text
    .replaceAll('__PILLAR__DNS__DOMAIN__', 'cluster.local')
    .replaceAll('__PILLAR__LOCAL__DNS__', '10.20.0.10')
    .replaceAll('__PILLAR__DNS__SERVER__', '10.96.0.10')
    .replaceAll('__PILLAR__CLUSTER__DNS__', '10.96.0.11')
    .replaceAll('__PILLAR__UPSTREAM__SERVERS__', '10.99.0.1')
    .replaceAll('/etc/resolv.conf', '10.99.0.1')
    .replace(/^( *kubernetes .* \{)$/m, `$1\n       kubeconfig ${plane.kubeconfigPath}`)
    .replaceAll(/:53\b/g, ':1053');
}

async function withCoreDns(
  files: Readonly<Record<string, string>>,
  work: (coreDns: CoreDns) => Promise<void>,
  port = 1_053,
): Promise<void> {
  if (program === undefined) throw new Error('there is no coredns beside the other binaries');
  const coreDns = new CoreDns(program, files, port);
  try {
    await coreDns.loaded();
    await work(coreDns);
  } finally {
    await coreDns.stop();
  }
}

/** Whether CoreDNS starts with the text; ports are shifted so that two may run at a time. */
async function loads(text: string, shift = 0): Promise<boolean> {
  const local = text
    .replaceAll('import snippet', 'import custom/*.nothing')
    .replaceAll('169.254.20.10 10.96.0.10', '127.0.0.9')
    .replaceAll('{$P}', '2053')
    .replace(/:(53|5353|1053|2053)\b/g, (_all, port: string) => `:${Number(port) + 1_000 + shift}`);
  const isLoaded = withCoreDns({ Corefile: local }, () => Promise.resolve(), 4_000 + shift);
  return isLoaded.then(
    () => true,
    () => false,
  );
}

const addressOf = async (question: Question) =>
  (await ask(question)).answers.map(({ data }) => data.join('.')).join(' ');
const codeOf = async (question: Question) => (await ask(question)).code;

/** Where pods would ask: the first port and address of the root block. */
function doorOf(text: string): { readonly port: number; readonly address: string } {
  const port = Number(/^\.:(\d+)/m.exec(text)?.[1] ?? 1053);
  return { port, address: text.includes('bind 10.20.0.10') ? '10.20.0.10' : '127.0.0.1' };
}

describe.runIf(program !== undefined)('CoreDNS with a patched Corefile', () => {
  test.each(cases)('$title', async (golden) => {
    const before = golden.blocks.get('text') ?? '';
    const { patched, told } = runDnsCase(golden);
    if (patched === before && told.startsWith('served: \n')) return;
    const others = golden.blocks.get('others');
    const files =
      others === undefined
        ? { Corefile: localised(patched) }
        : { Corefile: localised(others), 'custom/weft.server': localised(patched) };
    await withCoreDns(files, async () => {
      const door = doorOf(files.Corefile);
      const served = /^served: (.*)$/m.exec(told)?.[1]?.split(' ') ?? [];
      for (const domain of served) {
        expect(await addressOf({ ...door, name: `web.shop.${domain}` })).toBe('10.96.0.50');
        expect(await codeOf({ ...door, name: `nobody.shop.${domain}` })).toBe('NXDOMAIN');
      }
    });
  });

  const wish: MeshDnsWish = {
    domains: ['mesh'],
    clusterDomain: 'cluster.local',
    address: meshDns,
    withheld: new Set(),
  };
  const kubeadm = cases[0]?.blocks.get('text') ?? '';

  test('answers mesh names in every spelling, and the cluster as before', async () => {
    const text = localised(patchCorefile(kubeadm, wish).text);
    await withCoreDns({ Corefile: text }, async () => {
      expect(await addressOf({ name: 'WEB.Shop.MESH' })).toBe('10.96.0.50');
      // What a resolver with the search list of a pod asks for first.
      expect(await addressOf({ name: 'web.shop.mesh.svc.cluster.local' })).toBe('10.96.0.50');
      const aaaa = await ask({ name: 'web.shop.mesh', type: 28 });
      expect([aaaa.code, aaaa.answers.length]).toEqual(['NOERROR', 0]);
      const denied = await ask({ name: 'nobody.shop.mesh' });
      expect(denied.code).toBe('NXDOMAIN');
      expect(Math.max(...denied.authority.map(({ ttl }) => ttl))).toBeLessThanOrEqual(5);
      const name = 'kubernetes.default.svc.cluster.local';
      await until('CoreDNS knows the API server', async () => {
        return (await addressOf({ name })).startsWith('10.') || undefined;
      });
    });
  });

  test('a namespace called like the domain cannot answer for mesh names', async () => {
    await imitate();
    const name = 'web.shop.mesh.svc.cluster.local';
    await withCoreDns({ Corefile: localised(kubeadm) }, async () => {
      await until('the imitation is believed', async () => {
        return (await addressOf({ name })) === '10.66.6.6' || undefined;
      });
    });
    const patched = patchCorefile(kubeadm, wish).text;
    await withCoreDns({ Corefile: localised(patched) }, async () => {
      await until('CoreDNS knows the imitation', async () => {
        const outside = 'kubernetes.default.svc.cluster.local';
        return (await addressOf({ name: outside })).startsWith('10.') || undefined;
      });
      expect(await addressOf({ name })).toBe('10.96.0.50');
    });
  });

  test('takes the block in and out by itself', async () => {
    const before = '.:53 {\n    whoami\n    reload 2s 1s\n}\n';
    const patched = patchCorefile(before, wish).text;
    await withCoreDns({ Corefile: localised(before) }, async (coreDns) => {
      expect((await ask({ name: 'web.shop.mesh' })).answers).toEqual([]);
      coreDns.write('Corefile', localised(patched));
      await until('the block is in force', async () => {
        return (await addressOf({ name: 'web.shop.mesh' })) === '10.96.0.50' || undefined;
      });
      coreDns.write('Corefile', localised(removeFromCorefile(patched, wish).text));
      await until('the block is gone', async () => {
        return (await addressOf({ name: 'web.shop.mesh' })) === '' || undefined;
      });
    });
  });

  test('a generated text loads with our blocks exactly if it loads without', async () => {
    const outcomes = { loaded: 0, refused: 0 };
    for (let seed = 0; seed < 60; seed += 1) {
      const random = seededRandom(seed);
      const text = seed % 2 === 0 ? randomCorefile(random) : brokenCorefile(random);
      const { text: patched } = patchCorefile(text, wish);
      if (patched === text) continue;
      const [before, after] = await Promise.all([loads(text), loads(patched, 20_000)]);
      expect(after, patched).toBe(before);
      outcomes[before ? 'loaded' : 'refused'] += 1;
    }
    expect(outcomes.loaded).toBeGreaterThan(10);
  }, 120_000);

  test('two blocks for one zone are refused: why a served zone is never added', async () => {
    const twice = `.:1053 {\n    whoami\n}\n${'mesh:1053 {\n    whoami\n}\n'.repeat(2)}`;
    await expect(withCoreDns({ Corefile: twice }, () => Promise.resolve())).rejects.toThrow(
      'already defined',
    );
  });
});
