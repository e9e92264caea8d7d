// The four ways to install give the same objects, and a real API server takes them: weft install,
// manifests/weft.yaml, the Helm chart and kustomize, with defaults and with other values.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { installCommand } from '../../src/cli/install/install-command.ts';
import { buildVersion } from '../../src/main/version.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { byIdentity, objectsOf, output, run, type KubeObject } from './support/tools.ts';

const chart = 'manifests/chart';
const helmBasics = [
  'template', 'weft', chart, '--namespace', 'weft-system', '--kube-version', '1.34.0',
];

async function install(...args: readonly string[]): Promise<string> {
  let out = '';
  let error = '';
  let exitCode = 0;
  const wiring = {
    version: buildVersion,
    writeOut: (text: string) => {
      out += text;
    },
    writeError: (text: string) => {
      error += text;
    },
  };
  const command = installCommand(wiring, (code) => {
    exitCode = code;
  });
  await command.parseAsync([...args], { from: 'user' });
  expect({ exitCode, error }).toEqual({ exitCode: 0, error: '' });
  return out;
}

/** Helm makes the namespace itself. */
function withoutNamespace(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects.filter(({ kind }) => kind !== 'Namespace');
}

/** Values that say something everywhere: each line here was wrong once, or could be. */
const otherValues = {
  image: {
    repository: 'registry.example.com/weft',
    tag: '1.2',
    pullSecrets: [{ name: 'one' }, { name: 'two' }],
  },
  mesh: {
    domains: ['mesh', 'traefik.mesh'],
    policy: 'audit',
    adopt: 'labelled',
    ignoreNamespaces: ['a', 'b'],
  },
  proxy: {
    workers: 3,
    drainTimeoutSeconds: 60,
    maxSurge: 2,
    podLabels: { team: 'mesh', answer: '42' },
    podAnnotations: null,
    tolerations: [{ key: 'a', operator: 'Equal', value: 'true', effect: 'NoSchedule' }],
    resources: { requests: { cpu: 1, memory: null }, limits: { cpu: '2', memory: '1Gi' } },
    flags: {
      'max-connections-per-worker': 1_000_000,
      'test-hooks': true,
      'trusted-sources': ['10.0.0.0/8', 'edge/gate'],
      'idle-timeout': '1m30s',
      'access-log': 'off',
    },
  },
  controller: {
    replicas: 1,
    nodeSelector: { 'kubernetes.io/arch': 'amd64' },
    podAnnotations: {},
    resources: null,
  },
  crds: { install: false },
  criticalPodsQuota: { enabled: false },
};

const scratch = mkdtempSync(join(tmpdir(), 'weft-install-'));
const otherFile = join(scratch, 'values.yaml');
writeFileSync(otherFile, stringify(otherValues, { version: '1.1' }));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe('the ways to install', () => {
  test('weft install, its JSON and manifests/weft.yaml are the same objects', async () => {
    const wanted = byIdentity(objectsOf(await install()));
    const file = byIdentity(objectsOf(readFileSync('manifests/weft.yaml', 'utf8')));
    const json = JSON.parse(await install('-o', 'json')) as { items: KubeObject[] };
    expect(wanted.size).toBeGreaterThan(15);
    expect(file).toEqual(wanted);
    expect(byIdentity(json.items)).toEqual(wanted);
  });

  test('kustomize gives the same objects', async () => {
    const wanted = byIdentity(objectsOf(await install()));
    const built = output('kubectl', ['kustomize', 'manifests/kustomize/base']);
    expect(byIdentity(objectsOf(built))).toEqual(wanted);
  });

  test('the chart gives the same objects but the namespace', async () => {
    const wanted = byIdentity(withoutNamespace(objectsOf(await install())));
    expect(byIdentity(objectsOf(output('helm', helmBasics)))).toEqual(wanted);
  });

  test('and the same again with other values', async () => {
    const wanted = withoutNamespace(objectsOf(await install('-f', otherFile)));
    const built = output('helm', [...helmBasics, '-f', otherFile]);
    expect(byIdentity(objectsOf(built))).toEqual(byIdentity(wanted));
  });

  test('and with all monitoring, where the cluster has the Prometheus operator', async () => {
    const names = ['podMonitor', 'prometheusRule', 'grafanaDashboard'];
    const wish = names.flatMap((name) => ['--set', `monitoring.${name}.enabled=true`]);
    const label = ['--set', 'monitoring.podMonitor.labels.release=prometheus'];
    const kinds = ['PodMonitor', 'PrometheusRule'];
    const served = kinds.flatMap((kind) => ['--api-versions', `monitoring.coreos.com/v1/${kind}`]);
    const wanted = byIdentity(withoutNamespace(objectsOf(await install(...wish, ...label))));
    const built = output('helm', [...helmBasics, ...wish, ...label, ...served]);
    expect(byIdentity(objectsOf(built))).toEqual(wanted);
    const plain = objectsOf(output('helm', [...helmBasics, ...wish]));
    expect(plain.filter(({ kind }) => kinds.includes(kind))).toEqual([]);
  });

  test('in another namespace everything of ours is there', async () => {
    const wanted = withoutNamespace(objectsOf(await install('--namespace', 'elsewhere')));
    const args = helmBasics.map((one) => (one === 'weft-system' ? 'elsewhere' : one));
    expect(byIdentity(objectsOf(output('helm', args)))).toEqual(byIdentity(wanted));
    const homes = new Set(wanted.map(({ metadata }) => metadata.namespace));
    expect(homes).toEqual(new Set([undefined, 'elsewhere', 'kube-system']));
  });

  test('the overlay that is shown can be built', () => {
    const built = output('kubectl', ['kustomize', 'manifests/kustomize/example']);
    expect(built).toContain('value: mesh,traefik.mesh');
    expect(built).toContain('image: registry.example.com/mesh/weft:');
  });
});

describe('a typo in a value', () => {
  test.each([
    ['mesh.polcy=audit', 'mesh.polcy'],
    ['mesh.policy=enforced', 'policy'],
    ['proxy.flags.drain-dely=1s', 'drain-dely'],
    ['proxy.resources.limit.memory=1Gi', 'limit'],
    ['proxy.maxSurge=0', 'maxSurge'],
    ['controller.replicas=two', 'replicas'],
  ])('%s is refused by Helm', (assignment, named) => {
    const ran = run('helm', [...helmBasics, '--set', assignment]);
    expect(ran.status).not.toBe(0);
    expect(ran.error).toContain(named.split('.').at(-1));
  });

  test('helm lint is content', () => {
    const ran = run('helm', ['lint', '--strict', chart, '--kube-version', '1.34.0']);
    expect({ status: ran.status, out: ran.out }).toMatchObject({ status: 0 });
  });
});

describe('a real API server', () => {
  let plane: ControlPlane;
  const kubectl = (args: readonly string[], input = ''): string =>
    output('kubectl', ['--kubeconfig', plane.kubeconfigPath, ...args], input);

  beforeAll(async () => {
    plane = await startControlPlane();
    kubectl(['create', 'namespace', 'weft-system']);
  });
  afterAll(() => plane.stop());

  test('takes all four without a warning', async () => {
    const apply = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'];
    const ways = [
      await install(),
      readFileSync('manifests/weft.yaml', 'utf8'),
      output('helm', helmBasics),
      output('kubectl', ['kustomize', 'manifests/kustomize/base']),
      await install('-f', otherFile),
    ];
    for (const yaml of ways) {
      const ran = run('kubectl', ['--kubeconfig', plane.kubeconfigPath, ...apply], yaml);
      expect({ status: ran.status, error: ran.error }).toEqual({ status: 0, error: '' });
      expect(ran.out).toContain('daemonset.apps/weft-proxy serverside-applied');
    }
  });

  test('finds nothing that Pod Security restricted would refuse', async () => {
    kubectl(['apply', '--server-side', '-f', '-'], await install('--set', 'crds.install=false'));
    // A quota without its controller would refuse all pods.
    kubectl(['delete', 'quota', '-n', 'weft-system', '--all']);
    for (const workload of ['daemonset/weft-proxy', 'deployment/weft-controller']) {
      const get = ['get', workload, '-n', 'weft-system', '-o', 'json'];
      const { spec } = JSON.parse(kubectl(get)) as { spec: { template: { spec: object } } };
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: workload.split('/')[1], namespace: 'weft-system' },
        spec: { ...spec.template.spec },
      };
      const text = JSON.stringify(pod);
      const said = kubectl(['create', '--dry-run=server', '-f', '-'], text);
      expect(said).toContain('created (server dry run)');
      // The rule is in force: the same pod on the network of its node is refused.
      const bad = JSON.stringify({ ...pod, spec: { ...pod.spec, hostNetwork: true } });
      const ran = run(
        'kubectl',
        ['--kubeconfig', plane.kubeconfigPath, 'create', '--dry-run=server', '-f', '-'],
        bad,
      );
      expect(ran.error).toContain('violates PodSecurity');
    }
  });

  test('is told the same a second time without a change', async () => {
    const yaml = await install();
    const apply = ['apply', '-f', '-'];
    kubectl(apply, yaml);
    const again = kubectl(apply, yaml).trim().split('\n');
    // kubectl sends the selector of a budget each time, whatever it is.
    const changed = again.filter((line) => !line.endsWith(' unchanged'));
    expect(changed).toEqual(['poddisruptionbudget.policy/weft-controller configured']);
  });
});

describe('helm install', () => {
  let plane: ControlPlane;
  const helm = (...args: readonly string[]): string =>
    output('helm', ['--kubeconfig', plane.kubeconfigPath, '--namespace', 'weft-system', ...args]);
  const count = (kind: string): number => {
    const args = ['--kubeconfig', plane.kubeconfigPath, 'get', kind, '-A', '-o', 'name'];
    return output('kubectl', [...args, '-l', 'app.kubernetes.io/name=weft']).split('\n').length - 1;
  };

  beforeAll(async () => {
    plane = await startControlPlane();
  });
  afterAll(() => plane.stop());

  test('says what is next and what is not on; uninstall keeps the CRDs alone', () => {
    const said = helm('install', 'weft', chart, '--create-namespace');
    expect(said).toContain('kubectl -n weft-system rollout status daemonset/weft-proxy');
    expect(said).toContain('http://SERVICE.NAMESPACE.mesh');
    expect(said).toMatch(/Not on:\n {2}- policy: every caller/);
    const kinds = ['daemonset', 'deployment', 'clusterrole', 'validatingadmissionpolicy'];
    expect(kinds.map(count)).toEqual([1, 1, 2, 3]);
    expect(count('crd')).toBe(5);
    helm('upgrade', 'weft', chart, '--set', 'mesh.policy=audit', '--set', 'controller.replicas=3');
    expect(helm('uninstall', 'weft')).toContain('[CustomResourceDefinition]');
    expect(kinds.map(count)).toEqual([0, 0, 0, 0]);
    expect(count('crd')).toBe(5);
  });
});
