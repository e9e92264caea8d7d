// Conformance: what the server decides for single kinds – services, pods, slices, namespaces,
// certificate requests, leases, events, reviews.
import { expect } from 'vitest';
import { mergeType, type JsonObject } from './api-client.ts';
import { service, type ApiCase, anyText, textLike } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

const deployment = (name: string, labels: JsonObject): JsonObject => ({
  metadata: { name },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'none' }] } },
  },
});

export const kindCases: readonly ApiCase[] = [
  base('a Service gets an address and its defaults', async ({ api, core }) => {
    const made = await api.create(`${core}/services`, service('one'));
    const spec = made.spec as JsonObject;
    expect(spec).toMatchObject({
      type: 'ClusterIP',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }],
      clusterIP: textLike(/^10\.96\.\d+\.\d+$/),
    });
    expect(spec.clusterIPs).toEqual([spec.clusterIP]);
    expect(made.status).toEqual({ loadBalancer: {} });
  }),
  base('headless, ExternalName and NodePort services', async ({ api, core }) => {
    const headless = await api.create(`${core}/services`, service('one', { clusterIP: 'None' }));
    expect(headless.spec).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] });
    const external = await api.create(`${core}/services`, {
      metadata: { name: 'two' },
      spec: { type: 'ExternalName', externalName: 'example.com' },
    });
    expect((external.spec as JsonObject).clusterIP).toBeUndefined();
    const exposed = await api.create(`${core}/services`, service('three', { type: 'NodePort' }));
    const [port] = (exposed.spec as { ports: { nodePort: number }[] }).ports;
    expect(port?.nodePort).toBeGreaterThanOrEqual(30_000);
    expect(port?.nodePort).toBeLessThan(32_768);
  }),
  base('a ClusterIP that another Service has is refused', async ({ api, core }) => {
    const made = await api.create(`${core}/services`, service('one'));
    const { clusterIP } = made.spec as { clusterIP: string };
    const refused = await api.ask('POST', `${core}/services`, service('two', { clusterIP }));
    expect(refused.body).toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.clusterIPs' }] },
    });
    expect(JSON.stringify(refused.body)).toContain('provided IP is already allocated');
  }),
  base(
    'a ClusterIP does not change, and a replacement that omits it keeps it',
    async ({ api, core }) => {
      const made = await api.create(`${core}/services`, service('one'));
      const { clusterIP } = made.spec as { clusterIP: string };
      const patch = { spec: { clusterIP: '10.96.200.200', clusterIPs: ['10.96.200.200'] } };
      const refused = await api.ask('PATCH', `${core}/services/one`, patch, { type: mergeType });
      expect(refused.body).toMatchObject({
        code: 422,
        details: { causes: [{ field: 'spec.clusterIPs[0]' }] },
      });
      const replaced = await api.ask(
        'PUT',
        `${core}/services/one`,
        service('one', { ports: [{ port: 81 }] }),
      );
      expect(replaced).toMatchObject({
        code: 200,
        body: { spec: { clusterIP, ports: [{ port: 81 }] } },
      });
    },
  ),
  base('services that contradict themselves are 422', async ({ api, core }) => {
    const wrong: readonly JsonObject[] = [
      service('one', { ports: [] }),
      service('one', { ports: [{ port: 0 }] }),
      service('one', { ports: [{ port: 70_000 }] }),
      service('one', { ports: [{ port: 80 }, { port: 81 }] }),
      service('one', {
        ports: [
          { name: 'a', port: 80 },
          { name: 'a', port: 81 },
        ],
      }),
      service('one', {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      }),
      service('one', { ports: [{ name: 'Not_OK', port: 80 }] }),
      service('one', { ports: [{ port: 80, protocol: 'ICMP' }] }),
      service('1one'),
      service('a'.repeat(64)),
      { metadata: { name: 'one' }, spec: { type: 'ExternalName' } },
    ];
    for (const body of wrong) {
      const answer = await api.ask('POST', `${core}/services`, body);
      expect(answer.code, JSON.stringify(body.spec)).toBe(422);
    }
    await api.create(`${core}/services`, service('a'.repeat(63)));
  }),
  base('two protocols may share a port number', async ({ api, core }) => {
    const ports = [
      { name: 'a', port: 53, protocol: 'UDP' },
      { name: 'b', port: 53, protocol: 'TCP' },
    ];
    const made = await api.create(`${core}/services`, service('one', { ports }));
    expect((made.spec as { ports: unknown[] }).ports).toHaveLength(2);
  }),
  base('a pod is Pending, runs as default, and its spec does not change', async ({ api, core }) => {
    const made = await api.create(`${core}/pods`, {
      metadata: { name: 'one' },
      spec: { containers: [{ name: 'c', image: 'none', ports: [{ containerPort: 80 }] }] },
    });
    expect(made).toMatchObject({
      spec: {
        restartPolicy: 'Always',
        terminationGracePeriodSeconds: 30,
        dnsPolicy: 'ClusterFirst',
        containers: [{ ports: [{ containerPort: 80, protocol: 'TCP' }] }],
      },
      status: { phase: 'Pending' },
    });
    const patch = { spec: { serviceAccountName: 'other' } };
    const refused = await api.ask('PATCH', `${core}/pods/one`, patch, { type: mergeType });
    expect(refused.body).toMatchObject({ code: 422 });
    const labelled = await api.ask(
      'PATCH',
      `${core}/pods/one`,
      { metadata: { labels: { a: 'b' } } },
      { type: mergeType },
    );
    expect(labelled.code).toBe(200);
  }),
  base("a pod's status is written as a kubelet does", async ({ api, core }) => {
    await api.create(`${core}/pods`, {
      metadata: { name: 'one' },
      spec: { nodeName: 'node-1', containers: [{ name: 'c', image: 'none' }] },
    });
    const status = {
      phase: 'Running',
      podIP: '10.1.2.3',
      podIPs: [{ ip: '10.1.2.3' }],
      hostIP: '10.0.0.1',
    };
    const patched = await api.ask(
      'PATCH',
      `${core}/pods/one/status`,
      { status },
      { type: mergeType },
    );
    expect(patched.body).toMatchObject({ status });
    const plain = await api.ask(
      'PATCH',
      `${core}/pods/one`,
      { status: { phase: 'Failed' } },
      { type: mergeType },
    );
    expect(plain.body).toMatchObject({ status: { phase: 'Running' } });
  }),
  base('a scheduled pod is first marked, then deleted with grace 0', async ({ api, core }) => {
    await api.create(`${core}/pods`, {
      metadata: { name: 'one' },
      spec: { nodeName: 'node-1', containers: [{ name: 'c', image: 'none' }] },
    });
    const marked = await api.ask('DELETE', `${core}/pods/one`);
    expect(marked.body).toMatchObject({
      kind: 'Pod',
      metadata: { deletionTimestamp: anyText, deletionGracePeriodSeconds: 30 },
    });
    expect((await api.get(`${core}/pods/one`)).code).toBe(200);
    const now = await api.ask('DELETE', `${core}/pods/one`, {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
    });
    expect(now.code).toBe(200);
    expect((await api.get(`${core}/pods/one`)).code).toBe(404);
  }),
  base('a pod without a node goes at once', async ({ api, core }) => {
    await api.create(`${core}/pods`, {
      metadata: { name: 'one' },
      spec: { containers: [{ name: 'c', image: 'none' }] },
    });
    expect((await api.ask('DELETE', `${core}/pods/one`)).code).toBe(200);
    expect((await api.get(`${core}/pods/one`)).code).toBe(404);
  }),
  base('a slice keeps its addresses and counts its generations', async ({ api, inGroup }) => {
    const path = `${inGroup('discovery.k8s.io', 'v1')}/endpointslices`;
    const made = await api.create(path, {
      metadata: { name: 'one', labels: { 'kubernetes.io/service-name': 'one' } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 80 }],
      endpoints: [{ addresses: ['10.1.2.3'], conditions: { ready: true }, nodeName: 'node-1' }],
    });
    expect(made).toMatchObject({
      metadata: { generation: 1 },
      ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
    });
    const patch = { endpoints: [{ addresses: ['10.1.2.4'] }] };
    const changed = await api.ask('PATCH', `${path}/one`, patch, { type: mergeType });
    expect(changed.body).toMatchObject({
      metadata: { generation: 2 },
      endpoints: [{ addresses: ['10.1.2.4'] }],
    });
    const retyped = await api.ask(
      'PATCH',
      `${path}/one`,
      { addressType: 'IPv6', endpoints: [] },
      { type: mergeType },
    );
    expect(retyped.code).toBe(422);
  }),
  base('slices with nonsense are 422', async ({ api, inGroup }) => {
    const path = `${inGroup('discovery.k8s.io', 'v1')}/endpointslices`;
    const slice = (change: JsonObject): JsonObject => ({
      metadata: { name: 'one' },
      addressType: 'IPv4',
      endpoints: [],
      ports: [],
      ...change,
    });
    const wrong = [
      slice({ addressType: 'IPv5' }),
      slice({ endpoints: [{ addresses: ['not an address'] }] }),
      slice({ endpoints: [{ addresses: [] }] }),
      slice({ endpoints: [{ addresses: ['fd00::1'] }] }),
    ];
    for (const body of wrong)
      expect((await api.ask('POST', path, body)).code, JSON.stringify(body)).toBe(422);
  }),
  base('a namespace is Active and labelled with its name', async ({ api, namespace }) => {
    const { body } = await api.get(`/api/v1/namespaces/${namespace}`);
    expect(body).toMatchObject({
      metadata: { labels: { 'kubernetes.io/metadata.name': namespace } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
  }),
  base('the namespaces and the Service of a new cluster are there', async ({ api }) => {
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
      expect((await api.get(`/api/v1/namespaces/${name}`)).code, name).toBe(200);
    }
    const { body } = await api.get('/api/v1/namespaces/default/services/kubernetes');
    expect(body.spec).toMatchObject({
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443 }],
    });
  }),
  base('a Deployment needs a selector that its template matches', async ({ api, inGroup }) => {
    const path = `${inGroup('apps', 'v1')}/deployments`;
    expect((await api.ask('POST', path, deployment('one', { app: 'other' }))).code).toBe(422);
    const made = await api.create(path, deployment('one', { app: 'one' }));
    expect(made).toMatchObject({ metadata: { generation: 1 }, spec: { replicas: 1 } });
    const patch = {
      spec: {
        selector: { matchLabels: { app: 'two' } },
        template: { metadata: { labels: { app: 'two' } } },
      },
    };
    expect((await api.ask('PATCH', `${path}/one`, patch, { type: mergeType })).code).toBe(422);
  }),
  base('a Job gets its defaults and a selector of its own', async ({ api, inGroup }) => {
    const path = `${inGroup('batch', 'v1')}/jobs`;
    const container = { name: 'c', image: 'none' };
    const template = (more: JsonObject): JsonObject => ({
      metadata: { labels: { a: 'b' } },
      spec: { containers: [container], ...more },
    });
    const job = (name: string, spec: JsonObject): JsonObject => ({ metadata: { name }, spec });
    const made = await api.create(
      path,
      job('one', { template: template({ restartPolicy: 'Never' }) }),
    );
    const { uid } = made.metadata as { uid: string };
    const own = {
      'batch.kubernetes.io/controller-uid': uid,
      'batch.kubernetes.io/job-name': 'one',
    };
    expect(made).toMatchObject({
      metadata: { generation: 1, labels: { a: 'b' } },
      spec: {
        backoffLimit: 6,
        completionMode: 'NonIndexed',
        completions: 1,
        parallelism: 1,
        suspend: false,
        selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } },
        template: { metadata: { labels: { a: 'b', ...own } } },
      },
      status: {},
    });
    const patch = { spec: { completions: 3 } };
    expect((await api.ask('PATCH', `${path}/one`, patch, { type: mergeType })).body).toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.completions' }] },
    });
    const always = job('two', { template: template({}) });
    expect((await api.ask('POST', path, always)).body).toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.template.spec.restartPolicy' }] },
    });
    const many = job('three', { parallelism: 2, template: template({ restartPolicy: 'Never' }) });
    expect(((await api.create(path, many)).spec as JsonObject).completions).toBeUndefined();
  }),
  base('a Secret takes stringData and shows data', async ({ api, core }) => {
    const made = await api.create(`${core}/secrets`, {
      metadata: { name: 'one' },
      stringData: { a: 'hello' },
    });
    expect(made).toMatchObject({ type: 'Opaque', data: { a: 'aGVsbG8=' } });
    expect(made.stringData).toBeUndefined();
  }),
  base('keys of ConfigMaps and Secrets are judged', async ({ api, core }) => {
    for (const plural of ['configmaps', 'secrets']) {
      const answer = await api.ask('POST', `${core}/${plural}`, {
        metadata: { name: 'one' },
        data: { 'x/y': 'YQ==' },
      });
      expect(answer.body).toMatchObject({
        code: 422,
        details: { causes: [{ field: 'data[x/y]' }] },
      });
    }
  }),
  base('a Lease is renewed only by who read it last', async ({ api, inGroup }) => {
    const path = `${inGroup('coordination.k8s.io', 'v1')}/leases`;
    const made = await api.create(path, {
      metadata: { name: 'one' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        renewTime: '2026-01-01T00:00:00.000000Z',
      },
    });
    const renewed = { ...made, spec: { ...(made.spec as JsonObject), holderIdentity: 'b' } };
    expect((await api.ask('PUT', `${path}/one`, renewed)).code).toBe(200);
    expect((await api.ask('PUT', `${path}/one`, renewed)).code).toBe(409);
  }),
  base('an event is read in both of its spellings', async ({ api, core, inGroup, namespace }) => {
    await api.create(`${inGroup('events.k8s.io', 'v1')}/events`, {
      metadata: { name: 'one' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'weft.dev/controller',
      reportingInstance: 'pod-1',
      action: 'Checked',
      reason: 'Tested',
      type: 'Warning',
      note: 'it works',
      regarding: { kind: 'Service', apiVersion: 'v1', name: 'web', namespace },
    });
    const { body } = await api.get(`${core}/events/one`);
    expect(body).toMatchObject({
      kind: 'Event',
      apiVersion: 'v1',
      message: 'it works',
      involvedObject: { kind: 'Service', name: 'web' },
      reportingComponent: 'weft.dev/controller',
    });
    const other = await api.get(`${inGroup('events.k8s.io', 'v1')}/events/one`);
    expect(other.body).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      note: 'it works',
      regarding: { name: 'web' },
    });
  }),
  base('reviews are answered and not stored', async ({ api, namespace }) => {
    const spec = { resourceAttributes: { verb: 'list', resource: 'services', namespace } };
    const { code, body } = await api.ask(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      { spec },
    );
    expect(code).toBe(201);
    expect(body).toMatchObject({
      kind: 'SelfSubjectAccessReview',
      status: { allowed: true },
      spec,
    });
  }),
];
