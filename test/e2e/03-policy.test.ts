// Who may call: policy per namespace, one namespace at a time, from counting to refusing; callers
// on every node, an allowed and a strange one, and one that does not use the mesh at all.
import { beforeAll, describe, expect, test } from 'vitest';
import { call, get, outcome, type From } from './support/calls.ts';
import { allRolledOut, nodeNames } from './support/cluster.ts';
import { apply, kubectl, type Json } from './support/kubectl.ts';
import { metricSum } from './support/metrics.ts';
import {
  client,
  namespaceWithPrograms,
  server,
  service,
  serviceAccount,
} from './support/objects.ts';
import { apiUrl, callers } from './support/shop.ts';
import { until } from './support/until.ts';

const stranger: From = { namespace: 'depot', client: 'stranger' };
const stockUrl = 'http://stock.depot.mesh/';
const post = [{ url: apiUrl, method: 'POST' }];

async function setPolicy(namespace: string, policy: string): Promise<void> {
  await kubectl(['annotate', '--overwrite', 'namespace', namespace, `weft.dev/policy=${policy}`]);
}

/** What each of these callers gets for a GET, until all get this. */
async function untilAll(from: readonly From[], url: string, wanted: string): Promise<void> {
  await until(`${url}: ${wanted} for everybody`, async () => {
    const got = await Promise.all(from.map((one) => get(one, url)));
    return got.every((answer) => outcome(answer) === wanted) ? true : undefined;
  });
}

const access = 'access.smi-spec.io/v1alpha3';

/** Identity web/caller may GET the API, in both versions. */
function permission(version: string): Json {
  return {
    apiVersion: access,
    kind: 'TrafficTarget',
    metadata: { namespace: 'shop', name: version },
    spec: {
      destination: { kind: 'ServiceAccount', name: version, namespace: 'shop' },
      rules: [{ kind: 'HTTPRouteGroup', name: 'api', matches: ['read'] }],
      sources: [{ kind: 'ServiceAccount', name: 'caller', namespace: 'web' }],
    },
  };
}

const routes: Json = {
  apiVersion: 'specs.smi-spec.io/v1alpha4',
  kind: 'HTTPRouteGroup',
  metadata: { namespace: 'shop', name: 'api' },
  spec: { matches: [{ name: 'read', pathRegex: '/.*', methods: ['GET'] }] },
};

let allowed: readonly From[];

beforeAll(async () => {
  allowed = await callers();
  const [node = ''] = await nodeNames();
  await apply(namespaceWithPrograms('depot'));
  await apply([
    serviceAccount('depot', 'stranger'),
    client({ ...stranger, name: 'stranger', serviceAccount: 'stranger', nodeName: node }),
    server({ namespace: 'depot', name: 'stock' }),
    service('depot', 'stock', { app: 'stock' }),
  ]);
  await allRolledOut('depot');
});

describe('policy', () => {
  test('audit: everybody is served, and what nobody allowed is counted', async () => {
    await untilAll([...allowed, stranger], apiUrl, '200');
    const denials = { action: 'audit_deny', destination_namespace: 'shop' };
    const before = await metricSum('weft_policy_decisions_total', denials);
    await setPolicy('shop', 'audit');
    await until('would-be denials are counted', async () => {
      expect(outcome(await get(stranger, apiUrl))).toBe('200');
      const now = await metricSum('weft_policy_decisions_total', denials);
      return now > before ? true : undefined;
    });
    await untilAll(allowed, apiUrl, '200');
  });

  test('enforce: nobody is served without a permission, on no node; others go on', async () => {
    await setPolicy('shop', 'enforce');
    await untilAll([...allowed, stranger], apiUrl, '403 SourceNotAllowed');
    const { body } = await get(stranger, apiUrl);
    expect(body).toContain('weft explain');
    expect(outcome(await get(stranger, stockUrl))).toBe('200');
    for (const from of allowed) expect(outcome(await get(from, stockUrl))).toBe('200');
  });

  test('a caller that does not use the mesh is served as before', async () => {
    for (const from of [...allowed, stranger]) {
      expect(outcome(await get(from, 'http://api.shop/'))).toBe('200');
    }
  });

  test('a permission opens what it names to whom it names, on every node', async () => {
    await apply([routes, permission('api-v1'), permission('api-v2')]);
    await untilAll(allowed, apiUrl, '200');
    for (const from of allowed) {
      const several = await call(from, [{ url: apiUrl, times: 6 }, ...post]);
      expect(several.map(outcome)).toEqual([
        ...Array.from({ length: 6 }, () => '200'),
        '403 RouteNotAllowed',
      ]);
    }
    expect(outcome(await get(stranger, apiUrl))).toBe('403 SourceNotAllowed');
  });

  test('headers say nothing about who is calling', async () => {
    const [from = stranger] = allowed;
    const address = ['-n', from.namespace, 'get', 'pods', '-l', `app=${from.client}`];
    const ip = await kubectl([...address, '-o', 'jsonpath={.items[0].status.podIP}']);
    const headers = {
      'x-forwarded-for': ip,
      forwarded: `for=${ip}`,
      'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/web/sa/caller',
    };
    const [answer] = await call(stranger, [{ url: apiUrl, headers }]);
    expect(answer && outcome(answer)).toBe('403 SourceNotAllowed');
  });

  test('a permission that is taken away closes at once what it had opened', async () => {
    const gone = ['delete', 'traffictargets.access.smi-spec.io', 'api-v1', 'api-v2'];
    await kubectl(['-n', 'shop', ...gone]);
    await untilAll(allowed, apiUrl, '403 SourceNotAllowed');
    await kubectl(['-n', 'shop', 'delete', 'httproutegroups.specs.smi-spec.io', 'api']);
    await kubectl(['annotate', 'namespace', 'shop', 'weft.dev/policy-']);
    await untilAll([...allowed, stranger], apiUrl, '200');
  });
});
