// What a new snapshot compiles again and what it takes over from the previous table; whatever is
// taken over, the table is the one that would be compiled from nothing.
import { describe, expect, test } from 'vitest';
import { requestHead } from '../../test/support/request-head.ts';
import {
  endpointsSection,
  matchSpec,
  meshSection,
  namespacesSection,
  nodePart,
  permissionsSection,
  permissionSpec,
  recordsOf,
  serviceSection,
  splitTo,
  workload,
} from '../../test/support/sections.ts';
import type { Section, SectionId } from '../snapshot/index.ts';
import { compileTable, withNodePart } from './compile-table.ts';
import { decide } from './decide.ts';
import { listenersOf } from './listeners.ts';
import { sourceOf } from './source.ts';
import type { RouteTable } from './table.ts';
import type { Split } from './types.ts';

const split = splitTo(
  'split shop/web',
  { 'shop/v1': 90, 'shop/v2': 10 },
  { matches: [matchSpec({ pathRegex: '/a[0-9]' })] },
);
const permissions = permissionsSection('shop/web', [
  permissionSpec({ sources: ['shop/front'], http: { ports: undefined, matches: undefined } }),
]);

function worldOf(v1: readonly string[]): readonly Section[] {
  return [
    meshSection(),
    namespacesSection('off'),
    serviceSection('shop/web', { routes: [split] }),
    serviceSection('shop/v1'),
    serviceSection('shop/other'),
    endpointsSection('shop/v1', v1),
    endpointsSection('shop/v2', ['10.1.0.2:8080']),
    permissions,
  ];
}

function splitOf(table: RouteTable): Split {
  const decision = decide(table, requestHead({ path: '/a1' }));
  if (decision.kind === 'refuse') throw new Error(decision.reason);
  return decision.split;
}

function addressesOf(table: RouteTable): readonly (readonly string[])[] {
  return splitOf(table).backends.map(({ backend }) => backend.endpoints.map(({ id }) => id));
}

/** Maps keep the order in which they were filled; it must not matter. */
function byKey([left]: [unknown, unknown], [right]: [unknown, unknown]): number {
  return String(left) < String(right) ? -1 : 1;
}

/** Everything that a table holds, made comparable; patterns are compared by their source. */
function contentOf(table: RouteTable): unknown {
  return JSON.parse(JSON.stringify(table, (_, value: unknown) => {
    if (value instanceof Map) return [...value].sort(byKey);
    return value instanceof Set ? [...value] : value;
  }));
}

describe('what a change of endpoints compiles again', () => {
  const before = compileTable(recordsOf(...worldOf(['10.1.0.1:8080'])), nodePart());
  const records = recordsOf(...worldOf(['10.1.0.1:8080', '10.1.0.9:8080']));
  const after = compileTable(records, nodePart(), before);

  test('its own service and those that name it see the new endpoints', () => {
    expect(addressesOf(before)).toEqual([['10.1.0.1:8080'], ['10.1.0.2:8080']]);
    expect(addressesOf(after)).toEqual([['10.1.0.1:8080', '10.1.0.9:8080'], ['10.1.0.2:8080']]);
    expect(after).not.toBe(before);
  });

  test('patterns, orders, other endpoints and permissions are the same objects', () => {
    const shapes = (table: RouteTable) => [...table.services.values()].map(({ shape }) => shape);
    for (const [at, shape] of shapes(after).entries()) expect(shape).toBe(shapes(before)[at]);
    const v2 = 'endpoints/shop/v2' as SectionId;
    expect(after.endpoints.get(v2)).toBeDefined();
    expect(after.endpoints.get(v2)).toBe(before.endpoints.get(v2));
    expect([...after.permissions.values()]).toEqual([...before.permissions.values()]);
    expect(after.hosts).toBe(before.hosts);
  });

  test('services that do not name them are not linked again', () => {
    const [other, web] = ['service/shop/other', 'service/shop/web'] as SectionId[];
    if (other === undefined || web === undefined) throw new Error('no ids');
    expect(after.services.get(other)).toBe(before.services.get(other));
    expect(after.services.get(web)).not.toBe(before.services.get(web));
  });

  test('the table is the one that would be compiled from nothing', () => {
    expect(contentOf(after)).toEqual(contentOf(compileTable(records, nodePart())));
  });

  test('a backend that leaves is empty, and comes back', () => {
    const without = worldOf(['10.1.0.1:8080']).filter(
      (section) => section.kind !== 'endpoints' || section.service !== 'v1',
    );
    const gone = compileTable(recordsOf(...without), nodePart(), before);
    expect(addressesOf(gone)).toEqual([[], ['10.1.0.2:8080']]);
    const back = compileTable(recordsOf(...worldOf(['10.1.0.7:8080'])), nodePart(), gone);
    expect(addressesOf(back)).toEqual([['10.1.0.7:8080'], ['10.1.0.2:8080']]);
  });
});

test('a service that is gone is gone, whatever the previous table held', () => {
  const before = compileTable(recordsOf(...worldOf([])), nodePart());
  const after = compileTable(recordsOf(meshSection()), nodePart(), before);
  expect(decide(after, requestHead()).kind).toBe('refuse');
  expect(after.permissions.size + after.endpoints.size + after.hosts.size).toBe(0);
});

test('a node part is swapped without touching the rest', () => {
  const table = compileTable(recordsOf(...worldOf([])), nodePart());
  const place = { isLocal: true, nodeName: 'node-a' };
  const binding = { kind: 'workload', ...place, workload: workload('shop/front') } as const;
  const next = withNodePart(table, nodePart(new Map([['10.1.0.1', binding]])));
  expect(sourceOf(table, '10.1.0.1').kind).toBe('unauthenticated');
  expect(sourceOf(next, '10.1.0.1').kind).toBe('workload');
  expect(next.hosts).toBe(table.hosts);
});

test('listeners are those of the mesh section, none before there is one', () => {
  expect(listenersOf(compileTable(recordsOf(), nodePart()))).toEqual([]);
  const table = compileTable(recordsOf(meshSection()), nodePart());
  expect(listenersOf(table)).toEqual([{ protocol: 'http', servicePort: 80, targetPort: 15100 }]);
});

test('a new name, and one that moved, is found although most services stayed', () => {
  const before = compileTable(recordsOf(...worldOf([])), nodePart());
  const renamed = serviceSection('shop/other', { hostnames: ['moved.shop.mesh'] });
  const sections = worldOf([]).filter((one) => one.kind !== 'service' || one.name !== 'other');
  const after = compileTable(recordsOf(...sections, renamed), nodePart(), before);
  expect(decide(after, requestHead({ hostname: 'moved.shop.mesh' })).kind).toBe('split');
  expect(decide(after, requestHead({ hostname: 'other.shop.mesh' })).kind).toBe('refuse');
});

test('endpoints are identified by address and port, IPv6 in brackets', () => {
  const sections = [serviceSection('shop/web'), endpointsSection('shop/web', ['[fd00::1]:8080'])];
  const table = compileTable(recordsOf(...sections), nodePart());
  const decision = decide(table, requestHead());
  expect(decision.kind === 'split' && decision.split.backends[0]?.backend.endpoints[0]).toEqual({
    id: '[fd00::1]:8080',
    namespace: 'shop',
    address: 'fd00::1',
    port: 8080,
    nodeName: 'node-a',
    podName: '',
  });
});
