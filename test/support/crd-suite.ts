// What smi/crds promise to users and clients, over HTTP against any API server: every version is
// served, what is written through one comes back through all, what is wrong is refused with words
// that help. The cases are data (crd-cases.ts); the server is the caller's.
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parsers } from '../../src/api/index.ts';
import { acceptedCases, crdKinds, refusedCases } from './crd-cases.ts';
import type { AcceptedCase, CrdKind } from './crd-cases.ts';

export type CrdServer = {
  readonly url: string;
  readonly token: string;
  readonly stop: () => Promise<void>;
};

type Fields = Record<string, unknown>;
type Answer = { readonly status: number; readonly body: Fields };
type Call = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly accept?: string;
};

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const strict = '?fieldValidation=Strict';
const agent = new Agent({ connect: { rejectUnauthorized: false } });

export function crdSuite(start: () => Promise<CrdServer>): void {
  let server: CrdServer;
  const call = (one: Call): Promise<Answer> => send(server, one);

  beforeAll(async () => {
    server = await start();
    for (const definition of readDefinitions()) await establish(call, definition);
  }, 60_000);
  afterAll(() => server.stop());

  describeDefinitions(call);
  describeAccepted(call);
  describeRefused(call);
  describeClients(call);
}

type Caller = (one: Call) => Promise<Answer>;

function describeDefinitions(call: Caller): void {
  test.each(Object.values(crdKinds))('R-1: $plural: every version is served', async (kind) => {
    const { body } = await call({ method: 'GET', path: `${definitions}/${nameOf(kind)}` });
    const status = fieldsOf(body['status']);
    const conditions = listOf(status['conditions']).map(fieldsOf);
    const said = conditions.map((one) => `${String(one['type'])}=${String(one['status'])}`);
    expect(said.sort()).toEqual(['Established=True', 'NamesAccepted=True']);
    expect(status['storedVersions']).toEqual([kind.versions.at(-1)]);
    const names = fieldsOf(status['acceptedNames']);
    expect(names).toMatchObject({ shortNames: [kind.shortName], categories: ['smi', 'mesh'] });
    for (const version of kind.versions) {
      const list = await call({ method: 'GET', path: pathOf(kind, version) });
      expect([version, list.status, list.body['kind']]).toEqual([version, 200, `${kind.kind}List`]);
    }
  });
}

function describeAccepted(call: Caller): void {
  describe('what is written through one version', () => {
    test.each(acceptedCases)('$of: $title', async (one) => {
      const kind: CrdKind = crdKinds[one.of];
      const written = await create(call, one);
      expect([written.status, bodyOf(written.body)]).toEqual([201, one.stored ?? one.body]);
      const uid = fieldsOf(written.body['metadata'])['uid'];
      const parsed = parserOf(kind)(written.body);
      for (const version of kind.versions) {
        const read = await call({ method: 'GET', path: objectPath(kind, version) });
        expect(read.body['apiVersion']).toBe(`${kind.group}/${version}`);
        expect([version, bodyOf(read.body)]).toEqual([version, one.stored ?? one.body]);
        expect(fieldsOf(read.body['metadata'])['uid']).toBe(uid);
        expect(parserOf(kind)(read.body)).toEqual(parsed);
      }
    });

    test.each(acceptedCases)('can be labelled and told through all: $of: $title', async (one) => {
      const kind: CrdKind = crdKinds[one.of];
      await create(call, one);
      for (const version of kind.versions) {
        const labels = { 'weft.dev/test': version };
        const path = objectPath(kind, version);
        const labelled = await patch(call, path, { metadata: { labels } });
        expect([version, labelled.status, labelled.body['message']]).toEqual([
          version, 200, undefined,
        ]);
        const told = await patch(call, `${path}/status`, { status: statusOf(version) });
        expect([version, told.status, told.body['message']]).toEqual([version, 200, undefined]);
        expect(told.body['status']).toEqual(statusOf(version));
        expect(fieldsOf(told.body['metadata'])['generation']).toBe(1);
        expect(bodyOf(told.body)).toEqual(one.stored ?? one.body);
      }
    });
  });
}

function describeRefused(call: Caller): void {
  test.each(refusedCases)('refused: $of $version: $title', async (one) => {
    const answer = await create(call, one);
    if (typeof one.why === 'string') {
      expect([answer.status, answer.body['message']]).toEqual([400, one.why]);
      return;
    }
    expect(answer.status).toBe(422);
    const causes = listOf(fieldsOf(answer.body['details'])['causes']).map(fieldsOf);
    const said = causes.map((cause) => `${String(cause['field'])}: ${String(cause['message'])}`);
    expect(said.sort()).toEqual([...one.why].sort());
  });
}

function describeClients(call: Caller): void {
  const kind = crdKinds.split;
  const written: AcceptedCase = {
    title: 'a split with matches',
    of: 'split',
    version: 'v1alpha4',
    body: {
      spec: {
        service: 'web',
        backends: [{ service: 'a', weight: 1 }],
        matches: [{ kind: 'HTTPRouteGroup', name: 'api' }],
      },
    },
  };

  test('R-46: a PATCH of the backends through v1alpha1 keeps matches', async () => {
    await create(call, written);
    const backends = [{ service: 'a', weight: '5' }, { service: 'b', weight: '95' }];
    const patched = await patch(call, objectPath(kind, 'v1alpha1'), { spec: { backends } });
    expect([patched.status, bodyOf(patched.body)]).toEqual([
      200,
      { spec: { ...fieldsOf(fieldsOf(written.body)['spec']), backends } },
    ]);
  });

  test('R-46: a PUT through v1alpha2 without matches drops them', async () => {
    await create(call, written);
    const path = objectPath(kind, 'v1alpha2');
    const { body } = await call({ method: 'GET', path });
    const spec = { service: 'web', backends: [{ service: 'a', weight: 100 }] };
    const put = await call({ method: 'PUT', path: path + strict, body: { ...body, spec } });
    expect([put.status, bodyOf(put.body)]).toEqual([200, { spec }]);
    expect(fieldsOf(put.body['metadata'])['generation']).toBe(2);
  });

  const columns: readonly (readonly [string, AcceptedCase, readonly unknown[]])[] = [
    ['trafficsplits', written, ['p', 'web', '[{"service":"a","weight":1}]', '', '', '', '<age>']],
    [
      'traffictargets of v1alpha1',
      acceptedOf('R-44: v1alpha1 keeps its place and its port'),
      [
        'p',
        'web',
        '[{"kind":"ServiceAccount","name":"front","namespace":"edge"}]',
        '[{"kind":"HTTPRouteGroup","matches":["read"],"name":"api"}]',
        '',
        '',
        '',
        '<age>',
      ],
    ],
    [
      'tcproutes',
      acceptedOf('a TCPRoute of v1alpha4'),
      ['p', '[1,65535]', '', '', '', '<age>'],
    ],
  ];
  test.each(columns)('kubectl get shows whole lists: %s', async (_title, one, cells) => {
    await create(call, one);
    const kind: CrdKind = crdKinds[one.of];
    const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';
    const path = pathOf(kind, kind.versions.at(-1) ?? '');
    const table = await call({ method: 'GET', path, accept });
    const [row] = listOf(table.body['rows']).map(fieldsOf);
    const shown = listOf(row?.['cells']).map((cell) => cell ?? '');
    expect([...shown.slice(0, -1), '<age>']).toEqual(cells);
  });

  test('kubectl get shows whether it is accepted, -o wide the other conditions', async () => {
    await create(call, written);
    const kind: CrdKind = crdKinds[written.of];
    const path = pathOf(kind, kind.versions[0] ?? '');
    const states = { Accepted: 'True', ResolvedRefs: 'False', Programmed: 'Unknown' };
    const conditions = Object.entries(states).map(([type, status]) => ({
      type,
      status,
      reason: 'Tried',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }));
    const { body } = await call({ method: 'GET', path: `${path}/p` });
    const told = { ...body, status: { conditions } };
    const put = await call({ method: 'PUT', path: `${path}/p/status`, body: told });
    expect([put.status, put.body['message']]).toEqual([200, undefined]);
    const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';
    const table = await call({ method: 'GET', path, accept });
    const names = listOf(table.body['columnDefinitions']).map(fieldsOf);
    const [row] = listOf(table.body['rows']).map(fieldsOf);
    const cells = listOf(row?.['cells']);
    const seen = names.map(({ name, priority }, index) => [name, priority, cells[index]]);
    expect(seen.filter(([name]) => Object.hasOwn(states, String(name)))).toEqual([
      ['Accepted', 0, 'True'],
      ['ResolvedRefs', 1, 'False'],
      ['Programmed', 1, 'Unknown'],
    ]);
  });
}

function acceptedOf(title: string): AcceptedCase {
  const found = acceptedCases.find((one) => one.title === title);
  if (found === undefined) throw new Error(`no case is titled ${title}`);
  return found;
}

function readDefinitions(): readonly Fields[] {
  const files = readdirSync('smi/crds').filter((name) => name.endsWith('.yaml'));
  expect(files.length).toBe(5);
  return files.map((name) => fieldsOf(parse(readFileSync(`smi/crds/${name}`, 'utf8'))));
}

/** Creates a definition and waits until all its versions answer. */
async function establish(call: Caller, definition: Fields): Promise<void> {
  const created = await call({ method: 'POST', path: definitions + strict, body: definition });
  expect([created.status, created.body['message']]).toEqual([201, undefined]);
  const kind = Object.values(crdKinds).find(
    (one) => nameOf(one) === fieldsOf(definition['metadata'])['name'],
  );
  if (kind === undefined) throw new Error('a definition that the cases do not know');
  const deadline = Date.now() + 30_000;
  for (const version of kind.versions) {
    while ((await call({ method: 'GET', path: pathOf(kind, version) })).status !== 200) {
      if (Date.now() > deadline) throw new Error(`${kind.plural} ${version} is not served`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Writes the object `p` anew. */
async function create(
  call: Caller,
  one: Pick<AcceptedCase, 'of' | 'version' | 'body'>,
): Promise<Answer> {
  const kind: CrdKind = crdKinds[one.of];
  await call({ method: 'DELETE', path: objectPath(kind, one.version) });
  const body = {
    apiVersion: `${kind.group}/${one.version}`,
    kind: kind.kind,
    metadata: { name: 'p' },
    ...one.body,
  };
  return call({ method: 'POST', path: pathOf(kind, one.version) + strict, body });
}

function patch(call: Caller, path: string, body: unknown): Promise<Answer> {
  return call({ method: 'PATCH', path: path + strict, body });
}

function statusOf(version: string): object {
  const condition = {
    type: 'Accepted', status: 'True', reason: 'Accepted', message: version, observedGeneration: 1,
  };
  return { conditions: [{ ...condition, lastTransitionTime: '2024-05-06T07:08:09Z' }] };
}

async function send(server: CrdServer, one: Call): Promise<Answer> {
  const type = one.method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await request(server.url + one.path, {
    method: one.method,
    dispatcher: agent,
    headers: {
      authorization: `Bearer ${server.token}`,
      'content-type': type,
      accept: one.accept ?? 'application/json',
    },
    body: one.body === undefined ? null : JSON.stringify(one.body),
  });
  const text = await answer.body.text();
  const body: unknown = text.startsWith('{') ? JSON.parse(text) : {};
  return { status: answer.statusCode, body: fieldsOf(body) };
}

function nameOf(kind: CrdKind): string {
  return `${kind.plural}.${kind.group}`;
}

function pathOf(kind: CrdKind, version: string): string {
  return `/apis/${kind.group}/${version}/namespaces/default/${kind.plural}`;
}

function objectPath(kind: CrdKind, version: string): string {
  return `${pathOf(kind, version)}/p`;
}

function parserOf(kind: CrdKind): (input: unknown) => unknown {
  return parsers[kind.kind as keyof typeof parsers];
}

/** What the user wrote. */
function bodyOf(object: Fields): Fields {
  const { apiVersion: _1, kind: _2, metadata: _3, status: _4, ...rest } = object;
  return rest;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
