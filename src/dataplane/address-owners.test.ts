// An address that has another pod is told once, also when it was nobody's in between; and what is
// remembered of the past is bounded.
import { expect, test } from 'vitest';
import { nodePart, workload } from '../../test/support/sections.ts';
import type { AddressBinding } from '../snapshot/index.ts';
import { AddressOwners } from './address-owners.ts';

const address = '10.1.0.1';

function pod(podUid: string, nodeName = 'node-a', isLocal = true): AddressBinding {
  return { kind: 'workload', isLocal, nodeName, workload: workload('shop/web', { podUid }) };
}

function changes(...bindings: readonly (AddressBinding | undefined)[]): readonly string[] {
  const owners = new AddressOwners();
  return bindings.map((binding) => {
    const part = nodePart(new Map(binding === undefined ? [] : [[address, binding]]));
    return [...owners.take(part)].join();
  });
}

test.each<[string, readonly (AddressBinding | undefined)[], readonly string[]]>([
  ['the same pod', [pod('1'), pod('1')], ['', '']],
  ['its pod leaves quarantine', [pod('1', 'node-a', false), pod('1')], ['', '']],
  ['another pod', [pod('1'), pod('2')], ['', address]],
  ['another pod, after nobody', [pod('1'), undefined, pod('2')], ['', '', address]],
  ['another pod, after a dispute', [pod('1'), { kind: 'disputed' }, pod('2')], ['', '', address]],
  ['the same pod, after nobody', [pod('1'), undefined, pod('1')], ['', '', '']],
  ['a pod of another node', [pod('1'), pod('2', 'node-b', false)], ['', '']],
])('%s', (_, bindings, expected) => {
  expect(changes(...bindings)).toEqual(expected);
});

test('addresses of the past take bounded room', () => {
  const owners = new AddressOwners();
  for (let index = 0; index < 5_000; index += 1) {
    owners.take(nodePart(new Map([[`10.1.${index >> 8}.${index & 255}`, pod(`${index}`)]])));
  }
  expect([...owners.take(nodePart(new Map([['10.1.0.0', pod('new')]])))]).toEqual([]);
});
