// A proxy that asks ten thousand times, on a real API server: other nodes get their certificates as
// if nothing were, the flood is answered at its own pace, and what is too much goes unread.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connection } from '../../src/kube/index.ts';
import { createCertificateRequest } from '../../src/identity/control.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { IdentityCluster, names, type RunningController } from './support/identity-cluster.ts';
import { until } from './support/until.ts';

const floodSize = 10_000;
const accounts = Array.from({ length: 100 }, (_, at) => `app-${at}`);
let cluster: IdentityCluster;
let controller: RunningController;
let loud: Connection;
let quiet: Connection;

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  for (const node of ['node-a', 'node-b']) await cluster.node(node);
  await cluster.account('shop', 'web');
  const web = { namespace: 'shop', name: 'web', node: 'node-a', account: 'web' };
  await cluster.pod({ ...web, address: '10.1.0.1' });
  for (const [at, account] of accounts.entries()) {
    const pod = { namespace: 'shop', name: account, node: 'node-b', account };
    await cluster.pod({ ...pod, address: `10.2.0.${at + 1}` });
  }
  [loud, quiet] = [await cluster.proxy('node-a'), await cluster.proxy('node-b')];
  controller = await cluster.controller();
  await cluster.trust();
}, 120_000);

afterAll(async () => {
  await controller.stop();
  await cluster.stop();
});

const count = (message: string): number =>
  controller.lines.filter((line) => line.message === message).length;

async function flood(): Promise<void> {
  const key = await nodeKeys.makeKey();
  const sans = names('shop/web', 'node-a');
  const pem = createCertificateRequest({ publicKey: key.publicKeySpki, sans, sign: key.sign });
  let left = floodSize;
  const lane = async (): Promise<void> => {
    for (; left > 0; left -= 1) await cluster.post(loud, { pem });
  };
  await Promise.all(Array.from({ length: 64 }, lane));
}

test('one node that floods delays no other', { timeout: 170_000 }, async () => {
  await flood();
  const issuedToLoud = count('certificate issued');
  // All that 250 and five in a second allow, in the time that the flood took at most.
  expect(issuedToLoud).toBeGreaterThanOrEqual(250);
  expect(issuedToLoud).toBeLessThan(2_000);
  await Promise.all(
    accounts.map(async (account) => {
      const answer = await cluster.ask(quiet, { sans: names(`shop/${account}`, 'node-b') });
      expect(answer.state).toBe('issued');
    }),
  );
  await until('some are deleted unread', () =>
    count('certificate requests are too many and deleted unread') > 0,
  );
  expect(count('certificate denied')).toBe(0);
});
