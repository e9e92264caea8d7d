// `weft policy networkpolicies` against a real kube-apiserver: what it prints is accepted, as YAML
// and as JSON, and once it is applied `weft check` calls the namespace enforced. Pods and slices
// are written by hand, since nothing runs here; whether packets are dropped is the network
// plugin's.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';

type Said = { readonly code: number; readonly out: string; readonly err: string };

let plane: ControlPlane;

function run(program: string, args: readonly string[], input = ''): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 60_000 }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
    child.stdin?.end(input);
  });
}

const policies = ['policy', 'networkpolicies', '-n', 'vault'];

function weft(...args: readonly string[]): Promise<Said> {
  const cluster = ['--kubeconfig', plane.kubeconfigPath];
  return run(process.execPath, ['dist/weft.js', ...args, ...cluster]);
}

async function kubectl(args: readonly string[], input = ''): Promise<string> {
  const program = join(plane.assets, 'kubectl');
  const said = await run(program, ['--kubeconfig', plane.kubeconfigPath, ...args], input);
  expect(said.err + said.out, args.join(' ')).not.toMatch(/error|invalid|Warning/i);
  expect(said.code, said.err).toBe(0);
  return said.out;
}

const objects = `
kind: Namespace
apiVersion: v1
metadata: { name: weft-system }
---
kind: Namespace
apiVersion: v1
metadata: { name: vault, annotations: { weft.dev/policy: enforce } }
---
kind: ServiceAccount
apiVersion: v1
metadata: { namespace: vault, name: default }
---
kind: Node
apiVersion: v1
metadata: { name: node-1 }
---
kind: Pod
apiVersion: v1
metadata: { namespace: vault, name: ledger-1, labels: { app: ledger } }
spec:
  nodeName: node-1
  automountServiceAccountToken: false
  containers: [{ name: app, image: app }]
---
kind: Service
apiVersion: v1
metadata: { namespace: vault, name: ledger }
spec: { selector: { app: ledger }, ports: [{ port: 80, targetPort: 8080 }] }
---
kind: Service
apiVersion: v1
metadata: { namespace: weft-system, name: weft-http, labels: { weft.dev/component: mesh-service } }
spec: { selector: { app: none }, ports: [{ name: http-80, port: 80, targetPort: 15180 }] }
---
kind: EndpointSlice
apiVersion: discovery.k8s.io/v1
metadata:
  namespace: vault
  name: ledger-x
  labels:
    kubernetes.io/service-name: ledger
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
addressType: IPv4
ports: [{ name: '', port: 8080, protocol: TCP }]
endpoints: [{ addresses: [10.244.1.4], targetRef: { kind: Pod, name: ledger-1, namespace: vault } }]
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: { namespace: vault, name: only-dns }
spec:
  podSelector: { matchExpressions: [{ key: app, operator: In, values: [ledger] }] }
  policyTypes: [Egress]
  egress: [{ ports: [{ protocol: UDP, port: 53 }] }]
`;

beforeAll(async () => {
  plane = await startControlPlane();
  // The admission of pods wants to see the account: objects in their order, one by one.
  for (const one of objects.split('---\n')) await kubectl(['apply', '-f', '-'], one);
  const status = { status: { addresses: [{ type: 'InternalIP', address: '10.0.0.11' }] } };
  const patch = ['patch', 'node', 'node-1', '--subresource=status', '--type=merge'];
  await kubectl([...patch, '-p', JSON.stringify(status)]);
}, 60_000);

afterAll(async () => {
  await plane.stop();
});

describe('weft policy networkpolicies', () => {
  test('prints YAML that the API server takes, and exits 1 for what is in the way', async () => {
    const { code, out, err } = await weft(...policies);
    expect(err).toBe('');
    expect(out).toContain('# namespace vault: policy is advisory now');
    expect(out).toContain('# blocks NetworkPolicy vault/only-dns: its egress keeps out');
    expect(code).toBe(1);
    const taken = await kubectl(['apply', '--dry-run=server', '-f', '-'], out);
    expect(taken).toContain('weft-ingress created (server dry run)');
    expect(taken).toContain('weft-egress-only-dns created (server dry run)');
  });

  test('prints one JSON object that the API server takes as well', async () => {
    const { out } = await weft(...policies, '-o', 'json');
    const told = JSON.parse(out) as { readonly items: readonly unknown[]; readonly state: string };
    expect(told).toMatchObject({ namespace: 'vault', state: 'advisory' });
    expect(told.items).toHaveLength(2);
    await kubectl(['apply', '--dry-run=server', '-f', '-'], out);
  });

  test('applied, the namespace is enforced, and the same is printed again', async () => {
    const first = await weft(...policies, '-o', 'json');
    await kubectl(['apply', '-f', '-'], first.out);
    const { out } = await weft(...policies, '-o', 'json');
    const [before, after] = [first.out, out].map((text) => JSON.parse(text) as { items: unknown });
    expect(after).toMatchObject({ state: 'enforced', gaps: [] });
    expect(after?.items).toEqual(before?.items);
    const dryRun = ['apply', '--dry-run=server', '-f', '-'];
    expect(await kubectl(dryRun, out)).toContain('weft-ingress unchanged (server dry run)');
    const table = await weft(...policies, '-o', 'table');
    expect(table.out).toContain('prints    NetworkPolicy weft-ingress');
  });

  test('a namespace that is not there, or none at all, is exit code 2 and one line', async () => {
    const missing = await weft('policy', 'networkpolicies', '-n', 'nowhere');
    expect(missing).toMatchObject({ code: 2, out: '' });
    expect(missing.err).toBe('weft policy networkpolicies: there is no namespace nowhere\n');
    const none = await weft('policy', 'networkpolicies');
    expect(none.code).toBe(2);
    expect(none.err.split('\n')).toHaveLength(2);
  });
});

/** May read everything that `weft check` reads, but NetworkPolicies. */
const reader = `
kind: ServiceAccount
apiVersion: v1
metadata: { namespace: vault, name: reader }
---
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata: { name: reader }
rules:
  - apiGroups:
      ['', apps, coordination.k8s.io, discovery.k8s.io, access.smi-spec.io, specs.smi-spec.io,
       split.smi-spec.io]
    resources: ['*']
    verbs: [get, list]
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader }
subjects: [{ kind: ServiceAccount, namespace: vault, name: reader }]
`;

describe('weft check', () => {
  beforeAll(async () => {
    const { out } = await run(process.execPath, ['dist/weft.js', 'install']);
    await kubectl(['apply', '-f', '-'], out);
    await kubectl(['apply', '-f', '-'], reader);
  });

  async function policyFindings(kubeconfig: string): Promise<readonly string[]> {
    const args = ['check', '--no-probe', '-o', 'json', '--kubeconfig', kubeconfig];
    const { out } = await run(process.execPath, ['dist/weft.js', ...args]);
    type Finding = { readonly check: string; readonly state: string; readonly message: string };
    const { items } = JSON.parse(out) as { readonly items: readonly Finding[] };
    const found = items.filter(({ check }) => check === 'policy');
    return found.map(({ state, message }) => `${state}: ${message}`);
  }

  test('calls the namespace enforced, and advisory once the policy is gone', async () => {
    const [enforced] = await policyFindings(plane.kubeconfigPath);
    expect(enforced).toContain('ok: namespace vault is enforced');
    await kubectl(['-n', 'vault', 'delete', 'networkpolicy', 'weft-ingress']);
    const [advisory] = await policyFindings(plane.kubeconfigPath);
    expect(advisory).toContain('warning: namespace vault is advisory: vault/ledger-1');
  });

  test('goes on for somebody who may not read NetworkPolicies, and says so', async () => {
    const token = (await kubectl(['-n', 'vault', 'create', 'token', 'reader'])).trim();
    const file = `${plane.kubeconfigPath}.reader`;
    const text = readFileSync(plane.kubeconfigPath, 'utf8');
    writeFileSync(file, text.replace(plane.token, token), { mode: 0o600 });
    const [finding] = await policyFindings(file);
    expect(finding).toContain('warning: NetworkPolicies may not be read');
  });
});
