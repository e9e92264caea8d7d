// Whose an address is: every doubt ends in nobody. Time is an argument, so quarantine is tested by
// numbers.
import { describe, expect, test } from 'vitest';
import { metaOf, nodeOf, podOf } from '../../test/support/builders.ts';
import type { Pod } from '../api/index.ts';
import { applyNodePart, diffNodePart } from '../snapshot/index.ts';
import { bindAddresses, type AddressBook } from './bind-addresses.ts';

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
    expect(isSource(book([young], gone, 9_000))).toBe(true);
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
