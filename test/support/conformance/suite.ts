// Runs the conformance cases against one API server. Every case has a namespace of its own, and
// what it claims was true of a real API server before it is asked of the embedded one. A case that
// may differ says so in `deviations.ts`, nowhere else.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient, type ApiTarget, type JsonObject } from './api-client.ts';

export type CaseContext = {
  readonly api: ApiClient;
  /** A fresh namespace. */
  readonly namespace: string;
  /** `/api/v1/namespaces/<namespace>` */
  readonly core: string;
  /** `/apis/<group>/<version>/namespaces/<namespace>` */
  readonly inGroup: (group: string, version: string) => string;
};

export type ApiCase = {
  readonly title: string;
  readonly run: (context: CaseContext) => Promise<void>;
};

export type CaseGroup = { readonly subject: string; readonly cases: readonly ApiCase[] };

export function conformance(
  server: string,
  groups: readonly CaseGroup[],
  start: () => Promise<ApiTarget>,
): void {
  describe(server, () => {
    let target: ApiTarget | undefined;
    let api: ApiClient | undefined;
    let cases = 0;

    beforeAll(async () => {
      target = await start();
      api = new ApiClient(target);
      await installDefinition(api);
    });
    afterAll(async () => {
      await api?.close();
      await target?.stop();
    });

    for (const group of groups) {
      describe(group.subject, () => {
        for (const one of group.cases) {
          test(one.title, async () => {
            cases += 1;
            if (api === undefined) throw new Error('no server');
            await runCase(api, one, `case-${cases}`);
          });
        }
      });
    }
  });
}

async function runCase(api: ApiClient, one: ApiCase, namespace: string): Promise<void> {
  await api.create('/api/v1/namespaces', { metadata: { name: namespace } });
  await one.run({
    api,
    namespace,
    core: `/api/v1/namespaces/${namespace}`,
    inGroup: (group, version) => `/apis/${group}/${version}/namespaces/${namespace}`,
  });
}

export const widgetGroup = 'conformance.weft.dev';

const widgetSchema: JsonObject = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      description: 'What the widget should be.',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 100 },
        color: { type: 'string', enum: ['red', 'green', 'blue'], default: 'red' },
        owner: { type: 'string', pattern: '^[a-z]+$', maxLength: 10 },
        weight: { 'x-kubernetes-int-or-string': true },
        extra: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        parts: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, count: { type: 'integer', default: 1 } },
          },
        },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
        steps: { type: 'array', items: { type: 'string' } },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
    status: {
      type: 'object',
      properties: { ready: { type: 'boolean' }, note: { type: 'string' } },
    },
  },
};

/** A definition with two versions, defaults, a map list, columns and a status subresource. */
export function widgetDefinition(): JsonObject {
  const version = (name: string, storage: boolean): JsonObject => ({
    name,
    served: true,
    storage,
    schema: { openAPIV3Schema: widgetSchema },
    subresources: { status: {} },
    additionalPrinterColumns: [
      { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
      { name: 'Parts', type: 'string', jsonPath: '.spec.parts[*].name' },
      { name: 'Wide', type: 'string', jsonPath: '.spec.color', priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${widgetGroup}` },
    spec: {
      group: widgetGroup,
      scope: 'Namespaced',
      names: {
        plural: 'widgets',
        singular: 'widget',
        kind: 'Widget',
        listKind: 'WidgetList',
        shortNames: ['wd'],
        categories: ['conformance'],
      },
      versions: [version('v1alpha1', false), version('v1', true)],
    },
  };
}

export const definitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

async function installDefinition(api: ApiClient): Promise<void> {
  await api.create(definitionsPath, widgetDefinition());
  await served(api, `/apis/${widgetGroup}/v1/widgets`);
}

/** Resolves when a path of a custom kind is served; a real server needs a moment. */
export async function served(api: ApiClient, path: string): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if ((await api.get(path)).code === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} is not served`);
}

export function widget(name: string, spec: JsonObject, version = 'v1'): JsonObject {
  return { apiVersion: `${widgetGroup}/${version}`, kind: 'Widget', metadata: { name }, spec };
}

export function service(name: string, spec: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ name: 'http', port: 80 }], selector: { app: name }, ...spec },
  };
}

export function configMap(name: string, data: JsonObject = {}): JsonObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}

// Asymmetric matchers are typed `any`; these stand for what they match.

/** Matches every text. */
export const anyText = expect.any(String) as string;

/** Matches texts of this shape. */
export function textLike(pattern: RegExp): string {
  return expect.stringMatching(pattern) as string;
}

/** Matches lists that hold at least these. */
export function listWith(...items: readonly string[]): string[] {
  return expect.arrayContaining([...items]) as string[];
}
