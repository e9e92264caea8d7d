// The life of an installation against a real kube-apiserver, through the commands that users run:
// install with kubectl, check, upgrade, uninstall. Nodes and pods are not there (test/e2e has
// them); the namespace controller is played, since only an API server runs here.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { openConnection, resourcePath, type Connection } from '../../src/kube/index.ts';
import { textAt, valueAt } from '../../src/lib/raw-object.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';

type Said = { readonly code: number; readonly out: string; readonly err: string };

let plane: ControlPlane;
let connection: Connection;
let isOver = false;

beforeAll(async () => {
  plane = await startControlPlane();
  const file = plane.kubeconfigPath;
  connection = await openConnection({ kind: 'kubeconfig', file, context: undefined }, realRuntime);
}, 60_000);

afterAll(async () => {
  isOver = true;
  await connection.close();
  await plane.stop();
});

function run(program: string, args: readonly string[], input = ''): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
      (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
    child.stdin?.end(input);
  });
}

function weft(...args: readonly string[]): Promise<Said> {
  const cluster = args[0] === 'install' ? [] : ['--kubeconfig', plane.kubeconfigPath];
  return run(process.execPath, ['dist/weft.js', ...args, ...cluster]);
}

function kubectl(args: readonly string[], input = ''): Promise<Said> {
  const program = join(plane.assets, 'kubectl');
  return run(program, ['--kubeconfig', plane.kubeconfigPath, ...args], input);
}

async function findings(...args: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { out } = await weft('check', '--no-probe', '-o', 'json', ...args);
  const { items } = JSON.parse(out) as { items: readonly { check: string; state: string }[] };
  return new Map(items.map(({ check, state }) => [check, state]));
}

const proxies = {
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  namespace: 'weft-system',
  name: 'weft-proxy',
};

async function imageInForce(): Promise<string | undefined> {
  const found = await connection.get(resourcePath(proxies));
  const [container] = valueAt(found, 'spec', 'template', 'spec', 'containers') as unknown[];
  return textAt(container, 'image');
}

/** What the namespace controller does: it empties the namespace, then lets it go. */
async function playNamespaceController(): Promise<void> {
  const path = resourcePath({
    group: '',
    version: 'v1',
    plural: 'namespaces',
    name: 'weft-system',
  });
  while (!isOver) {
    const found = await connection.get(path).catch(() => undefined);
    if (textAt(found, 'status', 'phase') === 'Terminating') {
      for (const plural of ['roles', 'rolebindings']) {
        const within = { group: 'rbac.authorization.k8s.io', version: 'v1', plural };
        await connection.remove(resourcePath({ ...within, namespace: 'weft-system' }));
      }
      const finalized = { ...(found as object), spec: { finalizers: [] } };
      await connection.update(`${path}/finalize`, finalized).catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Made by nobody of ours: what counts is the signer that it names. */
async function request(name: string, signerName: string): Promise<void> {
  const openssl = ['req', '-new', '-nodes', '-newkey', 'ec', '-pkeyopt'];
  const curve = ['ec_paramgen_curve:P-256', '-keyout', '/dev/null', '-subj', '/CN=someone'];
  const { out } = await run('openssl', [...openssl, ...curve]);
  const body = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      signerName,
      usages: ['digital signature', 'client auth'],
      request: Buffer.from(out).toString('base64'),
    },
  };
  const applied = await kubectl(['create', '-f', '-'], JSON.stringify(body));
  expect(`${applied.code} ${applied.err}`).toBe('0 ');
}

const foreignCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'wishes.extra.smi-spec.io' },
  spec: {
    group: 'extra.smi-spec.io',
    scope: 'Namespaced',
    names: { plural: 'wishes', singular: 'wish', kind: 'Wish' },
    versions: [
      { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
    ],
  },
};

describe('the life of an installation', () => {
  test('before: the cluster could take it, and check says that nothing is there', async () => {
    const pre = await findings('--pre');
    expect(pre.get('api-version')).toBe('ok');
    expect(pre.get('permissions')).toBe('ok');
    expect(pre.get('mesh-domain')).toBe('ok');
    const now = await weft('check', '--no-probe');
    expect(now.code).toBe(1);
    expect(now.out).toContain('weft install | kubectl apply -f -');
    expect((await weft('check', '--removed')).code).toBe(0);
  }, 60_000);

  test('requests of our signer are found afterwards, those of others are not', async () => {
    // Before the policy is there that lets only proxies name our signer.
    await request('ours', 'weft.dev/workload');
    await request('theirs', 'example.com/other');
    const { code, out } = await weft('check', '--removed');
    expect(`${code} ${out}`).toContain('1 CertificateSigningRequests of signer weft.dev/workload');
    expect(code).toBe(1);
  }, 60_000);

  test('a namespace called like the mesh domain fails the check before', async () => {
    await kubectl(['create', 'namespace', 'mesh']);
    expect((await findings('--pre')).get('mesh-domain')).toBe('failed');
    expect((await findings('--pre', '--mesh-domain', 'weft.local')).get('mesh-domain')).toBe('ok');
    await kubectl(['delete', 'namespace', 'mesh', '--wait=false']);
  }, 60_000);

  test('install: kubectl applies what weft install prints, twice without a change', async () => {
    const manifests = await weft('install');
    const first = await kubectl(['apply', '-f', '-'], manifests.out);
    expect(`${first.code} ${first.err}`).toBe('0 ');
    const second = await kubectl(['apply', '-f', '-'], manifests.out);
    // A budget is "configured" each time (its selector is replaced as a whole); nothing else is.
    const changed = second.out.split('\n').filter((line) => / (created|configured)$/.test(line));
    expect(changed.filter((line) => !line.startsWith('poddisruptionbudget'))).toEqual([]);
  }, 120_000);

  test('upgrade to the same version changes nothing', async () => {
    const { code, out } = await weft('upgrade', '--dry-run');
    expect(`${code} ${out}`).toBe('0 nothing would change\n');
  }, 60_000);

  test('upgrade shows the field that changes, changes it, and then has nothing to do', async () => {
    const before = await imageInForce();
    const shown = await weft('upgrade', '--tag', 'other', '--dry-run');
    expect(shown.code).toBe(1);
    expect(shown.out).toContain(`~ DaemonSet weft-system/weft-proxy`);
    expect(shown.out).toContain(`"${before}" → "weft:other"`);
    expect(await imageInForce()).toBe(before);
    const told = await weft('upgrade', '--tag', 'other', '--dry-run', '-o', 'json');
    expect(told.code).toBe(1);
    type Change = { readonly what: string; readonly kind: string; readonly changes: object[] };
    const { items } = JSON.parse(told.out) as { readonly items: readonly Change[] };
    const one = items.find(({ what }) => what === 'DaemonSet weft-system/weft-proxy');
    expect(one).toMatchObject({ kind: 'change', changes: [{ from: before, to: 'weft:other' }] });
    expect((await weft('upgrade', '--tag', 'other', '--yes')).code).toBe(0);
    expect(await imageInForce()).toBe('weft:other');
    expect((await weft('upgrade', '--tag', 'other', '--dry-run')).out).toBe(
      'nothing would change\n',
    );
  }, 60_000);

  test('upgrade takes back what somebody else changed, and leaves what they added', async () => {
    const patch = '{"metadata":{"labels":{"theirs":"yes"}},"spec":{"minReadySeconds":77}}';
    const there = ['-n', 'weft-system', 'daemonset', 'weft-proxy'];
    await kubectl(['patch', ...there, '--type', 'merge', '-p', patch]);
    await kubectl(['-n', 'weft-system', 'scale', 'deployment', 'weft-controller', '--replicas=0']);
    expect((await weft('upgrade', '--tag', 'other', '--yes')).code).toBe(0);
    const controller = await kubectl([
      '-n',
      'weft-system',
      'get',
      'deployment',
      'weft-controller',
      '-o',
      'jsonpath={.spec.replicas}',
    ]);
    expect(controller.out).toBe('2');
    const found = await connection.get(resourcePath(proxies));
    expect(textAt(found, 'metadata', 'labels', 'theirs')).toBe('yes');
  }, 60_000);

  test('kubectl apply after an upgrade goes back to what was printed', async () => {
    const applied = await kubectl(['apply', '-f', '-'], (await weft('install')).out);
    expect(`${applied.code} ${applied.err}`).toBe('0 ');
    expect((await weft('upgrade', '--dry-run')).out).toBe('nothing would change\n');
  }, 120_000);

  test('check says each thing with what to do, for people and for programs', async () => {
    const { code, out } = await weft('check', '--no-probe', '-o', 'yaml');
    expect(code).toBe(1);
    const { items } = parse(out) as { readonly items: readonly Record<string, string>[] };
    for (const item of items) {
      const keys = ['check', 'message', 'state'];
      if (item['state'] !== 'ok') keys.splice(1, 0, 'fix');
      expect(Object.keys(item).sort()).toEqual(keys);
      expect(item['fix'] ?? 'none').toMatch(/\S/);
    }
    const nowhere = ['dist/weft.js', 'check', '--kubeconfig', '/nowhere'];
    expect((await run(process.execPath, nowhere)).code).toBe(2);
  }, 60_000);

  test('check names what does not run', async () => {
    const found = await findings();
    expect(found.get('controller')).toBe('failed');
    expect(found.get('leader')).toBe('failed');
    expect(found.get('mesh-services')).toBe('failed');
  }, 60_000);

  test('uninstall asks, and without anybody to ask removes nothing', async () => {
    const { code, out, err } = await weft('uninstall');
    expect(code).toBe(1);
    expect(out).toContain('- Namespace weft-system');
    expect(out).toContain('- 1 CertificateSigningRequests of signer weft.dev/workload');
    expect(err).toContain('--yes');
    expect(await imageInForce()).toBeDefined();
  }, 60_000);

  test('uninstall refuses another namespace than the one of the mesh', async () => {
    const { code, err } = await weft('uninstall', '--yes', '--mesh-namespace', 'default');
    expect(code).toBe(2);
    expect(err).toContain('the mesh is in namespace weft-system: give --mesh-namespace');
    expect(await imageInForce()).toBeDefined();
  }, 60_000);

  test('uninstall refuses a namespace in which others run, too', async () => {
    const securityContext = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'lodger', namespace: 'weft-system' },
      spec: { containers: [{ name: 'one', image: 'none', securityContext }] },
    };
    expect((await kubectl(['apply', '-f', '-'], JSON.stringify(pod))).err).toBe('');
    const { code, err } = await weft('uninstall', '--yes');
    expect(code).toBe(2);
    expect(err).toContain('also runs what is not ours (lodger)');
    expect(await imageInForce()).toBeDefined();
    await kubectl(['-n', 'weft-system', 'delete', 'pod', 'lodger', '--now']);
  }, 60_000);

  test('uninstall removes all but the CRDs, and check --removed agrees', async () => {
    expect((await weft('check', '--removed')).code).toBe(1);
    void playNamespaceController();
    const { code, err } = await weft('uninstall', '--yes');
    expect(`${code} ${err}`).toMatch(/^0 /);
    const removed = await weft('check', '--removed');
    expect(`${removed.code} ${removed.out}`).toMatch(/^0 /);
    expect(removed.out).toContain('CRDs of SMI stay');
    expect((await weft('uninstall', '--yes')).out).toBe('nothing of the mesh was found\n');
    const requests = await kubectl(['get', 'csr', '-o', 'name']);
    expect(requests.out.trim()).toBe('certificatesigningrequest.certificates.k8s.io/theirs');
  }, 120_000);

  test('uninstall does not call gone what it cannot take out of the DNS', async () => {
    const corefile = '.:53 {\n}\n# weft:begin mesh\nmesh:53 {\n}\n';
    const damaged = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'coredns', namespace: 'kube-system' },
      data: { Corefile: corefile },
    };
    expect((await kubectl(['apply', '-f', '-'], JSON.stringify(damaged))).err).toBe('');
    const { code, err } = await weft('uninstall', '--yes');
    expect(err).toContain('left our lines in ConfigMap kube-system/coredns Corefile: the markers');
    expect(err).toContain('take out what stands between weft:begin and weft:end');
    expect(code).toBe(1);
    await kubectl(['-n', 'kube-system', 'delete', 'configmap', 'coredns']);
  }, 60_000);

  test('uninstall --crds removes ours too, and names those of others', async () => {
    const applied = await kubectl(['apply', '-f', '-'], JSON.stringify(foreignCrd));
    expect(`${applied.code} ${applied.err}`).toBe('0 ');
    const { code, err, out } = await weft('uninstall', '--crds', '--yes');
    expect(`${code}`).toBe('0');
    expect(out).not.toContain('wishes.extra');
    expect(err).toContain('leaves CustomResourceDefinition wishes.extra.smi-spec.io');
    const crds = await kubectl(['get', 'crds', '-o', 'name']);
    expect(crds.out.match(/\S+smi-spec\.io/g)).toEqual([
      'customresourcedefinition.apiextensions.k8s.io/wishes.extra.smi-spec.io',
    ]);
    expect((await weft('uninstall', '--crds', '--dry-run')).out).toBe(
      'nothing of the mesh was found\n',
    );
    const listed = await weft('uninstall', '--crds', '--dry-run', '-o', 'json');
    expect(JSON.parse(listed.out)).toEqual({
      items: [],
      foreign: ['CustomResourceDefinition wishes.extra.smi-spec.io'],
    });
    const removed = await weft('check', '--removed');
    expect(removed.out).toContain('that weft did not install: wishes.extra.smi-spec.io');
    expect(removed.code).toBe(0);
  }, 60_000);
});
