// How often a rotation of the root asks for what it was refused. Its phases are rotation.test.ts,
// its way through a real API server is test/kube/root-rotation.test.ts.
import { expect, test } from 'vitest';
import { testKeys, TestAuthority } from '../../../test/support/test-authority.ts';
import { meshSettingsOf } from '../../api/index.ts';
import { silentLog } from '../../telemetry/index.ts';
import { authorityManifest } from './authority-manifest.ts';
import { caAnnotations, readAuthority } from './authority-secret.ts';
import { RotationKeeper } from './keep-rotation.ts';

const nowMs = Date.UTC(2024, 4, 6);
const settings = meshSettingsOf(new Map());

/** Steady, and somebody asks for another root. */
function asked() {
  const { trustDomain } = settings;
  const { rootPem: certificatePem, keyPem } = new TestAuthority(nowMs);
  const facts = { namespace: 'weft-system', trustDomain, nowMs, certificatePem, keyPem };
  const secret = authorityManifest(facts) as { metadata: { annotations: Record<string, string> } };
  secret.metadata.annotations[caAnnotations.rotate] = 'now';
  const held = readAuthority(secret, { trustDomain, nowMs });
  if (held.kind === 'faulty') throw new Error(held.message);
  return { secret, held };
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
