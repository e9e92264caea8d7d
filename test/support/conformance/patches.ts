// Conformance: merge, JSON and strategic merge patches.
// Server-side apply, the fourth kind of patch, is in apply.ts.
import { expect } from 'vitest';
import {
  jsonPatchType,
  mergeType,
  strategicType,
  type Json,
  type JsonObject,
} from './api-client.ts';
import { configMap, service, widget, widgetGroup, type ApiCase } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

function ports(
  body: JsonObject,
): readonly { name: string; port: number; targetPort: number | string }[] {
  return (body.spec as { ports: { name: string; port: number; targetPort: number }[] }).ports;
}

export const patchCases: readonly ApiCase[] = [
  base(
    'a merge patch merges objects, replaces lists and removes by null',
    async ({ api, inGroup }) => {
      const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
      await api.create(
        path,
        widget('one', { size: 1, owner: 'me', steps: ['a', 'b'], labels: { x: '1' } }),
      );
      const patch = { spec: { owner: null, steps: ['c'], labels: { y: '2' } } };
      const { body } = await api.ask('PATCH', `${path}/one`, patch, { type: mergeType });
      expect(body.spec).toEqual({
        size: 1,
        color: 'red',
        steps: ['c'],
        labels: { x: '1', y: '2' },
      });
    },
  ),
  base('a patch that names another resourceVersion is a conflict', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one'));
    const { resourceVersion } = made.metadata as { resourceVersion: string };
    const patch = (version: string, value: string): Json => ({
      metadata: { resourceVersion: version },
      data: { a: value },
    });
    const path = `${core}/configmaps/one`;
    expect(
      (await api.ask('PATCH', path, patch(resourceVersion, '1'), { type: mergeType })).code,
    ).toBe(200);
    expect(
      (await api.ask('PATCH', path, patch(resourceVersion, '2'), { type: mergeType })).code,
    ).toBe(409);
  }),
  base('a patch of what is not there is 404', async ({ api, core }) => {
    expect((await api.ask('PATCH', `${core}/configmaps/none`, {}, { type: mergeType })).code).toBe(
      404,
    );
  }),
  base('a JSON patch: add, replace, remove, copy, move, test', async ({ api, core }) => {
    await api.create(`${core}/configmaps`, configMap('one', { a: '1', b: '2', x: '3' }));
    const patch = [
      { op: 'test', path: '/data/a', value: '1' },
      { op: 'add', path: '/data/c', value: '4' },
      { op: 'replace', path: '/data/b', value: '5' },
      { op: 'remove', path: '/data/x' },
      { op: 'copy', from: '/data/a', path: '/data/d' },
      { op: 'move', from: '/data/a', path: '/data/e' },
    ];
    const { code, body } = await api.ask('PATCH', `${core}/configmaps/one`, patch, {
      type: jsonPatchType,
    });
    expect(code).toBe(200);
    expect(body.data).toEqual({ b: '5', c: '4', d: '1', e: '1' });
  }),
  base(
    'a JSON patch escapes slashes, and its replace of a field that is not there adds it',
    async ({ api, core }) => {
      await api.create(`${core}/configmaps`, {
        metadata: { name: 'one', labels: { 'a.dev/x': '1' } },
        data: {},
      });
      const patch = [
        { op: 'replace', path: '/metadata/labels/a.dev~1x', value: '2' },
        { op: 'replace', path: '/metadata/labels/y', value: '3' },
      ];
      const { body } = await api.ask('PATCH', `${core}/configmaps/one`, patch, {
        type: jsonPatchType,
      });
      expect((body.metadata as JsonObject).labels).toEqual({ 'a.dev/x': '2', y: '3' });
    },
  ),
  base('a JSON patch reaches into lists', async ({ api, inGroup }) => {
    const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
    await api.create(path, widget('one', { size: 1, steps: ['a', 'b'] }));
    const patch = [
      { op: 'add', path: '/spec/steps/-', value: 'd' },
      { op: 'add', path: '/spec/steps/0', value: 'z' },
      { op: 'remove', path: '/spec/steps/1' },
    ];
    const { body } = await api.ask('PATCH', `${path}/one`, patch, { type: jsonPatchType });
    expect((body.spec as JsonObject).steps).toEqual(['z', 'b', 'd']);
  }),
  base(
    'a JSON patch whose test fails, or that names nothing, changes nothing',
    async ({ api, core }) => {
      await api.create(`${core}/configmaps`, configMap('one', { a: '1' }));
      const wrong: Json[] = [
        [
          { op: 'add', path: '/data/b', value: '2' },
          { op: 'test', path: '/data/a', value: '9' },
        ],
        [{ op: 'remove', path: '/data/none' }],
        [{ op: 'add', path: '/none/a', value: '1' }],
      ];
      for (const patch of wrong) {
        const answer = await api.ask('PATCH', `${core}/configmaps/one`, patch, {
          type: jsonPatchType,
        });
        expect(answer.code).toBe(422);
      }
      expect((await api.get(`${core}/configmaps/one`)).body.data).toEqual({ a: '1' });
    },
  ),
  base('a patch is validated like any other write', async ({ api, inGroup }) => {
    const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
    await api.create(path, widget('one', { size: 1 }));
    expect(
      (await api.ask('PATCH', `${path}/one`, { spec: { size: 0 } }, { type: mergeType })).code,
    ).toBe(422);
    expect(
      (await api.ask('PATCH', `${path}/one`, { spec: { size: 'big' } }, { type: mergeType })).code,
    ).toBe(422);
  }),
  base('a strategic merge patch merges ports by number, labels by key', async ({ api, core }) => {
    await api.create(
      `${core}/services`,
      service('one', {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 81 },
        ],
      }),
    );
    const patch = {
      metadata: { labels: { x: 'y' } },
      spec: {
        ports: [
          { port: 81, targetPort: 8081 },
          { name: 'c', port: 82 },
        ],
      },
    };
    const { body } = await api.ask('PATCH', `${core}/services/one`, patch, { type: strategicType });
    const found = new Map(ports(body).map((port) => [port.port, port.targetPort]));
    expect(found).toEqual(
      new Map([
        [80, 80],
        [81, 8081],
        [82, 82],
      ]),
    );
    expect(ports(body).find((port) => port.port === 81)?.name).toBe('b');
  }),
  base(
    'strategic directives: delete an item, replace a list, keep an order',
    async ({ api, core }) => {
      await api.create(
        `${core}/services`,
        service('one', {
          ports: [
            { name: 'a', port: 80 },
            { name: 'b', port: 81 },
            { name: 'c', port: 82 },
          ],
        }),
      );
      const path = `${core}/services/one`;
      const gone = { spec: { ports: [{ $patch: 'delete', port: 81 }] } };
      const first = await api.ask('PATCH', path, gone, { type: strategicType });
      expect(ports(first.body).map((port) => port.port)).toEqual([80, 82]);
      const order = {
        spec: {
          '$setElementOrder/ports': [{ port: 82 }, { port: 80 }],
          ports: [{ port: 82, name: 'z' }],
        },
      };
      const second = await api.ask('PATCH', path, order, { type: strategicType });
      expect(ports(second.body).map((port) => [port.port, port.name])).toEqual([
        [82, 'z'],
        [80, 'a'],
      ]);
      const replaced = { spec: { ports: [{ $patch: 'replace' }, { name: 'n', port: 90 }] } };
      const third = await api.ask('PATCH', path, replaced, { type: strategicType });
      expect(ports(third.body).map((port) => port.port)).toEqual([90]);
    },
  ),
  base('strategic merge of containers goes by name', async ({ api, inGroup }) => {
    const path = `${inGroup('apps', 'v1')}/deployments`;
    await api.create(path, {
      metadata: { name: 'one' },
      spec: {
        selector: { matchLabels: { app: 'one' } },
        template: {
          metadata: { labels: { app: 'one' } },
          spec: {
            containers: [
              { name: 'a', image: 'x' },
              { name: 'b', image: 'y' },
            ],
          },
        },
      },
    });
    const patch = { spec: { template: { spec: { containers: [{ name: 'b', image: 'z' }] } } } };
    const { body } = await api.ask('PATCH', `${path}/one`, patch, { type: strategicType });
    const spec = body.spec as {
      template: { spec: { containers: { name: string; image: string }[] } };
    };
    const images = spec.template.spec.containers.map((one) => `${one.name}=${one.image}`).sort();
    expect(images).toEqual(['a=x', 'b=z']);
  }),
  base(
    'custom kinds know no strategic merge patch, and nobody a plain JSON patch type',
    async ({ api, core, inGroup }) => {
      const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
      await api.create(path, widget('one', { size: 1 }));
      const strategic = await api.ask(
        'PATCH',
        `${path}/one`,
        { spec: { size: 2 } },
        { type: strategicType },
      );
      expect(strategic.body).toMatchObject({ code: 415, reason: 'UnsupportedMediaType' });
      await api.create(`${core}/configmaps`, configMap('one'));
      expect(
        (await api.ask('PATCH', `${core}/configmaps/one`, {}, { type: 'application/json' })).code,
      ).toBe(415);
    },
  ),
  base('a scale is read and written', async ({ api, inGroup }) => {
    const path = `${inGroup('apps', 'v1')}/deployments`;
    await api.create(path, {
      metadata: { name: 'one' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'one' } },
        template: {
          metadata: { labels: { app: 'one' } },
          spec: { containers: [{ name: 'a', image: 'x' }] },
        },
      },
    });
    const scale = await api.get(`${path}/one/scale`);
    expect(scale.body).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 2 },
    });
    const patched = await api.ask(
      'PATCH',
      `${path}/one/scale`,
      { spec: { replicas: 5 } },
      { type: mergeType },
    );
    expect(patched.body).toMatchObject({ kind: 'Scale', spec: { replicas: 5 } });
    expect((await api.get(`${path}/one`)).body).toMatchObject({ spec: { replicas: 5 } });
  }),
];
