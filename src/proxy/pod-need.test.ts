// When a proxy with tunnels has to know the pods of other nodes, and for how long. That it then
// does is test/kube/pods-of-nodes.test.ts.
import { describe, expect, test } from 'vitest';
import {
  endpointsSection,
  meshSection,
  recordsOf,
  serviceSection,
} from '../../test/support/sections.ts';
import type { NamespacesSection, PeerPart, Section, Snapshot } from '../snapshot/index.ts';
import { PodNeed } from './pod-need.ts';

const minuteMs = 60_000;
const none = new Set<string>();
const peers: PeerPart = {
  ...{ nodes: new Map(), dial: new Map(), bare: none, deaf: none },
  knowsAllPods: false,
};

function snapshotOf(...sections: readonly Section[]): Snapshot {
  const records = recordsOf(meshSection(), serviceSection('shop/web'), ...sections);
  return { version: 'v', sections: records, runs: new Map() };
}

const modes = (said: Partial<NamespacesSection> = {}): Section => ({
  ...{ kind: 'namespaces', defaultPolicy: 'off', defaultMtls: 'permissive', namespaces: [] },
  ...said,
});
const tunnelled = snapshotOf(modes(), endpointsSection('shop/web', ['10.1.0.1:80']));

describe('pods of other nodes', () => {
  test('are not needed where tunnels lead everywhere', () => {
    expect(new PodNeed().isNeeded(tunnelled, peers, 0)).toBe(false);
  });

  test.each<[string, Snapshot, Partial<PeerPart>]>([
    ['a namespace is plain', snapshotOf(modes({
      namespaces: [{ name: 'old', policy: 'off', mtls: 'off' }],
    })), {}],
    ['all are plain', snapshotOf(modes({ defaultMtls: 'off' })), {}],
    ['a node is bare', tunnelled, { bare: new Set(['node-b']) }],
    ['a proxy accepts no tunnels', tunnelled, { deaf: new Set(['node-b']) }],
  ])('are needed where %s', (_where, snapshot, said) => {
    expect(new PodNeed().isNeeded(snapshot, { ...peers, ...said }, 0)).toBe(true);
  });

  test('are needed for an address of no proven node, and for ten minutes more', () => {
    const need = new PodNeed();
    const section = endpointsSection('shop/web', ['10.1.0.1:80', '192.0.2.1:80']);
    if (section.kind !== 'endpoints') throw new Error('it is one');
    const backends = section.backends.map((backend) => ({
      ...backend,
      endpoints: backend.endpoints.map((one) => ({ ...one, nodeName: '', podName: '' })),
    }));
    expect(need.isNeeded(snapshotOf(modes(), { ...section, backends }), peers, 0)).toBe(true);
    expect(need.isNeeded(tunnelled, peers, 10 * minuteMs - 1)).toBe(true);
    expect(need.isNeeded(tunnelled, peers, 10 * minuteMs)).toBe(false);
  });
});
