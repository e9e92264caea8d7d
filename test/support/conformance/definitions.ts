// Conformance: CustomResourceDefinitions and the objects of custom kinds: validation, pruning,
// defaulting, strict fields, versions.
import { expect } from 'vitest';
import type { Json, JsonObject } from './api-client.ts';
import {
  definitionsPath,
  served,
  service,
  widget,
  widgetDefinition,
  widgetGroup,
  type ApiCase,
  type CaseContext,
} from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

function widgets({ inGroup }: CaseContext, version = 'v1'): string {
  return `${inGroup(widgetGroup, version)}/widgets`;
}

function causes(body: JsonObject): readonly { reason: string; field: string; message: string }[] {
  return ((body.details as JsonObject | undefined)?.causes ?? []) as never;
}

/** A definition of its own for one case. */
function gadget(
  namespace: string,
  change: (spec: JsonObject) => void = () => undefined,
): JsonObject {
  const group = `${namespace}.weft.dev`;
  const definition = widgetDefinition();
  const spec = definition.spec as JsonObject;
  spec.group = group;
  spec.names = { plural: 'gadgets', kind: 'Gadget' };
  definition.metadata = { name: `gadgets.${group}` };
  change(spec);
  return definition;
}

export const definitionCases: readonly ApiCase[] = [
  base('missing, wrong and out-of-range values are 422 with field and reason', async (context) => {
    const { api } = context;
    const wrong: readonly (readonly [JsonObject, string, string])[] = [
      [{}, 'FieldValueRequired', 'spec.size'],
      [{ size: 0 }, 'FieldValueInvalid', 'spec.size'],
      [{ size: 'big' }, 'FieldValueTypeInvalid', 'spec.size'],
      [{ size: 1, color: 'pink' }, 'FieldValueNotSupported', 'spec.color'],
      [{ size: 1, owner: 'ME' }, 'FieldValueInvalid', 'spec.owner'],
      [{ size: 1, owner: 'waytoolongname' }, 'FieldValueTooLong', 'spec.owner'],
      [{ size: 1, parts: [{ count: 1 }] }, 'FieldValueRequired', 'spec.parts[0].name'],
      [{ size: 1, parts: [{ name: 'p' }, { name: 'p' }] }, 'FieldValueDuplicate', 'spec.parts[1]'],
      [{ size: 1, tags: ['x', 'x'] }, 'FieldValueDuplicate', 'spec.tags[1]'],
    ];
    for (const [spec, reason, field] of wrong) {
      const { body } = await api.ask('POST', widgets(context), widget('one', spec));
      expect(body, JSON.stringify(spec)).toMatchObject({ code: 422, reason: 'Invalid' });
      const found = causes(body).map((cause) => `${cause.reason} ${cause.field}`);
      expect(found, JSON.stringify(spec)).toContain(`${reason} ${field}`);
    }
  }),
  base('an object without a required part is 422', async (context) => {
    const body = { apiVersion: `${widgetGroup}/v1`, kind: 'Widget', metadata: { name: 'one' } };
    const answer = await context.api.ask('POST', widgets(context), body);
    expect(answer.body).toMatchObject({ code: 422 });
    expect(causes(answer.body)).toEqual([
      { reason: 'FieldValueRequired', message: 'Required value', field: 'spec' },
    ]);
  }),
  base('defaults are filled in, on creation and in what is read', async (context) => {
    const made = await context.api.create(
      widgets(context),
      widget('one', { size: 1, parts: [{ name: 'p' }] }),
    );
    expect(made.spec).toEqual({ size: 1, color: 'red', parts: [{ name: 'p', count: 1 }] });
  }),
  base('unknown fields are pruned, with a warning unless they are ignored', async (context) => {
    const { api } = context;
    const spec = { size: 1, sise: 2, extra: { anything: { goes: true } } };
    const warned = await api.ask(
      'POST',
      `${widgets(context)}?fieldValidation=Warn`,
      widget('one', spec),
    );
    expect(warned).toMatchObject({
      code: 201,
      body: { spec: { size: 1, color: 'red', extra: { anything: { goes: true } } } },
    });
    expect((warned.body.spec as JsonObject).sise).toBeUndefined();
    expect(warned.warnings).toEqual(['299 - "unknown field \\"spec.sise\\""']);
    const ignored = await api.ask(
      'POST',
      `${widgets(context)}?fieldValidation=Ignore`,
      widget('two', spec),
    );
    expect(ignored).toMatchObject({ code: 201, warnings: [] });
  }),
  base(
    'Strict refuses unknown fields, in custom and built-in kinds, and in metadata',
    async (context) => {
      const { api, core } = context;
      const strict = async (path: string, body: Json): Promise<string> => {
        const answer = await api.ask('POST', `${path}?fieldValidation=Strict`, body);
        expect(answer.body).toMatchObject({ code: 400, reason: 'BadRequest' });
        return String(answer.body.message);
      };
      expect(await strict(widgets(context), widget('one', { size: 1, sise: 2 }))).toContain(
        'strict decoding error: unknown field "spec.sise"',
      );
      const misnamed = {
        ...widget('one', { size: 1 }),
        metadata: { name: 'one', lables: { a: 'b' } },
      };
      expect(await strict(widgets(context), misnamed)).toContain('unknown field "metadata.lables"');
      const wrongService = service('one', { prots: [] });
      expect(await strict(`${core}/services`, wrongService)).toContain(
        'unknown field "spec.prots"',
      );
      expect((await api.get(`${core}/services/one`)).code).toBe(404);
    },
  ),
  base('a wrong type in a built-in object cannot be decoded', async ({ api, core }) => {
    const body = service('one', { ports: [{ port: 'eighty' }] });
    const answer = await api.ask('POST', `${core}/services`, body);
    expect(answer.body).toMatchObject({ code: 400, reason: 'BadRequest' });
    expect(String(answer.body.message)).toContain('cannot unmarshal string into Go struct field');
  }),
  base('every served version reads and writes the same objects', async (context) => {
    const { api } = context;
    await api.create(widgets(context, 'v1alpha1'), widget('one', { size: 1 }, 'v1alpha1'));
    const read = await api.get(`${widgets(context)}/one`);
    expect(read.body).toMatchObject({ apiVersion: `${widgetGroup}/v1`, spec: { size: 1 } });
    const list = await api.get(widgets(context, 'v1alpha1'));
    expect(list.body).toMatchObject({ apiVersion: `${widgetGroup}/v1alpha1` });
  }),
  base('a new definition is Established and served, and gone with its objects', async (context) => {
    const { api, namespace } = context;
    const definition = gadget(namespace);
    const made = await api.create(definitionsPath, definition);
    const { name } = made.metadata as { name: string };
    const path = `${context.inGroup(`${namespace}.weft.dev`, 'v1')}/gadgets`;
    await served(api, path);
    const { body } = await api.get(`${definitionsPath}/${name}`);
    expect(body.spec).toMatchObject({
      names: { singular: 'gadget', listKind: 'GadgetList' },
      conversion: { strategy: 'None' },
    });
    expect(body.status).toMatchObject({
      storedVersions: ['v1'],
      conditions: [
        { type: 'NamesAccepted', status: 'True' },
        { type: 'Established', status: 'True' },
      ],
    });
    await api.create(path, {
      apiVersion: `${namespace}.weft.dev/v1`,
      kind: 'Gadget',
      metadata: { name: 'one' },
      spec: { size: 1 },
    });
    expect((await api.ask('DELETE', `${definitionsPath}/${name}`)).code).toBe(200);
    for (let tries = 0; tries < 500 && (await api.get(path)).code !== 404; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await api.get(path)).code).toBe(404);
  }),
  base('a version that is no longer served is 404, a new one is served', async (context) => {
    const { api, namespace } = context;
    const group = `${namespace}.weft.dev`;
    const made = await api.create(definitionsPath, gadget(namespace));
    const { name } = made.metadata as { name: string };
    await served(api, `${context.inGroup(group, 'v1alpha1')}/gadgets`);
    const patch = [{ op: 'replace', path: '/spec/versions/0/served', value: false }];
    await api.ask('PATCH', `${definitionsPath}/${name}`, patch, {
      type: 'application/json-patch+json',
    });
    const path = `${context.inGroup(group, 'v1alpha1')}/gadgets`;
    for (let tries = 0; tries < 500 && (await api.get(path)).code !== 404; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await api.get(path)).code).toBe(404);
    await served(api, `${context.inGroup(group, 'v1')}/gadgets`);
  }),
  base('definitions that contradict themselves are 422', async ({ api, namespace }) => {
    const wrong: readonly ((spec: JsonObject) => void)[] = [
      (spec) => {
        spec.scope = 'Everywhere';
      },
      (spec) => {
        spec.versions = [];
      },
      (spec) => {
        for (const version of spec.versions as JsonObject[]) version.storage = true;
      },
      (spec) => {
        for (const version of spec.versions as JsonObject[]) delete version.schema;
      },
      (spec) => {
        for (const version of spec.versions as JsonObject[]) {
          version.schema = {
            openAPIV3Schema: { type: 'object', properties: { spec: { properties: {} } } },
          };
        }
      },
      (spec) => {
        spec.group = 'other.weft.dev';
      },
    ];
    for (const [index, change] of wrong.entries()) {
      const answer = await api.ask(
        'POST',
        definitionsPath,
        gadget(`${namespace}-${index}`, change),
      );
      expect(answer.code, String(change)).toBe(422);
    }
  }),
];
