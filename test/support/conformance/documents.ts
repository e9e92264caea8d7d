// Conformance: discovery, version, health and OpenAPI, as far as clients read them.
// Texts that people alone read are not compared.
import { expect } from 'vitest';
import type { JsonObject } from './api-client.ts';
import { widgetGroup, type ApiCase, anyText, textLike, listWith } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

type Resource = {
  name: string;
  kind: string;
  namespaced: boolean;
  verbs: string[];
  shortNames?: string[];
  categories?: string[];
  singularName: string;
};

export const documentCases: readonly ApiCase[] = [
  base('health, liveness and readiness say ok', async ({ api }) => {
    for (const path of ['/healthz', '/livez', '/readyz']) {
      expect(await api.get(path)).toMatchObject({ code: 200, body: { text: 'ok' } });
    }
  }),
  base('the version has major and minor', async ({ api }) => {
    expect((await api.get('/version')).body).toMatchObject({
      major: '1',
      minor: '34',
      gitVersion: textLike(/^v1\.34\./),
      platform: anyText,
    });
  }),
  base('groups are listed with preferred versions', async ({ api }) => {
    expect((await api.get('/api')).body).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
    const { body } = await api.get('/apis');
    expect(body).toMatchObject({ kind: 'APIGroupList', apiVersion: 'v1' });
    const groups = body.groups as {
      name: string;
      preferredVersion: { version: string };
      versions: { version: string }[];
    }[];
    const widgets = groups.find((group) => group.name === widgetGroup);
    expect(widgets?.preferredVersion.version).toBe('v1');
    expect(widgets?.versions.map((version) => version.version)).toEqual(['v1', 'v1alpha1']);
    const names = groups.map((group) => group.name);
    for (const name of [
      'apps',
      'discovery.k8s.io',
      'coordination.k8s.io',
      'events.k8s.io',
      'certificates.k8s.io',
      'apiextensions.k8s.io',
      'authorization.k8s.io',
    ]) {
      expect(names).toContain(name);
    }
    expect((await api.get(`/apis/${widgetGroup}`)).body).toMatchObject({
      kind: 'APIGroup',
      name: widgetGroup,
    });
  }),
  base('kinds are listed with names, verbs and short names', async ({ api }) => {
    const resources = async (path: string): Promise<ReadonlyMap<string, Resource>> => {
      const { body } = await api.get(path);
      expect(body).toMatchObject({ kind: 'APIResourceList' });
      return new Map((body.resources as Resource[]).map((one) => [one.name, one]));
    };
    const core = await resources('/api/v1');
    expect(core.get('services')).toMatchObject({
      kind: 'Service',
      namespaced: true,
      singularName: 'service',
      shortNames: ['svc'],
    });
    expect(core.get('pods')?.verbs).toEqual(
      listWith('get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'),
    );
    expect(core.get('namespaces')).toMatchObject({ namespaced: false, shortNames: ['ns'] });
    expect(core.get('pods/status')).toMatchObject({ kind: 'Pod' });
    const custom = await resources(`/apis/${widgetGroup}/v1`);
    expect(custom.get('widgets')).toMatchObject({
      kind: 'Widget',
      namespaced: true,
      singularName: 'widget',
      shortNames: ['wd'],
      categories: ['conformance'],
    });
    expect(custom.get('widgets/status')).toMatchObject({
      kind: 'Widget',
      verbs: listWith('get', 'patch', 'update'),
    });
    expect((await api.get('/apis/none.dev/v1')).code).toBe(404);
  }),
  base('OpenAPI v2 is there as JSON and as protobuf', async ({ api }) => {
    const json = await api.get('/openapi/v2');
    expect(json).toMatchObject({ code: 200, contentType: 'application/json' });
    expect(json.body).toMatchObject({ swagger: '2.0', info: { title: anyText } });
    // What kubectl asks for before it applies a `kind: List`.
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const protobuf = await api.get('/openapi/v2', { accept });
    expect(protobuf.code).toBe(200);
    expect(protobuf.contentType).toBe('application/com.github.proto-openapi.spec.v2.v1.0+protobuf');
    // Field 1 of the document, `swagger`, three bytes long.
    expect(protobuf.body.text).toMatch(/^\n\x032\.0/);
  }),
  base(
    'OpenAPI v3 has a document per version, with kinds and field validation',
    async ({ api }) => {
      const name = `apis/${widgetGroup}/v1`;
      // A real server publishes the document of a new definition after a moment.
      let index: Record<string, { serverRelativeURL: string }> = {};
      for (let tries = 0; tries < 500 && index[name] === undefined; tries += 1) {
        index = (await api.get('/openapi/v3')).body.paths as typeof index;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const entry = index[name];
      expect(index['api/v1']?.serverRelativeURL).toMatch(/^\/openapi\/v3\/api\/v1\?hash=/);
      const { body } = await api.get(entry?.serverRelativeURL ?? '');
      const paths = body.paths as Record<string, Record<string, JsonObject>>;
      const patch = paths[`/apis/${widgetGroup}/v1/namespaces/{namespace}/widgets/{name}`]?.patch;
      expect(patch?.['x-kubernetes-group-version-kind']).toEqual({
        group: widgetGroup,
        version: 'v1',
        kind: 'Widget',
      });
      expect(JSON.stringify(patch?.parameters)).toContain('fieldValidation');
      const schemas = (body.components as { schemas: Record<string, JsonObject> }).schemas;
      const schema = Object.values(schemas).find((one) =>
        JSON.stringify(one['x-kubernetes-group-version-kind'])?.includes('"Widget"'),
      );
      expect(JSON.stringify(schema)).toContain('What the widget should be.');
    },
  ),
];
