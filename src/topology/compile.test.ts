// The encoding of sections, to the byte, and that one changed slice travels alone. What sections
// mean is tested by the golden cases in test/golden.
import { expect, test } from 'vitest';
import {
  deepFrozen,
  entryOf,
  metaOf,
  namespaceOf,
  portOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
  targetOf,
} from '../../test/support/builders.ts';
import { applyDelta, decodeSection, diffSnapshot, type SectionRecord } from '../snapshot/index.ts';
import { buildTopology } from './build.ts';
import { compileSnapshot } from './compile.ts';

const settings = settingsOf();

function shop() {
  return stateOf(
    namespaceOf('shop'),
    serviceOf('shop/web', {
      ports: [portOf(80, { name: 'http' }), portOf(9090, { name: 'admin' })],
    }),
    sliceOf('shop/web', {
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: 'admin', port: 9191, protocol: 'TCP' },
      ],
      endpoints: [
        entryOf('10.1.0.2'),
        entryOf('10.1.0.1'),
        entryOf('10.1.0.3', { isReady: false }),
      ],
    }),
    serviceOf('kube-system/dns'),
  );
}

test('a service becomes a section with its names and one with the endpoints of each port', () => {
  const topology = deepFrozen(buildTopology(shop(), settings).value);
  const snapshot = deepFrozen(compileSnapshot(topology, settings).value);
  expect([...snapshot.sections.keys()]).toEqual([
    'endpoints/shop/web',
    'mesh',
    'namespaces',
    'service/shop/web',
  ]);
  const endpoints = [...snapshot.sections.values()][0];
  const pod = (last: number, port: number): string =>
    `"10.1.0.${last}",${port},"node-1","pod-10-1-0-${last}"`;
  expect(endpoints?.text).toBe(
    `{"backends":[{"endpoints":[${pod(1, 8080)},${pod(2, 8080)}],"port":80,"scheme":"http"},` +
      `{"endpoints":[${pod(1, 9191)},${pod(2, 9191)}],"port":9090,"scheme":"http"}],` +
      '"kind":"endpoints","namespace":"shop","service":"web"}',
  );
});

test('what travels is decoded to the same snapshot, and a change travels alone', () => {
  const first = buildTopology(shop(), settings).value;
  const before = compileSnapshot(first, settings).value;
  const full = applyDelta(undefined, diffSnapshot(undefined, before));
  expect(full.kind === 'snapshot' && full.snapshot).toEqual(before);
  for (const record of before.sections.values()) {
    expect(decodeSection(record.id, record.text).kind).toBe('section');
  }

  const objects = shop();
  const endpointSlices = new Map(objects.endpointSlices);
  endpointSlices.set(
    'shop/web-2',
    sliceOf('shop/web', {
      meta: metaOf('shop/web-2'),
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [entryOf('10.1.0.9')],
    }),
  );
  const second = buildTopology({ ...objects, endpointSlices }, settings, first).value;
  const after = compileSnapshot(second, settings, before).value;
  const delta = diffSnapshot(before, after);
  expect(delta.changed.map(({ id }) => id)).toEqual(['endpoints/shop/web']);
  const applied = applyDelta(before, delta);
  expect(applied.kind === 'snapshot' && applied.snapshot.version).toBe(after.version);
});

test('a changed split makes the section of its root anew, and takes over all others', () => {
  const split = (root: string, weight: number) =>
    splitOf(`shop/split-${root}`, root, { [root]: weight, api: 1 });
  const objects = stateOf(
    namespaceOf('shop'),
    ...['api', 'db', 'web'].flatMap((name) => [serviceOf(`shop/${name}`), sliceOf(`shop/${name}`)]),
    split('db', 1),
    split('web', 1),
    targetOf('shop/target', 'web', ['shop/front']),
  );
  const first = buildTopology(objects, settings).value;
  const before = compileSnapshot(first, settings).value;
  const trafficSplits = new Map(objects.trafficSplits).set('shop/split-web', split('web', 2));
  const second = buildTopology({ ...objects, trafficSplits }, settings, first).value;
  const after = compileSnapshot(second, settings, before).value;
  const isNew = ({ id, section }: SectionRecord) => before.sections.get(id)?.section !== section;
  const fresh = [...after.sections.values()].filter(isNew).map(({ id }) => id);
  expect(fresh).toEqual(['service/shop/web']);
  expect(second.services).toBe(first.services);
  expect(second.endpoints).toBe(first.endpoints);
  expect(second.permissions).toBe(first.permissions);
  expect(second.roots.get('shop/db')).toBe(first.roots.get('shop/db'));
});

test('changed endpoints leave the services and their splits as they are', () => {
  const objects = shop();
  const first = buildTopology(objects, settings).value;
  const endpointSlices = new Map(objects.endpointSlices);
  endpointSlices.set('shop/web-slice', sliceOf('shop/web', { endpoints: [entryOf('10.1.0.9')] }));
  const second = buildTopology({ ...objects, endpointSlices }, settings, first).value;
  expect(second.endpoints).not.toEqual(first.endpoints);
  expect(second.services).toBe(first.services);
  expect(second.roots).toBe(first.roots);
});

test('namespaces stand with both modes when either is not the default; bad ones are strict', () => {
  const modes = (name: string, mtls: string, policy = 'off') =>
    namespaceOf(name, { 'weft.dev/mtls': mtls, 'weft.dev/policy': policy });
  const permissive = { ...settings, mtls: 'permissive' as const };
  const state = stateOf(
    namespaceOf('plain'),
    modes('same', 'permissive'),
    modes('strict', 'strict'),
    modes('bare', 'off', 'enforce'),
    modes('wrong', 'Strict!'),
  );
  const built = buildTopology(state, permissive);
  const { value } = compileSnapshot(built.value, permissive);
  const section = [...value.sections.values()].find(({ id }) => id === 'namespaces')?.section;
  expect(section).toEqual({
    kind: 'namespaces',
    defaultPolicy: 'off',
    defaultMtls: 'permissive',
    namespaces: [
      { name: 'bare', policy: 'enforce', mtls: 'off' },
      { name: 'strict', policy: 'off', mtls: 'strict' },
      { name: 'wrong', policy: 'off', mtls: 'strict' },
    ],
  });
  const told = built.problems.filter(({ name }) => name === 'wrong');
  expect(told.map(({ reason }) => reason)).toEqual(['InvalidSetting']);
});
