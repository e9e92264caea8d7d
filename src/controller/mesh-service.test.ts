// The rules of the objects in the mesh namespace: what they look like, what of the allocation can
// be read back from them, what counts as a difference, what is taken out.
import { describe, expect, test } from 'vitest';
import { meshSettingsOf, parsers } from '../api/index.ts';
import { allocatePorts, givenPortsOf } from '../topology/index.ts';
import type { GivenPorts, PortWishes } from '../topology/index.ts';
import {
  addressesManifest,
  allPortsPatch,
  foreignPartsPatch,
  isAsDesired,
  isOurs,
  meshServiceManifests,
  readAddresses,
  withAddresses,
} from './mesh-service.ts';
import type { Manifest } from './mesh-service.ts';

const settings = meshSettingsOf(new Map());

type Ports = PortWishes['services'][number]['ports'];

type Services = Readonly<Record<string, Ports>>;

function given(services: Services, nowMs = 0, from?: GivenPorts): GivenPorts {
  const list = Object.entries(services).map(([key, ports]) => {
    const [namespace = '', name = ''] = key.split('/');
    return { namespace, name, ports };
  });
  const http = list.flatMap(({ namespace, name, ports }) =>
    ports
      .filter(({ protocol }) => protocol === 'http')
      .map(({ port }) => ({ port, namespace, service: name })),
  );
  const wishes = {
    http,
    services: list.filter(({ ports }) => ports.some(({ protocol }) => protocol !== 'http')),
  };
  return allocatePorts({ wishes, given: from ?? new Map(), nowMs }).given;
}

const tcp = (port: number) => ({ port, protocol: 'tcp' }) as const;
const udp = (port: number) => ({ port, protocol: 'udp' }) as const;
const http = (port: number) => ({ port, protocol: 'http' }) as const;

const manifestsOf = (ports: GivenPorts) =>
  meshServiceManifests({ settings, dnsPort: 15_053, given: ports });

/** What a controller that knows nothing reads from the Services. */
function readBack(manifests: ReadonlyMap<string, Manifest>): GivenPorts {
  const read = new Map<string, ReturnType<typeof givenPortsOf>>();
  for (const [name, manifest] of manifests) {
    const service = parsers.Service(manifest).value;
    if (service !== undefined && service.ports.length > 0) read.set(name, givenPortsOf(service));
  }
  for (const name of ['weft-dns', 'weft-peers']) read.delete(name);
  return read;
}

const long = 'n'.repeat(63);

describe('manifests', () => {
  const ports = given({ 'shop/db': [tcp(5432), http(80)], 'net/dns': [udp(53), tcp(53)] });
  const manifests = manifestsOf(ports);

  test('are the mesh Services that have ports, weft-dns and weft-peers', () => {
    expect([...manifests.keys()]).toEqual(['weft-http', 'weft-l4-0', 'weft-dns', 'weft-peers']);
    expect([...manifestsOf(new Map()).keys()]).toEqual(['weft-dns', 'weft-peers']);
  });

  test('say whose ports they are', () => {
    const text = manifests.get('weft-l4-0')?.metadata.annotations?.['weft.dev/ports'] ?? '';
    expect(JSON.parse(text)).toEqual({
      'TCP/53': 'net/dns',
      'UDP/53': 'net/dns',
      'TCP/80': 'http',
      'TCP/5432': 'shop/db',
    });
    expect(manifests.get('weft-http')?.metadata.annotations).toBeUndefined();
  });

  test('keep callers on their node, but for DNS, which a node without a proxy needs too', () => {
    const policies = [...manifests].map(([name, { spec }]) => [
      name,
      spec?.['internalTrafficPolicy'],
      spec?.['ipFamilyPolicy'],
    ]);
    expect(policies).toEqual([
      ['weft-http', 'Local', 'PreferDualStack'],
      ['weft-l4-0', 'Local', 'PreferDualStack'],
      ['weft-dns', 'Cluster', 'PreferDualStack'],
      ['weft-peers', 'Cluster', 'PreferDualStack'],
    ]);
    for (const manifest of manifests.values()) expect(isOurs(manifest)).toBe(true);
  });

  test('DNS is on UDP and TCP, peers are headless and there before they are ready', () => {
    expect(manifests.get('weft-dns')?.spec).toMatchObject({
      trafficDistribution: 'PreferClose',
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 15_053 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 15_053 },
      ],
    });
    expect(manifests.get('weft-peers')?.spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      ports: [{ name: 'weft-h1', port: 15_008, protocol: 'TCP', targetPort: 'weft-h1' }],
    });
  });

  test.each([
    ['few services', given({ 'shop/db': [tcp(5432), http(80)], 'net/dns': [udp(53)] })],
    ['ports that were left', given({}, 60_000, given({ 'shop/db': [tcp(5432), http(80)] }))],
    ['long names', given({ [`${long}/${long}`]: [tcp(5432)], [`${long}/x`]: [tcp(5432)] })],
    ['500 ports', given({ 'a/a': Array.from({ length: 500 }, (_, index) => tcp(index + 1)) })],
  ])('hold all that is given: %s', (_what, ports) => {
    expect(ports.size).toBeGreaterThan(0);
    expect(readBack(manifestsOf(ports))).toEqual(ports);
  });

  test('fit into an object with the longest names and a full mesh Service', () => {
    const services = Array.from({ length: 1_000 }, (_, index) => {
      const name = `${String(index).padStart(4, '0')}${'n'.repeat(59)}`;
      return [`${long}/${name}`, [tcp(10_000 + index)]] as const;
    });
    const left = given({}, 0, given(Object.fromEntries(services)));
    expect([...left.keys()]).toEqual(['weft-l4-0']);
    const annotations = manifestsOf(left).get('weft-l4-0')?.metadata.annotations ?? {};
    // The API server's bound for all annotations of an object together.
    const bytes = Object.entries(annotations).flat().join('').length;
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThan(256 * 1024);
  });
});

describe('isAsDesired', () => {
  const manifest = manifestsOf(given({ 'shop/db': [tcp(5432), tcp(5433)] })).get('weft-l4-0');
  const spec = manifest?.spec ?? {};
  const ports = spec['ports'] as readonly object[];
  /** As the API server gives it back: defaults, addresses, another order of ports. */
  const served = {
    ...manifest,
    metadata: {
      ...manifest?.metadata,
      uid: 'u',
      resourceVersion: '7',
      labels: { ...manifest?.metadata.labels, extra: 'x' },
      annotations: { ...manifest?.metadata.annotations, extra: 'x' },
    },
    spec: {
      ...spec,
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7'],
      ports: [...ports].reverse(),
    },
  };

  test('what the API server adds is no difference', () => {
    expect(isAsDesired(served, manifest)).toBe(true);
    expect(isAsDesired(undefined, manifest)).toBe(false);
  });

  test.each([
    ['type', { type: 'NodePort' }],
    ['internalTrafficPolicy', { internalTrafficPolicy: 'Cluster' }],
    ['ipFamilyPolicy', { ipFamilyPolicy: 'SingleStack' }],
    ['session affinity', { sessionAffinity: 'ClientIP' }],
    ['not ready addresses', { publishNotReadyAddresses: true }],
    ['a selector more', { selector: { ...(spec['selector'] as object), extra: 'x' } }],
    ['no selector', { selector: undefined }],
    ['a port less', { ports: ports.slice(1) }],
    ['no ports', { ports: [] }],
    ['a port more', { ports: [...ports, { port: 1, targetPort: 1 }] }],
  ])('an edit of %s is', (_what, edit) => {
    expect(isAsDesired({ ...served, spec: { ...served.spec, ...edit } }, manifest)).toBe(false);
  });

  test.each([['labels'], ['annotations']])('%s that are gone are', (field) => {
    const metadata = { ...served.metadata, [field]: {} };
    expect(isAsDesired({ ...served, metadata }, manifest)).toBe(false);
  });
});

describe('addresses', () => {
  const addresses = new Map([
    ['weft-http', ['10.96.0.7', 'fd00::7']],
    ['weft-l4-0', ['10.96.0.8']],
  ]);

  test('are remembered in a ConfigMap', () => {
    const manifest = addressesManifest(settings, addresses);
    expect(manifest.data).toEqual({ 'weft-http': '10.96.0.7,fd00::7', 'weft-l4-0': '10.96.0.8' });
    expect(readAddresses(manifest)).toEqual(addresses);
    expect(readAddresses(undefined)).toEqual(new Map());
    expect(readAddresses({ data: { 'weft-http': 7, 'weft-dns': '' } })).toEqual(new Map());
  });

  test('are asked for again, but not by a headless Service', () => {
    const manifests = manifestsOf(given({ 'shop/web': [http(80)] }));
    const [web, peers] = [manifests.get('weft-http'), manifests.get('weft-peers')];
    if (web === undefined || peers === undefined) throw new Error('no manifest');
    expect(withAddresses(web, ['10.96.0.7', 'fd00::7']).spec).toMatchObject({
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7', 'fd00::7'],
    });
    expect(withAddresses(web, [])).toBe(web);
    expect(withAddresses(peers, ['10.96.0.7'])).toBe(peers);
  });
});

describe('patches', () => {
  const manifest = manifestsOf(given({ 'shop/web': [http(80)] })).get('weft-http');

  test('foreign ports are removed from the end, for the version that was read', () => {
    const actual = {
      metadata: { resourceVersion: '12' },
      spec: {
        ports: [
          { port: 1, protocol: 'TCP' },
          { port: 80, protocol: 'TCP' },
          { port: 80, protocol: 'UDP' },
        ],
      },
    };
    expect(foreignPartsPatch(actual, manifest)).toEqual([
      { op: 'test', path: '/metadata/resourceVersion', value: '12' },
      { op: 'remove', path: '/spec/ports/2' },
      { op: 'remove', path: '/spec/ports/0' },
    ]);
    expect(foreignPartsPatch({ spec: { ports: [{ port: 80 }] } }, manifest)).toEqual([]);
  });

  test('so is foreign data', () => {
    const manifest = addressesManifest(settings, new Map([['weft-http', ['10.96.0.7']]]));
    const data = { 'weft-http': '10.96.0.9', other: 'x' };
    const actual = { metadata: { resourceVersion: '12' }, data };
    expect(isAsDesired({ ...manifest, data }, manifest)).toBe(false);
    expect(foreignPartsPatch(actual, manifest)).toEqual([
      { op: 'test', path: '/metadata/resourceVersion', value: '12' },
      { op: 'remove', path: '/data/other' },
    ]);
  });

  test('ports that an apply cannot mend are replaced as a whole', () => {
    const actual = { metadata: { resourceVersion: '12' } };
    expect(allPortsPatch(actual, manifest)).toEqual([
      { op: 'test', path: '/metadata/resourceVersion', value: '12' },
      { op: 'replace', path: '/spec/ports', value: manifest?.spec?.['ports'] },
    ]);
  });
});
