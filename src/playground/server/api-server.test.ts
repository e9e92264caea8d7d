// The first things that any client does: discovery, create, read, change, delete, list, watch.
// The rest of what the server claims is in test/kube, run against a real one too.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { realRuntime as runtime } from '../../main/runtime.ts';
import { startApiServer, type ApiServer } from './api-server.ts';
import type { Json, JsonObject } from './json.ts';

const watchList =
  'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

let server: ApiServer;

beforeEach(async () => {
  server = await startApiServer({ runtime, transport: 'http' });
});
afterEach(() => server.close());

type Answer = { readonly code: number; readonly body: JsonObject };

async function ask(
  method: string,
  path: string,
  body?: Json,
  type = 'application/json',
): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${server.adminToken}`, 'content-type': type },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { code: response.status, body: (await response.json()) as JsonObject };
}

const service = (name: string): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ port: 80 }] },
});

describe('objects', () => {
  test('a created Service gets an address, defaults and metadata', async () => {
    const made = await ask('POST', '/api/v1/namespaces/default/services', service('web'));
    expect(made.code).toBe(201);
    expect(made.body.spec).toMatchObject({
      clusterIP: '10.96.0.11',
      type: 'ClusterIP',
      ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
    });
    const again = await ask('POST', '/api/v1/namespaces/default/services', service('web'));
    expect(again.code).toBe(409);
    expect(again.body.message).toBe('services "web" already exists');
  });

  test('a write that names an old resourceVersion is a conflict', async () => {
    const made = await ask('POST', '/api/v1/namespaces/default/services', service('web'));
    const path = '/api/v1/namespaces/default/services/web';
    await ask('PATCH', path, { metadata: { labels: { a: 'b' } } }, 'application/merge-patch+json');
    expect((await ask('PUT', path, made.body)).code).toBe(409);
  });

  test('who has no token is answered 401', async () => {
    expect((await fetch(`${server.url}/api/v1/pods`)).status).toBe(401);
  });
});

describe('watches', () => {
  test('a watch from a list tells what came after, and the end of the initial state', async () => {
    const response = await fetch(`${server.url}/api/v1/namespaces?watch=true&${watchList}`, {
      headers: { authorization: `Bearer ${server.adminToken}` },
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('initial-events-end')) text += (await reader?.read())?.value ?? '';
    expect(text.trim().split('\n')).toHaveLength(5);
    await ask('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    while (!text.includes('"shop"')) text += (await reader?.read())?.value ?? '';
    await reader?.cancel();
  });
});

describe('definitions', () => {
  test('the kinds of a definition are served from its creation to its end', async () => {
    const definition = {
      metadata: { name: 'things.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object' } },
          },
        ],
      },
    };
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    expect((await ask('POST', crds, definition)).code).toBe(201);
    const things = '/apis/example.com/v1/namespaces/default/things';
    expect(
      (
        await ask('POST', things, {
          apiVersion: 'example.com/v1',
          kind: 'Thing',
          metadata: { name: 'one' },
        })
      ).code,
    ).toBe(201);
    expect((await ask('GET', '/apis/example.com/v1')).body.resources).toHaveLength(1);
    await ask('DELETE', `${crds}/things.example.com`);
    expect((await ask('GET', things)).code).toBe(404);
  });
});
