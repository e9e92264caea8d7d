// Every annotation of the contract, good and bad, on the Service and on its Namespace; policy and
// mutual TLS, opt-in, traffic types.
import { describe, expect, test } from 'vitest';
import { isMeshed } from './adoption.ts';
import type { Namespace, Service } from './core.ts';
import { settingTable } from './defaults.ts';
import type { Problem } from './object.ts';
import { parsers } from './parsers.ts';
import {
  namespaceProblems,
  resolveMtls,
  resolvePolicy,
  resolveServiceSettings,
} from './resolve-settings.ts';
import type { MeshSettings, ServiceSettings } from './settings.ts';
import { trafficTypeOf } from './traffic-type.ts';

type Texts = Readonly<Record<string, string>>;
type Options = { annotations?: Texts; labels?: Texts; name?: string; spec?: object };

function serviceOf({ annotations = {}, labels = {}, name = 'web', spec = {} }: Options): Service {
  const metadata = { name, namespace: 'shop', annotations, labels };
  const parsed = parsers.Service({ metadata, spec: { ports: [{ port: 80 }], ...spec } }).value;
  if (parsed === undefined) throw new Error('fixture is no Service');
  return parsed;
}

function namespaceOf({ annotations = {}, labels = {} }: Options): Namespace {
  const parsed = parsers.Namespace({ metadata: { name: 'shop', annotations, labels } }).value;
  if (parsed === undefined) throw new Error('fixture is no Namespace');
  return parsed;
}

const mesh: MeshSettings = {
  meshNamespace: 'weft-system',
  meshDomains: ['mesh'],
  clusterDomain: 'cluster.local',
  watchNamespaces: [],
  ignoreNamespaces: [],
  adopt: 'all',
  policy: 'off',
  mtls: 'permissive',
  trustDomain: 'cluster.local',
};

const defaults: ServiceSettings = {
  upstreamHost: 'preserve',
  scheme: undefined,
  tlsVerify: 'off',
  retryAttempts: undefined,
  retryOn: ['connect-failure', 'reset'],
  retryBudgetPercent: 20,
  timeoutMs: undefined,
  connectTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  perTryTimeoutMs: undefined,
  circuitBreaker: undefined,
  outlierDetection: true,
  rateLimitAverage: undefined,
  rateLimitBurst: undefined,
  maxRequestBodyBytes: undefined,
  maxConnections: undefined,
  maxRequests: undefined,
  loadBalancer: { kind: 'ewma' },
  mirror: undefined,
  isStopped: false,
  healthCheck: undefined,
  hedgeAfter: undefined,
  fault: { abort: undefined, delay: undefined },
};

test('a service that says nothing has the defaults of the contract', () => {
  const resolved = resolveServiceSettings(serviceOf({}), undefined);
  expect(resolved).toEqual({ value: defaults, problems: [] });
});

/** What this version does not do yet is told by a reason of its own, and is no mistake. */
function isMistake(problem: Problem): boolean {
  return problem.reason !== 'UnsupportedField';
}

describe('one annotation on the Service', () => {
  const cases: readonly (readonly [Texts, Partial<ServiceSettings>])[] = [
    [{ 'weft.dev/upstream-host': 'service' }, { upstreamHost: 'service' }],
    [{ 'weft.dev/upstream-host': 'a.example:80' }, { upstreamHost: { literal: 'a.example:80' } }],
    [{ 'weft.dev/scheme': 'h2c' }, { scheme: 'h2c' }],
    [
      { 'weft.dev/scheme': 'https', 'weft.dev/tls-verify': 'configmap/ca' },
      { scheme: 'https', tlsVerify: { configMap: 'ca' } },
    ],
    [
      { 'weft.dev/retry-attempts': '3' },
      { retryAttempts: 3, retryOn: ['connect-failure', 'reset', 'gateway-error'] },
    ],
    [
      { 'weft.dev/retry-attempts': '0', 'weft.dev/retry-on': '5xx, 429,5xx' },
      { retryAttempts: 0, retryOn: ['5xx', 429] },
    ],
    [{ 'weft.dev/retry-budget': '5%' }, { retryBudgetPercent: 5 }],
    [{ 'weft.dev/timeout': ' 1m30s ' }, { timeoutMs: 90_000 }],
    [{ 'weft.dev/connect-timeout': '250ms' }, { connectTimeoutMs: 250 }],
    [{ 'weft.dev/idle-timeout': '1h' }, { idleTimeoutMs: 3_600_000 }],
    [{ 'weft.dev/per-try-timeout': '2s' }, { perTryTimeoutMs: 2000 }],
    [{ 'weft.dev/circuit-breaker': 'off' }, { circuitBreaker: undefined }],
    [
      { 'weft.dev/circuit-breaker-expression': 'NetworkErrorRatio() > 0.3' },
      { circuitBreaker: 'NetworkErrorRatio() > 0.3' },
    ],
    [{ 'weft.dev/outlier-detection': 'off' }, { outlierDetection: false }],
    [{ 'weft.dev/rate-limit-average': '10' }, { rateLimitAverage: 10, rateLimitBurst: 10 }],
    [{ 'weft.dev/ratelimit-average': '0.2' }, { rateLimitAverage: 0.2, rateLimitBurst: 1 }],
    [
      { 'weft.dev/rate-limit-average': '10', 'weft.dev/ratelimit-burst': '50' },
      { rateLimitAverage: 10, rateLimitBurst: 50 },
    ],
    [{ 'weft.dev/max-request-body': '10Mi' }, { maxRequestBodyBytes: 10_485_760 }],
    [{ 'weft.dev/max-connections': '7' }, { maxConnections: 7 }],
    [{ 'weft.dev/max-requests': '9' }, { maxRequests: 9 }],
    [{ 'weft.dev/load-balancer': 'round-robin' }, { loadBalancer: { kind: 'round-robin' } }],
    [
      { 'weft.dev/load-balancer': 'hash:header=X-User' },
      { loadBalancer: { kind: 'hash', by: 'header', name: 'x-user' } },
    ],
    [
      { 'weft.dev/load-balancer': 'hash:cookie=Sid' },
      { loadBalancer: { kind: 'hash', by: 'cookie', name: 'Sid' } },
    ],
    [
      { 'weft.dev/load-balancer': 'hash:source' },
      { loadBalancer: { kind: 'hash', by: 'source', name: '' } },
    ],
    [{ 'weft.dev/mirror': 'copy' }, { mirror: { service: 'copy', port: undefined, percent: 100 } }],
    [{ 'weft.dev/mirror': 'copy:80@5%' }, { mirror: { service: 'copy', port: 80, percent: 5 } }],
    [{ 'weft.dev/traffic': 'stop' }, { isStopped: true }],
    [{ 'weft.dev/health-check': '/a@b@5s' }, { healthCheck: { path: '/a@b', everyMs: 5000 } }],
    [{ 'weft.dev/hedge-after': 'p95' }, { hedgeAfter: 'p95' }],
    [{ 'weft.dev/hedge-after': '20ms' }, { hedgeAfter: { ms: 20 } }],
    [
      { 'weft.dev/fault': 'abort=503@5%, delay=200ms@10%' },
      { fault: { abort: { status: 503, percent: 5 }, delay: { ms: 200, percent: 10 } } },
    ],
    // Maesh counted all attempts.
    [
      { 'mesh.traefik.io/retry-attempts': '3' },
      { retryAttempts: 2, retryOn: ['connect-failure', 'reset', 'gateway-error'] },
    ],
    [
      { 'maesh.containo.us/retry-attempts': '1' },
      { retryAttempts: 0, retryOn: ['connect-failure', 'reset', 'gateway-error'] },
    ],
    [{ 'mesh.traefik.io/scheme': 'h2c', 'maesh.containo.us/scheme': 'https' }, { scheme: 'h2c' }],
    [{ 'weft.dev/scheme': 'http', 'mesh.traefik.io/scheme': 'h2c' }, { scheme: 'http' }],
    [
      { 'mesh.traefik.io/ratelimit-average': '5', 'mesh.traefik.io/ratelimit-burst': '8' },
      { rateLimitAverage: 5, rateLimitBurst: 8 },
    ],
    [
      { 'maesh.containo.us/circuit-breaker-expression': 'LatencyAtQuantileMS(50.0) > 100' },
      { circuitBreaker: 'LatencyAtQuantileMS(50.0) > 100' },
    ],
  ];
  test.each(cases)('%j', (annotations, expected) => {
    const resolved = resolveServiceSettings(serviceOf({ annotations }), undefined);
    expect(resolved.value).toEqual({ ...defaults, ...expected });
    expect(resolved.problems.filter(isMistake)).toEqual([]);
    // The same on the Namespace is the default of all its Services.
    const inherited = resolveServiceSettings(serviceOf({}), namespaceOf({ annotations }));
    expect(inherited.value).toEqual({ ...defaults, ...expected });
    expect(inherited.problems.filter(isMistake)).toEqual([]);
    expect(namespaceProblems(namespaceOf({ annotations })).filter(isMistake)).toEqual([]);
  });
});

describe('a bad value is a problem and counts as absent', () => {
  const nineRatios = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    .map((from) => `ResponseCodeRatio(${from}, 600, 0, 600) > 0.5`)
    .join(' || ');
  const bad: readonly (readonly [string, string])[] = [
    ['upstream-host', 'a b'], ['upstream-host', ''], ['scheme', 'HTTP'], ['tls-verify', 'on'],
    ['tls-verify', 'configmap/'], ['retry-attempts', '11'], ['retry-attempts', '-1'],
    ['retry-attempts', 'x'], ['retry-on', ''], ['retry-on', '5xx,never'], ['retry-on', '200'],
    ['retry-budget', '101'], ['timeout', '5'], ['timeout', '0s'], ['timeout', '-1s'],
    ['connect-timeout', 'x'], ['idle-timeout', '1d'], ['per-try-timeout', ''],
    ['circuit-breaker', 'on'], ['circuit-breaker-expression', 'NetworkErrorRatio() >'],
    ['circuit-breaker', nineRatios],
    ['outlier-detection', 'yes'], ['rate-limit-average', '0'], ['rate-limit-average', '-1'],
    ['ratelimit-burst', '0'], ['rate-limit-burst', '1.5'], ['max-request-body', '10MB'],
    ['max-connections', '0'], ['max-requests', 'x'], ['load-balancer', 'random'],
    ['load-balancer', 'hash:header='], ['load-balancer', 'hash:header=a b'],
    ['load-balancer', 'hash:query=a'], ['mirror', 'other/copy'], ['mirror', 'copy:0'],
    ['mirror', 'copy@200'], ['traffic', 'go'], ['health-check', '5s'], ['health-check', '/x@1ms'],
    ['hedge-after', 'p99'], ['fault', 'abort=503'], ['fault', 'abort=99@5%'],
    ['fault', 'abort=503@5%,abort=500@5%'], ['fault', 'delay=x@5%'], ['fault', ''],
    ['traffic-type', 'grpc'], ['time-out', '5s'], ['policy', 'off'], ['traffic-type.81', 'tcp'],
  ];
  test.each(bad)('weft.dev/%s: %j', (key, text) => {
    const service = serviceOf({ annotations: { [`weft.dev/${key}`]: text } });
    const resolved = resolveServiceSettings(service, undefined);
    expect(resolved.value).toEqual(defaults);
    expect(resolved.problems).toHaveLength(1);
    const [problem] = resolved.problems;
    expect(problem).toMatchObject({
      reason: 'InvalidSetting', kind: 'Service', namespace: 'shop', name: 'web',
    });
    expect(problem?.message).toContain(key);
  });

  test('an expression says where it goes wrong, on whichever key it stands', () => {
    const text = ' ResponseCodeRatio(500,) > 1';
    const others = 'maesh.containo.us/circuit-breaker-expression';
    for (const key of ['weft.dev/circuit-breaker', others]) {
      const service = serviceOf({ annotations: { [key]: text } });
      const { problems } = resolveServiceSettings(service, undefined);
      expect(problems.map(({ message }) => message)).toEqual([
        `annotation ${key} is ${JSON.stringify(text)} and is ignored: ` +
          "column 23: expected a number, found ')'",
      ]);
    }
  });

  test('then the other spelling counts, then the Namespace, then the default', () => {
    const annotations = { 'weft.dev/retry-attempts': 'x', 'mesh.traefik.io/retry-attempts': '3' };
    const spelled = resolveServiceSettings(serviceOf({ annotations }), undefined);
    expect([spelled.value.retryAttempts, spelled.problems.length]).toEqual([2, 1]);
    const service = serviceOf({ annotations: { 'weft.dev/timeout': 'x' } });
    const namespace = namespaceOf({ annotations: { 'weft.dev/timeout': '5s' } });
    const resolved = resolveServiceSettings(service, namespace);
    expect([resolved.value.timeoutMs, resolved.problems.length]).toEqual([5000, 1]);
  });

  test('a bad value of the Namespace is its own problem, not one of every Service', () => {
    const annotations = { 'weft.dev/timeout': 'x', 'weft.dev/tmieout': '5s' };
    const namespace = namespaceOf({ annotations });
    const resolved = resolveServiceSettings(serviceOf({}), namespace);
    expect(resolved).toEqual({ value: defaults, problems: [] });
    expect(namespaceProblems(namespace).map((problem) => problem.kind)).toEqual([
      'Namespace',
      'Namespace',
    ]);
  });

  test('Maesh refused fewer than one attempt', () => {
    const annotations = { 'mesh.traefik.io/retry-attempts': '0' };
    const resolved = resolveServiceSettings(serviceOf({ annotations }), undefined);
    expect([resolved.value.retryAttempts, resolved.problems.length]).toEqual([undefined, 1]);
  });

  test('a setting without its partner is told', () => {
    const lonely = { 'rate-limit-burst': '5', 'retry-on': '5xx', 'tls-verify': 'system' };
    for (const [key, text] of Object.entries(lonely)) {
      const service = serviceOf({ annotations: { [`weft.dev/${key}`]: text } });
      const resolved = resolveServiceSettings(service, undefined);
      expect(resolved.value.rateLimitBurst).toBeUndefined();
      expect(resolved.problems.map((problem) => problem.message).join()).toContain(key);
    }
  });

  test('an opt-in label that is neither yes nor no is told', () => {
    const service = serviceOf({ labels: { 'weft.dev/mesh': 'true' } });
    expect(resolveServiceSettings(service, undefined).problems).toHaveLength(1);
    expect(isMeshed(service, undefined, mesh)).toBe(true);
  });
});

describe('policy and mtls of a Namespace', () => {
  test('absent is the mesh’s, bad is the strictest and told', () => {
    const strict = { ...mesh, policy: 'audit', mtls: 'off' } as const;
    expect(resolvePolicy(undefined, strict)).toEqual({ value: 'audit', problems: [] });
    expect(resolveMtls(namespaceOf({}), strict)).toEqual({ value: 'off', problems: [] });
    const annotations = { 'weft.dev/policy': 'off', 'weft.dev/mtls': 'permissive' };
    const good = namespaceOf({ annotations });
    expect(resolvePolicy(good, strict).value).toBe('off');
    expect(resolveMtls(good, strict).value).toBe('permissive');
    const bad = namespaceOf({ annotations: { 'weft.dev/policy': 'Off', 'weft.dev/mtls': '' } });
    expect(resolvePolicy(bad, strict).value).toBe('enforce');
    expect(resolveMtls(bad, strict).value).toBe('strict');
    expect(resolvePolicy(bad, strict).problems).toHaveLength(1);
    expect(namespaceProblems(bad)).toEqual([]);
  });
});

describe('isMeshed', () => {
  const cases: readonly (readonly [string, Options, Options, Partial<MeshSettings>, boolean])[] = [
    ['plain', {}, {}, {}, true],
    ['disabled', { labels: { 'weft.dev/mesh': 'disabled' } }, {}, {}, false],
    ['namespace disabled', {}, { labels: { 'weft.dev/mesh': 'disabled' } }, {}, false],
    [
      'the Service beats its Namespace',
      { labels: { 'weft.dev/mesh': 'enabled' } },
      { labels: { 'weft.dev/mesh': 'disabled' } },
      {},
      true,
    ],
    ['labelled: nothing said', {}, {}, { adopt: 'labelled' }, false],
    [
      'labelled: namespace',
      {},
      { labels: { 'weft.dev/mesh': 'enabled' } },
      { adopt: 'labelled' },
      true,
    ],
    ['ExternalName', { spec: { type: 'ExternalName' } }, {}, {}, false],
    ['ignored', {}, {}, { ignoreNamespaces: ['shop'] }, false],
    ['ignored wins', {}, {}, { ignoreNamespaces: ['shop'], watchNamespaces: ['shop'] }, false],
    ['not watched', {}, {}, { watchNamespaces: ['other'] }, false],
    ['watched', {}, {}, { watchNamespaces: ['shop'] }, true],
    ['the mesh itself', {}, {}, { meshNamespace: 'shop' }, false],
  ];
  test.each(cases)('%s', (_title, service, namespace, settings, expected) => {
    const all = { ...mesh, ...settings };
    expect(isMeshed(serviceOf(service), namespaceOf(namespace), all)).toBe(expected);
  });
});

describe('traffic type of a port', () => {
  type Case = readonly [string, object, Texts, Texts, string, number];
  const tcp = 'weft.dev/traffic-type';
  const cases: readonly Case[] = [
    ['http by default', { port: 80 }, {}, {}, 'http', 0],
    ['udp for UDP', { port: 80, protocol: 'UDP' }, {}, {}, 'udp', 0],
    ['well-known port', { port: 5432 }, {}, {}, 'tcp', 0],
    ['name', { port: 80, name: 'redis' }, {}, {}, 'tcp', 0],
    ['prefix of the name', { port: 80, name: 'https-web' }, {}, {}, 'tcp', 0],
    ['no prefix', { port: 80, name: 'tcpx' }, {}, {}, 'http', 0],
    ['name beats well-known port', { port: 443, name: 'http-admin' }, {}, {}, 'http', 0],
    [
      'appProtocol beats name',
      { port: 80, name: 'tcp', appProtocol: 'kubernetes.io/h2c' }, {}, {}, 'http', 0,
    ],
    [
      'unknown appProtocol says nothing',
      { port: 80, name: 'tcp', appProtocol: 'x.y/z' }, {}, {}, 'tcp', 0,
    ],
    [
      'annotation beats appProtocol',
      { port: 80, appProtocol: 'http' }, { [tcp]: 'tcp' }, {}, 'tcp', 0,
    ],
    ['Maesh spelling', { port: 80 }, { 'mesh.traefik.io/traffic-type': 'tcp' }, {}, 'tcp', 0],
    ['by number', { port: 80 }, { [tcp]: 'http', [`${tcp}.80`]: 'tcp' }, {}, 'tcp', 0],
    [
      'by name',
      { port: 80, name: 'db' }, { [`${tcp}.db`]: 'tcp', [`${tcp}.80`]: 'http' }, {}, 'tcp', 0,
    ],
    ['another port', { port: 80 }, { [`${tcp}.81`]: 'tcp' }, {}, 'http', 0],
    ['the Namespace', { port: 80 }, {}, { [tcp]: 'tcp' }, 'tcp', 0],
    ['the Service beats it', { port: 80 }, { [tcp]: 'http' }, { [`${tcp}.80`]: 'tcp' }, 'http', 0],
    ['contradiction', { port: 53, protocol: 'UDP' }, { [tcp]: 'tcp' }, {}, 'udp', 1],
    ['contradiction of TCP', { port: 5432 }, { [`${tcp}.5432`]: 'udp' }, {}, 'tcp', 1],
    ['contradiction by appProtocol', { port: 80, appProtocol: 'udp' }, {}, {}, 'http', 1],
    [
      'the Namespace’s does not concern it',
      { port: 53, protocol: 'UDP' }, {}, { [tcp]: 'tcp' }, 'udp', 0,
    ],
    [
      'bad for the port, good for all',
      { port: 80 }, { [tcp]: 'tcp', [`${tcp}.80`]: 'x' }, {}, 'tcp', 1,
    ],
  ];
  test.each(cases)('%s', (_title, portFields, annotations, defaultsOf, expected, count) => {
    const service = serviceOf({ annotations, spec: { ports: [portFields] } });
    const [port] = service.ports;
    if (port === undefined) throw new Error('fixture has no port');
    const namespace = namespaceOf({ annotations: defaultsOf });
    const resolved = trafficTypeOf(service, port, namespace);
    expect([resolved.value, resolved.problems.length]).toEqual([expected, count]);
  });
});

test.each([
  [{ port: 80 }, 'http'],
  [{ port: 80, appProtocol: 'kubernetes.io/h2c' }, 'h2c'],
  [{ port: 80, appProtocol: 'grpc' }, 'h2c'],
  [{ port: 80, appProtocol: 'http', name: 'grpc' }, 'http'],
  [{ port: 80, name: 'grpc-web' }, 'h2c'],
  [{ port: 80, name: 'http2' }, 'h2c'],
  [{ port: 80, name: 'grpcx' }, 'http'],
  [{ port: 80, name: 'grpc', appProtocol: 'x.y/z' }, 'h2c'],
])('the pods of port %j are spoken to in %s where no annotation says it', (fields, expected) => {
  const service = serviceOf({ spec: { ports: [fields] } });
  const [port] = service.ports;
  expect(port && trafficTypeOf(service, port, undefined).scheme).toBe(expected);
});

describe('a value that is understood but not in force is told', () => {
  const told = (annotations: Texts): readonly string[] =>
    resolveServiceSettings(serviceOf({ annotations }), undefined).problems.map(
      (problem) => `${problem.reason}: ${problem.message}`,
    );

  test('by its own reason, with what happens instead', () => {
    const [scheme, verify] = ['weft.dev/scheme', 'weft.dev/tls-verify'];
    expect(told({ [scheme]: 'https', [verify]: 'configmap/ca' })).toEqual([
      'UnsupportedField: annotation weft.dev/tls-verify: roots of a ConfigMap are not read in ' +
        'this version of weft: no certificate is believed, and calls are answered 502 ' +
        'UpstreamConnect',
    ]);
    expect(told({ [scheme]: 'https', [verify]: 'system' })).toEqual([]);
    expect(told({ [scheme]: 'https' })).toEqual([]);
  });
});

test('no key stands for two settings', () => {
  const spellings = Object.values(settingTable).flatMap((setting) => [...setting.spellings]);
  const keys = spellings.map((spelling) => spelling.key);
  expect(new Set(keys).size).toBe(keys.length);
});
