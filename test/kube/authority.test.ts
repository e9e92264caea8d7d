// The authority of the mesh on a real API server: one root, however many controllers start at once;
// kept when the Secret is lost; for one trust domain only; and a trust bundle that nobody edits for
// long.
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { kubeReason, resourcePath, type Connection } from '../../src/kube/index.ts';
import {
  home,
  IdentityCluster,
  names,
  type RunningController,
} from './support/identity-cluster.ts';
import { until } from './support/until.ts';

let cluster: IdentityCluster;
let proxy: Connection;
let running: RunningController[] = [];

const core = { group: '', version: 'v1', namespace: home };
const secretPath = resourcePath({ ...core, plural: 'secrets', name: 'weft-ca' });
const trustPath = resourcePath({ ...core, plural: 'configmaps', name: 'weft-trust' });

async function start(flags: Readonly<Record<string, string>> = {}): Promise<RunningController> {
  const one = await cluster.controller(flags);
  running.push(one);
  return one;
}

async function stopAll(): Promise<void> {
  const all = running;
  running = [];
  await Promise.all(all.map((one) => one.stop()));
}

async function forget(path: string): Promise<void> {
  await cluster.admin.remove(path).catch((error: unknown) => {
    if (kubeReason(error) !== 'NotFound') throw error;
  });
}

type Told = { readonly reason: string };

/** What the admin port of the first one says. */
async function problems(): Promise<readonly Told[]> {
  const [{ controller } = { controller: undefined }] = running;
  const answer = await fetch(`http://127.0.0.1:${controller?.adminPort}/debug/problems`);
  return ((await answer.json()) as { readonly items: readonly Told[] }).items;
}

beforeAll(async () => {
  cluster = await IdentityCluster.start();
  await cluster.node('node-a');
  await cluster.account('shop', 'web');
  const web = { namespace: 'shop', name: 'web', node: 'node-a', account: 'web' };
  await cluster.pod({ ...web, address: '10.1.0.1' });
  proxy = await cluster.proxy('node-a');
}, 120_000);

beforeEach(async () => {
  await stopAll();
  await forget(secretPath);
  await forget(trustPath);
});

afterAll(async () => {
  await stopAll();
  await cluster.stop();
});

const web = { sans: names('shop/web', 'node-a') };

describe('the authority', () => {
  test('is made once, even by controllers that start together', async () => {
    await Promise.all([start(), start(), start()]);
    const trust = await cluster.trust();
    const certificate = await cluster.text('secrets', 'weft-ca', 'tls.crt');
    expect(trust).toBe(certificate);
    expect((await cluster.ask(proxy, web)).state).toBe('issued');
    const made = running.flatMap(({ lines }) =>
      lines.filter(({ message }) => message === 'root made'),
    );
    expect(made).toHaveLength(1);
    const root = new X509Certificate(trust);
    expect(root.ca).toBe(true);
    expect(root.subjectAltName).toBe('URI:spiffe://cluster.local');
  });

  test('outlives its controllers', async () => {
    await start();
    const trust = await cluster.trust();
    await stopAll();
    await start();
    expect((await cluster.ask(proxy, web)).state).toBe('issued');
    expect(await cluster.trust()).toBe(trust);
  });

  test('is not made anew when its Secret is lost, and comes back with it', async () => {
    await start();
    const trust = await cluster.trust();
    const secret = (await cluster.admin.get(secretPath)) as {
      readonly type: string;
      readonly data: unknown;
      readonly metadata: { readonly annotations: unknown };
    };
    await cluster.admin.remove(secretPath);
    await until('AuthorityMissing', async () =>
      (await problems()).some(({ reason }) => reason === 'AuthorityMissing'),
    );
    const name = await cluster.post(proxy, web);
    expect(await cluster.admin.get(secretPath).catch(kubeReason)).toBe('NotFound');
    expect(await cluster.request(name)).toHaveProperty('status', {});
    expect(await cluster.trust()).toBe(trust);
    await cluster.create('secrets', home, {
      kind: 'Secret',
      type: secret.type,
      metadata: { name: 'weft-ca', annotations: secret.metadata.annotations },
      data: secret.data,
    });
    expect((await cluster.answerTo(name)).state).toBe('issued');
    expect((await problems()).map(({ reason }) => reason)).not.toContain('AuthorityMissing');
  });

  test('of another trust domain signs nothing', async () => {
    await start();
    const trust = await cluster.trust();
    await stopAll();
    await start({ 'trust-domain': 'other.example' });
    await until('TrustDomainForeign', async () =>
      (await problems()).some(({ reason }) => reason === 'TrustDomainForeign'),
    );
    const name = await cluster.post(proxy, web);
    expect(await cluster.trust()).toBe(trust);
    expect(await cluster.request(name)).toHaveProperty('status', {});
  });

  test('with a key that is not its own signs nothing, and trust stays', async () => {
    await start();
    const trust = await cluster.trust();
    const other = Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const data = { 'tls.key': other.toString('base64') };
    await cluster.admin.patch(secretPath, { kind: 'merge', body: { data } });
    await until('AuthorityRefused', async () =>
      (await problems()).some(({ reason }) => reason === 'AuthorityRefused'),
    );
    expect(await cluster.trust()).toBe(trust);
  });
});

describe('the trust bundle', () => {
  test('is put right when somebody edits or deletes it', async () => {
    await start();
    const trust = await cluster.trust();
    const data = { 'ca.crt': 'mine', 'more.crt': 'mine too' };
    await cluster.admin.patch(trustPath, { kind: 'merge', body: { data } });
    const isBack = async (): Promise<boolean> => {
      const found = (await cluster.admin.get(trustPath).catch(() => ({}))) as {
        readonly data?: object;
      };
      return JSON.stringify(found.data) === JSON.stringify({ 'ca.crt': trust });
    };
    await until('the bundle is right', isBack);
    await cluster.admin.remove(trustPath);
    await until('the bundle is back', isBack);
  });
});

describe('a controller whose rights are older than its image', () => {
  const group = 'rbac.authorization.k8s.io';
  const about = ['secrets', 'certificatesigningrequests', 'weft-trust'];

  type Rule = {
    readonly resources?: readonly string[];
    readonly resourceNames?: readonly string[];
  };

  /** As they were before there were identities; the answer puts them back. */
  async function takeRights(): Promise<() => Promise<void>> {
    const paths = [
      resourcePath({ group, version: 'v1', plural: 'clusterroles', name: 'weft-controller' }),
      resourcePath({
        ...{ group, version: 'v1', plural: 'roles' },
        ...{ namespace: home, name: 'weft-controller' },
      }),
    ];
    const undo: (() => Promise<unknown>)[] = [];
    for (const path of paths) {
      const { rules } = (await cluster.admin.get(path)) as { readonly rules: readonly Rule[] };
      const left = rules.filter(({ resources = [], resourceNames = [] }) => {
        return ![...resources, ...resourceNames].some((one) => about.includes(one));
      });
      const set = (body: object) => cluster.admin.patch(path, { kind: 'merge', body });
      await set({ rules: left });
      undo.push(() => set({ rules }));
    }
    return async () => {
      for (const one of undo) await one();
    };
  }

  test('is ready all the same, and signs when it gets them', async () => {
    const giveBack = await takeRights();
    const { controller } = await start();
    await until('ready', () => controller.isSynced());
    const name = await cluster.post(proxy, web);
    await giveBack();
    expect(await cluster.answerTo(name)).toMatchObject({ state: 'issued' });
  });
});
