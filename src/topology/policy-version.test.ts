// What the policy version depends on: what users wrote, and nothing that changes without anybody's
// will. The controller asks proxies for it to say `Programmed`.
import { describe, expect, test } from 'vitest';
import {
  entryOf,
  groupOf,
  metaOf,
  namespaceOf,
  podOf,
  portOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
  targetOf,
  tcpRouteOf,
  type AnyObject,
} from '../../test/support/builders.ts';
import type { ClusterState } from '../api/index.ts';
import { buildTopology } from './build.ts';

const service = serviceOf('shop/web');
const namespace = namespaceOf('shop');
const split = splitOf('shop/split', 'web', { web: 1 });
const base: readonly AnyObject[] = [
  service,
  namespace,
  split,
  podOf('shop/pod'),
  sliceOf('shop/web'),
];

function versionOf(objects: readonly AnyObject[]): string {
  return buildTopology(stateOf(...objects), settingsOf()).value.policyVersion;
}

describe('the policy version', () => {
  test.each<[string, AnyObject]>([
    [
      'the generation of an SMI object',
      { ...split, meta: metaOf('shop/split', { generation: 2 }) },
    ],
    ['its uid', { ...split, meta: metaOf('shop/split', { uid: 'reborn' }) }],
    ['a new SMI object', groupOf('shop/routes', [])],
    ['another one', targetOf('shop/web', 'web', ['shop/front'])],
    ['a port of a Service', { ...service, ports: [portOf(81)] }],
    ['a target port', { ...service, ports: [portOf(80, { targetPort: 'web' })] }],
    ['the name of a port', { ...service, ports: [portOf(80, { name: 'http' })] }],
    ['a ClusterIP', { ...service, clusterIps: ['10.96.0.1'] }],
    ['an annotation of a Service', { ...service, meta: annotated('shop/web') }],
    ['an annotation of a Namespace', { ...namespace, meta: annotated('shop') }],
  ])('changes with %s', (_, changed) => {
    expect(versionOf([...base, changed])).not.toBe(versionOf(base));
  });

  test.each<[string, AnyObject]>([
    ['a new pod', podOf('shop/other', { addresses: ['10.1.0.9'] })],
    ['endpoints', sliceOf('shop/web', { endpoints: [entryOf('10.1.0.1')] })],
    ['the status of an SMI object', { ...split, meta: metaOf('shop/split', { createdMs: 5 }) }],
  ])('does not change with %s', (_, changed) => {
    expect(versionOf([...base, changed])).toBe(versionOf(base));
  });

  test.each<[string, AnyObject]>([
    ['a Service', serviceOf('shop/new')],
    ['a Namespace', namespaceOf('new')],
    ['a TrafficTarget', targetOf('shop/new', 'web', ['shop/front'])],
    ['an HTTPRouteGroup', groupOf('shop/new', [])],
    ['a TCPRoute', tcpRouteOf('shop/new')],
    ['a TrafficSplit', splitOf('shop/new', 'web', { web: 1 })],
  ])('is the same after the change of %s as from nothing', (_, added) => {
    const before = stateOf(...base);
    const after = stateOf(...base, added);
    const maps = Object.entries(after).map(([name, objects]) => {
      const known = before[name as keyof ClusterState];
      const isSame = objects instanceof Map && known instanceof Map && objects.size === known.size;
      return [name, isSame ? known : objects];
    });
    // Each key with its own value again; TypeScript cannot follow.
    const changed = Object.fromEntries(maps) as ClusterState;
    const first = buildTopology(before, settingsOf()).value;
    const second = buildTopology(changed, first.memo.settings, first).value;
    expect(second.policyVersion).toBe(versionOf([...base, added]));
    expect(second.policyVersion).not.toBe(first.policyVersion);
  });

  test('is not kept when one of its inputs is another map', () => {
    const first = buildTopology(stateOf(...base), settingsOf()).value;
    const changed = stateOf(...base, { ...service, ports: [portOf(82)] });
    const second = buildTopology(changed, first.memo.settings, first).value;
    expect(second.policyVersion).toBe(buildTopology(changed, settingsOf()).value.policyVersion);
  });
});

function annotated(path: string) {
  return metaOf(path, { annotations: new Map([['weft.dev/timeout', '1s']]) });
}
