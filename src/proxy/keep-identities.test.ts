// The keeper of a node's certificates, by the hour: what it asks for, what it takes, what workers
// are told, and what happens when nobody answers. Certificates are real, time is given.
import { describe, expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { bundleOf, TestAuthority, testKeys } from '../../test/support/test-authority.ts';
import type { SpiffeId } from '../identity/index.ts';
import type { LocalFiles } from '../lib/files.ts';
import { silentLog } from '../telemetry/index.ts';
import type { RequestOutcome } from './certificate-requests.ts';
import type { WantedIdentity } from './identity-plan.ts';
import { IdentityKeeper } from './keep-identities.ts';
import type { Identities } from './messages.ts';
import { StateFile } from './state-file.ts';

const node = 'node-1';
const hourMs = 3_600_000;
const idOf = (account: string) => `spiffe://cluster.local/ns/shop/sa/${account}` as SpiffeId;
const own = 'spiffe://cluster.local/ns/weft-system/sa/weft-proxy' as SpiffeId;
const wish = (account: string, ...pods: readonly string[]): WantedIdentity => ({
  id: account === 'proxy' ? own : idOf(account),
  pods: new Set(pods),
});

/** Memory that survives the keeper, as a tmpfs does. */
function memoryFiles(bootId = 'boot-1'): LocalFiles & { readonly texts: Map<string, string> } {
  const texts = new Map([['/proc/sys/kernel/random/boot_id', `${bootId}\n`]]);
  return {
    texts,
    readText: (path) => {
      const text = texts.get(path);
      return text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(text);
    },
    writePrivate: (path, text) => {
      texts.set(path, text);
      return Promise.resolve();
    },
    fileSystemType: () => Promise.resolve(0x0102_1994),
  };
}

type Answer = (id: SpiffeId) => Promise<RequestOutcome>;

class Kept {
  readonly fake = new FakeRuntime();
  readonly asked: SpiffeId[] = [];
  readonly told: Identities[] = [];
  readonly results: string[] = [];
  /** What a worker would hold. */
  readonly held = new Map<SpiffeId, string>();
  readonly authority = new TestAuthority(this.wallMs);
  readonly keeper: IdentityKeeper;
  answer: Answer = (id) => this.issue(id);

  constructor(files = memoryFiles(), authority?: TestAuthority) {
    if (authority !== undefined) this.authority = authority;
    const { runtime } = this.fake;
    this.keeper = new IdentityKeeper({
      runtime,
      log: silentLog,
      nodeName: node,
      meshNamespace: 'weft-system',
      trustDomain: 'cluster.local',
      requests: {
        ask: (id) => {
          this.asked.push(id);
          return this.answer(id);
        },
        stop: () => Promise.resolve(),
      },
      stateFile: new StateFile({ files, log: silentLog, directory: '/run/weft' }),
      onChange: (change) => {
        this.told.push(change);
        for (const { id, certificatePem } of change.set) this.held.set(id, certificatePem);
        for (const id of change.removed) this.held.delete(id);
      },
      onOutcome: (result) => this.results.push(result),
    });
  }

  get wallMs(): number {
    return this.fake.runtime.clock.wallMs();
  }

  async issue(id: SpiffeId, by = this.authority, forNode = node): Promise<RequestOutcome> {
    const key = await testKeys.makeKey();
    return { kind: 'issued', key, pem: by.leaf(id, forNode, key.publicKeySpki, this.wallMs) };
  }

  async start(...wanted: readonly WantedIdentity[]): Promise<void> {
    await this.keeper.load();
    this.keeper.trust(bundleOf(this.authority));
    this.keeper.want(wanted);
    await settle();
  }
}

const refuse: Answer = () =>
  Promise.resolve({ kind: 'failed', reason: 'NoAnswer', message: 'nobody is there' });

describe('a certificate', () => {
  test('is asked for, taken and told; the own one in a place of its own', async () => {
    const kept = new Kept();
    await kept.start(wish('proxy'), wish('web', 'web-1'));
    expect(kept.asked).toEqual([own, idOf('web')]);
    expect(kept.keeper.hasOwn()).toBe(true);
    expect([...kept.held.keys()]).toEqual([idOf('web')]);
    const complete = kept.keeper.complete();
    expect(complete.own?.id).toBe(own);
    expect(complete.set.map(({ id }) => id)).toEqual([idOf('web')]);
    expect(complete.trustPem).toBe(kept.authority.rootPem);
    expect(kept.results).toEqual(['issued', 'issued']);
    const text = JSON.stringify([kept.keeper.facts(), kept.keeper.trustFacts()]);
    expect(text).not.toContain('PRIVATE');
    expect(kept.keeper.facts().map(({ state }) => state)).toEqual(['valid', 'valid']);
  });

  test('is not asked for before there is a root to judge the answer by', async () => {
    const kept = new Kept();
    await kept.keeper.load();
    kept.keeper.want([wish('proxy')]);
    await kept.fake.advance(10_000);
    expect(kept.asked).toEqual([]);
    kept.keeper.trust(bundleOf(kept.authority));
    await settle();
    expect(kept.keeper.hasOwn()).toBe(true);
  });

  test.each<[string, string, (kept: Kept, id: SpiffeId) => Promise<RequestOutcome>]>([
    ['of another identity', 'IdentityMismatch', (kept) => kept.issue(idOf('other'))],
    ['of another node', 'NodeMismatch', (kept, id) => kept.issue(id, kept.authority, 'node-2')],
    [
      'of a foreign root',
      'ChainUntrusted',
      (kept, id) => kept.issue(id, new TestAuthority(kept.wallMs)),
    ],
    [
      'for another key',
      'KeyMismatch',
      async (kept, id) => {
        const [one, two] = await Promise.all([kept.issue(id), kept.issue(id)]);
        if (one.kind !== 'issued' || two.kind !== 'issued') throw new Error('both are issued');
        return { ...one, key: two.key };
      },
    ],
  ])('%s is not taken: %s', async (_, reason, answer) => {
    const kept = new Kept();
    kept.answer = (id) => answer(kept, id);
    await kept.start(wish('web', 'web-1'));
    expect(kept.held.size).toBe(0);
    expect(kept.results).toEqual([reason]);
    expect(kept.keeper.facts()[0]?.lastFailure).toContain(reason);
  });

  test('is renewed before half of its life, and used until the new one is there', async () => {
    const kept = new Kept();
    await kept.start(wish('web', 'web-1'));
    const before = kept.held.get(idOf('web'));
    await kept.fake.advance(9 * hourMs);
    expect(kept.asked.length).toBe(1);
    kept.answer = refuse;
    await kept.fake.advance(3 * hourMs);
    expect(kept.asked.length).toBeGreaterThan(10);
    expect(kept.held.get(idOf('web'))).toBe(before);
    kept.answer = (id) => kept.issue(id);
    await kept.fake.advance(150_000);
    expect(kept.held.get(idOf('web'))).not.toBe(before);
  });

  test('survives an issuer that is away for 12 h at any moment', async () => {
    for (const awayFromMs of [0, 4 * hourMs, 9.5 * hourMs, 11 * hourMs]) {
      const kept = new Kept();
      await kept.start(wish('web', 'web-1'));
      await kept.fake.advance(awayFromMs);
      kept.answer = refuse;
      await kept.fake.advance(12 * hourMs);
      kept.answer = (id) => kept.issue(id);
      await kept.fake.advance(10 * 60_000);
      expect(kept.told.flatMap(({ removed }) => removed)).toEqual([]);
      expect(kept.keeper.facts()[0]?.state).toBe('valid');
    }
  });

  test.each([-3, 3])('is taken and renewed by a clock that is off by %d min', async (min) => {
    const kept = new Kept();
    const offMs = min * 60_000;
    // The issuer's clock is right, the proxy's is not.
    kept.answer = async (id) => {
      const key = await testKeys.makeKey();
      const pem = kept.authority.leaf(id, node, key.publicKeySpki, kept.wallMs - offMs);
      return { kind: 'issued', key, pem };
    };
    await kept.start(wish('proxy'), wish('web', 'web-1'));
    expect(kept.results).toEqual(['issued', 'issued']);
    await kept.fake.advance(12 * hourMs);
    expect(kept.results).toEqual(['issued', 'issued', 'issued', 'issued']);
    await kept.fake.advance(36 * hourMs);
    expect(kept.told.flatMap(({ removed }) => removed)).toEqual([]);
    expect(new Set(kept.results)).toEqual(new Set(['issued']));
  });

  test('of an issuer whose clock is ahead by more than five minutes waits', async () => {
    const kept = new Kept();
    kept.answer = async (id) => {
      const key = await testKeys.makeKey();
      const pem = kept.authority.leaf(id, node, key.publicKeySpki, kept.wallMs + 6 * 60_000);
      return { kind: 'issued', key, pem };
    };
    await kept.start(wish('web', 'web-1'));
    expect(kept.held.size).toBe(0);
    expect(kept.keeper.facts()[0]?.lastFailure).toContain('NotYetValid');
  });

  test('that has expired is taken from the workers, and asked for on and on', async () => {
    const kept = new Kept();
    await kept.start(wish('web', 'web-1'));
    kept.answer = refuse;
    await kept.fake.advance(24 * hourMs + 60_000);
    expect(kept.held.size).toBe(0);
    expect(kept.keeper.expiries()).toEqual([]);
    kept.answer = (id) => kept.issue(id);
    await kept.fake.advance(150_000);
    expect(kept.held.size).toBe(1);
  });
});

describe('a certificate that is due the moment it comes', () => {
  test('is renewed a minute later at the earliest, and before it ends', async () => {
    const kept = new Kept();
    // Of eight minutes five are over: an authority that ends soon signs such ones.
    kept.authority.lifetimeMs = 3 * 60_000;
    await kept.start(wish('web', 'web-1'));
    await kept.fake.advance(59_000);
    expect(kept.asked.length).toBe(1);
    await kept.fake.advance(hourMs);
    expect(kept.asked.length).toBeGreaterThan(20);
    expect(kept.asked.length).toBeLessThan(62);
    expect(kept.told.flatMap(({ removed }) => removed)).toEqual([]);
  });

  test('is renewed ever more rarely while another root than the first one signs', async () => {
    const kept = new Kept();
    await kept.start(wish('web', 'web-1'));
    kept.keeper.trust(bundleOf(new TestAuthority(kept.wallMs), kept.authority));
    await kept.fake.advance(hourMs);
    const before = kept.asked.length;
    await kept.fake.advance(hourMs);
    expect(kept.asked.length - before).toBeLessThan(25);
    expect(kept.asked.length - before).toBeGreaterThan(5);
  });

  test('is not renewed sooner because a pod of the account comes', async () => {
    const kept = new Kept();
    kept.authority.lifetimeMs = 3 * 60_000;
    await kept.start(wish('web', 'web-1'));
    for (let pod = 2; pod < 60; pod += 1) {
      kept.keeper.want([wish('web', `web-${pod}`)]);
      await kept.fake.advance(500);
    }
    expect(kept.asked.length).toBe(1);
  });
});

describe('a refused request', () => {
  test('is repeated after 1 s, then ever later up to 150 s', async () => {
    const kept = new Kept();
    kept.answer = refuse;
    await kept.start(wish('web', 'web-1'));
    await kept.fake.advance(999);
    expect(kept.asked.length).toBe(1);
    await kept.fake.advance(60);
    expect(kept.asked.length).toBe(2);
    await kept.fake.advance(hourMs);
    const before = kept.asked.length;
    await kept.fake.advance(hourMs);
    const perHour = kept.asked.length - before;
    expect(perHour).toBeGreaterThanOrEqual(24);
    expect(perHour).toBeLessThan(80);
  });

  test('is repeated at once for a new pod of the account, not for an old one', async () => {
    const kept = new Kept();
    kept.answer = refuse;
    await kept.start(wish('web', 'web-1'));
    await kept.fake.advance(hourMs);
    const before = kept.asked.length;
    kept.keeper.want([wish('web', 'web-1')]);
    await settle();
    expect(kept.asked.length).toBe(before);
    kept.keeper.want([wish('web', 'web-1', 'web-2')]);
    await settle();
    expect(kept.asked.length).toBe(before + 1);
  });
});

describe('an identity that no pod wants', () => {
  test('is forgotten after five minutes, and asked for no more before', async () => {
    const kept = new Kept();
    await kept.start(wish('proxy'), wish('web', 'web-1'));
    kept.keeper.want([wish('proxy')]);
    await kept.fake.advance(5 * 60_000 - 1);
    expect(kept.held.size).toBe(1);
    await kept.fake.advance(2);
    expect(kept.held.size).toBe(0);
    expect(kept.keeper.facts().map(({ id }) => id)).toEqual([own]);
  });

  test('is kept when a pod comes back', async () => {
    const kept = new Kept();
    await kept.start(wish('web', 'web-1'));
    kept.keeper.want([]);
    await kept.fake.advance(4 * 60_000);
    kept.keeper.want([wish('web', 'web-2')]);
    await kept.fake.advance(hourMs);
    expect(kept.asked.length).toBe(1);
    expect(kept.held.size).toBe(1);
  });

  test('gets no certificate from an answer that comes too late', async () => {
    const kept = new Kept();
    let answer: (outcome: RequestOutcome) => void = () => undefined;
    kept.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await kept.start(wish('web', 'web-1'));
    const late = await kept.issue(idOf('web'));
    kept.keeper.want([]);
    await kept.fake.advance(5 * 60_000 + 1);
    answer(late);
    await settle();
    expect(kept.held.size).toBe(0);
  });
});

describe('trust', () => {
  test('that changes is told; leaves of the old root are renewed within ten minutes', async () => {
    const kept = new Kept();
    await kept.start(wish('proxy'), wish('web', 'web-1'));
    const next = new TestAuthority(kept.wallMs);
    kept.keeper.trust(bundleOf(kept.authority, next));
    await kept.fake.advance(hourMs);
    expect(kept.asked.length).toBe(2);
    expect(kept.keeper.trustFacts().roots.length).toBe(2);
    kept.answer = (id) => kept.issue(id, next);
    kept.keeper.trust(bundleOf(next, kept.authority));
    await kept.fake.advance(10 * 60_000);
    expect(kept.asked.length).toBe(4);
    const [first] = kept.keeper.trustFacts().roots;
    expect(kept.keeper.trustFacts().inUse).toEqual([first]);
    kept.keeper.trust(bundleOf(next));
    await kept.fake.advance(hourMs);
    expect(kept.asked.length).toBe(4);
    expect(kept.told.at(-1)?.trustPem).toBe(next.rootPem);
  });
});

describe('what a predecessor has kept', () => {
  test('is used at once after a restart, and judged like any answer', async () => {
    const files = memoryFiles();
    const before = new Kept(files);
    await before.start(wish('proxy'), wish('web', 'web-1'));
    await settle();
    const after = new Kept(files, before.authority);
    await after.start(wish('proxy'), wish('web', 'web-1'));
    expect(after.asked).toEqual([]);
    expect(after.held).toEqual(before.held);
    const foreign = new Kept(files);
    foreign.answer = refuse;
    await foreign.start(wish('proxy'), wish('web', 'web-1'));
    expect(foreign.held.size).toBe(0);
  });

  test('is nothing after a reboot, and nothing is kept for an identity that is gone', async () => {
    const files = memoryFiles();
    const before = new Kept(files);
    await before.start(wish('web', 'web-1'));
    const rebooted = memoryFiles('boot-2');
    for (const [path, text] of files.texts) {
      if (path.endsWith('.json')) rebooted.texts.set(path, text);
    }
    const after = new Kept(rebooted, before.authority);
    await after.start(wish('web', 'web-1'));
    expect(after.asked.length).toBe(1);
    before.keeper.want([]);
    await before.fake.advance(5 * 60_000 + 1);
    expect(files.texts.get('/run/weft/identities.json')).not.toContain('PRIVATE');
  });
});
