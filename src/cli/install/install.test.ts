// `weft install`: what its flags do, what a mistake gets, and what must hold of whatever it prints.
// That the ways to install agree, and that an API server takes them, is in test/kube.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { flagTable } from '../../api/index.ts';
import { metricTable } from '../../telemetry/metric-table.ts';
import { alerts } from './alerts.ts';
import { dashboardJson } from './dashboard.ts';
import { factsOf } from './facts.ts';
import { installCommand } from './install-command.ts';
import { chartNotes } from './notes.ts';
import { accessRules } from './rbac.ts';
import { initialValues } from './read-values.ts';

type Found = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: unknown;
};

async function install(...args: readonly string[]) {
  let out = '';
  let error = '';
  let exitCode = 0;
  const wiring = {
    version: '1.2.3',
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
  command.exitOverride().configureOutput({ writeErr: wiring.writeError });
  await command.parseAsync([...args, '-o', 'json'], { from: 'user' });
  const list = JSON.parse(out === '' ? '{"items": []}' : out) as { readonly items: Found[] };
  const objects = list.items;
  const find = (kind: string, name: string) =>
    objects.find((one) => one.kind === kind && one.metadata.name === name);
  return { exitCode, out, error, objects, find };
}

/** Environment of a workload's container, as text. */
function environmentOf(object: Found | undefined): string {
  const text = JSON.stringify(object?.spec ?? {});
  return /"env":(\[.*?\])(?=,"ports")/.exec(text)?.[1] ?? '';
}

describe('flags', () => {
  test('reach the pods that they are about', async () => {
    const { find, exitCode } = await install(
      '--image', 'registry.example.com/weft', '--tag', '7', '--mesh-domain', 'mesh',
      '--mesh-domain', 'traefik.mesh', '--policy', 'audit', '--adopt', 'labelled',
      '--workers', '1', '--max-surge', '3', '--replicas', '4',
      '--tolerations', '[{key: a, operator: Exists}]',
      '--proxy-resources', '{limits: {memory: 1Gi}}',
      '--mtls', 'strict', '--trust-domain', 'prod.example',
      '--set', 'proxy.flags.idle-timeout=1m',
      '--set', 'mesh.ignoreNamespaces=[a, b]',
    );
    expect(exitCode).toBe(0);
    const proxy = find('DaemonSet', 'weft-proxy');
    const controller = find('Deployment', 'weft-controller');
    for (const one of [proxy, controller]) {
      expect(JSON.stringify(one)).toContain('"image":"registry.example.com/weft:7"');
      const environment = environmentOf(one);
      expect(environment).toContain('{"name":"WEFT_MESH_DOMAIN","value":"mesh,traefik.mesh"}');
      expect(environment).toContain('{"name":"WEFT_POLICY","value":"audit"}');
      expect(environment).toContain('{"name":"WEFT_ADOPT","value":"labelled"}');
      expect(environment).toContain('{"name":"WEFT_IGNORE_NAMESPACE","value":"a,b"}');
      expect(environment).toContain('{"name":"WEFT_MTLS","value":"strict"}');
      expect(environment).toContain('{"name":"WEFT_TRUST_DOMAIN","value":"prod.example"}');
    }
    expect(environmentOf(proxy)).toContain('{"name":"WEFT_WORKERS","value":"1"}');
    expect(environmentOf(proxy)).toContain('{"name":"WEFT_IDLE_TIMEOUT","value":"1m"}');
    expect(environmentOf(controller)).not.toContain('WEFT_WORKERS');
    expect(proxy?.spec).toMatchObject({
      updateStrategy: { rollingUpdate: { maxSurge: 3, maxUnavailable: 0 } },
      template: {
        spec: {
          tolerations: [{ key: 'a', operator: 'Exists' }],
          containers: [{ resources: { limits: { memory: '1Gi' } } }],
        },
      },
    });
    expect(controller?.spec).toMatchObject({ replicas: 4 });
  });

  test('a later one wins over --set, and that over a file', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'weft-values-'));
    const file = join(scratch, 'values.yaml');
    writeFileSync(file, 'controller: {replicas: 3}\nmesh: {policy: audit, adopt: labelled}\n');
    const set = ['--set', 'controller.replicas=4', '--set', 'mesh.policy=enforce'];
    const { find } = await install('-f', file, ...set, '--policy', 'off');
    rmSync(scratch, { recursive: true });
    const controller = find('Deployment', 'weft-controller');
    expect(controller?.spec).toMatchObject({ replicas: 4 });
    expect(environmentOf(controller)).toContain('{"name":"WEFT_POLICY","value":"off"}');
    expect(environmentOf(controller)).toContain('{"name":"WEFT_ADOPT","value":"labelled"}');
  });

  test('parts can be left out', async () => {
    const { objects } = await install('--no-crds', '--no-admission-policy');
    const kinds = new Set(objects.map(({ kind }) => kind));
    expect(kinds).not.toContain('CustomResourceDefinition');
    expect(kinds).not.toContain('ValidatingAdmissionPolicy');
    expect(kinds).toContain('DaemonSet');
  });

  test('the pod outlives the longest drain', async () => {
    const { find } = await install('--set', 'proxy.drainTimeoutSeconds=120');
    const spec = { terminationGracePeriodSeconds: 130 };
    expect(find('DaemonSet', 'weft-proxy')?.spec).toMatchObject({ template: { spec } });
  });

  test('the same values give the same bytes', async () => {
    expect((await install()).out).toBe((await install()).out);
  });

  test.each([
    [['--policy', 'enforced'], 'mesh.policy: Unsupported value: "enforced"'],
    [['--max-surge', '0'], 'proxy.maxSurge'],
    [['--set', 'proxy.maxsurge=1'], 'there is no value proxy.maxsurge'],
    // Proxies and controller have to agree on it: it is no flag of one of them.
    [['--set', 'proxy.flags.mtls=strict'], 'there is no value proxy.flags.mtls'],
    [['--mtls', 'on'], 'mesh.mtls: Unsupported value: "on"'],
    [['--set', 'proxy.flags.drain-dely=1s'], 'there is no value proxy.flags.drain-dely'],
    [['--set', 'proxy'], '--set takes path=value, not proxy'],
    [['--set', 'mesh=off'], 'mesh'],
    [['--workers', 'many'], 'proxy.workers'],
    [['--set', 'proxy.workers=null'], 'proxy.workers'],
    [['--set', 'image=null'], 'image.repository'],
    [['--namespace', 'Weft'], 'Weft is no name of a namespace'],
    [['-f', '/does/not/exist'], '/does/not/exist cannot be read'],
  ])('%j is one line on stderr and exit code 2', async (args, says) => {
    const { exitCode, out, error } = await install(...args);
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(error).toContain(says);
    expect(error.trim().split('\n')).toHaveLength(1);
  });
});

describe('what is installed', () => {
  const origin = { namespace: 'weft-system', version: '1', managedBy: 'test' };
  const facts = factsOf(initialValues(), origin);

  test('every rule of access has its reason beside it, and no rule has a wildcard', () => {
    const roles = accessRules(facts).filter(({ kind }) => kind.endsWith('Role'));
    expect(roles.length).toBeGreaterThan(3);
    for (const { body, remarks } of roles) {
      const rules = body['rules'] as readonly object[]; // of a role that we made
      expect(remarks.map(({ path }) => path)).toEqual(rules.map((_rule, at) => ['rules', at]));
      expect(JSON.stringify(rules)).not.toContain('*');
    }
  });

  test('no pod of ours has more than Pod Security restricted allows', async () => {
    const { find } = await install();
    for (const one of [find('DaemonSet', 'weft-proxy'), find('Deployment', 'weft-controller')]) {
      expect(one?.spec).toMatchObject({
        template: {
          spec: {
            enableServiceLinks: false,
            automountServiceAccountToken: true,
            securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
            containers: [
              {
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                resources: { requests: {}, limits: {} },
              },
            ],
          },
        },
      });
      expect(JSON.stringify(one)).not.toMatch(/hostNetwork|hostPort|hostPath|privileged/);
    }
  });

  test('settings that have a value of their own are flags that exist', async () => {
    const { find } = await install('--set', 'proxy.workers=1', '--set', 'mesh.watchNamespaces=[a]');
    const names = [...environmentOf(find('DaemonSet', 'weft-proxy')).matchAll(/"WEFT_(\w+)"/g)];
    const known = new Set(flagTable.map(({ name }) => name.toUpperCase().replaceAll('-', '_')));
    expect(names.length).toBeGreaterThan(7);
    expect(names.map(([, name]) => name).filter((name) => !known.has(name ?? ''))).toEqual([]);
  });

  test('alerts and dashboard speak of metrics that exist', () => {
    const text = alerts.map(({ expression }) => expression).join('\n') + dashboardJson();
    const named = [...text.matchAll(/\bweft_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
    expect(new Set(named).size).toBeGreaterThan(10);
    expect(named.filter((name) => !Object.hasOwn(metricTable, name))).toEqual([]);
  });

  test('the guide lists the alerts', () => {
    const guide = readFileSync('docs/guides/install.md', 'utf8');
    const listed = [...guide.matchAll(/^\| `(Weft\w+)`/gm)].map(([, name]) => name);
    expect(listed).toEqual(alerts.map(({ name }) => name));
  });

  test('the notes of the chart give three commands and say what is not on', () => {
    const [, next = '', missing = ''] = /Next:\n([^]*?)\n\n([^]*)/.exec(chartNotes()) ?? [];
    expect(next.split('\n')).toHaveLength(3);
    expect(missing).toContain('Not on:');
  });
});
