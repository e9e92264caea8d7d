// Conformance: CertificateSigningRequests – who asked is stamped by the server, approval and status
// are written apart. Signing itself is a controller's work and not asked of the server.
import { expect } from 'vitest';
import { mergeType, type JsonObject } from './api-client.ts';
import type { ApiCase, CaseContext } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

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

function signingRequest(name: string, change: JsonObject = {}): JsonObject {
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

const approved = { type: 'Approved', status: 'True', reason: 'Checked', message: 'fine' };

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
    const failed = { type: 'Failed', status: 'True', reason: 'Tried', message: 'no' };
    const { status } = await change(context, 'status', { conditions: [failed, approved] });
    const types = (status as { conditions: { type: string }[] }).conditions.map((one) => one.type);
    expect(types.toSorted()).toEqual(['Approved', 'Failed']);
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
    ];
    for (const spec of wrong) {
      const answer = await api.ask('POST', path, signingRequest(namespace, spec));
      expect(answer.code, JSON.stringify(spec)).toBe(422);
    }
  }),
];
