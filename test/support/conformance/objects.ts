// Conformance: creating, reading, replacing and deleting objects, and the refusals on the way.
// Texts are compared where clients or people match on them.
import { expect } from 'vitest';
import { mergeType } from './api-client.ts';
import {
  configMap,
  service,
  widget,
  widgetGroup,
  type ApiCase,
  anyText,
  textLike,
} from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

export const objectCases: readonly ApiCase[] = [
  base(
    'a created object gets uid, resourceVersion, creationTimestamp and its namespace',
    async ({ api, core, namespace }) => {
      const made = await api.create(`${core}/configmaps`, configMap('one', { a: 'b' }));
      expect(made).toMatchObject({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { a: 'b' },
        metadata: { name: 'one', namespace },
      });
      expect(made.metadata).toMatchObject({
        uid: textLike(/^[0-9a-f-]{36}$/),
        resourceVersion: textLike(/^\d+$/),
        creationTimestamp: textLike(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      });
      expect((await api.get(`${core}/configmaps/one`)).body.metadata).toEqual(made.metadata);
    },
  ),
  base('generateName adds five characters', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, { metadata: { generateName: 'some-' } });
    expect(made.metadata).toMatchObject({ name: textLike(/^some-[a-z0-9]{5}$/) });
  }),
  base('what exists cannot be created again', async ({ api, core }) => {
    await api.create(`${core}/configmaps`, configMap('one'));
    const again = await api.ask('POST', `${core}/configmaps`, configMap('one'));
    expect(again).toMatchObject({
      code: 409,
      body: {
        kind: 'Status',
        status: 'Failure',
        reason: 'AlreadyExists',
        code: 409,
        message: 'configmaps "one" already exists',
        details: { name: 'one', kind: 'configmaps' },
      },
    });
  }),
  base('what is not there is 404, with group in the text', async ({ api, core, inGroup }) => {
    expect((await api.get(`${core}/services/none`)).body).toMatchObject({
      code: 404,
      reason: 'NotFound',
      message: 'services "none" not found',
    });
    expect((await api.get(`${inGroup(widgetGroup, 'v1')}/widgets/none`)).body).toMatchObject({
      code: 404,
      message: `widgets.${widgetGroup} "none" not found`,
      details: { name: 'none', group: widgetGroup, kind: 'widgets' },
    });
  }),
  base('a kind, version or path that is not served is 404', async ({ api, core }) => {
    for (const path of [
      `${core}/things`,
      '/apis/none.dev/v1/things',
      '/api/v2/pods',
      `/apis/${widgetGroup}/v9/widgets`,
    ]) {
      expect((await api.get(path)).code, path).toBe(404);
    }
  }),
  base('creating in a namespace that does not exist is 404 of the namespace', async ({ api }) => {
    const answer = await api.ask('POST', '/api/v1/namespaces/nowhere/configmaps', configMap('one'));
    expect(answer.body).toMatchObject({ code: 404, message: 'namespaces "nowhere" not found' });
  }),
  base('a body of another namespace, kind or version is 400', async ({ api, core }) => {
    const elsewhere = { ...configMap('one'), metadata: { name: 'one', namespace: 'other' } };
    const wrong = [elsewhere, service('one'), { ...configMap('one'), apiVersion: 'v2' }];
    for (const body of wrong) {
      const answer = await api.ask('POST', `${core}/configmaps`, body);
      expect(answer.body).toMatchObject({ code: 400, reason: 'BadRequest' });
    }
  }),
  base('a body that is no JSON is 400', async ({ api, core }) => {
    const answer = await api.ask('POST', `${core}/configmaps`, undefined, { raw: '{"metadata":' });
    expect(answer.code).toBe(400);
  }),
  base('names, labels and annotations are judged', async ({ api, core }) => {
    const named = await api.ask('POST', `${core}/configmaps`, configMap('Not_A_Name'));
    expect(named.body).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(named.body.details).toMatchObject({
      causes: [{ reason: 'FieldValueInvalid', field: 'metadata.name' }],
    });
    const nameless = await api.ask('POST', `${core}/configmaps`, { metadata: {} });
    expect(nameless.body).toMatchObject({
      code: 422,
      details: { causes: [{ reason: 'FieldValueRequired' }] },
    });
    const labels = { 'a/b/c': 'x', fine: 'not fine' };
    const labelled = await api.ask('POST', `${core}/configmaps`, {
      metadata: { name: 'one', labels },
    });
    expect(labelled.code).toBe(422);
    const annotations = { big: 'x'.repeat(256 * 1024) };
    const annotated = await api.ask('POST', `${core}/configmaps`, {
      metadata: { name: 'one', annotations },
    });
    expect(annotated.body).toMatchObject({
      code: 422,
      details: { causes: [{ reason: 'FieldValueTooLong' }] },
    });
  }),
  base('names that Object.prototype has are names like others', async ({ api, core }) => {
    for (const name of ['constructor', 'tostring', 'valueof']) {
      await api.create(`${core}/services`, service(name));
      expect((await api.get(`${core}/services/${name}`)).code).toBe(200);
    }
  }),
  base('resourceVersion may not be set on creation', async ({ api, core }) => {
    const body = { metadata: { name: 'one', resourceVersion: '5' } };
    expect((await api.ask('POST', `${core}/configmaps`, body)).body).toMatchObject({
      code: 500,
      message: 'resourceVersion should not be set on objects to be created',
    });
  }),
  base(
    'a replacement with the present resourceVersion wins, an older one is a conflict',
    async ({ api, core }) => {
      const made = await api.create(`${core}/configmaps`, configMap('one', { a: '1' }));
      const first = await api.ask('PUT', `${core}/configmaps/one`, { ...made, data: { a: '2' } });
      expect(first).toMatchObject({ code: 200, body: { data: { a: '2' } } });
      const second = await api.ask('PUT', `${core}/configmaps/one`, { ...made, data: { a: '3' } });
      expect(second.body).toMatchObject({
        code: 409,
        reason: 'Conflict',
        message:
          'Operation cannot be fulfilled on configmaps "one": the object has been modified; ' +
          'please apply your changes to the latest version and try again',
      });
    },
  ),
  base(
    'a built-in object may be replaced without resourceVersion, a custom one and a Lease not',
    async ({ api, core, inGroup }) => {
      await api.create(`${core}/configmaps`, configMap('one'));
      expect(
        (await api.ask('PUT', `${core}/configmaps/one`, configMap('one', { a: 'b' }))).code,
      ).toBe(200);
      const widgets = `${inGroup(widgetGroup, 'v1')}/widgets`;
      await api.create(widgets, widget('one', { size: 1 }));
      const refused = await api.ask('PUT', `${widgets}/one`, widget('one', { size: 2 }));
      expect(refused.body).toMatchObject({
        code: 422,
        message:
          `widgets.${widgetGroup} "one" is invalid: metadata.resourceVersion: Invalid value: 0: ` +
          'must be specified for an update',
      });
      const leases = `${inGroup('coordination.k8s.io', 'v1')}/leases`;
      const lease = {
        metadata: { name: 'one' },
        spec: { holderIdentity: 'me', leaseDurationSeconds: 15 },
      };
      await api.create(leases, lease);
      expect((await api.ask('PUT', `${leases}/one`, lease)).code).toBe(422);
    },
  ),
  base('a replacement cannot change what the server keeps', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one'));
    const metadata = { name: 'one', labels: { a: 'b' }, creationTimestamp: '2001-01-01T00:00:00Z' };
    const answer = await api.ask('PUT', `${core}/configmaps/one`, {
      ...configMap('one'),
      metadata,
    });
    const old = made.metadata as { uid: string; creationTimestamp: string };
    expect(answer.body.metadata).toMatchObject({
      uid: old.uid,
      creationTimestamp: old.creationTimestamp,
      labels: { a: 'b' },
    });
  }),
  base('the name of body and path must agree, and the uid too', async ({ api, core }) => {
    await api.create(`${core}/configmaps`, configMap('one'));
    expect((await api.ask('PUT', `${core}/configmaps/one`, configMap('two'))).code).toBe(400);
    const other = {
      ...configMap('one'),
      metadata: { name: 'one', uid: '00000000-0000-4000-8000-000000000000' },
    };
    expect((await api.ask('PUT', `${core}/configmaps/one`, other)).body).toMatchObject({
      code: 409,
      reason: 'Conflict',
    });
  }),
  base('a write that changes nothing is no change', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one', { a: 'b' }));
    const same = await api.ask('PUT', `${core}/configmaps/one`, made);
    expect(same.body.metadata).toEqual(made.metadata);
    const patched = await api.ask(
      'PATCH',
      `${core}/configmaps/one`,
      { data: { a: 'b' } },
      { type: mergeType },
    );
    expect(patched.body.metadata).toEqual(made.metadata);
  }),
  base('dryRun=All answers as if, and stores nothing', async ({ api, core }) => {
    const tried = await api.ask('POST', `${core}/configmaps?dryRun=All`, configMap('one'));
    expect(tried).toMatchObject({ code: 201, body: { metadata: { name: 'one' } } });
    expect((await api.get(`${core}/configmaps/one`)).code).toBe(404);
    await api.create(`${core}/configmaps`, configMap('one', { a: '1' }));
    const replaced = await api.ask(
      'PUT',
      `${core}/configmaps/one?dryRun=All`,
      configMap('one', { a: '2' }),
    );
    expect(replaced.body).toMatchObject({ data: { a: '2' } });
    expect((await api.ask('DELETE', `${core}/configmaps/one?dryRun=All`)).code).toBe(200);
    expect((await api.get(`${core}/configmaps/one`)).body).toMatchObject({ data: { a: '1' } });
    expect(
      (await api.ask('POST', `${core}/configmaps?dryRun=Some`, configMap('two'))).code,
    ).not.toBe(201);
  }),
  base(
    'a deletion answers with a Status, or with the object for services, and it is gone',
    async ({ api, core }) => {
      const made = await api.create(`${core}/configmaps`, configMap('one'));
      const { uid } = made.metadata as { uid: string };
      expect(await api.ask('DELETE', `${core}/configmaps/one`)).toMatchObject({
        code: 200,
        body: {
          kind: 'Status',
          status: 'Success',
          details: { name: 'one', kind: 'configmaps', uid },
        },
      });
      expect((await api.get(`${core}/configmaps/one`)).code).toBe(404);
      expect((await api.ask('DELETE', `${core}/configmaps/one`)).code).toBe(404);
      await api.create(`${core}/services`, service('one'));
      expect((await api.ask('DELETE', `${core}/services/one`)).body).toMatchObject({
        kind: 'Service',
      });
    },
  ),
  base('preconditions of a deletion are kept', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one'));
    const { uid, resourceVersion } = made.metadata as { uid: string; resourceVersion: string };
    const options = (preconditions: Record<string, string>) => ({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions,
    });
    const path = `${core}/configmaps/one`;
    const wrongUid = { uid: '00000000-0000-4000-8000-000000000000' };
    expect((await api.ask('DELETE', path, options(wrongUid))).code).toBe(409);
    expect((await api.ask('DELETE', path, options({ resourceVersion: '1' }))).code).toBe(409);
    expect((await api.ask('DELETE', path, options({ uid, resourceVersion }))).code).toBe(200);
  }),
  base('a finalizer holds an object until it is taken away', async ({ api, core }) => {
    await api.create(`${core}/configmaps`, {
      metadata: { name: 'one', finalizers: ['weft.dev/test'] },
    });
    const path = `${core}/configmaps/one`;
    const held = await api.ask('DELETE', path);
    expect(held.body).toMatchObject({
      kind: 'ConfigMap',
      metadata: { deletionTimestamp: anyText },
    });
    expect((await api.get(path)).code).toBe(200);
    const freed = await api.ask(
      'PATCH',
      path,
      { metadata: { finalizers: null } },
      { type: mergeType },
    );
    expect(freed.code).toBe(200);
    expect((await api.get(path)).code).toBe(404);
  }),
  base('a collection is deleted by selector', async ({ api, core }) => {
    for (const name of ['a', 'b', 'c']) {
      await api.create(`${core}/configmaps`, {
        metadata: { name, labels: { keep: String(name === 'b') } },
      });
    }
    expect((await api.ask('DELETE', `${core}/configmaps?labelSelector=keep%3Dfalse`)).code).toBe(
      200,
    );
    const left = (await api.get(`${core}/configmaps`)).body.items as {
      metadata: { name: string };
    }[];
    expect(left.map((item) => item.metadata.name)).toContain('b');
    expect(left.map((item) => item.metadata.name)).not.toContain('a');
  }),
  base(
    'generation counts changes of the spec, not of labels or status',
    async ({ api, inGroup }) => {
      const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
      const made = await api.create(path, widget('one', { size: 1 }));
      expect(made.metadata).toMatchObject({ generation: 1 });
      const patch = (body: Record<string, unknown>, sub = '') =>
        api.ask('PATCH', `${path}/one${sub}`, body as never, { type: mergeType });
      expect((await patch({ metadata: { labels: { a: 'b' } } })).body.metadata).toMatchObject({
        generation: 1,
      });
      expect((await patch({ spec: { size: 2 } })).body.metadata).toMatchObject({ generation: 2 });
      expect((await patch({ status: { ready: true } }, '/status')).body.metadata).toMatchObject({
        generation: 2,
      });
    },
  ),
  base('status is written through its subresource alone', async ({ api, inGroup }) => {
    const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
    const made = await api.create(path, { ...widget('one', { size: 1 }), status: { ready: true } });
    expect(made.status).toBeUndefined();
    const status = await api.ask(
      'PATCH',
      `${path}/one/status`,
      { spec: { size: 9 }, status: { ready: true } },
      { type: mergeType },
    );
    expect(status.body).toMatchObject({ spec: { size: 1 }, status: { ready: true } });
    const spec = await api.ask(
      'PATCH',
      `${path}/one`,
      { spec: { size: 3 }, status: { ready: false } },
      { type: mergeType },
    );
    expect(spec.body).toMatchObject({ spec: { size: 3 }, status: { ready: true } });
    expect((await api.get(`${path}/one/status`)).body).toMatchObject({
      kind: 'Widget',
      status: { ready: true },
    });
  }),
  base('who has no valid token is answered 401', async ({ api, core }) => {
    const answer = await api.get(`${core}/configmaps`, { token: 'nobody' });
    expect(answer).toMatchObject({ code: 401, body: { kind: 'Status', reason: 'Unauthorized' } });
  }),
  base('a body over three megabytes is refused', async ({ api, core }) => {
    const data = { big: 'x'.repeat(3 * 1024 * 1024 + 10) };
    const answer = await api.ask('POST', `${core}/configmaps`, configMap('one', data));
    expect(answer.body).toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' });
  }),
];
