// Which nodes have had a version: what the answers of the proxies mean, nonsense among them.
// Who is asked, and when, is tested with real proxies (test/kube/programmed.test.ts).
import { expect, test } from 'vitest';
import { ProxyVersions, type ReadyProxy } from './proxy-versions.ts';

const proxy = (uid: string, node = uid): ReadyProxy => ({ uid, node, address: '10.0.0.1' });
const answer = (...recent: readonly string[]) => ({ policyVersion: recent[0], recent });

function fixture() {
  const versions = new ProxyVersions();
  versions.ready([proxy('a'), proxy('b')]);
  for (const version of ['v1', 'v2', 'v3']) versions.compiled(version);
  return versions;
}

test('a proxy that lists a version has all that was compiled before it', () => {
  const versions = fixture();
  versions.told('a', answer('v2'));
  expect(versions.spread(2)).toEqual({ on: 1, of: 2 });
  expect(versions.spread(3)).toEqual({ on: 0, of: 2 });
  expect(versions.lagging(2).map(({ uid }) => uid)).toEqual(['b']);
});

test('versions that we never compiled mean nothing', () => {
  const versions = fixture();
  versions.told('a', answer('x', 'y', 'v1'));
  expect(versions.spread(1).on).toBe(1);
  expect(versions.spread(2).on).toBe(0);
});

test('what a proxy has had it keeps, whatever it lists later', () => {
  const versions = fixture();
  versions.told('a', answer('v3'));
  versions.told('a', answer('x'));
  expect(versions.spread(3).on).toBe(1);
});

test('a node counts when all of its ready proxies have it', () => {
  const versions = fixture();
  versions.ready([proxy('old', 'n'), proxy('new', 'n')]);
  versions.told('old', answer('v3'));
  expect(versions.spread(3)).toEqual({ on: 0, of: 1 });
  versions.told('new', answer('v3'));
  expect(versions.spread(3)).toEqual({ on: 1, of: 1 });
});

test('who is not ready any more does not count, and begins anew', () => {
  const versions = fixture();
  versions.told('a', answer('v3'));
  versions.ready([proxy('b')]);
  expect(versions.spread(3)).toEqual({ on: 0, of: 1 });
  versions.ready([proxy('a'), proxy('b')]);
  expect(versions.spread(3)).toEqual({ on: 0, of: 2 });
});

test('the same version twice in a row is no new one; one that comes again is', () => {
  const versions = fixture();
  expect(versions.compiled('v3')).toBe(false);
  expect(versions.count).toBe(3);
  expect(versions.compiled('v1')).toBe(true);
  versions.told('a', answer('v1'));
  expect(versions.spread(4).on).toBe(1);
});

test.each([[undefined], ['text'], [{ recent: 'v3' }], [{ recent: [3, null] }]])(
  'an answer that is none means nothing: %j',
  (nonsense) => {
    const versions = fixture();
    versions.told('a', nonsense);
    expect(versions.spread(1).on).toBe(0);
  },
);

test('versions that are remembered are bounded', () => {
  const versions = fixture();
  for (let index = 0; index < 5_000; index += 1) versions.compiled(`w${index}`);
  versions.told('a', answer('v3'));
  expect(versions.spread(1).on).toBe(0);
  versions.told('a', answer('w4999'));
  expect(versions.spread(versions.count).on).toBe(1);
});
