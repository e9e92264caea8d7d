// The user's own kubectl against both API servers: the real one says what kubectl shows, the
// embedded one has to show the same. Kubectl is the one of KUBEBUILDER_ASSETS, and the one on PATH
// if it is another version. What is compared is what a person sees, without ages and versions.
import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { realRuntime } from '../../src/main/runtime.ts';
import { startApiServer } from '../../src/playground/index.ts';
import { widget, widgetDefinition } from '../support/conformance/suite.ts';
import { requireAssets, startControlPlane } from './support/control-plane.ts';

const run = promisify(execFile);

type Target = { readonly kubeconfigPath: string; readonly stop: () => Promise<void> };
type Said = { readonly code: number; readonly out: string; readonly err: string };

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weft-kubectl-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function embedded(): Promise<Target> {
  const server = await startApiServer({ runtime: realRuntime });
  const kubeconfigPath = join(directory, 'embedded.kubeconfig');
  await writeFile(kubeconfigPath, server.kubeconfig());
  return { kubeconfigPath, stop: () => server.close() };
}

const servers: readonly (readonly [string, () => Promise<Target>])[] = [
  ['a real kube-apiserver', startControlPlane],
  ['the embedded API server', embedded],
];

/** Kubectl of the assets, and others on PATH: people use the one that they have. */
function kubectls(): readonly string[] {
  const folders = [requireAssets(), ...(process.env['PATH'] ?? '').split(delimiter)];
  const found = folders.map((folder) => join(folder, 'kubectl')).filter((path) => existsSync(path));
  return [...new Set(found.map((path) => realpathSync(path)))].map(
    (real) => found.find((path) => realpathSync(path) === real) ?? real,
  );
}

const programs = kubectls();

describe.each(servers)('kubectl against %s', (server, start) => {
  let target: Target;

  beforeAll(async () => {
    target = await start();
  });
  afterAll(() => target.stop());

  describe.each(programs)('%s', (program) => {
    let namespace: string;

    async function kubectl(args: readonly string[], environment = {}): Promise<Said> {
      const env = { ...process.env, ...environment, KUBECONFIG: target.kubeconfigPath };
      try {
        const { stdout, stderr } = await run(program, [...args], { env, cwd: directory });
        return { code: 0, out: stdout, err: stderr };
      } catch (error) {
        const failed = error as { code: number; stdout: string; stderr: string };
        return { code: failed.code, out: failed.stdout, err: failed.stderr };
      }
    }

    const inside = (...args: string[]): Promise<Said> => kubectl(['-n', namespace, ...args]);

    async function file(name: string, ...objects: readonly unknown[]): Promise<string> {
      const path = join(directory, `${namespace}-${name}.yaml`);
      await writeFile(path, objects.map((object) => stringify(object)).join('---\n'));
      return path;
    }

    const service = (port: number) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: {
        selector: { app: 'web' },
        ports: [
          { name: 'http', port },
          { name: 'admin', port: 9000 },
        ],
      },
    });

    beforeAll(async () => {
      namespace = `kubectl-${programs.indexOf(program)}`;
      expect((await kubectl(['create', 'namespace', namespace])).out).toBe(
        `namespace/${namespace} created\n`,
      );
      const path = await file('definition', widgetDefinition());
      expect((await kubectl(['apply', '-f', path])).code).toBe(0);
      const crd = 'crd/widgets.conformance.weft.dev';
      const waited = await kubectl(['wait', '--for=condition=Established', crd, '--timeout=20s']);
      expect(waited.out).toContain('condition met');
      // A real server publishes the schema of a new definition, which apply needs, after a moment.
      for (let tries = 0; tries < 60; tries += 1) {
        if ((await kubectl(['explain', 'widget.spec'])).code === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    });

    test('apply creates, then says unchanged, then configured', async () => {
      const path = await file('web', service(80));
      expect((await inside('apply', '-f', path)).out).toBe('service/web created\n');
      expect((await inside('apply', '-f', path)).out).toBe('service/web unchanged\n');
      await file('web', service(81));
      expect((await inside('apply', '-f', path)).out).toBe('service/web configured\n');
      const ports = await inside('get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[*].port}');
      expect(ports.out).toBe('81 9000');
    });

    test('get shows the columns of built-in and custom kinds', async () => {
      const services = await inside('get', 'svc');
      expect(services.out.split('\n')[0]?.split(/\s{2,}/)).toEqual([
        'NAME',
        'TYPE',
        'CLUSTER-IP',
        'EXTERNAL-IP',
        'PORT(S)',
        'AGE',
      ]);
      expect(services.out).toMatch(/web +ClusterIP +10\.96\.\S+ +<none> +81\/TCP,9000\/TCP +\S+/);
      await inside(
        'apply',
        '-f',
        await file('widget', widget('one', { size: 7, parts: [{ name: 'p' }] })),
      );
      const widgets = await inside('get', 'wd');
      expect(widgets.out).toMatch(/^NAME +SIZE +PARTS +AGE\none +7 +p +\S+\n$/);
      const wide = await inside('get', 'conformance', '-o', 'wide');
      expect(wide.out).toMatch(/^NAME +SIZE +PARTS +WIDE +AGE\n\S+ +7 +p +red/);
      expect((await kubectl(['get', 'widgets', '-A'])).out).toMatch(/^NAMESPACE +NAME/);
    });

    test('create refuses what exists and what has unknown fields', async () => {
      const again = await inside('create', '-f', await file('widget', widget('one', { size: 7 })));
      expect(again).toMatchObject({ code: 1 });
      expect(again.err).toContain('AlreadyExists');
      const typo = await inside(
        'create',
        '-f',
        await file('typo', widget('two', { size: 1, sise: 2 })),
      );
      expect(typo.err).toContain('strict decoding error: unknown field "spec.sise"');
      const invalid = await inside('create', '-f', await file('bad', widget('two', { size: 0 })));
      expect(invalid.err).toContain(
        'spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1',
      );
    });

    test('edit opens an editor and writes what it leaves', async () => {
      const edited = await edit('wd', 'one', 's/size: 7/size: 9/');
      expect(edited.out).toBe('widget.conformance.weft.dev/one edited\n');
      expect((await inside('get', 'wd', 'one', '-o', 'jsonpath={.spec.size}')).out).toBe('9');
      const service = await edit('svc', 'web', 's/port: 81/port: 82/');
      expect(service.out).toBe('service/web edited\n');
      expect((await inside('get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[*].port}')).out).toBe(
        '82 9000',
      );
      const same = await edit('wd', 'one', 's/nothing/here/');
      expect(`${same.out}${same.err}`).toContain('Edit cancelled, no changes made.');
    });

    function edit(kind: string, name: string, script: string): Promise<Said> {
      return kubectl(['-n', namespace, 'edit', kind, name], { EDITOR: `sed -i '${script}'` });
    }

    test('patch, label and annotate', async () => {
      const merge = await inside(
        'patch',
        'wd',
        'one',
        '--type=merge',
        '-p',
        '{"spec":{"color":"blue"}}',
      );
      expect(merge.out).toBe('widget.conformance.weft.dev/one patched\n');
      const json = await inside(
        'patch',
        'wd',
        'one',
        '--type=json',
        '-p',
        '[{"op":"replace","path":"/spec/size","value":3}]',
      );
      expect(json.out).toBe('widget.conformance.weft.dev/one patched\n');
      const strategic = await inside(
        'patch',
        'svc',
        'web',
        '-p',
        '{"spec":{"ports":[{"port":9000,"targetPort":1}]}}',
      );
      expect(strategic.out).toBe('service/web patched\n');
      expect((await inside('label', 'wd', 'one', 'a=b')).out).toBe(
        'widget.conformance.weft.dev/one labeled\n',
      );
      expect((await inside('annotate', 'svc', 'web', 'x=y')).out).toBe('service/web annotated\n');
      const shown = await inside('get', 'wd', '-l', 'a=b', '-o', 'jsonpath={.items[*].spec}');
      expect(JSON.parse(shown.out)).toMatchObject({ color: 'blue', size: 3 });
    });

    test('explain reads our schema', async () => {
      const explained = await kubectl(['explain', 'widget.spec']);
      expect(explained.out).toMatch(/KIND: +Widget\nVERSION: +v1/);
      expect(explained.out).toContain('What the widget should be.');
      expect(explained.out).toMatch(/size\t<integer> -required-/);
      const ports = await kubectl(['explain', 'service.spec.ports']);
      expect(ports.out).toMatch(/port\t<integer> -required-/);
    });

    test('server-side apply tells conflicts and forces them', async () => {
      const path = await file('ours', widget('owned', { size: 1 }));
      expect((await inside('apply', '--server-side', '-f', path)).out).toContain(
        'serverside-applied',
      );
      await file('ours', widget('owned', { size: 2 }));
      const other = ['apply', '--server-side', '--field-manager=other', '-f', path];
      const refused = await inside(...other);
      expect(refused.err).toContain(
        'Apply failed with 1 conflict: conflict with "kubectl": .spec.size',
      );
      expect((await inside(...other, '--force-conflicts')).out).toContain('serverside-applied');
    });

    test('wait sees a condition and a deletion', async () => {
      const waiting = inside('wait', '--for=jsonpath={.spec.size}=42', 'wd/one', '--timeout=20s');
      await inside('patch', 'wd', 'one', '--type=merge', '-p', '{"spec":{"size":42}}');
      expect((await waiting).out).toContain('condition met');
      const gone = inside('wait', '--for=delete', 'wd/owned', '--timeout=20s');
      expect((await inside('delete', 'wd', 'owned')).out).toContain('deleted');
      expect((await gone).code).toBe(0);
    });

    test('scale, set image and typed creates work', async () => {
      const deployment = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web' },
        spec: {
          replicas: 1,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'web', image: 'x:1' }] },
          },
        },
      };
      await inside('apply', '-f', await file('deployment', deployment));
      expect((await inside('scale', 'deploy/web', '--replicas=3')).out).toBe(
        'deployment.apps/web scaled\n',
      );
      expect((await inside('set', 'image', 'deploy/web', 'web=x:2')).out).toBe(
        'deployment.apps/web image updated\n',
      );
      const spec = await inside(
        'get',
        'deploy',
        'web',
        '-o',
        'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}',
      );
      expect(spec.out).toBe('3 x:2');
      expect((await inside('create', 'serviceaccount', 'me')).out).toBe(
        'serviceaccount/me created\n',
      );
      expect((await inside('create', 'configmap', 'cm', '--from-literal=a=b')).out).toBe(
        'configmap/cm created\n',
      );
      expect((await inside('get', 'cm', 'cm', '-o', 'jsonpath={.data.a}')).out).toBe('b');
      expect((await inside('auth', 'can-i', 'create', 'pods')).out).toBe('yes\n');
    });

    const specOf = async (kind: string, name: string, path: string): Promise<unknown> => {
      const shown = await inside('get', kind, name, '-o', 'json');
      const spec = (JSON.parse(shown.out) as { spec: unknown }).spec;
      return path.split('.').reduce((part, key) => (part as Record<string, unknown>)[key], spec);
    };

    // These send protobuf, and no kubectl falls back to JSON.
    test('create deployment, service and job work', async () => {
      const deployment = ['create', 'deployment', 'made', '--image=x:1', '--port=80'];
      const made = await inside(...deployment, '--replicas=0', '--', 'sleep', '');
      expect(made.out).toBe('deployment.apps/made created\n');
      expect(await specOf('deploy', 'made', 'replicas')).toBe(0);
      expect(await specOf('deploy', 'made', 'selector')).toEqual({ matchLabels: { app: 'made' } });
      expect(await specOf('deploy', 'made', 'template')).toMatchObject({
        metadata: { labels: { app: 'made' } },
        spec: {
          containers: [
            {
              name: 'x',
              image: 'x:1',
              command: ['sleep', ''],
              ports: [{ containerPort: 80, protocol: 'TCP' }],
              resources: {},
            },
          ],
        },
      });
      const services = [
        ['clusterip', 'plain', '--tcp=80:8080', '--tcp=81:web'],
        ['clusterip', 'headless', '--clusterip=None'],
        ['nodeport', 'open', '--tcp=80'],
        ['externalname', 'away', '--external-name=example.com'],
        ['loadbalancer', 'balanced', '--tcp=443'],
      ];
      for (const [type = '', name = '', ...rest] of services) {
        const created = await inside('create', 'service', type, name, ...rest);
        expect(created.out).toBe(`service/${name} created\n`);
      }
      expect(await specOf('svc', 'plain', 'ports')).toEqual([
        { name: '80-8080', port: 80, protocol: 'TCP', targetPort: 8080 },
        { name: '81-web', port: 81, protocol: 'TCP', targetPort: 'web' },
      ]);
      expect(await specOf('svc', 'plain', 'selector')).toEqual({ app: 'plain' });
      expect(await specOf('svc', 'headless', 'clusterIP')).toBe('None');
      expect(await specOf('svc', 'open', 'type')).toBe('NodePort');
      expect(await specOf('svc', 'away', 'externalName')).toBe('example.com');
      expect(await specOf('svc', 'balanced', 'type')).toBe('LoadBalancer');
      expect((await inside('create', 'job', 'once', '--image=x', '--', 'date')).out).toBe(
        'job.batch/once created\n',
      );
      const jobs = await inside('get', 'jobs');
      expect(jobs.out).toMatch(
        /^NAME +STATUS +COMPLETIONS +DURATION +AGE\nonce +Running +0\/1 +\S+\n/,
      );
    });

    test('a kind: List is applied, and what get shows can be applied again', async () => {
      const configMap = (name: string, more: Record<string, unknown>) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
        ...more,
      });
      const list = (...items: readonly unknown[]) => ({ apiVersion: 'v1', kind: 'List', items });
      const data = { a: 'b' };
      const good = list(configMap('listed', { data }), widget('listed', { size: 4 }));
      const path = await file('list', good);
      const created = 'configmap/listed created\nwidget.conformance.weft.dev/listed created\n';
      expect((await inside('apply', '-f', path)).out).toBe(created);
      expect((await inside('apply', '-f', path)).out).toBe(
        created.replaceAll('created', 'unchanged'),
      );
      const shown = await inside('get', 'cm/listed', 'deploy/made', 'svc/plain', '-o', 'yaml');
      expect(shown.out).toMatch(/^kind: List$/m);
      const saved = join(directory, `${namespace}-saved.yaml`);
      await writeFile(saved, shown.out);
      expect((await inside('apply', '-f', saved)).code).toBe(0);
      expect((await inside('replace', '-f', saved, '--dry-run=client')).code).toBe(0);
      const typo = await file('list', list(configMap('typo', { dataa: data })));
      const refused = await inside('apply', '-f', typo);
      expect(refused.code).toBe(1);
      expect(refused.err).toContain('unknown field "dataa"');
      expect((await inside('get', 'cm', 'typo')).err).toContain('NotFound');
      const gone = await inside('delete', '-f', saved);
      expect(gone.out).toContain('configmap "listed" deleted');
      await inside('delete', 'svc', 'headless', 'open', 'away', 'balanced');
    });

    test('delete says what it did, and what is not there', async () => {
      expect((await inside('delete', 'svc', 'web')).out).toMatch(/^service "web" deleted/);
      const none = await inside('delete', 'svc', 'web');
      expect(none.err).toContain('Error from server (NotFound): services "web" not found');
      expect((await inside('get', 'svc')).err).toContain(
        `No resources found in ${namespace} namespace.`,
      );
    });

    test(`diff against ${server} shows one changed line`, async () => {
      const path = await file('diff', widget('one', { size: 43 }));
      const diff = await inside('diff', '-f', path);
      expect(diff.code).toBe(1);
      expect(diff.out).toMatch(/^-  size: 42$/m);
      expect(diff.out).toMatch(/^\+  size: 43$/m);
    });
  });
});
