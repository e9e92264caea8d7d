// Conformance: CertificateSigningRequests – who asked is stamped by the server, approval and status
// are written apart, a decision and a certificate are for good. Signing itself is a controller's
// work and not asked of the server.
import { expect } from 'vitest';
import { mergeType, type Json, type JsonObject } from './api-client.ts';
import { certificateOne, certificateTwo } from './certificates.ts';
import type { ApiCase, CaseContext } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

export const signingRequestsPath =
  '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const path = signingRequestsPath;

/** P-256, empty subject, one SPIFFE id; made with openssl, whose key is thrown away. */
const pem = `-----BEGIN CERTIFICATE REQUEST-----
MIIBADCBpwIBADAAMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8oN2jAz65w/W
meBctmkJIBsxIxTVX3XST9jbLYMaQZ2VIDn5zBOoxQ4U4EzZZNUuHlSx2bI0+AHA
uTNPyvGuf6BFMEMGCSqGSIb3DQEJDjE2MDQwMgYDVR0RBCswKYYnc3BpZmZlOi8v
Y2x1c3Rlci5sb2NhbC9ucy9zaG9wL3NhL2Zyb250MAoGCCqGSM49BAMCA0gAMEUC
IEQUHwdVYzix/bg2N7eeG0BlPT2hig3bKKr3va0grNN+AiEApYuEXwkYMpAXi+kZ
y2n/CUyaBz0iULOnvSEqHPawuV0=
-----END CERTIFICATE REQUEST-----
`;

export function signingRequest(name: string, change: JsonObject = {}): JsonObject {
  return {
    metadata: { name },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: 'weft.dev/workload',
      usages: ['digital signature', 'client auth', 'server auth'],
      ...change,
    },
  };
}

async function change(
  { api, namespace }: CaseContext,
  part: string,
  status: JsonObject,
): Promise<JsonObject> {
  const target = `${path}/${namespace}/${part}`;
  const answer = await api.ask('PATCH', target, { status }, { type: mergeType });
  expect(answer.code).toBe(200);
  return answer.body;
}

/** The message of a refusal; fails the test when it is none, or no 422. */
async function refusedChange(
  { api, namespace }: CaseContext,
  part: string,
  status: JsonObject,
): Promise<string> {
  const target = `${path}/${namespace}/${part}`;
  const answer = await api.ask('PATCH', target, { status }, { type: mergeType });
  expect(answer.code, JSON.stringify(status)).toBe(422);
  return String(answer.body.message);
}

/** What the status is now. */
async function statusOf({ api, namespace }: CaseContext): Promise<JsonObject> {
  return (await api.get(`${path}/${namespace}`)).body.status as JsonObject;
}

function conditionsOf(status: Json | undefined): readonly JsonObject[] {
  return (status as { conditions: JsonObject[] }).conditions;
}

/** Two certificates of nobody, as a signer would write them. */
const certificates = [certificateOne, certificateTwo].map((text) =>
  Buffer.from(text).toString('base64'),
);

const approved = { type: 'Approved', status: 'True', reason: 'Checked', message: 'fine' };
const denied = { type: 'Denied', status: 'True', reason: 'Checked', message: 'not fine' };
const failed = { type: 'Failed', status: 'True', reason: 'Tried', message: 'no' };

export const requestCases: readonly ApiCase[] = [
  base('the server stamps who asks, whatever the client claims', async ({ api, namespace }) => {
    const claim = {
      username: 'somebody',
      uid: '7',
      groups: ['system:masters'],
      extra: { a: ['b'] },
    };
    const made = await api.create(path, signingRequest(namespace, claim));
    const spec = made.spec as JsonObject;
    const me = (await api.ask('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}))
      .body;
    const { userInfo } = me.status as { userInfo: { username: string; groups: string[] } };
    expect(spec.username).toBe(userInfo.username);
    expect(spec.username).not.toBe('somebody');
    expect(spec.groups).toEqual(userInfo.groups);
    expect((spec.extra as JsonObject | undefined)?.a).toBeUndefined();
    expect(made.status).toEqual({});
  }),
  base('approval is written through its subresource alone', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    const condition = { conditions: [approved] };
    await api.ask('PATCH', `${path}/${namespace}`, { status: condition }, { type: mergeType });
    expect((await api.get(`${path}/${namespace}`)).body.status).toEqual({});
    const { status } = await change(context, 'approval', condition);
    expect(status).toMatchObject({ conditions: [approved] });
    const [stamped] = (status as { conditions: JsonObject[] }).conditions;
    expect(stamped?.lastUpdateTime).toMatch(/^\d{4}-/);
    expect(stamped?.lastTransitionTime).toMatch(/^\d{4}-/);
  }),
  base('the certificate is written through status, and approval stays', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    await change(context, 'approval', { conditions: [approved] });
    const { status } = await change(context, 'status', { conditions: [failed, approved] });
    const types = (status as { conditions: { type: string }[] }).conditions.map((one) => one.type);
    expect(types.toSorted()).toEqual(['Approved', 'Failed']);
  }),
  base('who asks cannot bring a decision or a certificate along', async ({ api, namespace }) => {
    const status = { conditions: [approved], certificate: certificates[0] ?? '' };
    const made = await api.create(path, { ...signingRequest(namespace), status });
    expect(made.status).toEqual({});
  }),
  base('approval changes conditions alone: no spec, no certificate', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    const body = {
      spec: { signerName: 'other.dev/x', username: 'other' },
      status: { conditions: [approved], certificate: certificates[0] ?? '' },
    };
    const target = `${path}/${namespace}/approval`;
    const answer = await api.ask('PATCH', target, body, { type: mergeType });
    expect(answer.code).toBe(200);
    expect(answer.body.spec).toMatchObject({ signerName: 'weft.dev/workload' });
    expect((answer.body.spec as JsonObject).username).not.toBe('other');
    expect(answer.body.status).toMatchObject({ conditions: [approved] });
    expect((answer.body.status as JsonObject).certificate).toBeUndefined();
  }),
  base('Approved and Denied exclude each other', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    const exclusive = /Approved and Denied conditions are mutually exclusive/;
    const both = { conditions: [approved, denied] };
    expect(await refusedChange(context, 'approval', both)).toMatch(exclusive);
    await change(context, 'approval', { conditions: [denied] });
    const turned = { conditions: [denied, approved] };
    expect(await refusedChange(context, 'approval', turned)).toMatch(exclusive);
    expect(conditionsOf(await statusOf(context))).toMatchObject([denied]);
  }),
  base('a decision is not taken back, by nobody', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    await change(context, 'approval', { conditions: [approved] });
    const kept = /updates may not remove a condition of type "Approved"/;
    for (const part of ['approval', 'status']) {
      expect(await refusedChange(context, part, { conditions: [] })).toMatch(kept);
    }
    const swapped = await refusedChange(context, 'approval', { conditions: [denied] });
    expect(swapped).toMatch(kept);
    const reworded = { ...approved, message: 'better' };
    await change(context, 'approval', { conditions: [reworded] });
    await change(context, 'status', { conditions: [{ ...approved, message: 'worse' }] });
    expect(conditionsOf(await statusOf(context))).toMatchObject([reworded]);
  }),
  base('status decides nothing', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    for (const condition of [approved, denied]) {
      const why = await refusedChange(context, 'status', { conditions: [condition] });
      expect(why).toContain(`updates may not add a condition of type "${condition.type}"`);
    }
    await change(context, 'status', { conditions: [failed] });
    const gone = await refusedChange(context, 'status', { conditions: [] });
    expect(gone).toContain('updates may not remove a condition of type "Failed"');
  }),
  base('a certificate is written once', async (context) => {
    const { api, namespace } = context;
    const [first = '', second = ''] = certificates;
    await api.create(path, signingRequest(namespace));
    const noise = { certificate: Buffer.from('nonsense').toString('base64') };
    expect(await refusedChange(context, 'status', noise)).toContain('CERTIFICATE PEM block');
    await change(context, 'approval', { conditions: [approved] });
    const { status } = await change(context, 'status', { certificate: first });
    expect(status).toMatchObject({ conditions: [approved], certificate: first });
    await change(context, 'status', { certificate: first });
    const kept = 'updates may not modify existing certificate content';
    for (const next of [second, null]) {
      expect(await refusedChange(context, 'status', { certificate: next })).toContain(kept);
    }
    await change(context, 'approval', { certificate: null });
    expect(await statusOf(context)).toMatchObject({ certificate: first });
  }),
  base('a decision is True, has a type, and stands once', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    const wrong: readonly (readonly [JsonObject[], string])[] = [
      [[{ ...approved, status: 'False' }], 'Unsupported value: "False": supported values: "True"'],
      [[{ ...failed, status: 'Unknown' }], 'Unsupported value: "Unknown"'],
      [[{ type: 'Other', status: 'maybe' }], 'Unsupported value: "maybe"'],
      [[{ type: 'Approved' }], 'status.conditions[0].status: Required value'],
      [[{ status: 'True' }], 'status.conditions[0].type: Required value'],
      [[denied, denied], 'status.conditions[1].type: Duplicate value: "Denied"'],
    ];
    for (const [conditions, why] of wrong) {
      expect(await refusedChange(context, 'approval', { conditions })).toContain(why);
    }
  }),
  base('a condition keeps the time of its status', async (context) => {
    const { api, namespace } = context;
    await api.create(path, signingRequest(namespace));
    const lastTransitionTime = '2020-01-01T00:00:00Z';
    await change(context, 'approval', { conditions: [{ ...approved, lastTransitionTime }] });
    const { status } = await change(context, 'approval', { conditions: [approved] });
    const [condition] = conditionsOf(status);
    expect(condition).toMatchObject({ lastTransitionTime });
    expect(condition?.lastUpdateTime).not.toBe(lastTransitionTime);
  }),
  base('the spec does not change', async ({ api, namespace }) => {
    await api.create(path, signingRequest(namespace));
    const patch = { spec: { username: 'other', signerName: 'weft.dev/other' } };
    const answer = await api.ask('PATCH', `${path}/${namespace}`, patch, { type: mergeType });
    const now = (await api.get(`${path}/${namespace}`)).body.spec as JsonObject;
    expect([200, 422]).toContain(answer.code);
    expect(now).toMatchObject({ signerName: 'weft.dev/workload' });
    expect(now.username).not.toBe('other');
  }),
  base('requests are selected by their signer', async ({ api, namespace }) => {
    await api.create(path, signingRequest(namespace, { signerName: `${namespace}.dev/x` }));
    const { body } = await api.get(`${path}?fieldSelector=spec.signerName%3D${namespace}.dev/x`);
    expect(body.items).toHaveLength(1);
  }),
  base('what is no request, or names no signer or usage, is 422', async ({ api, namespace }) => {
    const wrong = [
      { request: Buffer.from('nonsense').toString('base64') },
      { signerName: 'nodomain' },
      { usages: [] },
      { usages: ['nonsense'] },
      { usages: ['client auth', 'client auth'] },
      { signerName: 'a/b' },
      { signerName: 'kubernetes.io/legacy-unknown' },
      { expirationSeconds: 599 },
    ];
    for (const spec of wrong) {
      const answer = await api.ask('POST', path, signingRequest(namespace, spec));
      expect(answer.code, JSON.stringify(spec)).toBe(422);
    }
  }),
];
