// Which certificates a node wants, in which order, and when each is due: a pod that the controller
// would refuse is not asked for.
import { describe, expect, test } from 'vitest';
import { metaOf, podOf } from '../../test/support/builders.ts';
import { bundleOf, TestAuthority } from '../../test/support/test-authority.ts';
import type { Pod } from '../api/index.ts';
import { renewAtMs, wantedIdentities } from './identity-plan.ts';

const mesh = { nodeName: 'node-1', meshNamespace: 'weft-system', trustDomain: 'cluster.local' };
const own = 'spiffe://cluster.local/ns/weft-system/sa/weft-proxy';

function pod(name: string, given: Partial<Pod> = {}): Pod {
  return podOf(`shop/${name}`, { addresses: ['10.1.0.1'], serviceAccount: name, ...given });
}

function idsOf(...pods: readonly Pod[]): readonly string[] {
  return wantedIdentities({ ...mesh, pods }).map(({ id }) => id);
}

describe('wanted', () => {
  test('is the proxy’s own identity first, then accounts by their youngest pod', () => {
    const old = pod('old', { meta: metaOf('shop/old', { createdMs: 1 }) });
    const web = pod('web', { meta: metaOf('shop/web-1', { createdMs: 2 }) });
    const young = pod('web', { meta: metaOf('shop/web-2', { createdMs: 9 }) });
    const middle = pod('middle', { meta: metaOf('shop/middle', { createdMs: 5 }) });
    const wanted = wantedIdentities({ ...mesh, pods: [old, web, middle, young] });
    const id = (account: string): string => `spiffe://cluster.local/ns/shop/sa/${account}`;
    expect(wanted.map((one) => one.id)).toEqual([own, id('web'), id('middle'), id('old')]);
    expect([...(wanted[1]?.pods ?? [])]).toEqual(['uid-shop/web-2', 'uid-shop/web-1']);
  });

  test.each<[string, Partial<Pod>, boolean]>([
    ['pending with an address: init containers call too', { phase: 'Pending' }, true],
    ['deleted while a container runs', { isDeleting: true }, true],
    ['of another node', { nodeName: 'node-2' }, false],
    ['without an address', { addresses: [] }, false],
    ['of the host network', { isHostNetwork: true }, false],
    ['without an account: a mirror pod', { serviceAccount: '' }, false],
    ['that has succeeded', { phase: 'Succeeded' }, false],
    ['whose phase is unknown', { phase: 'Unknown' }, false],
    ['deleted and stopped', { isDeleting: true, hasRunningContainer: false }, false],
    ['with an account that no id can name', { serviceAccount: 'Web' }, false],
  ])('counts a pod %s: %s', (_, given, isWanted) => {
    expect(idsOf(pod('web', given)).length).toBe(isWanted ? 2 : 1);
  });

  test('is bounded, and the oldest pods are left out', () => {
    const pods = Array.from({ length: 1_500 }, (_, index) =>
      pod(`a${index}`, { meta: metaOf(`shop/a${index}`, { createdMs: index }) }),
    );
    const ids = idsOf(...pods);
    expect([ids.length, ids[0], ids[1]]).toEqual([
      1_000,
      own,
      'spiffe://cluster.local/ns/shop/sa/a1499',
    ]);
  });
});

describe('a renewal', () => {
  const first = new TestAuthority(0);
  const second = new TestAuthority(0);
  const [rootOne, rootTwo] = bundleOf(first, second).roots;
  if (rootOne === undefined || rootTwo === undefined) throw new Error('two roots are made');
  const dates = { notBeforeMs: 0, notAfterMs: 1_000_000_000, jitter: 0.5 };
  const certificate = { ...dates, rootFingerprint: rootOne.fingerprint };

  test('is due before half of the life while the root that issued it signs', () => {
    const dueMs = renewAtMs(certificate, { roots: [rootOne, rootTwo], firstSinceMs: 0 });
    expect(dueMs).toBe(445_000_000);
  });

  test('is due within ten minutes, at random, when another root signs', () => {
    const trust = { roots: [rootTwo, rootOne], firstSinceMs: 1_000 };
    expect(renewAtMs(certificate, trust)).toBe(301_000);
    expect(renewAtMs({ ...certificate, jitter: 0 }, trust)).toBe(1_000);
  });

  test('is due at once when its root is trusted no more', () => {
    expect(renewAtMs(certificate, { roots: [rootTwo], firstSinceMs: 5_000 })).toBe(0);
  });
});
