// Kubernetes' own kinds, pruned to what the mesh reads; and nonsense in every place of every kind,
// which is a problem and never an exception.
import { describe, expect, test } from 'vitest';
import type { Kind } from './object.ts';
import { parsers } from './parsers.ts';

const metadata = { name: 'x', namespace: 'shop' };

describe('metadata', () => {
  test('keeps what the mesh reads and drops the rest', () => {
    const parsed = parsers.Service({
      metadata: {
        ...metadata,
        uid: 'u1',
        generation: 4,
        creationTimestamp: '2024-05-06T07:08:09Z',
        labels: { app: 'web', 'weft.dev/mesh': 'disabled' },
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': '{}'.repeat(1000),
          'weft.dev/timeout': '5s',
          'mesh.traefik.io/retry-attempts': '2',
          'maesh.containo.us/scheme': 'h2c',
        },
        managedFields: [{}],
      },
      spec: {},
    });
    expect(parsed.problems).toEqual([]);
    expect(parsed.value?.meta).toEqual({
      namespace: 'shop',
      name: 'x',
      uid: 'u1',
      generation: 4,
      createdMs: Date.UTC(2024, 4, 6, 7, 8, 9),
      labels: new Map([['weft.dev/mesh', 'disabled']]),
      annotations: new Map([
        ['weft.dev/timeout', '5s'],
        ['mesh.traefik.io/retry-attempts', '2'],
        ['maesh.containo.us/scheme', 'h2c'],
      ]),
    });
  });

  test('an annotation that is no string is left out and told', () => {
    const annotations = { 'weft.dev/timeout': 5, 'weft.dev/mirror': 'x'.repeat(300_000) };
    const parsed = parsers.Namespace({ metadata: { name: 'shop', annotations } });
    expect(parsed.value?.meta.annotations.size).toBe(0);
    expect(parsed.problems.map((problem) => problem.reason)).toEqual([
      'InvalidSetting',
      'InvalidSetting',
    ]);
  });

  test('names like constructor and __proto__ are names like any other', () => {
    const json: unknown = JSON.parse(
      '{"metadata":{"name":"constructor","namespace":"__proto__","labels":{"__proto__":"x"}}}',
    );
    const parsed = parsers.ServiceAccount(json);
    expect(parsed.value?.meta).toMatchObject({ name: 'constructor', namespace: '__proto__' });
    expect(parsed.value?.meta.labels.size).toBe(0);
  });

  const kinds = Object.keys(parsers) as readonly Kind[];
  const nonsense: readonly unknown[] = [
    undefined, null, 7, 'x', [], {}, { metadata: null }, { metadata: {} },
    { metadata: { name: 7 } },
    { metadata: { name: '' , namespace: 'shop' } },
    { metadata: { name: 'x'.repeat(254), namespace: 'shop' } },
    { kind: 'ConfigMap', metadata },
  ];
  test.each(kinds)('%s: nonsense is one problem and no exception', (kind) => {
    for (const input of nonsense) {
      const parsed = parsers[kind](input);
      expect(parsed.value).toBeUndefined();
      expect(parsed.problems).toHaveLength(1);
      expect(parsed.problems[0]).toMatchObject({ kind, reason: 'InvalidObject' });
    }
  });

  test('a namespaced object without a namespace is refused, a Node has none', () => {
    expect(parsers.Pod({ metadata: { name: 'x' } }).value).toBeUndefined();
    expect(parsers.Node({ metadata: { name: 'x' } }).value?.meta.namespace).toBe('');
  });

  test('every part of an object may be nonsense without an exception', () => {
    for (const part of [null, 7, 'x', [], [null], [[]], [7], {}, { a: null }]) {
      const fields = {
        spec: part, status: part, ports: part, endpoints: part, addressType: 'IPv4',
        destination: part, sources: part, specs: part, matches: part,
      };
      for (const kind of kinds) parsers[kind]({ metadata, ...fields });
      const deep = {
        spec: {
          ports: part, clusterIPs: part, selector: part, destination: part, sources: part,
          rules: part, matches: part, backends: part, service: part,
        },
        status: { podIPs: part, addresses: part, containerStatuses: part },
      };
      for (const kind of kinds) parsers[kind]({ metadata, ...deep });
    }
  });
});

describe('Service', () => {
  test('ports, addresses and selector', () => {
    const parsed = parsers.Service({
      metadata,
      spec: {
        clusterIP: '10.96.0.7',
        clusterIPs: ['10.96.0.7', 'FD00:0::7'],
        selector: { app: 'web' },
        ports: [
          { name: 'http', port: 80, targetPort: 'web', protocol: 'TCP', appProtocol: 'http' },
          { port: 53, protocol: 'UDP' },
          { port: 0 },
        ],
      },
    });
    expect(parsed.value).toMatchObject({
      type: 'ClusterIP',
      clusterIps: ['10.96.0.7', 'fd00::7'],
      isHeadless: false,
      hasSelector: true,
      ports: [
        { name: 'http', port: 80, protocol: 'TCP', appProtocol: 'http', targetPort: 'web' },
        { name: '', port: 53, protocol: 'UDP', appProtocol: undefined, targetPort: 53 },
      ],
    });
    expect(parsed.problems).toHaveLength(1);
  });

  test('headless, without selector, of another type', () => {
    const none = { clusterIP: 'None', clusterIPs: ['None'] };
    const headless = parsers.Service({ metadata, spec: none });
    expect(headless.value).toMatchObject({ isHeadless: true, clusterIps: [], hasSelector: false });
    const external = parsers.Service({ metadata, spec: { type: 'ExternalName' } });
    expect(external.value).toMatchObject({ type: 'ExternalName', isHeadless: false });
    expect(parsers.Service({ metadata, spec: { type: 'Magic' } }).value).toBeUndefined();
  });
});

describe('EndpointSlice', () => {
  const slice = (fields: object) => parsers.EndpointSlice({ metadata, ...fields });

  test('absent conditions mean what Kubernetes says', () => {
    const addresses = ['10.0.0.1'];
    const parsed = slice({
      addressType: 'IPv4',
      endpoints: [
        { addresses },
        { addresses, conditions: { ready: false } },
        { addresses, conditions: { ready: false, serving: true, terminating: true } },
      ],
    });
    const seen = parsed.value?.endpoints.map((endpoint) => [
      endpoint.isReady,
      endpoint.isServing,
      endpoint.isTerminating,
    ]);
    expect(seen).toEqual([
      [true, true, false],
      [false, false, false],
      [false, true, true],
    ]);
  });

  test('service, manager, ports and pods', () => {
    const parsed = parsers.EndpointSlice({
      metadata: {
        ...metadata,
        labels: {
          'kubernetes.io/service-name': 'web',
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
      },
      addressType: 'IPv6',
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: null, port: 53, protocol: 'UDP' },
      ],
      endpoints: [
        {
          addresses: ['FD00::0001'],
          nodeName: 'n1',
          targetRef: { kind: 'Pod', name: 'web-1', namespace: 'shop' },
        },
        { addresses: ['fd00::2'], targetRef: { kind: 'Pod', name: 'web-2', namespace: 'other' } },
        { addresses: ['fd00::3'], targetRef: { kind: 'Node', name: 'n1' } },
        { addresses: ['10.0.0.1'] },
        { addresses: [] },
      ],
    });
    expect(parsed.value).toMatchObject({
      serviceName: 'web',
      isManaged: true,
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: '', port: 53, protocol: 'UDP' },
      ],
      endpoints: [
        { addresses: ['fd00::1'], nodeName: 'n1', podName: 'web-1' },
        { addresses: ['fd00::2'], nodeName: undefined, podName: undefined },
        { addresses: ['fd00::3'], podName: undefined },
      ],
    });
    expect(parsed.problems).toHaveLength(2);
  });

  test('null lists are empty lists; FQDN slices are not served', () => {
    expect(slice({ addressType: 'IPv4', endpoints: null, ports: null })).toMatchObject({
      value: { endpoints: [], ports: [], serviceName: '', isManaged: false },
      problems: [],
    });
    expect(slice({ addressType: 'FQDN' }).problems[0]?.reason).toBe('UnsupportedField');
  });
});

describe('Pod', () => {
  const owner = (kind: string, name: string) => [
    { kind: 'Ghost', name: 'other' },
    { kind, name, controller: true },
  ];

  const workloads: readonly (readonly [object, string])[] = [
    [{}, 'Pod/x'],
    [{ ownerReferences: [{ kind: 'ReplicaSet', name: 'web-7d9f8c6b5' }] }, 'Pod/x'],
    [{ ownerReferences: owner('ReplicaSet', 'web-7d9f8c6b5') }, 'Deployment/web'],
    [{ ownerReferences: owner('ReplicaSet', 'web-canary') }, 'ReplicaSet/web-canary'],
    [
      { ownerReferences: owner('ReplicaSet', 'a-b-1'), labels: { 'pod-template-hash': '1' } },
      'Deployment/a-b',
    ],
    [
      { ownerReferences: owner('ReplicaSet', 'web-7d9f8c'), labels: { 'pod-template-hash': 'z' } },
      'ReplicaSet/web-7d9f8c',
    ],
    [{ ownerReferences: owner('StatefulSet', 'db') }, 'StatefulSet/db'],
    [{ ownerReferences: owner('DaemonSet', 'agent') }, 'DaemonSet/agent'],
    [{ ownerReferences: owner('Job', 'backup-28') }, 'Job/backup-28'],
  ];
  test.each(workloads)('%j belongs to %s', (fields, workload) => {
    expect(parsers.Pod({ metadata: { ...metadata, ...fields } }).value?.workload).toBe(workload);
  });

  test('identity, place and addresses', () => {
    const parsed = parsers.Pod({
      metadata: { ...metadata, deletionTimestamp: '2024-05-06T07:08:09Z' },
      spec: { nodeName: 'n1', serviceAccountName: 'web', hostNetwork: true },
      status: {
        phase: 'Running',
        podIP: '10.0.0.1',
        podIPs: [{ ip: '::ffff:10.0.0.1' }, { ip: 'FD00::1' }, { ip: 'nonsense' }],
      },
    });
    expect(parsed.value).toMatchObject({
      nodeName: 'n1',
      serviceAccount: 'web',
      phase: 'Running',
      isHostNetwork: true,
      isDeleting: true,
      addresses: ['10.0.0.1', 'fd00::1'],
    });
    const bare = parsers.Pod({ metadata, status: { podIP: '10.0.0.2', phase: 'Odd' } });
    expect(bare.value).toMatchObject({
      nodeName: '',
      serviceAccount: '',
      phase: 'Unknown',
      isHostNetwork: false,
      isDeleting: false,
      addresses: ['10.0.0.2'],
    });
  });

  test('a pod has stopped only when every container has terminated', () => {
    const terminated = { state: { terminated: { exitCode: 0 } } };
    const running = { state: { running: {} } };
    const runs = (status: object) => parsers.Pod({ metadata, status }).value?.hasRunningContainer;
    expect(runs({})).toBe(true);
    expect(runs({ containerStatuses: [terminated, running] })).toBe(true);
    expect(runs({ containerStatuses: [terminated], initContainerStatuses: [running] })).toBe(true);
    const ended = { containerStatuses: [terminated], initContainerStatuses: [terminated] };
    expect(runs(ended)).toBe(false);
  });
});

test('the addresses of a node are its own, not its names', () => {
  const addresses = [
    { type: 'InternalIP', address: '10.201.0.11' },
    { type: 'Hostname', address: 'node-1' },
    { type: 'ExternalIP', address: '2001:DB8::1' },
  ];
  const parsed = parsers.Node({ metadata: { name: 'n1' }, status: { addresses } });
  expect(parsed.value?.addresses).toEqual(['10.201.0.11', '2001:db8::1']);
});
