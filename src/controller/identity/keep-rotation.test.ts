// How often a rotation of the root asks for what it was refused, which pods it asks, and that it
// says whom it waits for. Its phases are rotation.test.ts,
// its way through a real API server is test/kube/root-rotation.test.ts.
import { expect, test } from 'vitest';
import { FakeRuntime } from '../../../test/kube/support/fake-runtime.ts';
import { testKeys, TestAuthority } from '../../../test/support/test-authority.ts';
import { meshSettingsOf } from '../../api/index.ts';
import { silentLog } from '../../telemetry/index.ts';
import { authorityManifest, steppedAuthority } from './authority-manifest.ts';
import { caAnnotations, readAuthority, type HeldAuthority } from './authority-secret.ts';
import { RotationKeeper } from './keep-rotation.ts';

const nowMs = Date.UTC(2024, 4, 6);
/** As a FakeRuntime begins. */
const fakeStartMs = 1_700_000_000_000;
const settings = meshSettingsOf(new Map());

/** Steady, and somebody asks for another root. */
function asked() {
  const secret = steadySecret();
  secret.metadata.annotations[caAnnotations.rotate] = 'now';
  return { secret, held: heldOf(secret) };
}

type Secret = { readonly metadata: { readonly annotations: Record<string, string> } };

function steadySecret(): Secret {
  const { trustDomain } = settings;
  const { rootPem: certificatePem, keyPem } = new TestAuthority(nowMs);
  const facts = { namespace: 'weft-system', trustDomain, nowMs, certificatePem, keyPem };
  return authorityManifest(facts) as Secret;
}

function heldOf(secret: unknown): HeldAuthority {
  const held = readAuthority(secret, { trustDomain: settings.trustDomain, nowMs });
  if (held.kind === 'faulty') throw new Error(held.message);
  return held;
}

/** Two roots are trusted since now. */
function adding() {
  const secret = steadySecret();
  const next = new TestAuthority(nowMs);
  const proposal = { certificatePem: next.rootPem, keyPem: next.keyPem };
  const stepped = steppedAuthority({
    secret,
    held: heldOf(secret),
    to: 'adding',
    proposal,
    nowMs: fakeStartMs,
  });
  return { secret: stepped, held: heldOf(stepped) };
}

/** A pod of the namespace of the mesh. */
function podOf(node: string, podIP: string, facts: { account?: string; labels?: object }) {
  return {
    metadata: { name: `pod-${node}`, uid: `uid-${node}`, labels: facts.labels ?? {} },
    spec: { nodeName: node, serviceAccountName: facts.account },
    status: { phase: 'Running', podIP },
  };
}

test('a rotation begins at once, and rests when its write was refused', async () => {
  const waits: { readonly delayMs: number; readonly callback: () => void }[] = [];
  let writes = 0;
  const keeper = new RotationKeeper({
    connection: {
      get: () => Promise.reject(new Error('nobody asks')),
      update: () => {
        writes += 1;
        return Promise.reject(new Error('the Secret is immutable'));
      },
    },
    runtime: {
      clock: { nowMs: () => 0, wallMs: () => nowMs },
      timers: {
        after: (delayMs, callback) => {
          waits.push({ delayMs, callback });
          return { cancel: () => undefined };
        },
      },
      random: () => 0.5,
    },
    log: silentLog,
    keys: testKeys,
    settings,
    isLeading: () => true,
    authority: { ...asked(), see: () => undefined },
    isPublished: () => true,
    ask: () => Promise.reject(new Error('nobody asks')),
    onProblems: () => undefined,
  });
  keeper.look();
  for (let round = 0; round < 3; round += 1) {
    waits[round]?.callback();
    await expect.poll(() => waits.length).toBe(round + 2);
  }
  expect(writes).toBe(3);
  expect(waits.map(({ delayMs }) => delayMs)).toEqual([0, 5_000, 5_000, 5_000]);
  await keeper.stop();
});

test('it asks the proxies’ account, whatever the labels, and names who lags', async () => {
  const fake = new FakeRuntime();
  const authority = adding();
  const labels = { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'proxy' };
  const items = [
    podOf('node-a', '10.0.0.1', { account: 'weft-proxy' }),
    podOf('node-b', '10.0.0.2', { account: 'weft-proxy', labels }),
    podOf('node-c', '10.0.0.3', { account: 'weft-proxy', labels }),
    // A mirror pod of a kubelet: it has no account.
    podOf('node-d', '10.0.0.4', { labels }),
    podOf('node-e', '10.0.0.5', { account: 'default', labels }),
  ];
  const fingerprints = authority.held.roots.map(({ fingerprint }) => fingerprint);
  const asked = new Set<string>();
  let told = 0;
  let steps = 0;
  const answers = new Map<string, unknown>([
    ['10.0.0.1', { build: 'x', trust: { roots: fingerprints, inUse: [] } }],
    // Of a proxy with --mtls off.
    ['10.0.0.2', { build: 'x' }],
  ]);
  const keeper = new RotationKeeper({
    connection: {
      get: () => Promise.resolve({ items }),
      update: (_path, object) => {
        steps += 1;
        return Promise.resolve(object);
      },
    },
    runtime: fake.runtime,
    log: silentLog,
    keys: testKeys,
    settings,
    isLeading: () => true,
    authority: { ...authority, see: () => undefined },
    isPublished: () => true,
    ask: (address) => {
      asked.add(address);
      const answer = answers.get(address);
      return answer === undefined ? Promise.reject(new Error('away')) : Promise.resolve(answer);
    },
    onProblems: () => {
      told += 1;
    },
  });
  keeper.look();
  await fake.advance(2 * 60_000);
  expect([...asked].sort()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  expect(keeper.problems()).toEqual([]);
  await fake.advance(2 * 60_000);
  expect([told, steps]).toEqual([1, 0]);
  const [problem] = keeper.problems();
  expect(problem?.reason).toBe('RotationWaits');
  expect(problem?.message).toContain('for the proxies on node-c (does not answer); mend');
  answers.set('10.0.0.3', { build: 'x', trust: { roots: fingerprints, inUse: [] } });
  await fake.advance(80_000);
  expect([keeper.problems(), steps > 0]).toEqual([[], true]);
  await keeper.stop();
});
