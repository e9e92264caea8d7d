// Conformance: lists – selectors, pages, revisions – and tables.
// What is compared is what a reflector and kubectl read.
import { expect } from 'vitest';
import { tableAccept, type JsonObject } from './api-client.ts';
import {
  configMap,
  service,
  widget,
  widgetGroup,
  type ApiCase,
  type CaseContext,
  anyText,
  textLike,
} from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

function names(list: JsonObject): readonly string[] {
  return (list.items as { metadata: { name: string } }[]).map((item) => item.metadata.name);
}

function listMeta(list: JsonObject): {
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
} {
  return list.metadata as { resourceVersion: string };
}

async function some({ api, core }: CaseContext, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const labels = { parity: index % 2 === 0 ? 'even' : 'odd', number: String(index) };
    await api.create(`${core}/secrets`, { metadata: { name: `item-${index}`, labels } });
  }
}

export const listCases: readonly ApiCase[] = [
  base(
    'a list names its kind and revision; items of built-in kinds carry neither kind nor version',
    async ({ api, core }) => {
      await api.create(`${core}/services`, service('one'));
      const { body } = await api.get(`${core}/services`);
      expect(body).toMatchObject({ kind: 'ServiceList', apiVersion: 'v1' });
      expect(listMeta(body).resourceVersion).toMatch(/^\d+$/);
      const [item] = body.items as JsonObject[];
      expect(item?.kind).toBeUndefined();
      expect(item?.apiVersion).toBeUndefined();
    },
  ),
  base('items of custom kinds carry kind and version', async ({ api, inGroup }) => {
    await api.create(`${inGroup(widgetGroup, 'v1')}/widgets`, widget('one', { size: 1 }));
    const { body } = await api.get(`${inGroup(widgetGroup, 'v1')}/widgets`);
    expect(body).toMatchObject({ kind: 'WidgetList', apiVersion: `${widgetGroup}/v1` });
    expect((body.items as JsonObject[])[0]).toMatchObject({
      kind: 'Widget',
      apiVersion: `${widgetGroup}/v1`,
    });
  }),
  base('lists are in order of namespace and name', async (context) => {
    const { api, core } = context;
    for (const name of ['c', 'a', 'b-2', 'b'])
      await api.create(`${core}/secrets`, { metadata: { name } });
    expect(names((await api.get(`${core}/secrets`)).body)).toEqual(['a', 'b', 'b-2', 'c']);
  }),
  base('label selectors: equality, inequality, sets, presence, absence', async (context) => {
    const { api, core } = context;
    await some(context, 4);
    await api.create(`${core}/secrets`, { metadata: { name: 'bare' } });
    const chosen = async (selector: string): Promise<readonly string[]> =>
      names((await api.get(`${core}/secrets?labelSelector=${encodeURIComponent(selector)}`)).body);
    expect(await chosen('parity=even')).toEqual(['item-0', 'item-2']);
    expect(await chosen('parity==odd,number!=1')).toEqual(['item-3']);
    expect(await chosen('parity!=even')).toEqual(['bare', 'item-1', 'item-3']);
    expect(await chosen('number in (0, 3)')).toEqual(['item-0', 'item-3']);
    expect(await chosen('number notin (0,1,2)')).toEqual(['bare', 'item-3']);
    expect(await chosen('parity')).toHaveLength(4);
    expect(await chosen('!parity')).toEqual(['bare']);
    expect(
      (await api.get(`${core}/secrets?labelSelector=${encodeURIComponent('a in b')}`)).code,
    ).toBe(400);
  }),
  base('field selectors: name, and the fields of the kind; others are 400', async (context) => {
    const { api, core } = context;
    await some(context, 3);
    const byName = await api.get(`${core}/secrets?fieldSelector=metadata.name%3Ditem-1`);
    expect(names(byName.body)).toEqual(['item-1']);
    const others = await api.get(
      `${core}/secrets?fieldSelector=metadata.name!%3Ditem-1,type%3DOpaque`,
    );
    expect(names(others.body)).toEqual(['item-0', 'item-2']);
    const unknown = await api.get(`${core}/secrets?fieldSelector=data.a%3Db`);
    expect(unknown.body).toMatchObject({ code: 400, reason: 'BadRequest' });
  }),
  base('pods are selected by their node', async ({ api, core }) => {
    const pod = (name: string, nodeName: string): JsonObject => ({
      metadata: { name },
      spec: { nodeName, containers: [{ name: 'c', image: 'none' }] },
    });
    await api.create(`${core}/pods`, pod('a', 'node-1'));
    await api.create(`${core}/pods`, pod('b', 'node-2'));
    const found = await api.get(`${core}/pods?fieldSelector=spec.nodeName%3Dnode-2`);
    expect(names(found.body)).toEqual(['b']);
  }),
  base('pages show one instant and end without a token', async (context) => {
    const { api, core } = context;
    await some(context, 5);
    const first = await api.get(`${core}/secrets?limit=2`);
    expect(names(first.body)).toEqual(['item-0', 'item-1']);
    expect(listMeta(first.body).remainingItemCount).toBe(3);
    await api.ask('DELETE', `${core}/secrets/item-3`);
    await api.create(`${core}/secrets`, { metadata: { name: 'item-25' } });
    const next = async (list: JsonObject) => {
      const token = encodeURIComponent(listMeta(list).continue ?? '');
      return (await api.get(`${core}/secrets?limit=2&continue=${token}`)).body;
    };
    const second = await next(first.body);
    const third = await next(second);
    expect([names(second), names(third)]).toEqual([['item-2', 'item-3'], ['item-4']]);
    expect(listMeta(third).resourceVersion).toBe(listMeta(first.body).resourceVersion);
    expect(listMeta(third).continue ?? '').toBe('');
  }),
  base('with resourceVersion=0 the limit is ignored', async (context) => {
    const { api, core } = context;
    await some(context, 3);
    const { body } = await api.get(`${core}/secrets?limit=1&resourceVersion=0`);
    expect(listMeta(body).continue ?? '').toBe('');
    expect(names(body)).toHaveLength(3);
  }),
  base('a token that nobody gave is 400', async ({ api, core }) => {
    expect((await api.get(`${core}/secrets?limit=1&continue=nonsense`)).code).toBe(400);
  }),
  base('an exact revision shows that instant', async ({ api, core }) => {
    const made = await api.create(`${core}/configmaps`, configMap('one', { a: '1' }));
    const { resourceVersion } = made.metadata as { resourceVersion: string };
    await api.ask('PUT', `${core}/configmaps/one`, configMap('one', { a: '2' }));
    const then = await api.get(
      `${core}/configmaps?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`,
    );
    expect((then.body.items as JsonObject[]).at(-1)).toMatchObject({ data: { a: '1' } });
    expect(listMeta(then.body).resourceVersion).toBe(resourceVersion);
  }),
  base('a revision from the future is 504 with a hint to retry', async ({ api, core }) => {
    const answer = await api.get(
      `${core}/configmaps?resourceVersion=999999999&resourceVersionMatch=NotOlderThan`,
    );
    expect(answer.body).toMatchObject({ code: 504, reason: 'Timeout' });
    expect(answer.body.details).toMatchObject({ causes: [{ reason: 'ResourceVersionTooLarge' }] });
  }),
  base('a revision that is no number is 400', async ({ api, core }) => {
    expect((await api.get(`${core}/configmaps?resourceVersion=abc`)).code).toBe(400);
  }),
  base(
    'a table has the columns of the definition, and the first of several values',
    async ({ api, inGroup }) => {
      const path = `${inGroup(widgetGroup, 'v1')}/widgets`;
      await api.create(path, widget('one', { size: 7, parts: [{ name: 'p' }, { name: 'q' }] }));
      const { body } = await api.get(path, { accept: tableAccept });
      expect(body).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
      const columns = body.columnDefinitions as { name: string; priority: number }[];
      expect(columns.map((column) => [column.name, column.priority])).toEqual([
        ['Name', 0],
        ['Size', 0],
        ['Parts', 0],
        ['Wide', 1],
        ['Age', 0],
      ]);
      const [row] = body.rows as { cells: unknown[]; object: JsonObject }[];
      expect(row?.cells).toEqual(['one', 7, 'p', 'red', textLike(/^\d+s$/)]);
      expect(row?.object).toMatchObject({
        kind: 'PartialObjectMetadata',
        metadata: { name: 'one' },
      });
    },
  ),
  base('a table of services has the columns of kubectl', async ({ api, core }) => {
    await api.create(
      `${core}/services`,
      service('one', {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 53, protocol: 'UDP' },
        ],
      }),
    );
    const { body } = await api.get(`${core}/services/one`, { accept: tableAccept });
    const columns = body.columnDefinitions as { name: string }[];
    expect(columns.map((column) => column.name)).toEqual([
      'Name',
      'Type',
      'Cluster-IP',
      'External-IP',
      'Port(s)',
      'Age',
      'Selector',
    ]);
    const [row] = body.rows as { cells: unknown[] }[];
    expect(row?.cells).toMatchObject([
      'one',
      'ClusterIP',
      textLike(/^10\.96\./),
      '<none>',
      '80/TCP,53/UDP',
      anyText,
      'app=one',
    ]);
  }),
  base('tables of other kinds have the columns of kubectl', async ({ api, core, inGroup }) => {
    const columns = async (path: string): Promise<readonly string[]> => {
      const { body } = await api.get(path, { accept: tableAccept });
      return (body.columnDefinitions as { name: string; priority: number }[])
        .filter((column) => column.priority === 0)
        .map((column) => column.name);
    };
    expect(await columns(`${core}/pods`)).toEqual(['Name', 'Ready', 'Status', 'Restarts', 'Age']);
    expect(await columns('/api/v1/namespaces')).toEqual(['Name', 'Status', 'Age']);
    expect(await columns('/api/v1/nodes')).toEqual(['Name', 'Status', 'Roles', 'Age', 'Version']);
    expect(await columns(`${inGroup('apps', 'v1')}/daemonsets`)).toEqual([
      'Name',
      'Desired',
      'Current',
      'Ready',
      'Up-to-date',
      'Available',
      'Node Selector',
      'Age',
    ]);
    expect(await columns(`${inGroup('apps', 'v1')}/deployments`)).toEqual([
      'Name',
      'Ready',
      'Up-to-date',
      'Available',
      'Age',
    ]);
    expect(await columns(`${inGroup('apps', 'v1')}/replicasets`)).toEqual([
      'Name',
      'Desired',
      'Current',
      'Ready',
      'Age',
    ]);
    expect(await columns(`${inGroup('discovery.k8s.io', 'v1')}/endpointslices`)).toEqual([
      'Name',
      'AddressType',
      'Ports',
      'Endpoints',
      'Age',
    ]);
    expect(await columns(`${inGroup('coordination.k8s.io', 'v1')}/leases`)).toEqual([
      'Name',
      'Holder',
      'Age',
    ]);
    expect(await columns(`${core}/configmaps`)).toEqual(['Name', 'Data', 'Age']);
    expect(await columns(`${core}/secrets`)).toEqual(['Name', 'Type', 'Data', 'Age']);
    expect(await columns(`${core}/serviceaccounts`)).toEqual(['Name', 'Secrets', 'Age']);
    expect(await columns('/apis/certificates.k8s.io/v1/certificatesigningrequests')).toEqual([
      'Name',
      'Age',
      'SignerName',
      'Requestor',
      'RequestedDuration',
      'Condition',
    ]);
    expect(await columns('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')).toEqual([
      'Name',
      'Created At',
    ]);
    expect(await columns(`${core}/events`)).toEqual([
      'Last Seen',
      'Type',
      'Reason',
      'Object',
      'Message',
    ]);
  }),
  base('metadata alone can be asked for', async ({ api, core }) => {
    await api.create(`${core}/configmaps`, configMap('one', { a: 'b' }));
    const accept = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
    const { body } = await api.get(`${core}/configmaps`, { accept });
    expect(body).toMatchObject({ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' });
    const last = (body.items as JsonObject[]).at(-1);
    expect(last).toMatchObject({ metadata: { name: 'one' } });
    expect(last?.data).toBeUndefined();
  }),
];
