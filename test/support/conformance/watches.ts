// Conformance: watches – resuming, selections, WatchList, bookmarks, timeouts, what is too old.
// Every wait is for an event, with a bound; none is for a time.
import { expect } from 'vitest';
import { mergeType, type JsonObject, type WatchEvent } from './api-client.ts';
import { configMap, widget, widgetGroup, type ApiCase } from './suite.ts';

const base = (title: string, run: ApiCase['run']): ApiCase => ({ title, run });

function told(event: WatchEvent | undefined): string {
  const metadata = event?.object.metadata as { name?: string } | undefined;
  return `${event?.type ?? 'END'} ${metadata?.name ?? ''}`;
}

function versionOf(object: JsonObject): string {
  return (object.metadata as { resourceVersion: string }).resourceVersion;
}

const isInitialEnd = (event: WatchEvent): boolean =>
  event.type === 'BOOKMARK' && JSON.stringify(event.object).includes('k8s.io/initial-events-end');

const watchList = 'resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
const onlyTwo = 'fieldSelector=metadata.name%3Dtwo';

export const watchCases: readonly ApiCase[] = [
  base(
    'a watch from a list tells what came after it, in order, with kind and version',
    async ({ api, core }) => {
      const { body } = await api.get(`${core}/secrets`);
      const watch = await api.watch(
        `${core}/secrets?watch=true&resourceVersion=${versionOf(body)}`,
      );
      await api.create(`${core}/secrets`, { metadata: { name: 'one' } });
      await api.ask(
        'PATCH',
        `${core}/secrets/one`,
        { metadata: { labels: { a: 'b' } } },
        { type: mergeType },
      );
      await api.ask('DELETE', `${core}/secrets/one`);
      const events = [await watch.next(), await watch.next(), await watch.next()];
      watch.close();
      expect(events.map(told)).toEqual(['ADDED one', 'MODIFIED one', 'DELETED one']);
      expect(events[0]?.object).toMatchObject({ apiVersion: 'v1', kind: 'Secret' });
      const versions = events.map((event) => Number(versionOf(event?.object ?? {})));
      expect(versions).toEqual([...versions].sort((left, right) => left - right));
      expect(new Set(versions).size).toBe(3);
    },
  ),
  base('a watch resumes where it left off', async ({ api, core }) => {
    const made = await api.create(`${core}/secrets`, { metadata: { name: 'one' } });
    await api.create(`${core}/secrets`, { metadata: { name: 'two' } });
    const watch = await api.watch(`${core}/secrets?watch=true&resourceVersion=${versionOf(made)}`);
    expect(told(await watch.next())).toBe('ADDED two');
    watch.close();
  }),
  base('without a revision a watch begins with what is there', async ({ api, core }) => {
    await api.create(`${core}/secrets`, { metadata: { name: 'one' } });
    const watch = await api.watch(`${core}/secrets?watch=true`);
    expect(told(await watch.next())).toBe('ADDED one');
    watch.close();
  }),
  base('WatchList: the present state, a marked bookmark, then changes', async ({ api, core }) => {
    for (const name of ['one', 'two']) await api.create(`${core}/secrets`, { metadata: { name } });
    const watch = await api.watch(`${core}/secrets?watch=true&sendInitialEvents=true&${watchList}`);
    const initial = await watch.until(isInitialEnd);
    expect(initial.map(told).sort()).toEqual(['ADDED one', 'ADDED two', 'BOOKMARK ']);
    const mark = initial.at(-1)?.object ?? {};
    expect(mark).toMatchObject({ kind: 'Secret', apiVersion: 'v1' });
    await api.create(`${core}/secrets`, { metadata: { name: 'three' } });
    const event = await watch.next();
    expect(told(event)).toBe('ADDED three');
    expect(Number(versionOf(event?.object ?? {}))).toBeGreaterThan(Number(versionOf(mark)));
    watch.close();
  }),
  base('sendInitialEvents without resourceVersionMatch is 422', async ({ api, core }) => {
    const answer = await api.get(
      `${core}/secrets?watch=true&sendInitialEvents=true&timeoutSeconds=1`,
    );
    expect(answer.code).toBe(422);
  }),
  base(
    'an object that enters a selection is ADDED, one that leaves is DELETED',
    async ({ api, core }) => {
      const { body } = await api.get(`${core}/secrets`);
      const watch = await api.watch(
        `${core}/secrets?watch=true&labelSelector=in%3Dyes&resourceVersion=${versionOf(body)}`,
      );
      const label = (value: string) =>
        api.ask(
          'PATCH',
          `${core}/secrets/one`,
          { metadata: { labels: { in: value } } },
          { type: mergeType },
        );
      await api.create(`${core}/secrets`, { metadata: { name: 'one', labels: { in: 'no' } } });
      await label('yes');
      const left = await label('no');
      await label('yes');
      const events = [await watch.next(), await watch.next(), await watch.next()];
      watch.close();
      expect(events.map(told)).toEqual(['ADDED one', 'DELETED one', 'ADDED one']);
      // What leaves is shown with the labels that it had, and the revision at which it left.
      expect(events[1]?.object.metadata).toMatchObject({
        labels: { in: 'yes' },
        resourceVersion: versionOf(left.body),
      });
    },
  ),
  base('a watch of one name tells of no other', async ({ api, core }) => {
    const { body } = await api.get(`${core}/secrets`);
    const watch = await api.watch(
      `${core}/secrets?watch=true&${onlyTwo}&resourceVersion=${versionOf(body)}`,
    );
    for (const name of ['one', 'two']) await api.create(`${core}/secrets`, { metadata: { name } });
    expect(told(await watch.next())).toBe('ADDED two');
    watch.close();
  }),
  base('a watch ends by its timeout', async ({ api, core }) => {
    const { body } = await api.get(`${core}/secrets`);
    const watch = await api.watch(
      `${core}/secrets?watch=true&timeoutSeconds=1&resourceVersion=${versionOf(body)}`,
    );
    expect(await watch.next()).toBeUndefined();
  }),
  base('a watch with bookmarks gets one before its timeout', async ({ api, core }) => {
    const { body } = await api.get(`${core}/secrets`);
    const version = versionOf(body);
    const query = 'watch=true&timeoutSeconds=6&allowWatchBookmarks=true&labelSelector=none';
    const watch = await api.watch(`${core}/secrets?${query}&resourceVersion=${version}`);
    // A real server sends one only when there is news since the start, be it of other objects.
    const made = await api.create(`${core}/secrets`, { metadata: { name: 'one' } });
    const event = await watch.next();
    expect(event).toMatchObject({ type: 'BOOKMARK', object: { kind: 'Secret', apiVersion: 'v1' } });
    expect(Number(versionOf(event?.object ?? {}))).toBeGreaterThanOrEqual(Number(versionOf(made)));
    watch.close();
  }),
  base(
    'a revision that is too old is an ERROR event with a 410 status, and the end',
    async ({ api, core }) => {
      const old = api.forgottenRevision;
      const watch = await api.watch(`${core}/secrets?watch=true&resourceVersion=${old}`);
      expect(watch.code).toBe(200);
      const event = await watch.next();
      expect(event).toMatchObject({
        type: 'ERROR',
        object: { kind: 'Status', code: 410, reason: 'Expired' },
      });
      expect(String(event?.object.message)).toMatch(/^too old resource version: \d+ \(\d+\)$/);
      expect(await watch.next()).toBeUndefined();
    },
  ),
  base(
    'each version of a custom kind is watched in its own apiVersion',
    async ({ api, inGroup }) => {
      const older = `${inGroup(widgetGroup, 'v1alpha1')}/widgets`;
      const { body } = await api.get(older);
      const watch = await api.watch(`${older}?watch=true&resourceVersion=${versionOf(body)}`);
      await api.create(`${inGroup(widgetGroup, 'v1')}/widgets`, widget('one', { size: 1 }));
      expect((await watch.next())?.object).toMatchObject({
        apiVersion: `${widgetGroup}/v1alpha1`,
        kind: 'Widget',
      });
      watch.close();
    },
  ),
  base('a watch over all namespaces tells of each', async ({ api, core, namespace }) => {
    const { body } = await api.get('/api/v1/configmaps');
    const mine = `labelSelector=of%3D${namespace}`;
    const watch = await api.watch(
      `/api/v1/configmaps?watch=true&${mine}&resourceVersion=${versionOf(body)}`,
    );
    await api.create(`${core}/configmaps`, {
      ...configMap('one'),
      metadata: { name: 'one', labels: { of: namespace } },
    });
    expect((await watch.next())?.object.metadata).toMatchObject({ namespace, name: 'one' });
    watch.close();
  }),
];
