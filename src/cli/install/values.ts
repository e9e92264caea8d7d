// Every value of an installation with its default, what may stand there and why. Settings of the
// processes that have no value of their own here are set through `proxy.flags` and
// `controller.flags`, whose names are those of the flag table.
import { flagTable, type FlagProcess, type FlagSpec } from '../../api/index.ts';
import type { Json, JsonMap } from './json.ts';
import { group, leaf, type Leaf, type ValuesOf } from './value-tree.ts';

const text: JsonMap = { type: 'string' };
const texts: JsonMap = { type: 'array', items: text };
const someText: JsonMap = { type: 'string', minLength: 1 };
const flag: JsonMap = { type: 'boolean' };
const textMap: JsonMap = { type: 'object', additionalProperties: text };
const amounts: JsonMap = {
  type: 'object',
  additionalProperties: { 'x-kubernetes-int-or-string': true },
};
const resources: JsonMap = closed({ requests: amounts, limits: amounts });
const tolerations: JsonMap = {
  type: 'array',
  items: closed({
    key: text,
    operator: { type: 'string', enum: ['Exists', 'Equal'] },
    value: text,
    effect: { type: 'string', enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] },
    tolerationSeconds: { type: 'integer' },
  }),
};
const duration: JsonMap = { type: 'string', pattern: '^([0-9]+(\\.[0-9]+)?(ms|h|m|s))+$' };
const countOrSize: JsonMap = { 'x-kubernetes-int-or-string': true };

const noTexts: readonly string[] = [];
const noMap: JsonMap = {};
const noMaps: readonly JsonMap[] = [];

/** An object with these fields and no others. */
function closed(properties: JsonMap): JsonMap {
  return { type: 'object', additionalProperties: false, properties };
}

function choice<const T extends string>(
  initial: NoInfer<T>,
  words: readonly T[],
  doc: string,
): Leaf<T> {
  return leaf(initial, { type: 'string', enum: words }, doc);
}

/** Flags that the manifests set themselves: probes, ports and the downward API depend on them. */
const ownFlags: ReadonlySet<string> = new Set([
  'kubeconfig',
  'context',
  'mesh-namespace',
  'bind-address',
  'admin-port',
  'dns-port',
  'tunnel-port',
  'node-name',
  'pod-name',
  'pod-uid',
  'pod-ip',
  'acl',
  // Values of their own.
  'mesh-domain',
  'cluster-domain',
  'policy',
  'mtls',
  'trust-domain',
  'adopt',
  'watch-namespace',
  'ignore-namespace',
  'log-level',
  'workers',
  'drain-timeout',
]);

function flagSchema(spec: FlagSpec): JsonMap {
  switch (spec.kind) {
    case 'switch':
      return flag;
    case 'count':
    case 'port':
      return { type: 'integer', minimum: 0 };
    case 'choice':
      return { type: 'string', enum: spec.choices ?? [] };
    case 'texts':
      return texts;
    case 'duration':
      return duration;
    case 'size':
      return countOrSize;
    case 'text':
      return someText;
  }
}

function flagsOf(owner: FlagProcess): Leaf<JsonMap> {
  const specs = flagTable.filter(
    ({ name, processes }) => processes.includes(owner) && !ownFlags.has(name),
  );
  const properties: Readonly<Record<string, Json>> = Object.fromEntries(
    specs.map((spec) => [spec.name, { ...flagSchema(spec), description: spec.doc }]),
  );
  const names = 'docs/reference/settings.md lists them';
  return leaf(noMap, closed(properties), `further flags of weft ${owner}, by their name: ${names}`);
}

const rolloutShare: JsonMap = {
  'x-kubernetes-int-or-string': true,
  pattern: '^([1-9][0-9]?|100)%$',
  minimum: 1,
};

const anyTaint = 'the taints that its pods tolerate';
const everyTaint: readonly JsonMap[] = [{ operator: 'Exists' }];
const linux: JsonMap = { 'kubernetes.io/os': 'linux' };

/** Read without an operator by Prometheus installations that look for these annotations. */
const scraped: JsonMap = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': '15020',
  'prometheus.io/path': '/metrics',
};

/**
 * Measured on Node 24 in a small cluster: 150 MiB resident with two workers, 105 MiB for a
 * controller. A proxy lets 70 % of its limit be buffered before it sheds, so the other 30 % have to
 * hold the process itself with what it knows of the cluster. Without a CPU limit: a quota would
 * stop every connection of the node for the rest of its period.
 */
const proxyResources: JsonMap = {
  requests: { cpu: '100m', memory: '192Mi' },
  limits: { memory: '1Gi' },
};
const controllerResources: JsonMap = {
  requests: { cpu: '50m', memory: '128Mi' },
  limits: { memory: '512Mi' },
};

export const valueTree = group('Values of weft.', {
  image: group('The image of all pods.', {
    repository: leaf('weft', someText, 'registry and name'),
    tag: leaf('', text, 'the version of this chart or program when empty'),
    digest: leaf('', { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' }, 'wins over the tag'),
    pullPolicy: choice('IfNotPresent', ['Always', 'IfNotPresent', 'Never'], 'when it is pulled'),
    pullSecrets: leaf(
      noMaps,
      { type: 'array', items: closed({ name: someText }) },
      'Secrets in the namespace of the mesh: a list of {name: …}',
    ),
  }),
  mesh: group('What all processes have to agree on.', {
    domains: leaf(
      ['mesh'] as readonly string[],
      { type: 'array', minItems: 1, items: someText },
      'suffixes of mesh names; the first is canonical, further ones are aliases',
    ),
    clusterDomain: leaf('cluster.local', someText, 'DNS domain of the cluster'),
    policy: choice(
      'off',
      ['off', 'audit', 'enforce'],
      'of namespaces that say nothing; quote "off", or YAML takes it for false',
    ),
    mtls: choice(
      '',
      ['', 'off', 'permissive', 'strict'],
      'mutual TLS between nodes; empty: the default of weft proxy',
    ),
    trustDomain: leaf('', text, 'of the SPIFFE ids; empty: the domain of the cluster'),
    adopt: choice(
      'all',
      ['all', 'labelled'],
      'labelled: only namespaces and services with label weft.dev/mesh=enabled',
    ),
    watchNamespaces: leaf(noTexts, texts, 'only these are in the mesh; empty: all'),
    ignoreNamespaces: leaf(noTexts, texts, 'never in the mesh (kube-system always is not)'),
    logLevel: choice('info', ['error', 'warn', 'info', 'debug'], 'least severe level logged'),
  }),
  proxy: group('DaemonSet weft-proxy.', {
    workers: leaf(
      0,
      { type: 'integer', minimum: 0, maximum: 64 },
      'threads that carry traffic; 0: 2, or 1 below two CPUs',
    ),
    drainTimeoutSeconds: leaf(
      25,
      { type: 'integer', minimum: 1, maximum: 3600 },
      'after SIGTERM a proxy ends at the latest then; the pod has 10 s more',
    ),
    maxSurge: leaf<string | number>(
      '10%',
      rolloutShare,
      'nodes whose proxy is replaced at once; the old one ends when the new one is ready',
    ),
    resources: leaf(proxyResources, resources, 'requests and limits'),
    tolerations: leaf(everyTaint, tolerations, `${anyTaint}: a node without a proxy has no mesh`),
    nodeSelector: leaf(linux, textMap, 'nodes that have a proxy'),
    priorityClassName: leaf(
      'system-node-critical',
      text,
      'evicted last: without its proxy a node drops what its pods send to the mesh',
    ),
    podAnnotations: leaf(scraped, textMap, 'annotations of its pods'),
    podLabels: leaf(noMap, textMap, 'further labels of its pods'),
    flags: flagsOf('proxy'),
  }),
  controller: group('Deployment weft-controller.', {
    replicas: leaf(
      2,
      { type: 'integer', minimum: 1, maximum: 10 },
      'one of them writes, the others wait',
    ),
    resources: leaf(controllerResources, resources, 'requests and limits'),
    tolerations: leaf(noMaps, tolerations, anyTaint),
    nodeSelector: leaf(linux, textMap, 'nodes that it may run on'),
    priorityClassName: leaf('system-cluster-critical', text, 'evicted late'),
    podAnnotations: leaf(scraped, textMap, 'annotations of its pods'),
    podLabels: leaf(noMap, textMap, 'further labels of its pods'),
    flags: flagsOf('controller'),
  }),
  crds: group('CustomResourceDefinitions of SMI.', {
    install: leaf(true, flag, 'false where the cluster has them already'),
  }),
  admissionPolicy: group(
    'ValidatingAdmissionPolicies weft-settings, weft-requests and weft-pods.',
    {
      enabled: leaf(true, flag, 'refuses misspelt settings of weft when they are applied'),
    },
  ),
  criticalPodsQuota: group('ResourceQuota weft-critical-pods.', {
    enabled: leaf(true, flag, 'some providers (GKE) allow critical pods only where a quota does'),
  }),
  monitoring: group('For the Prometheus operator and Grafana; each where its kind is served.', {
    podMonitor: group('PodMonitor weft.', {
      enabled: leaf(false, flag, 'scrape all pods of weft'),
      labels: leaf(noMap, textMap, 'labels that the operator selects by'),
    }),
    prometheusRule: group('PrometheusRule weft.', {
      enabled: leaf(false, flag, 'the alerts of docs/guides/install.md'),
      labels: leaf(noMap, textMap, 'labels that the operator selects by'),
    }),
    grafanaDashboard: group('ConfigMap weft-dashboard.', {
      enabled: leaf(false, flag, 'a dashboard for the sidecar of Grafana'),
      labels: leaf({ grafana_dashboard: '1' } as JsonMap, textMap, 'the label it looks for'),
    }),
  }),
});

export type InstallValues = ValuesOf<typeof valueTree>;
