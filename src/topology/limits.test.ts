// Objects that multiply: what a hostile namespace can make of a snapshot is bounded, and what is
// left out is said on the object.
import { describe, expect, test } from 'vitest';
import {
  groupOf,
  portOf,
  serviceOf,
  settingsOf,
  splitOf,
  stateOf,
  targetOf,
  type AnyObject,
} from '../../test/support/builders.ts';
import { buildTopology } from './build.ts';
import { compileSnapshot } from './compile.ts';
import { matchesMax, portsMax } from './limits.ts';

const settings = settingsOf();

function compiled(...objects: readonly AnyObject[]) {
  const { value, problems } = buildTopology(stateOf(...objects), settings);
  const snapshot = compileSnapshot(value, settings).value;
  const find = (id: string) => [...snapshot.sections.values()].find((record) => record.id === id);
  return { problems, find };
}

function groups(count: number, matches: number) {
  return Array.from({ length: count }, (_, at) =>
    groupOf(
      `shop/g${at}`,
      Array.from({ length: matches }, (__, match) => ({ name: `m${match}` })),
    ),
  );
}

const names = Array.from({ length: 6 }, (_, at) => `g${at}`);

describe('one object', () => {
  test('brings no more ports than the limit', () => {
    const ports = Array.from({ length: 5_000 }, (_, at) => portOf(at + 1));
    const { problems, find } = compiled(serviceOf('shop/wide', { ports }));
    const record = find('service/shop/wide');
    expect(record?.section.kind === 'service' && record.section.ports.length).toBe(portsMax);
    expect(problems.map(({ reason }) => reason)).toEqual(['UnsupportedField']);
  });

  test('lacks ports in one problem for each backend', () => {
    const ports = Array.from({ length: 20 }, (_, at) => portOf(at + 1));
    const { problems } = compiled(
      serviceOf('shop/web', { ports }),
      serviceOf('shop/v1', { ports: [portOf(1)] }),
      splitOf('shop/web', 'web', { v1: 1 }),
    );
    expect(problems.map(({ message }) => message)).toEqual([
      'backend shop/v1 does not expose ports 2, 3, 4, 5, 6, 7, 8, 9 and 11 more ' +
        'and takes no part there: add what is missing',
    ]);
  });

  test('brings no more matches than the limit, and allows nothing by the others', () => {
    const rules = names.map((name) => {
      return { kind: 'HTTPRouteGroup' as const, name, matches: undefined };
    });
    const { problems, find } = compiled(
      ...groups(6, 1_000),
      targetOf('shop/all', 'web', ['shop/front'], { rules }),
      serviceOf('shop/web'),
      splitOf('shop/all', 'web', { web: 1 }, { matches: names }),
    );
    const permissions = find('permissions/shop/web')?.section;
    const service = find('service/shop/web')?.section;
    expect(
      permissions?.kind === 'permissions' && permissions.permissions[0]?.http?.matches?.length,
    ).toBe(matchesMax);
    expect(service?.kind === 'service' && service.ports[0]?.routes[0]?.matches?.length).toBe(
      matchesMax,
    );
    expect(problems.map(({ kind, reason }) => `${kind} ${reason}`)).toEqual([
      'TrafficSplit UnsupportedField',
      'TrafficTarget UnsupportedField',
    ]);
  });
});
