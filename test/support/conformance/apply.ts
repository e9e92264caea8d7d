// Conformance: server-side apply and the ownership of fields.
// The owner of a field is what `metadata.managedFields` says, which is compared on the wire form.
import { expect } from 'vitest';
import {
  applyType,
  jsonPatchType,
  mergeType,
  type Answer,
  type Json,
  type JsonObject,
} from './api-client.ts';
import {
  configMap,
  service,
  widget,
  widgetGroup,
  type ApiCase,
  type CaseContext,
} from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

type Applying = { readonly path: string; readonly owner: string; readonly force?: boolean };

function apply({ api }: CaseContext, to: Applying, body: Json): Promise<Answer> {
  const force = to.force === true ? '&force=true' : '';
  return api.ask('PATCH', `${to.path}?fieldManager=${to.owner}${force}`, body, { type: applyType });
}

type Owned = { manager: string; operation: string; subresource?: string; fieldsV1: JsonObject };

function owners(body: JsonObject): readonly Owned[] {
  return ((body.metadata as JsonObject).managedFields ?? []) as unknown as Owned[];
}

function ownerNamed(body: JsonObject, name: string): Owned | undefined {
  return owners(body).find((owner) => owner.manager === name);
}

export const applyCases: readonly ApiCase[] = [
  base('applying creates what is not there, and changes what is', async (context) => {
    const path = `${context.core}/configmaps/one`;
    const made = await apply(context, { path, owner: 'a' }, configMap('one', { x: '1' }));
    expect(made).toMatchObject({ code: 201, body: { data: { x: '1' } } });
    const changed = await apply(context, { path, owner: 'a' }, configMap('one', { x: '2' }));
    expect(changed).toMatchObject({ code: 200, body: { data: { x: '2' } } });
  }),
  base('an apply needs an owner', async ({ api, core }) => {
    const answer = await api.ask('PATCH', `${core}/configmaps/one`, configMap('one'), {
      type: applyType,
    });
    expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(String(answer.body.message)).toContain(
      'fieldManager: Required value: is required for apply patch',
    );
  }),
  base('an apply may be YAML', async ({ api, core }) => {
    const raw = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: "yes"\n';
    const answer = await api.ask('PATCH', `${core}/configmaps/one?fieldManager=a`, undefined, {
      type: applyType,
      raw,
    });
    expect(answer).toMatchObject({ code: 201, body: { data: { a: 'yes' } } });
  }),
  base(
    'a field that another applies with another value is a conflict that names field and owner',
    async (context) => {
      const path = `${context.core}/configmaps/one`;
      await apply(context, { path, owner: 'a' }, configMap('one', { x: '1', y: '1' }));
      const refused = await apply(context, { path, owner: 'b' }, configMap('one', { x: '2' }));
      expect(refused.body).toMatchObject({
        code: 409,
        reason: 'Conflict',
        message: 'Apply failed with 1 conflict: conflict with "a": .data.x',
        details: {
          causes: [
            { reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.data.x' },
          ],
        },
      });
      const forced = await apply(
        context,
        { path, owner: 'b', force: true },
        configMap('one', { x: '2' }),
      );
      expect(forced).toMatchObject({ code: 200, body: { data: { x: '2', y: '1' } } });
      expect(ownerNamed(forced.body, 'a')?.fieldsV1).toEqual({ 'f:data': { 'f:y': {} } });
      expect(ownerNamed(forced.body, 'b')?.fieldsV1).toEqual({ 'f:data': { 'f:x': {} } });
    },
  ),
  base('a conflict with a writer that did not apply names its version', async (context) => {
    const { api, core } = context;
    await api.ask('POST', `${core}/configmaps?fieldManager=writer`, configMap('one', { x: '1' }));
    const refused = await apply(
      context,
      { path: `${core}/configmaps/one`, owner: 'b' },
      configMap('one', { x: '2' }),
    );
    expect(refused.body).toMatchObject({
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "writer" using v1: .data.x',
    });
  }),
  base('the same value is owned together', async (context) => {
    const path = `${context.core}/configmaps/one`;
    await apply(context, { path, owner: 'a' }, configMap('one', { x: '1' }));
    expect((await apply(context, { path, owner: 'b' }, configMap('one', { x: '1' }))).code).toBe(
      200,
    );
    const left = await apply(context, { path, owner: 'a' }, configMap('one', {}));
    expect(left.body.data).toEqual({ x: '1' });
    expect(ownerNamed(left.body, 'b')?.fieldsV1).toEqual({ 'f:data': { 'f:x': {} } });
  }),
  base('what an owner no longer applies, and nobody else owns, goes', async (context) => {
    const path = `${context.core}/configmaps/one`;
    await apply(context, { path, owner: 'a' }, configMap('one', { x: '1', y: '1' }));
    const { body } = await apply(context, { path, owner: 'a' }, configMap('one', { x: '1' }));
    expect(body.data).toEqual({ x: '1' });
  }),
  base('items of a list with keys are owned one by one', async (context) => {
    const path = `${context.core}/services/one`;
    const ports = (...list: JsonObject[]): JsonObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'one' },
      spec: { ports: list },
    });
    await apply(context, { path, owner: 'a' }, ports({ name: 'a', port: 80 }));
    const both = await apply(context, { path, owner: 'b' }, ports({ name: 'b', port: 81 }));
    const numbers = (body: JsonObject): readonly number[] =>
      (body.spec as { ports: { port: number }[] }).ports.map((port) => port.port);
    expect(numbers(both.body)).toEqual([80, 81]);
    expect(JSON.stringify(ownerNamed(both.body, 'b')?.fieldsV1)).toContain(
      'k:{\\"port\\":81,\\"protocol\\":\\"TCP\\"}',
    );
    const without = await apply(context, { path, owner: 'a' }, ports({ name: 'z', port: 90 }));
    expect(numbers(without.body).toSorted()).toEqual([81, 90]);
  }),
  base('custom kinds: map lists by key, sets by value, plain lists as a whole', async (context) => {
    const path = `${context.inGroup(widgetGroup, 'v1')}/widgets/one`;
    const first = { size: 1, parts: [{ name: 'p', count: 2 }], tags: ['x'], steps: ['a'] };
    await apply(context, { path, owner: 'a' }, widget('one', first));
    const second = { size: 1, parts: [{ name: 'q' }], tags: ['y'] };
    const { body } = await apply(context, { path, owner: 'b' }, widget('one', second));
    expect(body.spec).toMatchObject({
      parts: [
        { name: 'p', count: 2 },
        { name: 'q', count: 1 },
      ],
      tags: ['x', 'y'],
    });
    const clash = await apply(
      context,
      { path, owner: 'b' },
      widget('one', { ...second, steps: ['b'] }),
    );
    expect(clash.body).toMatchObject({
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "a": .spec.steps',
    });
  }),
  base('an update takes over the fields that it changes', async (context) => {
    const { api, core } = context;
    const path = `${core}/configmaps/one`;
    await apply(context, { path, owner: 'a' }, configMap('one', { x: '1', y: '1' }));
    const patched = await api.ask(
      'PATCH',
      `${path}?fieldManager=editor`,
      { data: { x: '2' } },
      { type: mergeType },
    );
    expect(ownerNamed(patched.body, 'a')?.fieldsV1).toEqual({ 'f:data': { 'f:y': {} } });
    expect(ownerNamed(patched.body, 'editor')).toMatchObject({
      operation: 'Update',
      fieldsV1: { 'f:data': { 'f:x': {} } },
    });
    const refused = await apply(
      context,
      { path, owner: 'a' },
      configMap('one', { x: '1', y: '1' }),
    );
    expect(refused.body).toMatchObject({ code: 409 });
  }),
  base('the owner of a write without fieldManager is the client', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one', { x: '1' }));
    expect(owners(made)).toHaveLength(1);
    expect(owners(made)[0]).toMatchObject({
      operation: 'Update',
      apiVersion: 'v1',
      fieldsType: 'FieldsV1',
    });
  }),
  base('status is applied through its subresource, and owned apart', async (context) => {
    const path = `${context.inGroup(widgetGroup, 'v1')}/widgets/one`;
    await apply(context, { path, owner: 'a' }, widget('one', { size: 1 }));
    const status = {
      apiVersion: `${widgetGroup}/v1`,
      kind: 'Widget',
      metadata: { name: 'one' },
      status: { ready: true },
    };
    const { body } = await apply(context, { path: `${path}/status`, owner: 'a' }, status);
    expect(body).toMatchObject({ spec: { size: 1 }, status: { ready: true } });
    const parts = owners(body).map((owner) => [owner.operation, owner.subresource ?? '']);
    expect(parts.toSorted()).toEqual([
      ['Apply', ''],
      ['Apply', 'status'],
    ]);
    const again = await apply(context, { path, owner: 'a' }, widget('one', { size: 2 }));
    expect(again.body).toMatchObject({ spec: { size: 2 }, status: { ready: true } });
  }),
  base('an apply that changes nothing is no change', async (context) => {
    const path = `${context.core}/services/one`;
    const first = await apply(context, { path, owner: 'a' }, service('one'));
    const second = await apply(context, { path, owner: 'a' }, service('one'));
    expect(second.body.metadata).toEqual(first.body.metadata);
  }),
  base('labels and annotations are owned key by key', async (context) => {
    const path = `${context.core}/configmaps/one`;
    const labelled = (labels: JsonObject): JsonObject => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'one', labels },
    });
    await apply(context, { path, owner: 'a' }, labelled({ x: '1' }));
    const { body } = await apply(context, { path, owner: 'b' }, labelled({ y: '2' }));
    expect((body.metadata as JsonObject).labels).toEqual({ x: '1', y: '2' });
    const less = await apply(
      context,
      { path, owner: 'b' },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one' } },
    );
    expect((less.body.metadata as JsonObject).labels).toEqual({ x: '1' });
  }),
  base('managedFields may not be applied, and may be cleared', async (context) => {
    const { api, core } = context;
    const path = `${core}/configmaps/one`;
    const made = await apply(context, { path, owner: 'a' }, configMap('one', { x: '1' }));
    const managedFields = (made.body.metadata as JsonObject).managedFields ?? [];
    const body = { ...configMap('one'), metadata: { name: 'one', managedFields } };
    expect((await apply(context, { path, owner: 'a' }, body)).code).toBe(400);
    const clear = [{ op: 'replace', path: '/metadata/managedFields', value: [{}] }];
    const cleared = await api.ask('PATCH', path, clear, { type: jsonPatchType });
    expect(owners(cleared.body)).toHaveLength(0);
  }),
];
