// Which way to an endpoint, as a table: what decides are objects, and whatever is missing leaves no
// way. No failure is among the arguments.
import { describe, expect, test } from 'vitest';
import {
  endpointsSection,
  meshSection,
  recordsOf,
  serviceSection,
  workload,
} from '../../test/support/sections.ts';
import type { AddressBinding, MtlsMode, PeerPart } from '../snapshot/index.ts';
import { compileTable, withPeers } from './compile-table.ts';
import type { Endpoint, Way } from './types.ts';
import { wayTo } from './way.ts';

const address = '10.1.0.1';

function on(nodeName: string, namespace = 'shop'): AddressBinding {
  const isLocal = nodeName === 'node-a';
  return { kind: 'workload', isLocal, nodeName, workload: workload(`${namespace}/web`) };
}

type Case = {
  readonly binding?: AddressBinding | undefined;
  /** Of the slice; empty: not proven. */
  readonly node?: string;
  readonly mtls?: MtlsMode;
  /** Of namespace `far`. */
  readonly podMtls?: MtlsMode;
  readonly peers?: Partial<PeerPart> | 'untold';
};

const farPeer: Partial<PeerPart> = { dial: new Map([['node-b', ['10.9.0.2']]]) };
const farIsBare: Partial<PeerPart> = { bare: new Set(['node-b']) };
const farIsDeaf: Partial<PeerPart> = { ...farPeer, deaf: new Set(['node-b']) };

function way(said: Case): Way {
  const mtls = said.mtls ?? 'permissive';
  const far = { name: 'far', policy: 'off', mtls: said.podMtls ?? mtls } as const;
  const sections = recordsOf(
    meshSection(),
    { kind: 'namespaces', defaultPolicy: 'off', defaultMtls: mtls, namespaces: [far] },
    serviceSection('shop/web'),
    endpointsSection('shop/web', [`${address}:8080`]),
  );
  const bindings = new Map(said.binding === undefined ? [] : [[address, said.binding]]);
  const table = compileTable(sections, { nodeName: 'node-a', bindings });
  const endpoint: Endpoint = {
    id: `${address}:8080`,
    namespace: 'shop',
    address,
    port: 8080,
    nodeName: said.node ?? 'node-b',
    podName: 'web-1',
  };
  if (said.peers === 'untold') return wayTo(table, endpoint);
  const sets = { bare: new Set<string>(), deaf: new Set<string>() };
  const empty: PeerPart = { nodes: new Map(), dial: new Map(), ...sets, knowsAllPods: true };
  return wayTo(withPeers(table, { ...empty, ...said.peers }), endpoint);
}

function told(said: Case): string {
  const found = way(said);
  switch (found.kind) {
    case 'plain':
      return found.reason;
    case 'tunnel':
      return `tunnel ${found.node}`;
    default:
      return found.kind;
  }
}

describe('the way to an endpoint', () => {
  test.each<[string, Case, string]>([
    ['nobody has told of peers', { peers: 'untold', mtls: 'strict' }, 'here'],
    ['a pod of this node', { binding: on('node-a'), node: 'node-a', mtls: 'strict' }, 'here'],
    ['a pod of this node that a slice puts elsewhere', { binding: on('node-a') }, 'here'],
    ['a pod of this node, not proven', { binding: on('node-a'), node: '' }, 'here'],
    ['an address outside', { node: '', mtls: 'strict' }, 'external'],
    [
      'an address outside, while it could be a pod of another node',
      { node: '', mtls: 'off', peers: { knowsAllPods: false } },
      'none',
    ],
    [
      'a hand-written address of a pod elsewhere, of another namespace',
      { node: '', binding: on('node-b', 'far'), peers: farPeer },
      'none',
    ],
    [
      'the same where plain text would do',
      { node: '', binding: on('node-b', 'far'), mtls: 'off' },
      'none',
    ],
    [
      'a hand-written address of a pod elsewhere, of the Service’s own namespace',
      { node: '', binding: on('node-b'), peers: farPeer, mtls: 'strict' },
      'tunnel node-b',
    ],
    [
      'the same without mutual TLS',
      { node: '', binding: on('node-b'), peers: farPeer, mtls: 'off' },
      'mtls_off',
    ],
    ['the same without a peer', { node: '', binding: on('node-b'), mtls: 'strict' }, 'none'],
    ['a hand-written address of a node', { node: '', binding: { kind: 'infrastructure' } }, 'none'],
    ['a hand-written disputed address', { node: '', binding: { kind: 'disputed' } }, 'none'],
    ['said to be here, but nobody knows it', { node: 'node-a', mtls: 'off' }, 'none'],
    [
      'said to be here, but of a pod elsewhere',
      { node: 'node-a', binding: on('node-b'), mtls: 'off' },
      'none',
    ],
    [
      'a pod in the network of this node',
      { node: 'node-a', binding: { kind: 'infrastructure' } },
      'here',
    ],
    ['a peer is there', { binding: on('node-b'), peers: farPeer }, 'tunnel node-b'],
    ['a peer is there, the pod unknown here', { peers: farPeer }, 'tunnel node-b'],
    ['a peer is there, strict', { peers: farPeer, mtls: 'strict' }, 'tunnel node-b'],
    [
      'off, though a peer is there',
      { binding: on('node-b'), peers: farPeer, mtls: 'off' },
      'mtls_off',
    ],
    // Its pods are not watched yet: nothing is lost by the better way.
    [
      'off, a peer is there, and the pod is not known to be',
      { peers: farPeer, mtls: 'off' },
      'tunnel node-b',
    ],
    ['off, and the pod is not known to be there', { mtls: 'off' }, 'none'],
    ['off, and the pod is on a third node', { binding: on('node-c'), mtls: 'off' }, 'none'],
    [
      'the Service is off, the pod is strict',
      { binding: on('node-b', 'far'), mtls: 'off', podMtls: 'strict', peers: farPeer },
      'tunnel node-b',
    ],
    [
      'the Service is strict, the pod is off',
      { binding: on('node-b', 'far'), mtls: 'strict', podMtls: 'off' },
      'none',
    ],
    ['no peer, not bare', { binding: on('node-b') }, 'none'],
    ['bare and permissive', { binding: on('node-b'), peers: farIsBare }, 'bare_node'],
    ['bare, but the pod is not known to be there', { peers: farIsBare }, 'none'],
    ['bare, but the pod is on a third node', { binding: on('node-c'), peers: farIsBare }, 'none'],
    ['bare and strict', { binding: on('node-b'), peers: farIsBare, mtls: 'strict' }, 'none'],
    ['its proxy accepts no tunnels', { binding: on('node-b'), peers: farIsDeaf }, 'deaf_node'],
    [
      'its proxy accepts no tunnels, and the pod is not known to be there',
      { peers: farIsDeaf },
      'tunnel node-b',
    ],
    [
      'its proxy accepts no tunnels, and the pod is on a third node',
      { binding: on('node-c'), peers: farIsDeaf },
      'tunnel node-b',
    ],
    [
      'its proxy accepts no tunnels, strict',
      { binding: on('node-b'), peers: farIsDeaf, mtls: 'strict' },
      'tunnel node-b',
    ],
    [
      'its proxy accepts no tunnels, off',
      { binding: on('node-b'), peers: farIsDeaf, mtls: 'off' },
      'mtls_off',
    ],
    [
      'bare, and a peer has come back',
      { binding: on('node-b'), peers: { ...farIsBare, ...farPeer } },
      'tunnel node-b',
    ],
    [
      'a node without an address to dial',
      { binding: on('node-b'), peers: { dial: new Map([['node-b', []]]) } },
      'none',
    ],
  ])('%s', (_, said, expected) => {
    expect(told(said)).toBe(expected);
  });

  test('without the section of namespaces nothing goes plain', () => {
    const table = compileTable(recordsOf(), {
      nodeName: 'node-a',
      bindings: new Map([[address, on('node-b')]]),
    });
    const some = new Set(['node-b']);
    const sets = { bare: some, deaf: some };
    const peers = { nodes: new Map(), dial: new Map(), ...sets, knowsAllPods: true };
    const place = { address, port: 1, nodeName: 'node-b', podName: '' };
    const endpoint = { id: 'x', namespace: 'shop', ...place };
    expect(wayTo(withPeers(table, peers), endpoint)).toEqual({ kind: 'none' });
  });

  test('peers stay when a new snapshot comes', () => {
    const node = { nodeName: 'node-a', bindings: new Map() };
    const none = new Set<string>();
    const sets = { bare: none, deaf: none };
    const peers = { nodes: new Map(), dial: new Map(), ...sets, knowsAllPods: true };
    const table = withPeers(compileTable(recordsOf(), node), peers);
    expect(compileTable(recordsOf(meshSection()), node, table).peers).toBe(peers);
  });
});
