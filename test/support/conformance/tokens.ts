// Conformance: tokens of ServiceAccounts that are bound to a pod, and what the server stamps by
// them on a CertificateSigningRequest: the identity of nodes' proxies stands on these claims.
import { expect } from 'vitest';
import { until } from '../../kube/support/until.ts';
import { mergeType, type JsonObject } from './api-client.ts';
import { signingRequest, signingRequestsPath } from './requests.ts';
import type { ApiCase, CaseContext } from './suite.ts';
import { anyText } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

type Scene = {
  readonly node: JsonObject;
  readonly account: JsonObject;
  readonly pod: JsonObject;
  readonly tokenPath: string;
};

function uidOf(object: JsonObject): string {
  return (object.metadata as { uid: string }).uid;
}

/** A node, an account and a pod of it on that node. */
async function scene({ api, core, namespace }: CaseContext): Promise<Scene> {
  const nodeName = `node-${namespace}`;
  const node = await api.create('/api/v1/nodes', { metadata: { name: nodeName } });
  const account = await api.create(`${core}/serviceaccounts`, { metadata: { name: 'agent' } });
  const pod = await api.create(`${core}/pods`, {
    metadata: { name: 'agent-1' },
    spec: { nodeName, serviceAccountName: 'agent', containers: [{ name: 'c', image: 'none' }] },
  });
  return { node, account, pod, tokenPath: `${core}/serviceaccounts/agent/token` };
}

function boundTo(pod: JsonObject): JsonObject {
  const reference = { kind: 'Pod', apiVersion: 'v1', name: 'agent-1', uid: uidOf(pod) };
  return { spec: { boundObjectRef: reference, expirationSeconds: 3600 } };
}

async function tokenOf({ api }: CaseContext, { tokenPath, pod }: Scene): Promise<string> {
  const made = await api.create(tokenPath, boundTo(pod));
  return (made.status as { token: string }).token;
}

/** What a token of the scene's pod says. */
function claimsOf(namespace: string, { node, pod }: Scene): JsonObject {
  const prefix = 'authentication.kubernetes.io';
  return {
    [`${prefix}/credential-id`]: [anyText],
    [`${prefix}/node-name`]: [`node-${namespace}`],
    [`${prefix}/node-uid`]: [uidOf(node)],
    [`${prefix}/pod-name`]: ['agent-1'],
    [`${prefix}/pod-uid`]: [uidOf(pod)],
  };
}

/** A real server has RBAC, the embedded one has not: there everybody may. */
async function allowRequests({ api, namespace }: CaseContext): Promise<void> {
  if (api.isEmbedded) return;
  const root = '/apis/rbac.authorization.k8s.io/v1';
  await api.create(`${root}/clusterroles`, {
    metadata: { name: namespace },
    rules: [
      {
        apiGroups: ['certificates.k8s.io'],
        resources: ['certificatesigningrequests'],
        verbs: ['create', 'get', 'patch', 'update'],
      },
    ],
  });
  await api.create(`${root}/clusterrolebindings`, {
    metadata: { name: namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: namespace },
    subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace }],
  });
}

export const tokenCases: readonly ApiCase[] = [
  base('a token says the account, the pod and the node', async (context) => {
    const { api, namespace } = context;
    const made = await scene(context);
    const token = await tokenOf(context, made);
    const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const { body } = await api.ask('POST', reviews, {}, { token });
    expect((body.status as JsonObject).userInfo).toEqual({
      username: `system:serviceaccount:${namespace}:agent`,
      uid: uidOf(made.account),
      groups: [
        'system:serviceaccounts',
        `system:serviceaccounts:${namespace}`,
        'system:authenticated',
      ],
      extra: claimsOf(namespace, made),
    });
  }),
  base('the answer names the account, the life and what it is bound to', async (context) => {
    const { account, pod, tokenPath } = await scene(context);
    const made = await context.api.create(tokenPath, boundTo(pod));
    expect(made).toMatchObject({
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name: 'agent', namespace: context.namespace, uid: uidOf(account) },
      spec: {
        audiences: ['https://kubernetes.default.svc.cluster.local'],
        expirationSeconds: 3600,
        boundObjectRef: { kind: 'Pod', name: 'agent-1', uid: uidOf(pod) },
      },
      status: { token: anyText, expirationTimestamp: anyText },
    });
    const unbound = await context.api.create(tokenPath, {});
    expect(unbound.spec).toMatchObject({ expirationSeconds: 3600, boundObjectRef: null });
  }),
  base('a certificate request carries the claims of the token that made it', async (context) => {
    const { api, namespace } = context;
    const made = await scene(context);
    await allowRequests(context);
    const token = await tokenOf(context, made);
    const forged = {
      username: 'system:serviceaccount:kube-system:other',
      extra: { 'authentication.kubernetes.io/node-name': ['elsewhere'] },
    };
    const request = signingRequest(namespace, forged);
    const answer = await api.ask('POST', signingRequestsPath, request, { token });
    expect(answer.code).toBe(201);
    const stamped = {
      username: `system:serviceaccount:${namespace}:agent`,
      uid: uidOf(made.account),
      extra: claimsOf(namespace, made),
    };
    expect(answer.body.spec).toMatchObject(stamped);
    // Nobody changes it later: neither who asked nor an administrator.
    const path = `${signingRequestsPath}/${namespace}`;
    for (const options of [{ type: mergeType, token }, { type: mergeType }]) {
      await api.ask('PATCH', path, { spec: forged }, options);
      expect((await api.get(path)).body.spec).toMatchObject(stamped);
    }
  }),
  base('a token is bound to a pod of that account only', async (context) => {
    const { api, core } = context;
    const { pod, tokenPath } = await scene(context);
    await api.create(`${core}/serviceaccounts`, { metadata: { name: 'other' } });
    const ask = (path: string, spec: JsonObject) => api.ask('POST', path, { spec });
    const reference = { kind: 'Pod', apiVersion: 'v1', name: 'agent-1' };
    const wrong: readonly (readonly [string, JsonObject, number])[] = [
      [`${core}/serviceaccounts/other/token`, { boundObjectRef: reference }, 400],
      [`${core}/serviceaccounts/nobody/token`, {}, 404],
      [tokenPath, { boundObjectRef: { ...reference, name: 'none' } }, 404],
      [tokenPath, { boundObjectRef: { ...reference, uid: uidOf(pod).replace(/./, 'x') } }, 409],
      [tokenPath, { boundObjectRef: { ...reference, kind: 'ConfigMap' } }, 400],
      [tokenPath, { expirationSeconds: 599 }, 422],
    ];
    for (const [path, spec, code] of wrong) {
      expect((await ask(path, spec)).code, JSON.stringify(spec)).toBe(code);
    }
    expect((await api.get(tokenPath)).code).toBe(405);
  }),
  base('a token of a pod that is gone is refused', async (context) => {
    const { api, core } = context;
    const made = await scene(context);
    const token = await tokenOf(context, made);
    await api.ask('DELETE', `${core}/pods/agent-1?gracePeriodSeconds=0`);
    // A real server hears of the deletion a moment later, and believes a token for ten seconds
    // after it has checked it: one that came too early is refused when these are over.
    await until('the token is refused', async () => {
      return (await api.get('/version', { token })).code === 401;
    });
  }),
];
