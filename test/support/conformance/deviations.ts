// Where the embedded API server differs from a real one on purpose. Each deviation has a name, a
// reason, and a case that asserts what *both* do, so that the list cannot grow stale.
import { expect } from 'vitest';
import { mergeType, type JsonObject } from './api-client.ts';
import { configMap, type ApiCase, type CaseContext } from './suite.ts';

export type Deviation = {
  readonly name: string;
  readonly why: string;
  readonly run: (context: CaseContext) => Promise<void>;
};

export const deviations: readonly Deviation[] = [
  {
    name: 'loopback addresses in EndpointSlices',
    why: 'pods of the simulator live on 127.0.0.0/8; a real server refuses such endpoints',
    run: async ({ api, inGroup }) => {
      const slice = {
        metadata: { name: 'one' },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['127.1.1.2'] }],
        ports: [],
      };
      const answer = await api.ask(
        'POST',
        `${inGroup('discovery.k8s.io', 'v1')}/endpointslices`,
        slice,
      );
      expect(answer.code).toBe(api.isEmbedded ? 201 : 422);
    },
  },
  {
    name: 'a deleted namespace is empty and gone at once',
    why: 'no controller manager empties it; a real server leaves it Terminating until one does',
    run: async ({ api, core, namespace }) => {
      await api.create(`${core}/configmaps`, configMap('one'));
      expect((await api.ask('DELETE', `/api/v1/namespaces/${namespace}`)).code).toBe(200);
      const after = await api.get(`/api/v1/namespaces/${namespace}`);
      if (api.isEmbedded) expect(after.code).toBe(404);
      else expect(after.body).toMatchObject({ status: { phase: 'Terminating' } });
      expect((await api.get(`${core}/configmaps/one`)).code).toBe(api.isEmbedded ? 404 : 200);
    },
  },
  {
    name: 'owned objects go with their owner at once',
    why: 'there is no garbage collector; a real server leaves that to the controller manager',
    run: async ({ api, core }) => {
      const owner = await api.create(`${core}/configmaps`, configMap('owner'));
      const { uid } = owner.metadata as { uid: string };
      const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
      await api.create(`${core}/configmaps`, { metadata: { name: 'owned', ownerReferences } });
      await api.ask('DELETE', `${core}/configmaps/owner`);
      expect((await api.get(`${core}/configmaps/owned`)).code).toBe(api.isEmbedded ? 404 : 200);
    },
  },
  {
    name: 'no authorisation',
    why: 'who has a token may do everything: RBAC is not played',
    run: async ({ api }) => {
      const { code } = await api.get('/apis/rbac.authorization.k8s.io/v1/clusterroles');
      expect(code).toBe(api.isEmbedded ? 404 : 200);
    },
  },
  {
    name: 'no admission',
    why: 'neither plug-ins (here: default tolerations) nor webhooks are played',
    run: async ({ api, core }) => {
      const { code } = await api.get(
        '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      );
      expect(code).toBe(api.isEmbedded ? 404 : 200);
      const pod = await api.create(`${core}/pods`, {
        metadata: { name: 'one' },
        spec: { containers: [{ name: 'c', image: 'none' }] },
      });
      expect((pod.spec as JsonObject).tolerations === undefined).toBe(api.isEmbedded);
    },
  },
  {
    name: 'no aggregated discovery',
    why: 'clients that ask for it take the plain lists, one request per group and version',
    run: async ({ api }) => {
      const accept =
        'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
      const { body } = await api.get('/apis', { accept });
      expect(body.kind).toBe(api.isEmbedded ? 'APIGroupList' : 'APIGroupDiscoveryList');
    },
  },
  {
    name: 'OpenAPI v2 without definitions',
    why: 'kubectl checks a `kind: List` by it before it sends anything; here each item is judged',
    run: async ({ api }) => {
      const { body } = await api.get('/openapi/v2');
      const hasDefinitions = Object.keys(body.definitions as JsonObject).length > 0;
      expect(hasDefinitions).toBe(!api.isEmbedded);
    },
  },
  {
    name: 'pods have no log, exec, attach, port-forward or eviction',
    why: 'there is no kubelet to ask, and nothing that drains; a real server knows these paths',
    run: async ({ api, core }) => {
      await api.create(`${core}/pods`, {
        metadata: { name: 'one' },
        spec: { containers: [{ name: 'c', image: 'none' }] },
      });
      for (const part of ['log', 'exec?command=date', 'attach', 'portforward']) {
        const { code, body } = await api.get(`${core}/pods/one/${part}`);
        expect(code === 404, part).toBe(api.isEmbedded);
        if (api.isEmbedded) expect(body.message, part).toContain('could not find the requested');
      }
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'one' } };
      const { code } = await api.ask('POST', `${core}/pods/one/eviction`, eviction);
      expect(code).toBe(api.isEmbedded ? 404 : 201);
    },
  },
  {
    name: 'pods on loopback addresses are proxied to, by GET alone',
    why: 'the demo lives there; a real server refuses such addresses and forwards every method',
    run: async ({ api, core }) => {
      const path = `${core}/pods/one`;
      await api.create(`${core}/pods`, {
        metadata: { name: 'one' },
        spec: { nodeName: 'none', containers: [{ name: 'c', image: 'none' }] },
      });
      const before = await api.get(`${path}:1/proxy/version`);
      expect(before.code).toBe(400);
      const status = { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }], phase: 'Running' };
      await api.ask('PATCH', `${path}/status`, { status }, { type: mergeType });
      const { code, body } = await api.get(`${path}:1/proxy/version`);
      expect(code).toBe(api.isEmbedded ? 503 : 400);
      const told = api.isEmbedded ? 'error trying to reach service' : 'address not allowed';
      expect(body.message).toContain(told);
      expect((await api.get(`${core}/pods/none:1/proxy/`)).code).toBe(404);
    },
  },
  {
    name: 'Update entries of managedFields have no `.`',
    why: 'who owns a map as such matters only to an apply that empties it',
    run: async ({ api, core }) => {
      const made = await api.create(`${core}/configmaps`, {
        metadata: { name: 'one', labels: { a: 'b' } },
      });
      const { managedFields } = made.metadata as { managedFields: JsonObject[] };
      expect(managedFields).toMatchObject([
        { operation: 'Update', fieldsV1: { 'f:metadata': { 'f:labels': { 'f:a': {} } } } },
      ]);
      expect(JSON.stringify(managedFields).includes('".":{}')).toBe(!api.isEmbedded);
    },
  },
  {
    name: 'partial schemas of built-in kinds',
    why: 'rare corners of a pod (here: lifecycle) are taken as they are',
    run: async ({ api, core }) => {
      const container: JsonObject = { name: 'c', image: 'none', lifecycle: { postStrat: {} } };
      const pod = { metadata: { name: 'one' }, spec: { containers: [container] } };
      const answer = await api.ask('POST', `${core}/pods?fieldValidation=Strict`, pod);
      expect(answer.code).toBe(api.isEmbedded ? 201 : 400);
    },
  },
  {
    name: 'CEL rules are not evaluated',
    why: 'definitions with x-kubernetes-validations are accepted, the rules are not run',
    run: async ({ api, namespace, inGroup }) => {
      const group = `${namespace}.weft.dev`;
      const rule = { rule: 'self.a < self.b', message: 'a must be less than b' };
      const number = { type: 'integer' };
      const spec = {
        type: 'object',
        properties: { a: number, b: number },
        required: ['a', 'b'],
        'x-kubernetes-validations': [rule],
      };
      const schema = { openAPIV3Schema: { type: 'object', properties: { spec } } };
      await api.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
        metadata: { name: `pairs.${group}` },
        spec: {
          group,
          scope: 'Namespaced',
          names: { plural: 'pairs', kind: 'Pair' },
          versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
      });
      const path = `${inGroup(group, 'v1')}/pairs`;
      for (let tries = 0; tries < 500 && (await api.get(path)).code !== 200; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const pair = {
        apiVersion: `${group}/v1`,
        kind: 'Pair',
        metadata: { name: 'one' },
        spec: { a: 2, b: 1 },
      };
      expect((await api.ask('POST', path, pair)).code).toBe(api.isEmbedded ? 201 : 422);
    },
  },
  {
    name: 'PUT creates no object',
    why: 'a real server lets PUT create some kinds (Lease, Service); nothing here needs it',
    run: async ({ api, inGroup }) => {
      const lease = { metadata: { name: 'one' }, spec: { holderIdentity: 'a' } };
      const answer = await api.ask(
        'PUT',
        `${inGroup('coordination.k8s.io', 'v1')}/leases/one`,
        lease,
      );
      expect(answer.code).toBe(api.isEmbedded ? 404 : 201);
    },
  },
  {
    name: 'deployments have fewer defaults',
    why: 'strategy, revisionHistoryLimit and the like: the simulator reads none of them',
    run: async ({ api, inGroup }) => {
      const made = await api.create(`${inGroup('apps', 'v1')}/deployments`, {
        metadata: { name: 'one' },
        spec: {
          selector: { matchLabels: { app: 'one' } },
          template: {
            metadata: { labels: { app: 'one' } },
            spec: { containers: [{ name: 'c', image: 'none' }] },
          },
        },
      });
      expect((made.spec as JsonObject).strategy === undefined).toBe(api.isEmbedded);
      const same = await api.ask(
        'PATCH',
        `${inGroup('apps', 'v1')}/deployments/one`,
        { spec: { replicas: 1 } },
        { type: mergeType },
      );
      expect(same.code).toBe(200);
    },
  },
];

export const deviationCases: readonly ApiCase[] = deviations.map((one) => ({
  title: `${one.name}: ${one.why}`,
  run: one.run,
}));
