// `weft check --pre` against a real API server, as people who may more or less, and into a
// namespace with quotas: what it says is what `kubectl apply` and admission then do.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';

type Said = { readonly code: number; readonly out: string; readonly err: string };
type Finding = { readonly check: string; readonly state: string; readonly message: string };

let plane: ControlPlane;
const scratch = mkdtempSync(join(tmpdir(), 'weft-pre-'));

beforeAll(async () => {
  plane = await startControlPlane();
}, 60_000);
afterAll(async () => {
  await plane.stop();
  rmSync(scratch, { recursive: true });
});

function run(program: string, args: readonly string[], input = ''): Promise<Said> {
  return new Promise((resolve) => {
    const options = { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 };
    const child = execFile(program, args, options, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
    child.stdin?.end(input);
  });
}

function kubectl(args: readonly string[], input = '', file = plane.kubeconfigPath): Promise<Said> {
  return run(join(plane.assets, 'kubectl'), ['--kubeconfig', file, ...args], input);
}

async function apply(...objects: readonly object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const { code, err } = await kubectl(['apply', '-f', '-'], list);
  expect(`${code} ${err}`).toBe('0 ');
}

async function findings(file: string, ...args: readonly string[]): Promise<readonly Finding[]> {
  const pre = ['dist/weft.js', 'check', '--pre', '--no-probe', '-o', 'json', '--kubeconfig', file];
  const { out } = await run(process.execPath, [...pre, ...args]);
  return (JSON.parse(out) as { readonly items: readonly Finding[] }).items;
}

async function of(check: string, file: string, ...args: readonly string[]): Promise<string> {
  const found = (await findings(file, ...args)).filter((one) => one.check === check);
  return found.map(({ state, message }) => `${state}: ${message}`).join('\n');
}

/** A person with these rules everywhere: the kubeconfig of a token. */
async function person(name: string, rules: readonly object[]): Promise<string> {
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  const account = { kind: 'ServiceAccount', name, namespace: 'default' };
  await apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'default' } },
    { ...rbac, kind: 'ClusterRole', metadata: { name }, rules },
    { ...rbac, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects: [account] },
  );
  const token = (await kubectl(['create', 'token', name, '-n', 'default'])).out.trim();
  const path = join(scratch, name);
  const text = readFileSync(plane.kubeconfigPath, 'utf8').replace(plane.token, token);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** What the check itself reads. */
const reads = { apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list'] };
const writes = ['create', 'patch'];

/** Groups of what an installation consists of. */
const groups = [
  '',
  'apps',
  'policy',
  'rbac.authorization.k8s.io',
  'apiextensions.k8s.io',
  'admissionregistration.k8s.io',
];

async function install(file: string): Promise<Said> {
  const printed = await run(process.execPath, ['dist/weft.js', 'install']);
  return kubectl(['apply', '--dry-run=server', '-f', '-'], printed.out, file);
}

describe('who installs', () => {
  test('an administrator may', async () => {
    expect(await of('permissions', plane.kubeconfigPath)).toBe(
      'ok: you may apply all that weft consists of',
    );
  });

  test('whoever lacks the admission policies is told before kubectl is', async () => {
    const most = groups.filter((group) => !group.startsWith('admission'));
    const file = await person('no-policies', [
      reads,
      { apiGroups: most, resources: ['*'], verbs: [...writes, 'escalate', 'bind'] },
    ]);
    const told = await of('permissions', file);
    expect(told).toContain('create validatingadmissionpolicies.admissionregistration.k8s.io');
    expect(told).toContain('patch validatingadmissionpolicybindings.admissionregistration.k8s.io');
    const { err } = await install(file);
    expect(err).toContain('cannot create resource "validatingadmissionpolicies"');
  }, 60_000);

  test('whoever may make roles and holds less than they grant is told so', async () => {
    const file = await person('no-grants', [
      reads,
      { apiGroups: groups, resources: ['*'], verbs: writes },
    ]);
    const told = await of('permissions', file);
    expect(told).toMatch(/^failed: you may not grant the roles of weft what you may not do/);
    expect(told).toContain('watch services, watch namespaces');
    expect((await install(file)).err).toContain('is attempting to grant RBAC permissions');
  }, 60_000);

  test('whoever may escalate needs not hold what is granted', async () => {
    const file = await person('may-escalate', [
      reads,
      { apiGroups: groups, resources: ['*'], verbs: [...writes, 'escalate', 'bind'] },
    ]);
    expect(await of('permissions', file)).toMatch(/^ok/);
    // Namespaced objects want their namespace, which a dry run does not make.
    expect((await install(file)).err).not.toContain('forbidden');
  }, 60_000);
});

describe('where it goes', () => {
  const metadata = { name: 'team', namespace: 'meshes' };
  const here = ['--mesh-namespace', 'meshes'];

  test('a namespace without limits, or that is not there, stands in nobody’s way', async () => {
    const nothing = /^ok: no quota or limit range/;
    expect(await of('limits', plane.kubeconfigPath)).toMatch(nothing);
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'meshes' } });
    expect(await of('limits', plane.kubeconfigPath, ...here)).toMatch(nothing);
  });

  test('a quota of CPU limits and a LimitRange of too little memory are told', async () => {
    const hard = { 'limits.cpu': '100', pods: '2' };
    const limits = [{ type: 'Container', max: { memory: '512Mi' } }];
    await apply(
      { apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard } },
      { apiVersion: 'v1', kind: 'LimitRange', metadata, spec: { limits } },
    );
    const told = await of('limits', plane.kubeconfigPath, ...here);
    expect(told).toContain('team limits limits.cpu: DaemonSet weft-proxy states none');
    expect(told).toContain('ResourceQuota team has too little pods');
    expect(told).toContain('LimitRange team allows 512Mi of memory');
  });

  test('a quota of another priority class is not', async () => {
    const scope = { scopeName: 'PriorityClass', operator: 'In', values: ['low'] };
    const spec = { hard: { pods: '0' }, scopeSelector: { matchExpressions: [scope] } };
    await kubectl(['-n', 'meshes', 'delete', 'resourcequota,limitrange', 'team']);
    await apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec });
    expect(await of('limits', plane.kubeconfigPath, ...here)).toMatch(/^ok/);
  });
});
