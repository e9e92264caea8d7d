// Every flag of the long-running processes, as one typed table: command line, environment twins
// (`WEFT_<FLAG_IN_UPPER_SNAKE>`), help and docs/reference/settings.md all come from here.
import type { TextForm } from './text-forms.ts';

/** Which processes take the flag. */
export type FlagProcess = 'proxy' | 'controller';

export type FlagKind =
  'text' | 'texts' | 'switch' | 'count' | 'port' | 'duration' | 'size' | 'choice';

export type FlagSpec = {
  /** Without the leading dashes. */
  readonly name: string;
  readonly kind: FlagKind;
  readonly processes: readonly FlagProcess[];
  /** As a user would write it; `undefined` = unset. */
  readonly initial: string | undefined;
  readonly choices?: readonly string[];
  /** Of a text; without it any but the empty one will do. */
  readonly form?: TextForm;
  /** Environment names besides the twin, tried after it (the downward API's). */
  readonly env?: string;
  /** `false`: the flag is taken and checked, and does nothing in this version. */
  readonly isBuilt?: false;
  /** One sentence for --help and the reference. */
  readonly doc: string;
};

const both = ['proxy', 'controller'] as const;
const proxyOnly = ['proxy'] as const;

export const flagTable: readonly FlagSpec[] = [
  {
    name: 'kubeconfig',
    kind: 'text',
    processes: both,
    initial: undefined,
    doc: 'kubeconfig file; without it the in-cluster configuration is used',
  },
  {
    name: 'context',
    kind: 'text',
    processes: both,
    initial: undefined,
    doc: 'context of the kubeconfig; its current one by default',
  },
  {
    name: 'mesh-namespace',
    kind: 'text',
    form: 'namespace',
    processes: both,
    initial: 'weft-system',
    doc: 'namespace of the mesh itself',
  },
  {
    name: 'mesh-domain',
    kind: 'texts',
    form: 'hostname',
    processes: both,
    initial: 'mesh',
    doc: 'suffix of mesh names; repeatable, the first is canonical, further ones are aliases',
  },
  {
    name: 'cluster-domain',
    kind: 'text',
    form: 'hostname',
    processes: both,
    initial: 'cluster.local',
    doc: 'DNS domain of the cluster',
  },
  {
    name: 'log-level',
    kind: 'choice',
    processes: both,
    initial: 'info',
    choices: ['error', 'warn', 'info', 'debug'],
    doc: 'least severe level that is logged',
  },
  {
    name: 'log-format',
    kind: 'choice',
    processes: both,
    initial: undefined,
    choices: ['json', 'pretty'],
    doc: 'json, unless stderr is a terminal',
  },
  {
    name: 'watch-namespace',
    kind: 'texts',
    form: 'namespace',
    processes: both,
    initial: undefined,
    doc: 'only these namespaces are in the mesh; repeatable',
  },
  {
    name: 'ignore-namespace',
    kind: 'texts',
    form: 'namespace',
    processes: both,
    initial: undefined,
    doc: 'never in the mesh, wins over --watch-namespace; repeatable (kube-system always is)',
  },
  {
    name: 'adopt',
    kind: 'choice',
    processes: both,
    initial: 'all',
    choices: ['all', 'labelled'],
    doc: 'labelled: only namespaces and services with label weft.dev/mesh=enabled',
  },
  {
    name: 'policy',
    kind: 'choice',
    processes: both,
    initial: 'off',
    choices: ['off', 'audit', 'enforce'],
    doc: 'policy of namespaces that say nothing',
  },
  {
    name: 'acl',
    kind: 'switch',
    processes: both,
    initial: undefined,
    doc: 'alias of --policy enforce',
  },
  {
    name: 'mtls',
    kind: 'choice',
    processes: both,
    initial: 'permissive',
    choices: ['off', 'permissive', 'strict'],
    doc: 'mutual TLS between nodes; permissive: plain text only to nodes without a proxy for it',
  },
  {
    name: 'trust-domain',
    kind: 'text',
    form: 'hostname',
    processes: both,
    initial: undefined,
    doc: 'trust domain of the SPIFFE ids; the cluster domain by default',
  },
  {
    name: 'bind-address',
    kind: 'texts',
    form: 'address',
    processes: both,
    initial: undefined,
    doc:
      'address of every listener; a specific one is also the local address of upstream ' +
      'connections (default: all addresses)',
  },
  {
    name: 'admin-port',
    kind: 'port',
    processes: both,
    initial: '15020',
    doc: '/metrics, /livez, /readyz, /version for everybody, /debug for loopback',
  },
  {
    name: 'debug-from',
    kind: 'choice',
    processes: both,
    initial: 'loopback',
    choices: ['loopback', 'any'],
    doc: 'any opens /debug to the network (for tests)',
  },
  {
    name: 'test-hooks',
    kind: 'switch',
    processes: both,
    initial: undefined,
    doc: 'hooks that break things on purpose (for tests)',
  },
  {
    name: 'node-name',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    env: 'NODE_NAME',
    doc: 'the node that this proxy serves; required',
  },
  {
    name: 'pod-name',
    kind: 'text',
    processes: both,
    initial: undefined,
    env: 'POD_NAME',
    doc: 'name of this pod, from the downward API',
  },
  {
    name: 'pod-uid',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    env: 'POD_UID',
    doc: 'uid of this pod, from the downward API',
  },
  {
    name: 'pod-ip',
    kind: 'text',
    form: 'address',
    processes: proxyOnly,
    initial: undefined,
    env: 'POD_IP',
    doc: 'address of this pod, from the downward API',
  },
  {
    name: 'dns-port',
    kind: 'port',
    processes: both,
    initial: '15053',
    doc: 'mesh DNS of the proxies, UDP and TCP',
  },
  {
    name: 'workers',
    kind: 'count',
    processes: proxyOnly,
    initial: undefined,
    doc: 'data-plane workers: 2, or 1 below two CPUs or where Node has no reusePort',
  },
  {
    name: 'trusted-sources',
    kind: 'texts',
    form: 'trusted-source',
    processes: proxyOnly,
    initial: undefined,
    doc:
      'namespace/serviceaccount or CIDR whose x-forwarded headers are kept and ' +
      'appended to; repeatable',
  },
  {
    name: 'memory-budget',
    kind: 'size',
    processes: proxyOnly,
    initial: undefined,
    doc: 'buffered bytes over which new work is shed; 70 % of the memory limit, else 512Mi',
  },
  {
    name: 'drain-delay',
    kind: 'duration',
    processes: proxyOnly,
    initial: '5s',
    doc: 'after SIGTERM new connections are accepted at least this long',
  },
  {
    name: 'drain-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '25s',
    doc: 'exit after SIGTERM at the latest',
  },
  {
    name: 'access-log',
    kind: 'text',
    processes: proxyOnly,
    initial: 'errors',
    doc: 'off, denied, errors, all, or sample:1/N',
  },
  {
    name: 'max-head-bytes',
    kind: 'size',
    processes: proxyOnly,
    initial: '32Ki',
    doc: 'longest request head (431); trailers count under the same limit',
  },
  {
    name: 'max-target-bytes',
    kind: 'size',
    processes: proxyOnly,
    initial: '8Ki',
    doc: 'longest request target (414)',
  },
  {
    name: 'max-fields',
    kind: 'count',
    processes: proxyOnly,
    initial: '128',
    doc: 'most header fields (431)',
  },
  {
    name: 'max-pipelined',
    kind: 'count',
    processes: proxyOnly,
    initial: '64',
    doc: 'most pipelined requests of a connection; reading pauses',
  },
  {
    name: 'max-streams',
    kind: 'count',
    processes: proxyOnly,
    initial: '1000',
    doc: 'most HTTP/2 streams that a client has open on one connection; more are refused',
  },
  {
    name: 'max-connections-per-worker',
    kind: 'count',
    processes: proxyOnly,
    initial: '16384',
    doc: 'connections of a worker; past it new ones are shed',
  },
  {
    name: 'max-request-body',
    kind: 'size',
    processes: proxyOnly,
    initial: undefined,
    doc: 'longest request body (413); unlimited by default',
  },
  {
    name: 'head-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '10s',
    doc: 'a request head takes at most this long (408)',
  },
  {
    name: 'keep-alive-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '60s',
    doc: 'idle connections are closed after it',
  },
  {
    name: 'body-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '30s',
    doc: 'no byte of a request body for so long (408)',
  },
  {
    name: 'idle-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '5m',
    doc: 'no byte in either direction of an exchange (504)',
  },
  {
    name: 'connect-timeout',
    kind: 'duration',
    processes: proxyOnly,
    initial: '5s',
    doc: 'opening a connection to an endpoint',
  },
  {
    name: 'tunnel-port',
    kind: 'port',
    processes: proxyOnly,
    initial: '15008',
    doc: 'node-to-node mutual TLS',
  },
  {
    name: 'state-dir',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    isBuilt: false,
    doc: 'directory of the last good state',
  },
  {
    name: 'metrics-compat',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    isBuilt: false,
    doc: 'alias series: osm, linkerd, istio',
  },
  {
    name: 'otlp-endpoint',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    isBuilt: false,
    doc: 'where traces go, OTLP over HTTP',
  },
  {
    name: 'trace-sample',
    kind: 'text',
    processes: proxyOnly,
    initial: undefined,
    isBuilt: false,
    doc: 'share of requests that are traced',
  },
];
