// Objects in, updates for workers out: only what changed travels, and what travels makes a worker
// that was told bit by bit the equal of one that was told everything.
import { describe, expect, test } from 'vitest';
import {
  entryOf,
  namespaceOf,
  nodeOf,
  podOf,
  serviceOf,
  settingsOf,
  sliceOf,
  splitOf,
  stateOf,
  type AnyObject,
} from '../../test/support/builders.ts';
import type { ClusterState } from '../api/index.ts';
import { seededRandom } from '../lib/random.ts';
import { applyDelta, applyNodePart, type NodePart, type Snapshot } from '../snapshot/index.ts';
import { createSlotMemory, SlotAllocator, SlotView } from '../telemetry/index.ts';
import { isOfEndpointsOnly, Publisher } from './publisher.ts';
import type { WorkerUpdate } from './worker-fleet.ts';

function publisherOf(options: { readonly hasTunnels?: boolean } = {}) {
  const bugs: unknown[] = [];
  const memory = createSlotMemory({ split: 64, endpoint: 64, service: 64 });
  const publisher = new Publisher({
    settings: settingsOf(),
    nodeName: 'node-1',
    slots: new SlotAllocator(memory, seededRandom(1)),
    onBug: (error) => bugs.push(error),
    ...options,
  });
  return { publisher, memory, bugs };
}

/** What a worker keeps of the updates that it gets. */
class Follower {
  snapshot: Snapshot | undefined;
  node: NodePart | undefined;
  readonly slots: SlotView;

  constructor(memory: ReturnType<typeof createSlotMemory>) {
    this.slots = new SlotView(memory, { index: 0, count: 1 });
  }

  take(update: WorkerUpdate | undefined): this {
    if (update?.slots !== undefined) this.slots.apply(update.slots);
    if (update?.node !== undefined) this.node = applyNodePart(this.node, update.node);
    if (update?.snapshot === undefined) return this;
    const applied = applyDelta(this.snapshot, update.snapshot);
    if (applied.kind === 'failure') throw applied.failure;
    this.snapshot = applied.snapshot;
    return this;
  }

  get facts() {
    return {
      version: this.snapshot?.version,
      sections: [...(this.snapshot?.sections.keys() ?? [])],
      bindings: Object.fromEntries(this.node?.bindings ?? []),
    };
  }
}

const web = (...addresses: readonly string[]): readonly AnyObject[] => [
  serviceOf('shop/web'),
  sliceOf('shop/web', { endpoints: addresses.map((address) => entryOf(address)) }),
];
const other: readonly AnyObject[] = [
  serviceOf('shop/other'),
  sliceOf('shop/other', { endpoints: [entryOf('10.1.0.9')] }),
];
const pod = podOf('shop/front', { addresses: ['10.1.0.1'], serviceAccount: 'front' });
const base: readonly AnyObject[] = [namespaceOf('shop'), nodeOf('node-1', ['10.0.0.1']), pod];

/** A state whose pods and nodes are the very maps of another, as the store hands them out. */
function withPodsOf(before: ClusterState, ...objects: readonly AnyObject[]): ClusterState {
  return { ...stateOf(...objects), pods: before.pods, nodes: before.nodes };
}

describe('a publication', () => {
  test('carries the sections that changed and no others', () => {
    const { publisher } = publisherOf();
    publisher.publish(stateOf(...base, ...web('10.1.0.2'), ...other), 0);
    const moved = stateOf(...base, ...web('10.1.0.2', '10.1.0.3'), ...other);
    const update = publisher.publish(moved, 10);
    expect(update?.snapshot?.changed.map(({ id }) => id)).toEqual(['endpoints/shop/web']);
    expect(update?.snapshot?.removed).toEqual([]);
    expect(update?.node).toBeUndefined();
    expect(update?.slots?.set.map(([kind, key]) => `${kind} ${key}`)).toEqual([
      'endpoint 10.1.0.3:8080',
    ]);
  });

  test('of pods that come and go is told apart from what people change', () => {
    const { publisher } = publisherOf();
    const kindsOf = (...objects: readonly AnyObject[]) => {
      const update = publisher.publish(stateOf(...base, ...objects), 0);
      return update === undefined ? undefined : isOfEndpointsOnly(update);
    };
    expect(kindsOf(...web('10.1.0.2'), ...other)).toBe(false);
    expect(kindsOf(...web('10.1.0.3'), ...other)).toBe(true);
    expect(kindsOf(...web('10.1.0.3'))).toBe(false);
    const split = splitOf('shop/web', 'web', { web: 1 });
    expect(kindsOf(...web('10.1.0.4'), split)).toBe(false);
  });

  test('of a change that means nothing to workers is none', () => {
    const { publisher } = publisherOf();
    const state = stateOf(...base, ...web('10.1.0.2'));
    expect(publisher.publish(state, 0)).toBeDefined();
    expect(publisher.publish(state, 10)).toBeUndefined();
    expect(publisher.publish(stateOf(...base, ...web('10.1.0.2')), 20)).toBeUndefined();
  });

  test('of a pod that came is that one address', () => {
    const { publisher } = publisherOf();
    publisher.publish(stateOf(...base, ...web('10.1.0.2')), 0);
    const back = podOf('shop/back', { addresses: ['10.1.0.7'] });
    const update = publisher.publish(stateOf(...base, back, ...web('10.1.0.2')), 10);
    expect(update?.snapshot).toBeUndefined();
    expect(update?.node?.isComplete).toBe(false);
    expect(update?.node?.set.map(([address]) => address)).toEqual(['10.1.0.7']);
  });

  test('takes back the slots of what is gone', () => {
    const { publisher } = publisherOf();
    publisher.publish(stateOf(...base, ...web('10.1.0.2'), ...other), 0);
    const update = publisher.publish(stateOf(...base, ...web('10.1.0.2')), 10);
    expect(update?.snapshot?.removed).toEqual(['endpoints/shop/other', 'service/shop/other']);
    expect(update?.slots?.freed.map(([kind, key]) => `${kind} ${key}`)).toEqual(
      expect.arrayContaining(['endpoint 10.1.0.9:8080', 'service shop/other']),
    );
  });

  test('bit by bit or everything at once: workers end with the same', () => {
    const { publisher, memory } = publisherOf();
    const follower = new Follower(memory);
    const split = splitOf('shop/web', 'web', { web: 1, other: 1 });
    const states = [
      stateOf(...base, ...web('10.1.0.2')),
      stateOf(...base, ...web('10.1.0.2'), ...other, split),
      stateOf(...base, ...other),
      stateOf(...base, ...web('10.1.0.4'), ...other, split),
    ];
    for (const [index, state] of states.entries()) {
      follower.take(publisher.publish(state, index * 10));
    }
    const fresh = new Follower(memory).take(publisher.complete());
    expect(fresh.facts).toEqual(follower.facts);
    expect(fresh.facts.version).toBe(publisher.snapshot?.version);
    for (const key of ['10.1.0.4:8080', '10.1.0.9:8080']) {
      expect(follower.slots.offset('endpoint', key)).toBeGreaterThan(0);
      expect(fresh.slots.offset('endpoint', key)).toBe(follower.slots.offset('endpoint', key));
    }
    expect(follower.slots.offset('endpoint', '10.1.0.2:8080')).toBe(0);
  });

  test('names follow, and policy versions are remembered, newest first', () => {
    const { publisher } = publisherOf();
    expect(publisher.zone.services.size).toBe(0);
    publisher.publish(stateOf(...base, ...web('10.1.0.2')), 0);
    expect(publisher.zone.services.has('web.shop.mesh')).toBe(true);
    const first = publisher.policyVersion;
    for (let change = 1; change <= 40; change += 1) {
      const named = serviceOf(`shop/s${change}`);
      publisher.publish(stateOf(...base, ...web('10.1.0.2'), named), change);
    }
    expect(publisher.recent).toHaveLength(32);
    expect(publisher.recent[0]).toBe(publisher.policyVersion);
    expect(publisher.recent).not.toContain(first);
  });

  test('problems are those of the objects as they are now', () => {
    const { publisher } = publisherOf();
    const split = splitOf('shop/web', 'web', { nobody: 1 });
    publisher.publish(stateOf(...base, ...web('10.1.0.2'), split), 0);
    expect(publisher.problems.map(({ kind, name }) => `${kind} ${name}`)).toContain(
      'TrafficSplit web',
    );
    publisher.publish(stateOf(...base, ...web('10.1.0.2')), 10);
    expect(publisher.problems).toEqual([]);
  });
});

describe('whose addresses are', () => {
  const twin = podOf('shop/twin', { addresses: ['10.1.0.1'] });

  test('is not looked at again while pods and nodes are the same maps', () => {
    const { publisher } = publisherOf();
    const first = stateOf(...base, ...web('10.1.0.2'));
    publisher.publish(first, 0);
    const part = publisher.nodePart;
    publisher.publish(withPodsOf(first, ...base, ...web('10.1.0.3')), 10);
    expect(publisher.nodePart).toBe(part);
    publisher.publish(stateOf(...base, twin, ...web('10.1.0.3')), 20);
    expect(publisher.nodePart).not.toBe(part);
  });

  test('changes when a quarantine ends, though no object does', () => {
    const { publisher } = publisherOf();
    publisher.publish(stateOf(...base), 0);
    const heir = podOf('shop/heir', { addresses: ['10.1.0.1'] });
    const after = stateOf(namespaceOf('shop'), nodeOf('node-1', ['10.0.0.1']), heir);
    publisher.publish(after, 100);
    const dueMs = publisher.nextChangeMs ?? 0;
    expect(dueMs).toBeGreaterThan(100);
    expect(publisher.publish(after, dueMs - 1)).toBeUndefined();
    const update = publisher.publish(after, dueMs);
    expect(update?.node?.set).toEqual([
      ['10.1.0.1', expect.objectContaining({ kind: 'workload', isLocal: true })],
    ]);
    expect(publisher.nextChangeMs).toBeUndefined();
  });

  test('of very many goes out first, and the objects with the next call', () => {
    const { publisher } = publisherOf();
    const crowd = Array.from({ length: 2_000 }, (_, index) =>
      podOf(`shop/crowd-${index}`, { addresses: [`10.2.${index >> 8}.${index & 255}`] }),
    );
    const state = stateOf(...base, ...web('10.1.0.2'), ...crowd);
    const first = publisher.publish(state, 10);
    expect(first?.node?.set.length).toBeGreaterThan(2_000);
    expect(first?.snapshot).toBeUndefined();
    expect(publisher.nextChangeMs).toBe(10);
    const second = publisher.publish(state, 11);
    expect(second?.node).toBeUndefined();
    expect(second?.snapshot?.changed.map(({ id }) => id)).toContain('endpoints/shop/web');
    expect(publisher.nextChangeMs).toBeUndefined();
  });

  test('is told as a problem where two pods claim one', () => {
    const { publisher } = publisherOf();
    publisher.publish(stateOf(...base, twin), 0);
    expect(publisher.problems.map(({ reason }) => reason)).toContain('AddressDisputed');
  });
});

describe('peers', () => {
  const sight = { knowsAllPods: true, isAfterGap: false, isLive: true, neighbours: undefined };
  const peers = (...nodes: readonly string[]): AnyObject =>
    sliceOf('weft-system/weft-peers', {
      endpoints: nodes.map((nodeName, index) => entryOf(`10.0.0.${index}`, { nodeName })),
    });
  const two = nodeOf('node-2', ['10.0.0.2']);

  test('travel when they change, beside what nobody else must know', () => {
    const { publisher } = publisherOf({ hasTunnels: true });
    const state = stateOf(...base, two, peers('node-1'));
    const first = publisher.publish(state, 0, sight);
    expect([...(first?.peers?.dial ?? [])]).toEqual([['node-1', ['10.0.0.0']]]);
    expect(publisher.publish(state, 10, sight)).toBeUndefined();
    expect(publisher.complete().peers).toBe(first?.peers);
    const version = publisher.snapshot?.version;
    const grown = { ...state, ...pick(stateOf(...base, two, peers('node-1', 'node-2'))) };
    const update = publisher.publish(grown, 20, sight);
    expect([update?.node, update?.snapshot]).toEqual([undefined, undefined]);
    expect(update?.peers?.dial.get('node-2')).toEqual(['10.0.0.1']);
    expect(publisher.snapshot?.version).toBe(version);
  });

  test('become bare by time alone, and only while slices are watched', () => {
    const { publisher } = publisherOf({ hasTunnels: true });
    const state = stateOf(...base, two, peers('node-1'));
    publisher.publish(state, 0, sight);
    expect(publisher.nextChangeMs).toBe(30_000);
    publisher.publish(state, 20_000, { ...sight, isLive: false });
    expect(publisher.nextChangeMs).toBeUndefined();
    publisher.publish(state, 40_000, sight);
    expect([...(publisher.publish(state, 70_000, sight)?.peers?.bare ?? [])]).toEqual(['node-2']);
  });

  test('are nobody’s concern where there are no tunnels', () => {
    const { publisher } = publisherOf();
    const update = publisher.publish(stateOf(...base, peers('node-1')), 0, sight);
    expect([update?.peers, publisher.complete().peers]).toEqual([undefined, undefined]);
  });
});

/** The slices, as the store hands out a map of its own for each kind. */
function pick({ endpointSlices }: ClusterState): Pick<ClusterState, 'endpointSlices'> {
  return { endpointSlices };
}

describe('what is seen besides the objects', () => {
  const sight = { knowsAllPods: true, isAfterGap: false, isLive: true, neighbours: undefined };
  const fresh = podOf('shop/fresh', { addresses: ['10.1.0.8'] });

  test('a pod that is new after a gap of the watch is no source yet', () => {
    const { publisher } = publisherOf();
    const state = stateOf(...base);
    publisher.publish(state, 0, sight);
    publisher.publish(state, 1_000, { ...sight, isAfterGap: true });
    const late = publisher.publish(stateOf(...base, fresh), 2_000, sight);
    expect(late?.node?.set[0]?.[1]).toMatchObject({ isLocal: false });
    expect(publisher.nextChangeMs).toBe(4_000);
  });

  test('a neighbour table that contradicts takes a source away, without any new object', () => {
    const { publisher } = publisherOf();
    const state = stateOf(...base);
    const table = new Map([['10.1.0.1', '0e:00:00:00:00:01']]);
    publisher.publish(state, 0, { ...sight, neighbours: table });
    const forged = new Map([['10.1.0.1', '0e:00:00:00:00:66']]);
    const update = publisher.publish(state, 250, { ...sight, neighbours: forged });
    expect(update?.node?.set).toMatchObject([['10.1.0.1', { isLocal: false }]]);
    expect([publisher.disputed, publisher.problems[0]?.reason]).toEqual([1, 'AddressDisputed']);
  });
});

describe('a fault of ours that an object brings to light', () => {
  /** Makes the compiler throw, as an object would that it does not expect. */
  function poisoned(state: ClusterState): ClusterState {
    const services = new Map(state.services);
    const bad = serviceOf('shop/bad');
    Object.defineProperty(bad, 'ports', {
      get: () => {
        throw new Error('BUG: impossible');
      },
    });
    return { ...state, services: services.set('shop/bad', bad) };
  }

  test('leaves the last good configuration in force and goes on telling addresses', () => {
    const { publisher, bugs } = publisherOf();
    publisher.publish(stateOf(...base, ...web('10.1.0.2')), 0);
    const version = publisher.snapshot?.version;
    const back = podOf('shop/back', { addresses: ['10.1.0.7'] });
    const update = publisher.publish(poisoned(stateOf(...base, back, ...web('10.1.0.3'))), 10);
    expect(bugs).toHaveLength(1);
    expect(publisher.snapshot?.version).toBe(version);
    expect(update?.snapshot).toBeUndefined();
    expect(update?.node?.set.map(([address]) => address)).toEqual(['10.1.0.7']);
    const repaired = publisher.publish(stateOf(...base, back, ...web('10.1.0.3')), 20);
    expect(repaired?.snapshot?.base).toBe(version);
  });
});
