// ValidatingAdmissionPolicy weft-settings on a real API server: what people misspell and what
// contradicts itself is refused at `kubectl apply` with a message that says what to do; what is
// right, what was there before and what is not ours passes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installedObjects } from './support/installed.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { output, run } from './support/tools.ts';
import { until } from './support/until.ts';

type Object = { readonly [field: string]: unknown };
type Case = { readonly object: Object; readonly says: string };

const namespace = 'shop';

function service(annotations: object, labels: object = {}, ports: object[] = [{ port: 80 }]) {
  const metadata = { namespace, annotations, labels };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } };
}

function home(annotations: object, labels: object = {}) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { annotations, labels } };
}

function smi(group: string, version: string, kind: string, body: object): Object {
  const apiVersion = `${group}.smi-spec.io/${version}`;
  return { apiVersion, kind, metadata: { namespace }, ...body };
}

const target = (version: string, body: object) => smi('access', version, 'TrafficTarget', body);
const routes = (version: string, body: object) => smi('specs', version, 'HTTPRouteGroup', body);
const split = (version: string, body: object) => smi('split', version, 'TrafficSplit', body);

const web = { kind: 'ServiceAccount', name: 'web' };
const front = { kind: 'ServiceAccount', name: 'front', namespace: 'edge' };
const rule = { kind: 'HTTPRouteGroup', name: 'api', matches: ['read'] };
const complete = { destination: web, sources: [front], rules: [rule] };

const refused: readonly Case[] = [
  {
    object: service({ 'weft.dev/timeout': '5 seconds' }),
    says: 'annotation weft.dev/timeout is "5 seconds": write a duration such as 250ms or 5s',
  },
  {
    object: service({ 'weft.dev/timeouts': '5s' }),
    says: 'annotation weft.dev/timeouts is not known: check its spelling',
  },
  {
    object: service({ 'weft.dev/retry-attempts': 'three' }),
    says: 'annotation weft.dev/retry-attempts is "three": write a whole number from 0 to 10',
  },
  {
    object: service({ 'weft.dev/retry-on': 'resets' }),
    says: 'annotation weft.dev/retry-on is "resets": write a list of connect-failure, reset',
  },
  {
    object: service({ 'weft.dev/load-balancer': 'random' }),
    says: 'annotation weft.dev/load-balancer is "random": write ewma, least-request',
  },
  {
    object: service({ 'weft.dev/max-request-body': '10MB' }),
    says: 'annotation weft.dev/max-request-body is "10MB": write a size such as 10Mi',
  },
  {
    object: service({ 'weft.dev/traffic': 'off' }),
    says: 'annotation weft.dev/traffic is "off": write stop, or remove the annotation',
  },
  {
    object: service({ 'weft.dev/traffic-type': 'grpc' }),
    says: 'annotation weft.dev/traffic-type is "grpc": write http, tcp or udp',
  },
  {
    object: service({ 'weft.dev/traffic-type.80': 'tcpp' }),
    says: 'annotations weft.dev/traffic-type.…: write http, tcp or udp',
  },
  {
    object: service({ 'weft.dev/traffic-type.8080': 'tcp' }),
    says: 'weft.dev/traffic-type.8080 names a port that the Service does not have',
  },
  {
    object: service({ 'weft.dev/policy': 'enforce' }),
    says: 'annotation weft.dev/policy belongs on the Namespace: move it there',
  },
  {
    object: service({}, { 'weft.dev/mesh': 'on' }),
    says: 'label weft.dev/mesh is "on": write enabled or disabled',
  },
  {
    object: home({ 'weft.dev/policy': 'enforced' }),
    says: 'annotation weft.dev/policy is "enforced": write off, audit or enforce',
  },
  {
    object: home({ 'weft.dev/mtls': 'on' }),
    says: 'annotation weft.dev/mtls is "on": write off, permissive or strict',
  },
  {
    object: home({}, { 'weft.dev/mesh': 'true' }),
    says: 'label weft.dev/mesh is "true": write enabled or disabled',
  },
  {
    object: target('v1alpha3', { spec: { ...complete, destination: { ...web, namespace: 'b' } } }),
    says: 'destination is in namespace b: a TrafficTarget opens its own namespace only',
  },
  {
    object: target('v1alpha1', { destination: { ...web, namespace: 'b' }, specs: [rule] }),
    says: 'destination is in namespace b: a TrafficTarget opens its own namespace only',
  },
  {
    object: target('v1alpha2', { spec: complete, specs: [rule] }),
    says: 'stand at the top and below spec: remove those at the top',
  },
  {
    object: target('v1alpha3', { spec: { ...complete, rules: [] } }),
    says: 'the list of rules is empty: the target allows nothing, add a rule',
  },
  {
    object: target('v1alpha1', { destination: web, sources: [front], specs: null }),
    says: 'the list of rules is empty: the target allows nothing, add a rule',
  },
  {
    object: target('v1alpha3', { spec: { ...complete, rules: [{ ...rule, kind: 'TCPRoute' }] } }),
    says: 'matches mean something for an HTTPRouteGroup only',
  },
  {
    object: target('v1alpha3', { spec: { ...complete, rules: [{ ...rule, matches: [] }] } }),
    says: 'matches of a rule are empty, so it allows nothing: remove the key',
  },
  {
    object: target('v1alpha3', { spec: { ...complete, sources: [{ ...front, kind: 'Group' }] } }),
    says: 'kind of destination and sources: write ServiceAccount',
  },
  {
    object: routes('v1alpha4', { spec: { matches: [{ name: 'a' }, { name: 'a' }] } }),
    says: 'two matches have the same name: rename one',
  },
  {
    object: routes('v1alpha2', { matches: [{ name: 'a' }], spec: { matches: [{ name: 'b' }] } }),
    says: 'matches stand at the top and below spec: remove those at the top',
  },
  {
    object: routes('v1alpha4', { spec: { matches: [{ name: 'a', headers: { canary: true } }] } }),
    says: 'the pattern of a header is no text: quote it',
  },
  {
    object: routes('v1alpha1', { matches: [{ name: 'a', headers: [{ ok: 'x' }, { canary: 1 }] }] }),
    says: 'the pattern of a header is no text: quote it',
  },
  {
    object: split('v1alpha4', {
      spec: { service: 'web.other.svc.cluster.local', backends: [{ service: 'a', weight: 1 }] },
    }),
    says: 'spec.service is in another namespace: create the TrafficSplit there',
  },
  {
    object: split('v1alpha2', {
      spec: {
        service: 'web',
        backends: [
          { service: 'a', weight: 1 },
          { service: 'a', weight: 2 },
        ],
      },
    }),
    says: 'a backend is named twice: add its weights up and name it once',
  },
];

const right: readonly Object[] = [
  service({}),
  service({ 'example.com/timeout': 'five' }),
  service({ 'mesh.traefik.io/retry-attempts': '20', 'maesh.containo.us/scheme': 'odd' }),
  service({
    'weft.dev/timeout': ' 1m30s ',
    'weft.dev/retry-attempts': '2',
    'weft.dev/retry-on': '5xx, reset,429',
    'weft.dev/upstream-host': 'shop.example.com',
    'weft.dev/circuit-breaker': 'NetworkErrorRatio() > 0.3',
    'weft.dev/ratelimit-average': '0.5',
    'weft.dev/mirror': 'web:80@10%',
    'weft.dev/health-check': '/healthz@5s',
    'weft.dev/fault': 'abort=503@5%, delay=200ms@10%',
  }),
  service(
    { 'weft.dev/traffic-type.80': 'http', 'weft.dev/traffic-type.db': 'tcp' },
    { 'weft.dev/mesh': 'enabled' },
    [
      { port: 80, name: 'web' },
      { port: 5432, name: 'db' },
    ],
  ),
  home({ 'weft.dev/policy': 'audit', 'weft.dev/mtls': 'strict', 'weft.dev/timeout': '5s' }),
  home({ 'weft.dev/traffic': 'stop' }, { 'weft.dev/mesh': 'disabled' }),
  target('v1alpha3', { spec: complete }),
  target('v1alpha3', { spec: { ...complete, destination: { ...web, namespace } } }),
  target('v1alpha2', { spec: { destination: { ...web, port: '8080' }, sources: [front] } }),
  target('v1alpha1', { destination: { ...web, port: 8080 }, sources: [front], specs: [rule] }),
  target('v1alpha3', { spec: { ...complete, rules: [{ kind: 'TCPRoute', name: 'db' }, rule] } }),
  routes('v1alpha4', {
    spec: {
      matches: [
        { name: 'a', headers: { x: 'y' } },
        { name: 'b', headers: [{ x: 'y' }] },
      ],
    },
  }),
  routes('v1alpha1', { matches: [{ name: 'a', pathRegex: '/x', methods: ['GET'] }] }),
  routes('v1alpha3', { spec: {} }),
  split('v1alpha1', { spec: { service: 'web', backends: [{ service: 'a', weight: '500m' }] } }),
  split('v1alpha4', {
    spec: {
      service: 'web.shop.svc.cluster.local',
      backends: [
        { service: 'web', weight: 90 },
        { service: 'b', weight: 10 },
      ],
      matches: [{ kind: 'HTTPRouteGroup', name: 'api' }],
    },
  }),
  split('v1alpha2', { spec: { service: 'web.shop', backends: [] } }),
  // As long as the schema allows: judging them must not cost more than the API server gives.
  routes('v1alpha4', { spec: { matches: many((name) => ({ name, headers: { x: 'y' } })) } }),
  split('v1alpha4', {
    spec: { service: 'web', backends: many((service) => ({ service, weight: 1 })) },
  }),
];

function many<T>(make: (name: string) => T): readonly T[] {
  return Array.from({ length: 1_000 }, (_, index) => make(`n${index}`));
}

/** An object under a name of its own. */
function named(object: Object, name: string): Object {
  return { ...object, metadata: { ...(object['metadata'] as object), name } };
}

describe('weft-settings', () => {
  let plane: ControlPlane;
  const kubectl = (...args: readonly string[]) => ['--kubeconfig', plane.kubeconfigPath, ...args];
  const apply = (objects: readonly Object[], ...flags: readonly string[]) => {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    const args = kubectl('apply', '--server-side', ...flags, '-f', '-');
    return run('kubectl', args, JSON.stringify(list));
  };

  /** The policy as it is installed, but with failures of its own told instead of passed over. */
  function strictPolicy(): readonly Object[] {
    return installedObjects()
      .filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'))
      .map((object) => {
        const spec = (object as unknown as { readonly spec: Object }).spec;
        return 'failurePolicy' in spec
          ? { ...object, spec: { ...spec, failurePolicy: 'Fail' } }
          : object;
      });
  }

  beforeAll(async () => {
    plane = await startControlPlane();
    const basics = installedObjects().filter(({ kind }) =>
      ['Namespace', 'CustomResourceDefinition'].includes(kind),
    );
    expect(apply([...basics, named(home({}), namespace)]).error).toBe('');
    output('kubectl', kubectl('wait', '--for=condition=Established', 'crd', '--all'));
    // Made before there was a policy: both are wrong.
    const old = [
      named(service({ 'weft.dev/timeout': 'old' }, { 'weft.dev/mesh': 'old' }), 'old'),
      named(target('v1alpha3', { spec: { ...complete, rules: [] } }), 'old'),
    ];
    await until('the kinds are served', () => Promise.resolve(apply(old).status === 0));
    expect(apply(strictPolicy()).error).toBe('');
    const typo = named(service({ 'weft.dev/mirror': '' }), 'typo');
    await until('the policy is in force', () =>
      Promise.resolve(apply([typo], '--dry-run=server').status !== 0),
    );
  });
  afterAll(() => plane.stop());

  test('refuses each of the mistakes and says what to do', () => {
    const objects = refused.map(({ object }, index) => named(object, `case-${index}`));
    const { out, error } = apply(objects, '--dry-run=server');
    expect(out).toBe('');
    const told = error.split('\n');
    const missing = refused.flatMap(({ says }, index) => {
      const line = told.find((one) => one.includes(`"case-${index}" is forbidden`)) ?? 'nothing';
      return line.includes(`denied request: `) && line.includes(says) ? [] : [`${says}: ${line}`];
    });
    expect(missing).toEqual([]);
  });

  test('takes what is right', () => {
    const objects = right.map((object, index) => named(object, `right-${index}`));
    const { out, error } = apply(objects, '--dry-run=server');
    expect(error).toBe('');
    expect(out.trim().split('\n')).toHaveLength(right.length);
  });

  test('leaves the namespace of the mesh and kube-system alone', () => {
    const wrong = ['weft-system', 'kube-system'].map((place) => {
      const one = service({ 'weft.dev/ports': '{}' });
      return named({ ...one, metadata: { ...one.metadata, namespace: place } }, 'ours');
    });
    expect(apply(wrong, '--dry-run=server').error).toBe('');
  });

  test('lets no node pose as a proxy: no mirror pods in the namespace of the mesh', () => {
    const securityContext = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const containers = [{ name: 'one', image: 'none', securityContext }];
    const pod = (place: string, annotations: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'posing', namespace: place, annotations },
      spec: { nodeName: 'node-1', containers },
    });
    const mirror = { 'kubernetes.io/config.mirror': 'yes' };
    const refusal = apply([pod('weft-system', mirror)], '--dry-run=server').error;
    expect(refusal).toContain('no static pods in the namespace of the mesh');
    expect(apply([pod('weft-system', {})], '--dry-run=server').error).toBe('');
    expect(apply([pod(namespace, mirror)], '--dry-run=server').error).toBe('');
  });

  test('stops nobody who changes something else on what was wrong before', () => {
    for (const what of ['service/old', 'traffictarget/old']) {
      const label = kubectl('-n', namespace, 'label', what, 'team=a', '--overwrite');
      expect(run('kubectl', label)).toMatchObject({ status: 0, error: '' });
    }
    const annotate = (text: string) =>
      run('kubectl', kubectl('-n', namespace, 'annotate', '--overwrite', 'service/old', text));
    expect(annotate('weft.dev/traffic=stop').error).toBe('');
    expect(annotate('weft.dev/timeout=older').error).toContain('is "older": write a duration');
    expect(annotate('weft.dev/timeout=5s').error).toBe('');
    const patch = '{"spec":{"sources":[]}}';
    const change = ['patch', 'traffictarget/old', '--type=merge', '-p', patch];
    const ran = run('kubectl', kubectl('-n', namespace, ...change));
    expect(ran.error).toContain('the list of rules is empty');
  });
});
