// A list in pages, where the API server does not stream lists. Each object is given away as soon as
// its page is there, so that never more than one page is in memory unpruned.
// Without `resourceVersion`: with `resourceVersion=0` the API server ignores `limit`.
import { asRecord, asText, KubeFailure } from './client.ts';
import type { Connection, Query } from './connection.ts';
import type { Pacer } from './pacer.ts';

/** client-go's page size. */
const pageSize = 500;
/** 500 000 objects; a server that never ends its list is broken. */
const pagesMax = 1_000;

export type ListOptions = {
  readonly connection: Connection;
  readonly path: string;
  /** Selectors. */
  readonly query: Query;
  readonly pacer: Pacer;
  readonly onObject: (object: unknown) => void;
  /** A stopped reader does not go on with a list of a minute. */
  readonly isStopped: () => boolean;
};

/** The resource version of the list, from which a watch goes on. */
export async function listObjects(options: ListOptions): Promise<string> {
  let next = '';
  for (let page = 0; page < pagesMax; page += 1) {
    if (options.isStopped()) throw new KubeFailure('Cancelled', 'the list was cancelled');
    const list = asRecord(
      await options.connection.get(options.path, {
        ...options.query,
        limit: pageSize,
        continue: next === '' ? undefined : next,
      }),
    );
    await giveAway(list['items'], options);
    const meta = asRecord(list['metadata']);
    next = asText(meta['continue']);
    if (next === '') return asText(meta['resourceVersion']);
  }
  throw new KubeFailure('BadResponse', `the list ${options.path} has more than ${pagesMax} pages`);
}

async function giveAway(items: unknown, options: ListOptions): Promise<void> {
  const objects: readonly unknown[] = Array.isArray(items) ? items : [];
  // Decoding the page has used up a slice already.
  await options.pacer.pause();
  for (const object of objects) {
    options.pacer.begin();
    options.onObject(object);
    if (options.pacer.end()) await options.pacer.pause();
  }
}
