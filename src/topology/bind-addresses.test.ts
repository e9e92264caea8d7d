// Whose an address is: every doubt ends in nobody. Time is an argument, so quarantine is tested by
// numbers.
import { describe, expect, test } from 'vitest';
import { metaOf, nodeOf, podOf } from '../../test/support/builders.ts';
import type { Pod } from '../api/index.ts';
import { applyNodePart, diffNodePart } from '../snapshot/index.ts';
import { bindAddresses, type AddressBook } from './bind-addresses.ts';
import { readNeighbours, type Neighbours } from './neighbours.ts';

const address = '10.1.0.1';

function book(pods: readonly Pod[], previous?: AddressBook, nowMs = 0): AddressBook {
  const nodes = [nodeOf('node-1', ['192.168.0.1'])];
  return bindAddresses(previous, { nodeName: 'node-1', pods: pods.values(), nodes }, nowMs);
}

function pod(name: string, given: Partial<Pod> = {}): Pod {
  return podOf(`shop/${name}`, { addresses: [address], serviceAccount: name, ...given });
}

function kindOf({ part }: AddressBook, of = address): string | undefined {
  return part.bindings.get(of)?.kind;
}

describe('an address', () => {
  test('of a pod is its workload, local only on its own node', () => {
    const { part } = book([
      pod('web'),
      pod('far', { addresses: ['10.1.0.2'], nodeName: 'node-2' }),
    ]);
    expect(part.bindings.get(address)).toMatchObject({
      kind: 'workload',
      isLocal: true,
      nodeName: 'node-1',
      workload: { namespace: 'shop', serviceAccount: 'web', podName: 'web' },
    });
    expect(part.bindings.get('10.1.0.2')).toMatchObject({ kind: 'workload', isLocal: false });
  });

  test.each<[string, Partial<Pod>, string | undefined]>([
    ['succeeded', { phase: 'Succeeded' }, undefined],
    ['failed', { phase: 'Failed' }, undefined],
    ['pending with an address: init containers call too', { phase: 'Pending' }, 'workload'],
    ['deleted while a container runs', { isDeleting: true }, 'workload'],
    ['deleted and stopped', { isDeleting: true, hasRunningContainer: false }, undefined],
    ['of the host network', { isHostNetwork: true }, 'infrastructure'],
    ['a mirror pod, without a service account', { serviceAccount: '' }, 'disputed'],
  ])('of a pod that is %s', (_, given, expected) => {
    expect(kindOf(book([pod('web', given)]))).toBe(expected);
  });

  test('with two live claims is nobody’s, and both pods are told', () => {
    const both = book([pod('one'), pod('two')]);
    expect(kindOf(both)).toBe('disputed');
    expect(both.problems.map(({ name, reason }) => [name, reason])).toEqual([
      ['one', 'AddressDisputed'],
      ['two', 'AddressDisputed'],
    ]);
    expect(kindOf(book([pod('one'), pod('two', { phase: 'Succeeded' })]))).toBe('workload');
  });

  test('of this node names the live pods in its network, and no others', () => {
    const own = { isHostNetwork: true, addresses: ['192.168.0.1'] };
    const pods = [
      pod('agent', own),
      pod('another', own),
      pod('done', { ...own, phase: 'Succeeded' }),
      pod('far', { ...own, nodeName: 'node-2' }),
      pod('elsewhere', { ...own, addresses: ['192.168.0.2'], nodeName: 'node-2' }),
    ];
    const bound = book(pods);
    const binding = { kind: 'infrastructure', hostPods: ['shop/agent', 'shop/another'] };
    expect(bound.part.bindings.get('192.168.0.1')).toEqual(binding);
    expect(bound.part.bindings.get('192.168.0.2')).toEqual({ kind: 'infrastructure' });
    expect(diffNodePart(bound.part, book(pods, bound).part).set).toEqual([]);
    const left = diffNodePart(bound.part, book(pods.slice(1), bound).part);
    expect(left.set).toEqual([['192.168.0.1', { ...binding, hostPods: ['shop/another'] }]]);
  });

  test('of a node is never a pod’s', () => {
    const claimed = book([pod('web', { addresses: ['192.168.0.1'] })]);
    expect(kindOf(claimed, '192.168.0.1')).toBe('infrastructure');
    expect(claimed.problems).toHaveLength(1);
  });
});

describe('an address that changes hands', () => {
  const old = pod('old');
  const young = pod('young');

  const isSource = ({ part }: AddressBook): boolean => {
    const binding = part.bindings.get(address);
    return binding?.kind === 'workload' && binding.isLocal;
  };

  test('is nobody’s source for two seconds after the old pod lost it', () => {
    const first = book([old]);
    const changed = book([young], first, 1_000);
    expect([isSource(first), isSource(changed)]).toEqual([true, false]);
    expect(changed.nextChangeMs).toBe(3_000);
    expect(isSource(book([young], changed, 2_999))).toBe(false);
    const settled = book([young], changed, 3_000);
    expect(settled.part.bindings.get(address)).toMatchObject({ workload: { podName: 'young' } });
    expect([isSource(settled), settled.nextChangeMs]).toEqual([true, undefined]);
  });

  test('leads to the new pod at once, since where a pod is the API server says', () => {
    const { part } = book([young], book([old]), 1_000);
    expect(part.bindings.get(address)).toMatchObject({ workload: { serviceAccount: 'young' } });
  });

  test('is quarantined between the two pods as well', () => {
    const gone = book([], book([old]), 1_000);
    expect(kindOf(gone)).toBe('disputed');
    expect(isSource(book([young], gone, 1_500))).toBe(false);
    expect(kindOf(book([], gone, 3_000))).toBeUndefined();
  });

  test('is a source’s at once long after a pod that was seen to end', () => {
    const ended = book([{ ...old, phase: 'Succeeded' }], book([old]), 1_000);
    const gone = book([], ended, 1_100);
    expect(isSource(book([young], gone, 9_000))).toBe(true);
  });

  test('is quarantined anew for the successor of a pod whose object went while it ran', () => {
    const gone = book([], book([old]), 1_000);
    const born = book([young], gone, 9_000);
    expect(isSource(born)).toBe(false);
    expect(isSource(book([young], born, 11_000))).toBe(true);
    expect(isSource(book([young], gone, 700_000))).toBe(true);
  });

  test('is quarantined after a pod that was never seen alive', () => {
    const ended = book([{ ...old, phase: 'Failed' }], book([]), 1_000);
    expect(isSource(book([young], ended, 2_000))).toBe(false);
    expect(isSource(book([young], ended, 3_000))).toBe(true);
    const first = book([{ ...old, phase: 'Failed' }, young]);
    expect(isSource(first)).toBe(true);
  });

  test('is quarantined when it is new after a gap in the watch, and not without one', () => {
    const input = { nodeName: 'node-1', pods: [young], nodes: [] };
    const empty = book([]);
    expect(isSource(bindAddresses(empty, { ...input, isAfterGap: true }, 10))).toBe(false);
    expect(isSource(bindAddresses(empty, input, 10))).toBe(true);
  });

  test('is quarantined when one of two rivals leaves, whichever stays', () => {
    const rivals = book([old, young]);
    expect(isSource(book([young], rivals, 100))).toBe(false);
    expect(isSource(book([old], rivals, 100))).toBe(false);
  });

  test('is quarantined for a pod of the same name and another uid', () => {
    const reborn = { ...old, meta: metaOf('shop/old', { uid: 'another' }) };
    expect(isSource(book([reborn], book([old]), 10))).toBe(false);
  });

  test('is not quarantined by a second look at the same pods', () => {
    expect(isSource(book([old], book([old]), 10))).toBe(true);
  });
});

describe('the neighbour table', () => {
  const header = 'IP address       HW type     Flags       HW address            Mask     Device';
  const row = (of: string, hardware: string, flags = '0x2'): string =>
    `${of.padEnd(17)}0x1         ${flags}         ${hardware}     *        eth0`;
  const tableOf = (...rows: readonly string[]) => readNeighbours([header, ...rows, ''].join('\n'));
  const gateway = row('10.1.0.254', '0e:00:00:00:00:fe');
  const one = pod('one');
  const two = pod('two', { addresses: ['10.1.0.2'] });

  function look(
    previous: AddressBook | undefined,
    neighbours: Neighbours,
    nowMs: number,
    pods: readonly Pod[] = [one, two],
  ): AddressBook {
    return bindAddresses(previous, { nodeName: 'node-1', pods, nodes: [], neighbours }, nowMs);
  }

  const sources = ({ part }: AddressBook): readonly string[] =>
    [...part.bindings].flatMap(([of, binding]) =>
      binding.kind === 'workload' && binding.isLocal ? [of] : [],
    );

  const quiet = tableOf(
    gateway,
    row(address, '0e:00:00:00:00:01'),
    row('10.1.0.2', '0e:00:00:00:00:02'),
  );

  test('is read without its incomplete and foreign rows', () => {
    const neighbours = tableOf(
      row(address, '0E:00:00:00:00:01'),
      row('10.1.0.2', '00:00:00:00:00:00', '0x0'),
      'what is this',
    );
    expect([...neighbours]).toEqual([[address, '0e:00:00:00:00:01']]);
    expect(readNeighbours('').size).toBe(0);
  });

  test('that contradicts nothing disputes nobody', () => {
    const first = look(undefined, quiet, 0);
    expect(sources(look(first, quiet, 250))).toEqual([address, '10.1.0.2']);
    expect(look(first, tableOf(gateway), 500).disputed).toBe(0);
  });

  test('disputes an address whose hardware changes while its pod does not, for ten minutes', () => {
    const forged = tableOf(gateway, row(address, '0e:00:00:00:00:66'));
    const disputed = look(look(undefined, quiet, 0), forged, 1_000);
    expect(sources(disputed)).toEqual(['10.1.0.2']);
    expect(disputed.part.bindings.get(address)).toMatchObject({ nodeName: 'node-1' });
    expect(disputed.problems.map(({ name, reason }) => [name, reason])).toEqual([
      ['one', 'AddressDisputed'],
    ]);
    // The true pod is seen again: that contradicts once more.
    const again = look(disputed, quiet, 5_000);
    expect([again.disputed, again.nextChangeMs]).toEqual([1, 605_000]);
    expect(sources(look(again, quiet, 604_999))).toEqual(['10.1.0.2']);
    expect(sources(look(again, quiet, 605_000))).toEqual([address, '10.1.0.2']);
  });

  test('disputes two pods that one hardware address answers for', () => {
    const shared = tableOf(
      gateway,
      row(address, '0e:00:00:00:00:02'),
      row('10.1.0.2', '0e:00:00:00:00:02'),
    );
    expect(sources(look(undefined, shared, 0))).toEqual([]);
  });

  test('says nothing where all neighbours have one hardware address: a routed network', () => {
    const routed = tableOf(
      row('169.254.1.1', 'ee:ee:ee:ee:ee:ee'),
      row(address, 'ee:ee:ee:ee:ee:ee'),
      row('10.1.0.2', 'ee:ee:ee:ee:ee:ee'),
    );
    expect(sources(look(undefined, routed, 0))).toEqual([address, '10.1.0.2']);
  });

  test('begins anew with each pod: a successor is not its predecessor’s forgery', () => {
    const young = pod('young');
    const changed = tableOf(gateway, row(address, '0e:00:00:00:00:03'));
    const next = look(look(undefined, quiet, 0), changed, 1_000, [young, two]);
    expect(next.disputed).toBe(0);
    expect(sources(look(next, changed, 3_000, [young, two]))).toContain(address);
  });
});

test('the node part travels as its changes', () => {
  const first = book([pod('web')]);
  const second = book([pod('api', { addresses: ['10.1.0.5'] })], first, 10);
  const delta = diffNodePart(first.part, second.part);
  expect(delta.isComplete).toBe(false);
  expect(delta.set.map(([of]) => of)).toEqual([address, '10.1.0.5']);
  expect(applyNodePart(first.part, delta).bindings).toEqual(second.part.bindings);
  const third = book([pod('api', { addresses: ['10.1.0.5'] })], second, 5_000);
  expect(diffNodePart(second.part, third.part)).toMatchObject({ set: [], removed: [address] });
  const complete = diffNodePart(undefined, third.part);
  expect(applyNodePart(first.part, complete)).toEqual(third.part);
});
