// Whose connection it is, by the address that a socket shows: a pod of this node, or nobody. When
// an address is whose is the matter of topology/bind-addresses.test.ts.
import { describe, expect, test } from 'vitest';
import { recordsOf, workload } from '../../test/support/sections.ts';
import type { AddressBinding } from '../snapshot/index.ts';
import { compileTable } from './compile-table.ts';
import { sourceOf } from './source.ts';

const pod = (name: string, isLocal: boolean, nodeName: string): AddressBinding => {
  return { kind: 'workload', isLocal, nodeName, workload: workload(name) };
};

const bindings = new Map<string, AddressBinding>([
  ['10.1.0.1', pod('shop/web', true, 'node-a')],
  ['fd00::1', pod('shop/web', true, 'node-a')],
  ['10.1.0.2', pod('shop/new', false, 'node-a')],
  ['10.2.0.1', pod('shop/far', false, 'node-b')],
  ['10.0.0.1', { kind: 'infrastructure' }],
  ['10.1.0.3', { kind: 'disputed' }],
]);
const table = compileTable(recordsOf(), { nodeName: 'node-a', bindings });

describe('the source of a connection', () => {
  test.each(['10.1.0.1', '::ffff:10.1.0.1', '::FFFF:a01:1', 'fd00::1', 'FD00:0:0:0:0:0:0:1'])(
    'from %s is the pod of this node',
    (address) => {
      expect(sourceOf(table, address)).toMatchObject({ kind: 'workload', namespace: 'shop' });
    },
  );

  test.each([
    ['10.1.0.2', 'is in quarantine'],
    ['10.2.0.1', 'is of a pod of another node'],
    ['10.0.0.1', 'is a node’s'],
    ['10.1.0.3', 'is disputed'],
    ['10.1.0.9', 'is unknown'],
    ['010.1.0.1', 'is spelled otherwise'],
    ['fd00::1%eth0', 'has a zone'],
    ['', 'is none'],
  ])('from %s is nobody: it %s', (address) => {
    expect(sourceOf(table, address)).toEqual({ kind: 'unauthenticated' });
  });

  test('stays the same object while its binding does', () => {
    const before = sourceOf(table, '10.1.0.1');
    const next = new Map(bindings).set('10.1.0.9', { kind: 'disputed' });
    const later = compileTable(recordsOf(), { nodeName: 'node-a', bindings: next }, table);
    expect(sourceOf(later, '10.1.0.1')).toBe(before);
  });
});
