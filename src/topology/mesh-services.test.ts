// What the mesh Services say, read back: ports in our form, listeners, places. Anybody may have
// edited them, so what is not in our form is not there.
import { describe, expect, test } from 'vitest';
import {
  metaOf,
  portOf,
  serviceOf,
  settingsOf,
  sliceOf,
  stateOf,
} from '../../test/support/builders.ts';
import type { Service, ServicePort } from '../api/index.ts';
import { buildTopology } from './build.ts';
import { compileSnapshot } from './compile.ts';
import { givenPortsOf, listenersOf, meshFactsOf } from './mesh-services.ts';

type Said = {
  readonly ports: readonly ServicePort[];
  readonly owners?: unknown;
  readonly left?: unknown;
  readonly clusterIps?: readonly string[];
};

function meshService(name: string, { ports, owners, left, clusterIps = [] }: Said): Service {
  const annotations = new Map<string, string>();
  if (owners !== undefined) annotations.set('weft.dev/ports', JSON.stringify(owners));
  if (left !== undefined) annotations.set('weft.dev/ports-left', JSON.stringify(left));
  const labels = new Map([['weft.dev/component', 'mesh-service']]);
  const meta = metaOf(`weft-system/${name}`, { annotations, labels });
  return serviceOf(`weft-system/${name}`, { meta, ports, clusterIps });
}

const http = (port: number, targetPort: number) =>
  portOf(port, { name: `http-${port}`, targetPort });
const tcp = (port: number, targetPort: number) => portOf(port, { name: `tcp-${port}`, targetPort });
const udp = (port: number, targetPort: number) =>
  portOf(port, { name: `udp-${port}`, targetPort, protocol: 'UDP' });

const told = (service: Service) =>
  givenPortsOf(service).map(
    ({ transport, port, owner, targetPort }) => `${transport}/${port} ${owner} ${targetPort}`,
  );

describe('given ports', () => {
  test('on weft-http all ports are of all services', () => {
    const service = meshService('weft-http', { ports: [http(80, 15_180), http(81, 15_300)] });
    expect(told(service)).toEqual(['TCP/80 http 15180', 'TCP/81 http 15300']);
  });

  test('on the others the annotation says whose they are', () => {
    const service = meshService('weft-l4-0', {
      ports: [tcp(5432, 20_001), udp(53, 20_001), http(80, 15_180)],
      owners: { 'TCP/5432': 'shop/db', 'UDP/53': 'net/dns', 'TCP/80': 'http' },
    });
    expect(told(service)).toEqual([
      'TCP/5432 shop/db 20001',
      'UDP/53 net/dns 20001',
      'TCP/80 http 15180',
    ]);
  });

  test('since when a port is left stands beside it', () => {
    const service = meshService('weft-l4-0', {
      ports: [tcp(5432, 20_001), tcp(5433, 20_002)],
      owners: { 'TCP/5432': 'shop/db', 'TCP/5433': 'shop/db' },
      left: { 'TCP/5432': '1970-01-01T00:01:00Z', 'TCP/5433': 'yesterday' },
    });
    expect(givenPortsOf(service).map(({ leftMs }) => leftMs)).toEqual([60_000, undefined]);
  });

  test.each([
    ['a port of nobody', { ports: [tcp(1, 20_001)], owners: {} }],
    ['an annotation that is no object', { ports: [tcp(1, 20_001)], owners: 7 }],
    ['an owner that is no text', { ports: [tcp(1, 20_001)], owners: { 'TCP/1': ['a/b'] } }],
    ['an owner without namespace', { ports: [tcp(1, 20_001)], owners: { 'TCP/1': 'db' } }],
    ['another transport', { ports: [tcp(1, 20_001)], owners: { 'UDP/1': 'a/b' } }],
    ['HTTP over UDP', { ports: [udp(1, 15_180)], owners: { 'UDP/1': 'http' } }],
    ['a target below the range', { ports: [tcp(1, 19_999)], owners: { 'TCP/1': 'a/b' } }],
    ['a target above the range', { ports: [tcp(1, 30_000)], owners: { 'TCP/1': 'a/b' } }],
    ['a flow in the range of HTTP', { ports: [tcp(1, 15_180)], owners: { 'TCP/1': 'a/b' } }],
    ['a name that is not ours', { ports: [portOf(1, { name: 'x', targetPort: 20_001 })],
      owners: { 'TCP/1': 'a/b' } }],
    ['a named target', { ports: [portOf(1, { name: 'tcp-1', targetPort: 'web' })],
      owners: { 'TCP/1': 'a/b' } }],
    ['a name from Object.prototype', { ports: [tcp(1, 20_001)], owners: [] }],
  ])('%s is not there', (_what, said) => {
    expect(told(meshService('weft-l4-0', said))).toEqual([]);
  });

  test('text that is no JSON says nothing', () => {
    const annotations = new Map([['weft.dev/ports', '{']]);
    const meta = metaOf('weft-system/weft-l4-0', { annotations });
    expect(told(serviceOf('weft-system/weft-l4-0', { meta, ports: [tcp(1, 20_001)] }))).toEqual([]);
  });
});

describe('listeners', () => {
  test('are the HTTP ports of all mesh Services, each once', () => {
    const services = [
      meshService('weft-http', { ports: [http(80, 15_180)] }),
      meshService('weft-l4-0', { ports: [http(80, 15_180), tcp(5432, 20_001), http(81, 15_181)] }),
    ];
    expect(listenersOf(services)).toEqual([
      { protocol: 'http', servicePort: 80, targetPort: 15_180 },
      { protocol: 'http', servicePort: 81, targetPort: 15_181 },
    ]);
  });

  test('for TCP and UDP say whom they stand for, left ports too', () => {
    const place = meshService('weft-l4-0', {
      ports: [tcp(5432, 20_001), udp(5432, 20_001), tcp(22, 20_000), tcp(23, 20_003)],
      owners: { 'TCP/5432': 'shop/db', 'UDP/5432': 'net/dns', 'TCP/22': 'shop/git' },
      left: { 'TCP/22': '2026-01-01T00:00:00Z' },
    });
    expect(listenersOf([place])).toEqual([
      { protocol: 'tcp', namespace: 'shop', service: 'git', servicePort: 22, targetPort: 20_000 },
      { protocol: 'tcp', namespace: 'shop', service: 'db', servicePort: 5432, targetPort: 20_001 },
      { protocol: 'udp', namespace: 'net', service: 'dns', servicePort: 5432, targetPort: 20_001 },
    ]);
  });

  test('of two services on one target port the same one stays, in any order', () => {
    const owned = (name: string, port: number, owner: string) =>
      meshService(name, { ports: [tcp(port, 20_001)], owners: { [`TCP/${port}`]: owner } });
    const first = owned('weft-l4-0', 22, 'shop/b');
    const second = owned('weft-l4-1', 22, 'shop/a');
    const expected = [
      { protocol: 'tcp', namespace: 'shop', service: 'a', servicePort: 22, targetPort: 20_001 },
    ];
    expect(listenersOf([first, second])).toEqual(expected);
    expect(listenersOf([second, first])).toEqual(expected);
  });

  test('are in our range, and none stands for two ports', () => {
    const ports = [http(80, 22), http(82, 15_300), http(81, 15_300)];
    expect(listenersOf([meshService('weft-http', { ports })])).toEqual([
      { protocol: 'http', servicePort: 81, targetPort: 15_300 },
    ]);
  });
});

describe('places', () => {
  const db = { ports: [tcp(5432, 20_001)], owners: { 'TCP/5432': 'shop/db' } };
  const left = { ...db, left: { 'TCP/5432': '2026-01-01T00:00:00Z' } };

  test('a service is where its ports are', () => {
    const facts = meshFactsOf([
      meshService('weft-http', { ports: [http(80, 15_180)], clusterIps: ['10.96.0.1'] }),
      meshService('weft-l4-0', { ...db, clusterIps: ['10.96.0.2', 'fd00::2'] }),
      undefined,
    ]);
    expect(facts.addresses).toEqual(['10.96.0.1']);
    expect(facts.places).toEqual([{ name: 'weft-l4-0', addresses: ['10.96.0.2', 'fd00::2'] }]);
    expect([...facts.placeOf]).toEqual([['shop/db', 'weft-l4-0']]);
  });

  test('what was left is no place', () => {
    const facts = meshFactsOf([
      meshService('weft-l4-0', { ...left, clusterIps: ['10.96.0.2'] }),
      meshService('weft-l4-1', { ...db, clusterIps: ['10.96.0.3'] }),
    ]);
    expect([...facts.placeOf]).toEqual([['shop/db', 'weft-l4-1']]);
  });

  test('but as long as there is no other, a service is where it was last', () => {
    const later = { ...db, left: { 'TCP/5432': '2026-01-01T00:00:01Z' } };
    const facts = meshFactsOf([
      meshService('weft-l4-0', { ...later, clusterIps: ['10.96.0.2'] }),
      meshService('weft-l4-1', { ...left, clusterIps: ['10.96.0.3'] }),
    ]);
    expect([...facts.placeOf]).toEqual([['shop/db', 'weft-l4-0']]);
  });

  test('a Service without an address is none yet', () => {
    const facts = meshFactsOf([meshService('weft-l4-0', db)]);
    expect([facts.places, [...facts.placeOf]]).toEqual([[], []]);
  });
});

describe('a topology', () => {
  const settings = settingsOf();
  const place = meshService('weft-l4-0', {
    clusterIps: ['10.96.0.2'],
    ports: [tcp(5432, 20_001), tcp(90, 20_002)],
    owners: { 'TCP/5432': 'shop/db', 'TCP/90': 'shop/web' },
  });
  const db = serviceOf('shop/db', { ports: [portOf(5432), portOf(80)] });

  function sectionOf(name: string, ...objects: readonly Service[]) {
    const { value } = buildTopology(stateOf(...objects), settings);
    const sections = [...compileSnapshot(value, settings).value.sections.values()];
    const found = sections.map(({ section }) => section).find(
      (section) => section.kind === 'service' && section.name === name,
    );
    return found?.kind === 'service' ? found : undefined;
  }

  test('has the place of a service in its section', () => {
    expect(sectionOf('db', db, place)?.place).toBe('weft-l4-0');
    expect(sectionOf('db', db)?.place).toBeUndefined();
  });

  test('has none for a service whose ports are all HTTP by now', () => {
    expect(sectionOf('web', serviceOf('shop/web'), place)?.place).toBeUndefined();
  });

  test('wants HTTP numbers once, and a place for who has other ports', () => {
    const state = stateOf(db, serviceOf('shop/web'), serviceOf('shop/api'));
    const { value } = buildTopology(state, settings);
    expect(value.wishes.http).toEqual([{ port: 80, namespace: 'shop', service: 'api' }]);
    expect(value.wishes.services.map(({ name }) => name)).toEqual(['db']);
  });

  test('wants nothing new while no Service changes', () => {
    const state = stateOf(db);
    const { value } = buildTopology(state, settings);
    const slices = new Map([['shop/db-slice', sliceOf('shop/db')]]);
    const next = buildTopology({ ...state, endpointSlices: slices }, settings, value).value;
    expect(next.wishes).toBe(value.wishes);
    expect(next.mesh).toBe(value.mesh);
  });
});
