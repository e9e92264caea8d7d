// Where the proxies are: a second claim adds and never displaces, what serves is dialled first, and
// nobody is bare before it was watched for long enough.
import { describe, expect, test } from 'vitest';
import { entryOf, metaOf, sliceOf } from '../../test/support/builders.ts';
import type { EndpointSlice, SliceEndpoint } from '../api/index.ts';
import { seededRandom, shuffled } from '../lib/random.ts';
import { bindPeers, type PeerBook } from './bind-peers.ts';

const meshNamespace = 'weft-system';
const nodes = ['node-1', 'node-2', 'node-3'];
const tunnelPort = { name: 'weft-h1', port: 15_008, protocol: 'TCP' } as const;

function peers(...endpoints: readonly SliceEndpoint[]): EndpointSlice {
  return sliceOf(`${meshNamespace}/weft-peers`, { endpoints, ports: [tunnelPort] });
}

/** Whose pods declare no port for tunnels: the EndpointSlice controller keeps them apart. */
function deafPeers(...endpoints: readonly SliceEndpoint[]): EndpointSlice {
  const meta = metaOf(`${meshNamespace}/weft-peers-deaf`);
  return { ...peers(...endpoints), meta, ports: [] };
}

function look(
  previous: PeerBook | undefined,
  slices: readonly EndpointSlice[],
  nowMs: number,
  isLive = true,
): PeerBook {
  return bindPeers(previous, { meshNamespace, slices, nodes, isLive, knowsAllPods: true }, nowMs);
}

function bareOf({ part }: PeerBook): readonly string[] {
  return [...part.bare].sort();
}

describe('peers', () => {
  test('are the proxies that the slices of weft-peers name', () => {
    const two = entryOf('10.2.0.1', { nodeName: 'node-2' });
    const { part } = look(undefined, [peers(entryOf('10.1.0.1'), two)], 0);
    expect([...part.nodes]).toEqual([
      ['10.1.0.1', ['node-1']],
      ['10.2.0.1', ['node-2']],
    ]);
    expect(part.dial.get('node-2')).toEqual(['10.2.0.1']);
  });

  test.each<[string, Partial<EndpointSlice>]>([
    ['of another Service', { serviceName: 'web' }],
    ['of another namespace', { meta: metaOf('shop/weft-peers-slice') }],
    ['that its controller does not manage', { isManaged: false }],
  ])('are not taken from a slice %s', (_, given) => {
    const forged = { ...peers(entryOf('10.9.0.9')), ...given };
    expect(look(undefined, [forged], 0).part.nodes.size).toBe(0);
  });

  test('without a node are nobody’s', () => {
    const slice = peers(entryOf('10.1.0.1', { nodeName: undefined }));
    expect(look(undefined, [slice], 0).part.nodes.size).toBe(0);
  });

  test('with a second claim may be either: it adds and never displaces', () => {
    const rival = entryOf('10.1.0.1', { nodeName: 'node-2' });
    const { part } = look(undefined, [peers(entryOf('10.1.0.1'), rival)], 0);
    expect(part.nodes.get('10.1.0.1')).toEqual(['node-1', 'node-2']);
  });

  test('are dialled by state, then the last to appear first', () => {
    const stays = entryOf('10.1.0.2');
    const first = look(undefined, [peers(stays, entryOf('10.1.0.3', { isServing: false }))], 0);
    const leaving = { isServing: true, isReady: false, isTerminating: true };
    const gone = { isServing: false, isReady: false, isTerminating: true };
    const { part } = look(
      first,
      [
        peers(
          entryOf('10.1.0.5', gone),
          entryOf('10.1.0.4', leaving),
          stays,
          entryOf('10.1.0.3', { isServing: false }),
          entryOf('10.1.0.9'),
        ),
      ],
      10,
    );
    // The one that does not serve yet is known as a peer, and not dialled.
    expect(part.dial.get('node-1')).toEqual(['10.1.0.9', '10.1.0.2', '10.1.0.4', '10.1.0.5']);
    expect(part.nodes.has('10.1.0.3')).toBe(true);
  });

  test('are the same object while nothing changes', () => {
    const first = look(undefined, [peers(entryOf('10.1.0.1'))], 0);
    expect(look(first, [peers(entryOf('10.1.0.1'))], 10).part).toBe(first.part);
  });

  test('do not depend on the order of slices and endpoints', () => {
    const random = seededRandom(7);
    const entries = Array.from({ length: 12 }, (_, index) =>
      entryOf(`10.1.0.${index}`, { nodeName: nodes[index % 3], isTerminating: index % 2 === 0 }),
    );
    const { part } = look(undefined, [peers(...entries)], 0);
    for (let round = 0; round < 20; round += 1) {
      const half = shuffled(entries, random).slice(0, 6);
      const others = entries.filter((one) => !half.includes(one));
      expect(look(undefined, [peers(...others), peers(...half)], 0).part).toEqual(part);
    }
  });
});

describe('a node is bare', () => {
  test('when it has shown no proxy for 30 s, and no longer when it shows one', () => {
    const first = look(undefined, [peers(entryOf('10.1.0.1'))], 1_000);
    expect([bareOf(first), first.nextChangeMs]).toEqual([[], 31_000]);
    expect(bareOf(look(first, [peers(entryOf('10.1.0.1'))], 30_999))).toEqual([]);
    const bare = look(first, [peers(entryOf('10.1.0.1'))], 31_000);
    expect([bareOf(bare), bare.nextChangeMs]).toEqual([['node-2', 'node-3'], undefined]);
    const two = entryOf('10.2.0.1', { nodeName: 'node-2', isServing: false });
    const shown = look(bare, [peers(entryOf('10.1.0.1'), two)], 40_000);
    expect(bareOf(shown)).toEqual(['node-3']);
    const left = look(shown, [peers(entryOf('10.1.0.1'))], 41_000);
    expect([bareOf(left), left.nextChangeMs]).toEqual([['node-3'], 71_000]);
  });

  test('never while an entry of any kind stands, however broken', () => {
    const gone = { isServing: false, isReady: false, isTerminating: true };
    const entries = nodes.map((nodeName, index) =>
      entryOf(`10.1.0.${index}`, { ...gone, nodeName }),
    );
    const slice = peers(...entries);
    const first = look(undefined, [slice], 0);
    expect(bareOf(look(first, [slice], 1_000_000))).toEqual([]);
  });

  test('not by time in which nothing could be watched; who is bare stays so', () => {
    const first = look(undefined, [], 0);
    const blind = look(first, [], 29_000, false);
    expect(blind.nextChangeMs).toBeUndefined();
    const back = look(blind, [], 60_000);
    expect([bareOf(back), back.nextChangeMs]).toEqual([[], 90_000]);
    const bare = look(back, [], 90_000);
    expect(bareOf(bare)).toEqual(nodes);
    expect(bareOf(look(bare, [], 500_000, false))).toEqual(nodes);
  });

  test('only if it exists', () => {
    const input = { meshNamespace, slices: [], nodes: [], isLive: true, knowsAllPods: true };
    const first = bindPeers(undefined, input, 0);
    expect(bareOf(bindPeers(first, input, 100_000))).toEqual([]);
  });
});

describe('a node is deaf', () => {
  const leaving = { isServing: true, isReady: true, isTerminating: true };
  const starting = { isServing: false };

  function deafOf(...slices: readonly EndpointSlice[]): readonly string[] {
    return [...look(undefined, slices, 0).part.deaf];
  }

  test('while the proxy that serves there declares no port for tunnels', () => {
    expect(deafOf(deafPeers(entryOf('10.1.0.1')))).toEqual(['node-1']);
    expect(deafOf(peers(entryOf('10.1.0.1')))).toEqual([]);
  });

  test('by the port’s name: a number that is published for all pods says nothing', () => {
    const numbered = { ...peers(entryOf('10.1.0.1')), ports: [{ ...tunnelPort, name: 'tunnel' }] };
    expect(deafOf(numbered)).toEqual(['node-1']);
  });

  test('until its successor serves', () => {
    const old = deafPeers(entryOf('10.1.0.1'));
    expect(deafOf(old, peers(entryOf('10.1.0.2', starting)))).toEqual(['node-1']);
    expect(deafOf(old, peers(entryOf('10.1.0.2')))).toEqual([]);
    expect(deafOf(deafPeers(entryOf('10.1.0.1', leaving)), peers(entryOf('10.1.0.2')))).toEqual([]);
  });

  test('as soon as one that accepts none has taken over', () => {
    const old = peers(entryOf('10.1.0.1', leaving));
    expect(deafOf(old, deafPeers(entryOf('10.1.0.2', starting)))).toEqual([]);
    expect(deafOf(old, deafPeers(entryOf('10.1.0.2')))).toEqual(['node-1']);
  });

  test('never where none serves', () => {
    expect(deafOf(deafPeers(entryOf('10.1.0.1', starting)))).toEqual([]);
    expect(deafOf()).toEqual([]);
  });

  test('and dialled last, where plain text may not be', () => {
    const slices = [deafPeers(entryOf('10.1.0.1')), peers(entryOf('10.1.0.2', leaving))];
    expect(look(undefined, slices, 0).part.dial.get('node-1')).toEqual(['10.1.0.2', '10.1.0.1']);
  });
});
