// Mesh DNS from query bytes to answer bytes (contract §2, §3; RFC 1035, 2308, 6891), read back by
// an independent reader.
import { describe, expect, test } from 'vitest';
import {
  dnsQuery,
  optBytes,
  readName,
  readReply,
  type DnsReply,
  type QuerySpec,
} from '../../test/support/dns-message.ts';
import { meshSection, routeTo, serviceSection } from '../../test/support/sections.ts';
import type { MeshSection, ServiceSection } from '../snapshot/index.ts';
import { answerQuery } from './answer.ts';
import { buildZone, type MeshZone } from './zone.ts';

const a = 1;
const soa = 6;
const aaaa = 28;

function zoneOf(mesh: Partial<MeshSection> = {}): MeshZone {
  const tcp = { port: 5432, protocol: 'tcp', routes: [routeTo('shop/db')] } as const;
  return buildZone([
    serviceSection('shop/web', {
      hostnames: ['web.shop.mesh', 'web.shop.traefik.mesh', 'web.shop.mesh.svc.cluster.local'],
      aliases: ['app.example.com', 'alias.shop.mesh'],
    }),
    serviceSection('shop/db', { ports: [tcp] }),
    meshSection({ meshDomains: ['mesh', 'traefik.mesh'], ...mesh }),
  ]);
}

function ask(spec: QuerySpec, zone = zoneOf(), transport: 'udp' | 'tcp' = 'udp'): DnsReply {
  const answer = answerQuery(dnsQuery(spec), zone, transport);
  if (answer === undefined) throw new Error('dropped');
  const reply = readReply(answer);
  expect(reply.trailing).toBe(0);
  return reply;
}

/** `NOERROR 10.96.0.50`, `NXDOMAIN soa mesh`, … */
function told(name: string, type = a, zone = zoneOf()): string {
  const reply = ask({ name, type }, zone);
  const answers = reply.answers.map(({ type: kind, data }) =>
    kind === soa ? 'soa' : [...data].join('.'),
  );
  const denials = reply.authority.map(({ owner }) => `soa ${owner}`);
  return [reply.code, ...answers, ...denials].join(' ');
}

describe('names', () => {
  test.each([
    ['web.shop.mesh', 'NOERROR 10.96.0.50'],
    ['web.shop.mesh.', 'NOERROR 10.96.0.50'],
    ['WEB.Shop.mEsH', 'NOERROR 10.96.0.50'],
    ['web.shop.traefik.mesh', 'NOERROR 10.96.0.50'],
    ['web.shop.mesh.svc.cluster.local', 'NOERROR 10.96.0.50'],
    ['nobody.shop.mesh', 'NXDOMAIN soa mesh'],
    ['nobody.shop.traefik.mesh', 'NXDOMAIN soa traefik.mesh'],
    ['nobody.shop.mesh.svc.cluster.local', 'NXDOMAIN soa mesh.svc.cluster.local'],
    ['web-0.web.shop.mesh', 'NXDOMAIN soa mesh'],
    ['alias.shop.mesh', 'NXDOMAIN soa mesh'],
    ['constructor.shop.mesh', 'NXDOMAIN soa mesh'],
    ['shop.mesh', 'NOERROR soa mesh'],
    ['nobody.mesh', 'NXDOMAIN soa mesh'],
    ['mesh', 'NOERROR soa mesh'],
    ['traefik.mesh', 'NOERROR soa traefik.mesh'],
    ['mesh.svc.cluster.local', 'NOERROR soa mesh.svc.cluster.local'],
    ['db.shop.mesh', 'NOERROR soa mesh'],
    ['app.example.com', 'REFUSED'],
    ['web.shop.svc.cluster.local', 'REFUSED'],
    ['web.shopmesh', 'REFUSED'],
    ['xmesh', 'REFUSED'],
    ['', 'REFUSED'],
  ])('%s: %s', (name, expected) => {
    expect(told(name)).toBe(expected);
  });

  test('a domain of two labels is not served below the cluster domain', () => {
    const zone = zoneOf({ meshDomains: ['traefik.mesh'] });
    expect(told('web.shop.traefik.mesh.svc.cluster.local', a, zone)).toBe('REFUSED');
  });

  test('a dot inside a label is no separator', () => {
    const bytes = dnsQuery({ name: 'web_shop.mesh' });
    bytes[12 + 4] = 0x2e;
    expect(readReply(answerQuery(bytes, zoneOf(), 'udp') ?? bytes).code).toBe('NXDOMAIN');
  });

  test('services may be called constructor and __proto__', () => {
    const odd = serviceSection('constructor/__proto__');
    const zone = buildZone([meshSection(), odd]);
    expect(told('__proto__.constructor.mesh', a, zone)).toBe('NOERROR 10.96.0.50');
  });
});

describe('places', () => {
  const tcp = { port: 5432, protocol: 'tcp', routes: [routeTo('shop/db')] } as const;
  const http = { port: 80, protocol: 'http', routes: [routeTo('shop/db')] } as const;
  const places = [
    { name: 'weft-l4-0', addresses: ['10.96.0.60', 'fd00:10::60'] },
    { name: 'weft-l4-1', addresses: ['10.96.0.61'] },
  ];
  const zoneWith = (...sections: readonly ServiceSection[]) =>
    buildZone([...sections, meshSection({ places })]);

  test('a service with TCP or UDP ports has the address of its place', () => {
    const zone = zoneWith(
      serviceSection('shop/db', { ports: [tcp], place: 'weft-l4-0' }),
      serviceSection('shop/other', { ports: [tcp, http], place: 'weft-l4-1' }),
    );
    expect(told('db.shop.mesh', a, zone)).toBe('NOERROR 10.96.0.60');
    expect(told('db.shop.mesh', aaaa, zone)).toContain('NOERROR 253.0.0.16.');
    expect(told('other.shop.mesh', a, zone)).toBe('NOERROR 10.96.0.61');
    expect(told('other.shop.mesh', aaaa, zone)).toBe('NOERROR soa mesh');
  });

  test('until it has one, only its HTTP ports have an address', () => {
    const zone = zoneWith(
      serviceSection('shop/db', { ports: [tcp] }),
      serviceSection('shop/mixed', { ports: [http, tcp] }),
      serviceSection('shop/lost', { ports: [tcp], place: 'weft-l4-7' }),
    );
    expect(told('db.shop.mesh', a, zone)).toBe('NOERROR soa mesh');
    expect(told('mixed.shop.mesh', a, zone)).toBe('NOERROR 10.96.0.50');
    expect(told('lost.shop.mesh', a, zone)).toBe('NOERROR soa mesh');
  });
});

describe('types', () => {
  const dual = zoneOf({ addresses: ['10.96.0.50', 'fd00:10::50'] });
  const ipv6 = 'NOERROR 253.0.0.16.0.0.0.0.0.0.0.0.0.0.0.80';

  test('each family has its own addresses, and NODATA where there are none', () => {
    expect(told('web.shop.mesh', a, dual)).toBe('NOERROR 10.96.0.50');
    expect(told('web.shop.mesh', aaaa, dual)).toBe(ipv6);
    expect(told('web.shop.mesh', aaaa)).toBe('NOERROR soa mesh');
    expect(told('web.shop.mesh', a, zoneOf({ addresses: [] }))).toBe('NOERROR soa mesh');
  });

  test('other types are NODATA, ANY is both families', () => {
    expect(told('web.shop.mesh', 16)).toBe('NOERROR soa mesh');
    expect(told('web.shop.mesh', 65)).toBe('NOERROR soa mesh');
    expect(ask({ name: 'web.shop.mesh', type: 255 }, dual).answers.length).toBe(2);
  });

  test('the SOA is at the apex', () => {
    expect(told('mesh', soa)).toBe('NOERROR soa');
    expect(told('shop.mesh', soa)).toBe('NOERROR soa mesh');
  });

  test('transfers and other classes are refused', () => {
    expect(told('mesh', 252)).toBe('REFUSED');
    expect(told('mesh', 251)).toBe('REFUSED');
    expect(ask({ name: 'web.shop.mesh', class: 3 }).code).toBe('REFUSED');
  });
});

describe('what a reply says besides', () => {
  test('it repeats id, question and its case, and owns its answers by that very name', () => {
    const reply = ask({ name: 'wEb.sHop.Mesh', id: 0xbeef });
    expect(reply.id).toBe(0xbeef);
    expect(reply.question).toEqual({ name: 'wEb.sHop.Mesh', type: a });
    expect(reply.answers.map(({ owner }) => owner)).toEqual(['wEb.sHop.Mesh']);
    expect(reply.isAuthoritative).toBe(true);
  });

  test('answers and denials live five seconds', () => {
    expect(ask({ name: 'web.shop.mesh' }).answers.map(({ ttl }) => ttl)).toEqual([5]);
    const bytes = answerQuery(dnsQuery({ name: 'no.shop.mesh' }), zoneOf(), 'udp');
    if (bytes === undefined) throw new Error('dropped');
    const [denial] = readReply(bytes).authority;
    if (denial === undefined) throw new Error('no SOA');
    expect(denial.ttl).toBe(5);
    const server = readName(bytes, denial.dataAt);
    const mailbox = readName(bytes, server.end);
    expect([server.text, mailbox.text]).toEqual(['ns.mesh', 'hostmaster.mesh']);
    expect(new DataView(bytes.buffer, mailbox.end + 16, 4).getUint32(0)).toBe(5);
  });

  test('RD and CD are repeated, RA is never claimed', () => {
    expect(ask({ name: 'web.shop.mesh', flags: 0x0110 }).flags & 0x01f0).toBe(0x0110);
    expect(ask({ name: 'web.shop.mesh', flags: 0 }).flags & 0x01f0).toBe(0);
  });

  test('without a snapshot every name is refused', () => {
    expect(told('web.shop.mesh', a, buildZone([]))).toBe('REFUSED');
  });
});

describe('EDNS0', () => {
  test('an OPT is answered by one, with our size and the DO flag alone', () => {
    const reply = ask({ name: 'web.shop.mesh', edns: { payload: 4096, flags: 0xffff } });
    expect(reply.additional.map(({ type, class: size, ttl }) => [type, size, ttl])).toEqual([
      [41, 1232, 0x8000],
    ]);
    expect(ask({ name: 'web.shop.mesh' }).additional).toEqual([]);
  });

  test('a version that we do not speak is BADVERS, with the OPT that says so', () => {
    const reply = ask({ name: 'web.shop.mesh', edns: { payload: 1232, version: 1 } });
    expect(reply.code).toBe('NOERROR');
    expect(reply.additional.map(({ ttl }) => ttl >>> 24)).toEqual([1]);
    expect(reply.answers).toEqual([]);
  });

  test('options are ignored, two OPTs are an error', () => {
    const withCookie = [...optBytes({ payload: 1232 }).slice(0, 9), 0, 5, 0, 10, 0, 1, 7];
    const counts = [1, 0, 0, 1] as const;
    expect(ask({ name: 'web.shop.mesh', counts, rest: withCookie }).answers.length).toBe(1);
    const rest = optBytes({ payload: 1 });
    const twice = { name: 'web.shop.mesh', edns: { payload: 1232 }, rest };
    expect(ask({ ...twice, counts: [1, 0, 0, 2] }).code).toBe('FORMERR');
  });
});

describe('sizes', () => {
  const many = zoneOf({ addresses: Array.from({ length: 100 }, (_, at) => `10.0.0.${at}`) });
  const sizeOf = (spec: QuerySpec, transport: 'udp' | 'tcp') =>
    answerQuery(dnsQuery(spec), many, transport)?.length ?? 0;

  test('over UDP what does not fit is left out and TC says so', () => {
    const plain = ask({ name: 'web.shop.mesh' }, many);
    expect([plain.isTruncated, plain.answers.length]).toEqual([true, 30]);
    expect(sizeOf({ name: 'web.shop.mesh' }, 'udp')).toBeLessThanOrEqual(512);
    const large = ask({ name: 'web.shop.mesh', edns: { payload: 65_535 } }, many);
    expect([large.isTruncated, large.answers.length]).toEqual([true, 74]);
    const withSize = (payload: number) =>
      sizeOf({ name: 'web.shop.mesh', edns: { payload } }, 'udp');
    expect(withSize(65_535)).toBeLessThanOrEqual(1232);
    expect(withSize(0)).toBeLessThanOrEqual(512);
  });

  test('over TCP everything fits', () => {
    const reply = ask({ name: 'web.shop.mesh' }, many, 'tcp');
    expect([reply.isTruncated, reply.answers.length]).toEqual([false, 100]);
  });

  test('the longest name has room for its denial', () => {
    const label = 'x'.repeat(61);
    const name = `${label}.${label}.${label}.${label}.mesh`;
    const reply = ask({ name, edns: { payload: 512 } });
    expect([reply.code, reply.authority.length, reply.isTruncated]).toEqual(['NXDOMAIN', 1, false]);
  });
});

describe('what is no good query', () => {
  test('replies and stumps are dropped', () => {
    const zone = zoneOf();
    expect(answerQuery(dnsQuery({ name: 'mesh', flags: 0x8100 }), zone, 'udp')).toBeUndefined();
    expect(answerQuery(new Uint8Array(11), zone, 'udp')).toBeUndefined();
    expect(answerQuery(new Uint8Array(0), zone, 'tcp')).toBeUndefined();
  });

  const cases: [string, QuerySpec, string][] = [
    ['no question', { name: 'mesh', counts: [0, 0, 0, 0] }, 'FORMERR'],
    ['two questions', { name: 'mesh', counts: [2, 0, 0, 0] }, 'FORMERR'],
    ['an answer in a query', { name: 'mesh', counts: [1, 1, 0, 0] }, 'FORMERR'],
    ['records that are not there', { name: 'mesh', counts: [1, 0, 0, 9] }, 'FORMERR'],
    ['an update', { name: 'mesh', flags: 0x2800 }, 'NOTIMP'],
    ['a status query', { name: 'mesh', flags: 0x1000 }, 'NOTIMP'],
  ];
  test.each(cases)('%s', (_, spec, code) => {
    const reply = ask(spec);
    expect([reply.code, reply.id, reply.question]).toEqual([code, 0x1234, undefined]);
  });

  test('a name that is too long, cut off or compressed', () => {
    const header = [...dnsQuery({ name: '' }).subarray(0, 12)];
    const label = [63, ...new Array<number>(63).fill(0x61)];
    const names = [
      [...label, ...label, ...label, ...label, 0, 0, 1, 0, 1],
      [5, 0x61],
      [3, 0x61, 0x61, 0x61],
      [0xc0, 12, 0, 1, 0, 1],
      [64, ...new Array<number>(64).fill(0x61), 0, 0, 1, 0, 1],
      [0, 0, 1],
    ];
    for (const name of names) {
      const answer = answerQuery(Uint8Array.from([...header, ...name]), zoneOf(), 'udp');
      expect(answer === undefined ? 'dropped' : readReply(answer).code).toBe('FORMERR');
    }
  });
});
