// Certificates while something is wrong with who makes them: no controller, clocks that differ, a
// root that is replaced. Runs on what 10-mutual-tls left; `vault` is strict meanwhile, so whatever
// is answered has come through a tunnel.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failuresOf, outcome, startLoad } from './support/calls.ts';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { apply, kubectl } from './support/kubectl.ts';
import { annotateMtls } from './support/mtls.ts';
import { idle, plainPod, serviceAccount } from './support/objects.ts';
import { withSkewedControllers, withSkewedProxy } from './support/skew.ts';
import { until } from './support/until.ts';
import { askLedger, createVault, deskOn, ledgerUrl, twoNodes } from './support/vault.ts';
import { weft } from './support/weft.ts';

let nodes: Awaited<ReturnType<typeof twoNodes>>;

beforeAll(async () => {
  nodes = await twoNodes();
  await createVault();
  await annotateMtls('vault', 'strict');
});

afterAll(async () => {
  await annotateMtls('vault', undefined);
});

/** A pod of an account on the node that the ledger is not on. */
async function newPod(name: string, account: string): Promise<() => Promise<string>> {
  await apply([
    serviceAccount('desk', account),
    plainPod({ namespace: 'desk', name, serviceAccount: account, nodeName: nodes.far }, idle),
  ]);
  await kubectl(['-n', 'desk', 'wait', `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
  return async () => outcome(await askLedger({ namespace: 'desk', client: `pod/${name}` }));
}

async function gonePods(...names: readonly string[]): Promise<void> {
  await kubectl(['-n', 'desk', 'delete', 'pod', ...names, '--grace-period=1']);
}

describe('without a controller', () => {
  test('pods of known accounts are served, new accounts wait for it and no longer', async () => {
    const scale = ['-n', meshNamespace, 'scale', 'deployment/weft-controller'];
    await kubectl([...scale, '--replicas=0']);
    const controllers = 'app.kubernetes.io/component=controller';
    const gone = ['wait', 'pods', '--for=delete', '--timeout=60s', '-l', controllers];
    await kubectl(['-n', meshNamespace, ...gone]);
    const known = await newPod('late', 'teller');
    expect(await known()).toBe('200');
    const unknown = await newPod('newcomer', 'newcomer');
    expect(await unknown()).toBe('503 IdentityPending');
    await kubectl([...scale, '--replicas=2']);
    const startedMs = Date.now();
    // Its certificate has come when the ledger's node can say that nobody allowed it.
    await until('the newcomer is known', async () =>
      (await unknown()) === '403 SourceNotAllowed' ? true : undefined,
    );
    console.log(`a new account was known ${Date.now() - startedMs} ms after scaling up`);
    await rolledOut(meshNamespace, 'deployment/weft-controller');
    await gonePods('late', 'newcomer');
  });
});

describe('clocks that differ by three minutes', () => {
  const skews = [180, -180];

  test.each(skews)('controllers at %i s: what they issue is taken', async (seconds) => {
    await withSkewedControllers(seconds, async () => {
      const account = `skewed-${seconds < 0 ? 'behind' : 'ahead'}`;
      const ask = await newPod(account, account);
      await until(`${account} is known`, async () =>
        (await ask()) === '403 SourceNotAllowed' ? true : undefined,
      );
      await gonePods(account);
    });
  });

  test.each(skews)('one proxy at %i s: calls go both ways', async (seconds) => {
    // The ledger's: it judges who comes, and is judged by the caller's.
    await withSkewedProxy(nodes.home, seconds, async () => {
      for (const node of [nodes.far, nodes.home]) {
        await until(`the teller on ${node} is served`, async () =>
          outcome(await askLedger(deskOn('teller', node))) === '200' ? true : undefined,
        );
        expect(outcome(await askLedger(deskOn('thief', node)))).toBe('403 SourceNotAllowed');
      }
    });
    await proxies(60_000);
  });
});

type Identity = {
  readonly phase: string;
  readonly roots: readonly { readonly fingerprint: string }[];
};

async function identity(): Promise<Identity> {
  const { stdout } = await weft(['identity', '-o', 'json']);
  // Documented shape of the command.
  return JSON.parse(stdout) as Identity;
}

async function untilPhase(phase: string): Promise<Identity> {
  const startedMs = Date.now();
  const reached = await until(
    `phase ${phase}`,
    async () => {
      const now = await identity();
      return now.phase === phase ? now : undefined;
    },
    200_000,
  );
  console.log(`${phase} after ${Date.now() - startedMs} ms`);
  return reached;
}

describe('a new root', () => {
  test('is in force everywhere, and not one request fails', async () => {
    const before = await identity();
    const loads = await Promise.all(
      [nodes.far, nodes.home].map((node) =>
        startLoad(deskOn('teller', node), { urls: [ledgerUrl], perSecond: 40, seconds: 500 }),
      ),
    );
    expect((await weft(['ca', 'rotate'])).status).toBe(0);
    await untilPhase('switching');
    // Leaves are renewed within ten minutes; proxies that start anew do not wait for it.
    await kubectl(['-n', meshNamespace, 'rollout', 'restart', 'daemonset/weft-proxy']);
    await rolledOut(meshNamespace, 'daemonset/weft-proxy', 180_000);
    const after = await untilPhase('steady');
    const results = await Promise.all(loads.map((load) => load.stop()));
    console.log(results.map(({ sent, failed }) => `${failed} of ${sent} failed`).join(', '));
    expect(results.flatMap(failuresOf)).toEqual([]);
    expect(after.roots).toHaveLength(1);
    expect(after.roots[0]?.fingerprint).not.toBe(before.roots[0]?.fingerprint);
    for (const node of [nodes.far, nodes.home]) {
      expect(outcome(await askLedger(deskOn('thief', node)))).toBe('403 SourceNotAllowed');
    }
  }, 560_000);
});
