// From a request head to a split or a refusal: names and ports, routes in their order, and every
// condition of an HTTP match (smi R-20 … R-35).
import { describe, expect, test } from 'vitest';
import { requestHead, type HeadFields } from '../../test/support/request-head.ts';
import {
  endpointsSection,
  matchSpec,
  meshSection,
  namespacesSection,
  nodePart,
  plainRules,
  recordsOf,
  routeTo,
  serviceSection,
  splitTo,
} from '../../test/support/sections.ts';
import { backendId, type MatchSpec, type Section } from '../snapshot/index.ts';
import { compileTable } from './compile-table.ts';
import { decide, decideFlow } from './decide.ts';
import type { RouteTable } from './table.ts';
import type { Decision, RequestHead } from './types.ts';

function tableOf(...sections: readonly Section[]) {
  return compileTable(recordsOf(meshSection(), namespacesSection('off'), ...sections), nodePart());
}

/** `service/a 90, b 10`, or the reason of the refusal. */
function told(sections: readonly Section[], head: RequestHead): string {
  return textOf(decide(tableOf(...sections), head));
}

function textOf(decision: Decision): string {
  if (decision.kind === 'refuse') return decision.reason;
  return decision.split.backends.map(({ backend, weight }) => `${backend.id} ${weight}`).join(', ');
}

const web = serviceSection('shop/web');

describe('name and port', () => {
  test('a mesh name leads to the service, whatever else is in the mesh', () => {
    const other = serviceSection('shop/other');
    expect(told([web, other], requestHead())).toBe('shop/web:80 1');
  });

  test.each([
    ['an unknown hostname', { hostname: 'nobody.shop.mesh' }],
    ['a port that the service does not have', { servicePort: 81 }],
    ['constructor', { hostname: 'constructor' }],
    ['__proto__', { hostname: '__proto__' }],
    ['an empty hostname', { hostname: '' }],
  ])('%s is UnknownService', (_, said) => {
    expect(told([web], requestHead(said))).toBe('UnknownService');
  });

  test('services, namespaces and hostnames may be called constructor and __proto__', () => {
    const hostnames = ['constructor', '__proto__'];
    const odd = serviceSection('constructor/__proto__', { hostnames });
    for (const hostname of hostnames) {
      expect(told([odd], requestHead({ hostname }))).toBe('constructor/__proto__:80 1');
    }
  });

  test('a port that is not HTTP has no routes here', () => {
    const ports = [{ port: 80, protocol: 'tcp', routes: [routeTo('shop/web')] }] as const;
    expect(told([serviceSection('shop/web', { ports })], requestHead())).toBe('UnknownService');
  });

  test('R-31 an alias leads to its service, and never takes the name of another', () => {
    const thief = serviceSection('evil/a', { aliases: ['app.example.com', 'web.shop.mesh'] });
    expect(told([thief, web], requestHead({ hostname: 'app.example.com' }))).toBe('evil/a:80 1');
    expect(told([thief, web], requestHead())).toBe('shop/web:80 1');
  });

  test('a stopped service refuses everything with Stopped', () => {
    const rules = { ...plainRules, isStopped: true };
    expect(told([serviceSection('shop/web', { rules })], requestHead())).toBe('Stopped');
  });
});

describe('routes', () => {
  const beta = matchSpec({ headers: [{ name: 'X-Beta', pattern: 'yes' }] });
  const routes = [
    splitTo('split shop/ab', { 'shop/v2': 1 }, { matches: [beta] }),
    routeTo('shop/web'),
  ];
  const split = serviceSection('shop/web', { routes });

  test('R-34 the first route that matches wins, the last takes the rest', () => {
    expect(told([split], requestHead({ fields: { 'x-beta': 'yes' } }))).toBe('shop/v2:80 1');
    expect(told([split], requestHead())).toBe('shop/web:80 1');
  });

  test('R-35 all weights zero is NoBackendWeight, never the root service', () => {
    const zero = [splitTo('split shop/z', { 'shop/v1': 0, 'shop/v2': 0 })];
    const service = serviceSection('shop/web', { routes: zero });
    expect(told([service], requestHead())).toBe('NoBackendWeight');
  });

  test('R-37 a backend without endpoints keeps its share', () => {
    const half = [splitTo('split shop/h', { 'shop/v1': 1, 'shop/gone': 1 })];
    const sections = [
      serviceSection('shop/web', { routes: half }),
      endpointsSection('shop/v1', ['10.1.0.1:8080']),
    ];
    expect(told(sections, requestHead())).toBe('shop/v1:80 1, shop/gone:80 1');
  });

  test('a route without matches left takes no request (R-28, R-29)', () => {
    const invalid = matchSpec({ pathRegex: '/a(' });
    for (const matches of [[], [invalid]]) {
      const some = [splitTo('split shop/n', { 'shop/v2': 1 }, { matches }), routeTo('shop/web')];
      const service = serviceSection('shop/web', { routes: some });
      expect(told([service], requestHead())).toBe('shop/web:80 1');
    }
  });
});

describe('matches', () => {
  function isTaken(spec: Partial<MatchSpec>, head: RequestHead): boolean {
    const matches = [matchSpec(spec)];
    const routes = [splitTo('split s', { 'shop/v2': 1 }, { matches }), routeTo('shop/web')];
    return told([serviceSection('shop/web', { routes })], head) === 'shop/v2:80 1';
  }

  test.each([
    ['R-20 /api is a prefix', '/api', '/api/x', true],
    ['R-20 alternation is anchored as a whole', '/a|/b', '/x/b', false],
    ['R-21 encodings are matched as they are', '/a%20b', '/a%20b', true],
    ['R-21 encodings are not decoded', '/a b', '/a%20b', false],
    ['R-21 slashes are not collapsed', '/a/b', '/a//b', false],
  ])('%s', (_, pathRegex, path, expected) => {
    expect(isTaken({ pathRegex }, requestHead({ path }))).toBe(expected);
  });

  test.each([
    ['R-27 no methods is every method', [], 'PURGE', true],
    ['R-27 a star among others is every method', ['*', 'GET'], 'POST', true],
    ['R-27 names are case-sensitive', ['GET'], 'get', false],
    ['R-27 one of several', ['GET', 'POST'], 'POST', true],
    ['R-27 none of several', ['GET', 'POST'], 'PUT', false],
  ])('%s', (_, methods, method, expected) => {
    expect(isTaken({ methods }, requestHead({ method }))).toBe(expected);
  });

  const headerCases: [string, string, string, HeadFields, boolean][] = [
    ['R-22 values are searched', 'x-user', 'b.b', { 'x-user': 'a bob c' }, true],
    ['R-23 names are case-insensitive', 'X-User', 'bob', { 'x-user': 'bob' }, true],
    ['R-24 an absent field matches nothing', 'x-user', '.*', {}, false],
    ['R-24 an empty field is there', 'x-user', '.*', { 'x-user': '' }, true],
    ['R-25 any value', 'x-user', '^bob$', { 'x-user': ['al', 'bob'] }, true],
    ['R-25 the joined value', 'x-user', '^al,bob$', { 'x-user': ['al', 'bob'] }, true],
    ['R-25 nothing in between', 'x-user', '^l,b$', { 'x-user': ['al', 'bob'] }, false],
    ['R-23 host is the hostname', 'host', '^web\\.shop\\.mesh$', { host: 'evil' }, true],
    ['R-23 :authority is the hostname', ':authority', '^web\\.shop\\.mesh$', {}, true],
    ['a field may be called __proto__', '__proto__', 'x', { ['__proto__']: 'x' }, true],
  ];
  test.each(headerCases)('%s', (_, name, pattern, fields, expected) => {
    expect(isTaken({ headers: [{ name, pattern }] }, requestHead({ fields }))).toBe(expected);
  });

  test('R-26 a match without condition takes everything', () => {
    expect(isTaken({}, requestHead({ method: 'PURGE', path: '*' }))).toBe(true);
  });

  test('all conditions have to hold', () => {
    const spec = { pathRegex: '/a', methods: ['GET'], headers: [{ name: 'x', pattern: '1' }] };
    const fields = { x: '1' };
    expect(isTaken(spec, requestHead({ path: '/a', fields }))).toBe(true);
    expect(isTaken(spec, requestHead({ path: '/b', fields }))).toBe(false);
    expect(isTaken(spec, requestHead({ path: '/a', method: 'PUT', fields }))).toBe(false);
    expect(isTaken(spec, requestHead({ path: '/a' }))).toBe(false);
  });
});

describe('flows', () => {
  const route = routeTo('shop/db', 5432);
  const flowRoute = { ...route, backends: [{ backend: backendId('shop', 'db', 53), weight: 1 }] };
  const udpRoute = splitTo('service shop/db', {});
  const db = serviceSection('shop/db', {
    ports: [
      { port: 53, protocol: 'tcp', routes: [flowRoute] },
      {
        port: 53,
        protocol: 'udp',
        routes: [
          { ...udpRoute, backends: [{ backend: backendId('shop', 'db', 53, 'udp'), weight: 1 }] },
        ],
      },
      { port: 80, protocol: 'http', routes: [routeTo('shop/db')] },
    ],
  });
  const endpoints: Section = {
    kind: 'endpoints',
    namespace: 'shop',
    service: 'db',
    backends: [
      { port: 53, scheme: 'http', endpoints: [endpointAt('10.1.0.1')] },
      { port: 53, transport: 'udp', scheme: 'http', endpoints: [endpointAt('10.1.0.2')] },
    ],
  };
  const to = (servicePort: number, service = 'db') => ({ namespace: 'shop', service, servicePort });
  type To = ReturnType<typeof to>;
  const decideTcp = (table: RouteTable, where: To) =>
    decideFlow(table, { ...where, protocol: 'tcp' });
  const decideUdp = (table: RouteTable, where: To) =>
    decideFlow(table, { ...where, protocol: 'udp' });

  function endpointAt(address: string) {
    return { address, port: 5300, nodeName: 'node-b', podName: 'db-1' };
  }

  test('TCP and UDP of one number have endpoints, turns and loads of their own', () => {
    const table = tableOf(db, endpoints);
    const tcp = decideTcp(table, to(53));
    const udp = decideUdp(table, to(53));
    expect([textOf(tcp), textOf(udp)]).toEqual(['shop/db:53 1', 'shop/db:53/udp 1']);
    expect([tcp, udp].map((one) => one.kind === 'split' && one.split.key)).toEqual([
      'service shop/db:53',
      'service shop/db:53/udp',
    ]);
    const ids = [tcp, udp].map(
      (one) => one.kind === 'split' && one.split.backends[0]?.backend.endpoints[0]?.id,
    );
    expect(ids).toEqual(['10.1.0.1:5300', '10.1.0.2:5300/udp']);
  });

  test.each([
    ['a port that speaks HTTP', to(80)],
    ['a port that the service does not have', to(54)],
    ['a service that is gone', to(53, 'gone')],
    ['a name from Object.prototype', to(53, 'constructor')],
  ])('%s is UnknownService to TCP and UDP', (_, destination) => {
    const table = tableOf(db, endpoints);
    expect(textOf(decideTcp(table, destination))).toBe('UnknownService');
    expect(textOf(decideUdp(table, destination))).toBe('UnknownService');
  });

  test('stopped traffic and weights of zero are refused as for HTTP', () => {
    const stopped = { ...db, rules: { ...plainRules, isStopped: true } };
    expect(textOf(decideTcp(tableOf(stopped, endpoints), to(53)))).toBe('Stopped');
    const none = splitTo('split shop/none', { 'shop/db': 0 });
    const zero = serviceSection('shop/db', {
      ports: [{ port: 53, protocol: 'udp', routes: [none] }],
    });
    expect(textOf(decideUdp(tableOf(zero, endpoints), to(53)))).toBe('NoBackendWeight');
  });

  test('new endpoints reach the flows of a service that stays', () => {
    const before = tableOf(db);
    const records = recordsOf(meshSection(), namespacesSection('off'), db, endpoints);
    const after = compileTable(records, nodePart(), before);
    const udp = decideUdp(after, to(53));
    expect(udp.kind === 'split' && udp.split.backends[0]?.backend.endpoints).toHaveLength(1);
  });
});
