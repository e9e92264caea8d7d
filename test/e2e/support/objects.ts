// Kubernetes objects of the suite's own apps: what a user has before there is a mesh. The pods run
// the image of weft for its Node only, with programs from a ConfigMap; nothing in them knows of a
// mesh.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Json } from './kubectl.ts';

export type App = {
  readonly namespace: string;
  readonly name: string;
  /** What the app says it is; the name unless given. */
  readonly version?: string;
  readonly replicas?: number;
  readonly serviceAccount?: string;
  readonly nodeName?: string;
  /** Labels that Services select by, besides `app`. */
  readonly labels?: Readonly<Record<string, string>>;
};

const folder = fileURLToPath(new URL('../programs/', import.meta.url));

export function image(): string {
  return process.env['WEFT_E2E_IMAGE'] ?? 'weft:e2e';
}

/** A namespace with the programs in it, under restricted Pod Security. */
export function namespaceWithPrograms(name: string, annotations: Json = {}): readonly Json[] {
  const data = Object.fromEntries(
    readdirSync(folder).map((file) => [file, readFileSync(`${folder}${file}`, 'utf8')]),
  );
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name,
        annotations,
        labels: { 'pod-security.kubernetes.io/enforce': 'restricted', 'weft-e2e': 'app' },
      },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: name, name: 'programs' }, data },
  ];
}

export function serviceAccount(namespace: string, name: string): Json {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } };
}

function podSpec(app: App, command: readonly string[]): Json {
  const securityContext = {
    runAsNonRoot: true,
    runAsUser: 65_532,
    seccompProfile: { type: 'RuntimeDefault' },
  };
  return {
    ...(app.serviceAccount === undefined ? {} : { serviceAccountName: app.serviceAccount }),
    ...(app.nodeName === undefined ? {} : { nodeSelector: hostname(app.nodeName) }),
    terminationGracePeriodSeconds: 10,
    securityContext,
    containers: [
      {
        name: 'app',
        image: image(),
        imagePullPolicy: 'IfNotPresent',
        command,
        env: [
          { name: 'VERSION', value: app.version ?? app.name },
          { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        ],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        volumeMounts: [{ name: 'programs', mountPath: '/programs' }],
        ...(command.some((one) => serving.has(one)) ? { readinessProbe: probe } : {}),
      },
    ],
    volumes: [{ name: 'programs', configMap: { name: 'programs' } }],
  };
}

/** Programs that answer on 8080. */
const serving: ReadonlySet<string> = new Set(['/programs/app.ts', '/programs/tongues.ts']);

const probe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 };

function hostname(nodeName: string): Json {
  return { 'kubernetes.io/hostname': nodeName };
}

/** A Deployment that answers on 8080. */
export function server(app: App): Json {
  return deployment(app, ['node', '/programs/app.ts']);
}

/** A Deployment of one of the programs. */
export function program(file: string, app: App): Json {
  return deployment(app, ['node', file]);
}

/** A pod to call from; it does nothing by itself. */
export function client(app: App): Json {
  return deployment(app, idle);
}

/** A pod whose init container runs a command; then it does nothing. */
export function podOf(app: App, initCommand: readonly string[]): Json {
  const spec = podSpec(app, idle);
  // The one container of ours, started before itself with another command.
  const [container] = spec['containers'] as readonly Json[];
  const init = { ...container, name: 'early', command: initCommand };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: app.namespace, name: app.name },
    spec: { ...spec, initContainers: [init] },
  };
}

/** A pod by itself that runs one command to its end. */
export function plainPod(app: App, command: readonly string[]): Json {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: app.namespace, name: app.name },
    spec: { ...podSpec(app, command), restartPolicy: 'Never' },
  };
}

/** A command for a pod that is there to call from. */
export const idle = ['node', '-e', 'setInterval(() => 0, 1e9)'];

function deployment(app: App, command: readonly string[]): Json {
  const { namespace, name, labels = {} } = app;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name },
    spec: {
      replicas: app.replicas ?? 1,
      selector: { matchLabels: { app: name } },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: { app: name, ...labels } },
        spec: podSpec(app, command),
      },
    },
  };
}

/** A Service on 80 in front of 8080 of the pods with these labels. */
export function service(namespace: string, name: string, selector: Json): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { selector, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  };
}

export function trafficSplit(
  namespace: string,
  root: string,
  weights: Readonly<Record<string, number>>,
): Json {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace, name: root },
    spec: {
      service: root,
      backends: Object.entries(weights).map(([name, weight]) => ({ service: name, weight })),
    },
  };
}
