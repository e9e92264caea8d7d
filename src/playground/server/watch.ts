// Watches: a stream of JSON lines that resumes from a revision, or starts with the present state
// (WatchList), is kept alive by bookmarks and ends at its timeout. An object that enters or leaves
// the selection is told as ADDED or DELETED, whatever happened to it. A reader that does not keep
// up is cut, because the alternative is to keep everything that it has not read.
import type { ServerResponse } from 'node:http';
import type { Timer } from '../../lib/clock.ts';
import type { ApiContext } from './context.ts';
import type { JsonObject } from './json.ts';
import { apiVersionOf, collectionOf } from './kinds.ts';
import { scopePredicate, tooLargeRevision, wantedRevision, type Scope } from './list.ts';
import type { Predicate } from './selectors.ts';
import { expired, invalid, type StatusFailure } from './status.ts';
import type { Change } from './storage.ts';

/** Unread bytes of one watch before it is cut; many events, little memory. */
const unreadBytesMax = 16 * 1024 * 1024;
/** As the real server: a bookmark about every minute. */
const bookmarkEveryMs = 60_000;
/** When the client names no timeout; the real server takes 30 to 60 minutes. */
const timeoutSecondsDefault = 1800;

/** How an object is written in this watch: whole, as metadata or as a table row. */
export type EventText = (object: JsonObject) => string;

/** What is watched, by which parameters, and how its objects are written. */
export type WatchOptions = {
  readonly scope: Scope;
  readonly query: URLSearchParams;
  readonly textOf: EventText;
};

type Position = { readonly initial: readonly JsonObject[]; readonly changes: readonly Change[] };

function asksForState(query: URLSearchParams): boolean {
  return query.get('sendInitialEvents') === 'true';
}

/** Refuses contradictory parameters before the stream starts. */
function checkParameters(query: URLSearchParams): void {
  if (!asksForState(query) || query.get('resourceVersionMatch') === 'NotOlderThan') return;
  const subject = { group: 'meta.k8s.io', plural: '', name: '' };
  throw invalid(subject, 'ListOptions', [
    {
      reason: 'FieldValueForbidden',
      message:
        'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is ' +
        'provided',
      field: 'resourceVersionMatch',
    },
  ]);
}

/** Where the stream starts; a failure when the history does not reach back that far. */
function startPosition(api: ApiContext, scope: Scope, query: URLSearchParams): Position {
  const collection = collectionOf(scope.kind);
  const wanted = wantedRevision(query);
  if (wanted > api.storage.revision) throw tooLargeRevision(wanted, api.storage.revision);
  const isFromState = wanted === 0 && query.get('sendInitialEvents') !== 'false';
  if (asksForState(query) || isFromState) {
    return { initial: api.storage.list(collection), changes: [] };
  }
  if (wanted === 0) return { initial: [], changes: [] };
  const changes = api.storage.changesSince(collection, wanted);
  if (changes === undefined) {
    throw expired(`too old resource version: ${wanted} (${api.storage.compactedRevision})`);
  }
  return { initial: [], changes };
}

/** One running watch. It ends by timeout, by its client, or by `end`. */
export class Watch {
  readonly #api: ApiContext;
  readonly #response: ServerResponse;
  readonly #options: WatchOptions;
  readonly #matches: Predicate;
  #timers: Timer[] = [];
  #unsubscribe: (() => void) | undefined;
  /** No bound while the state up to now is written: the storage bounds that. */
  #unreadMax = Infinity;

  constructor(api: ApiContext, response: ServerResponse, options: WatchOptions) {
    this.#api = api;
    this.#response = response;
    this.#options = options;
    checkParameters(options.query);
    this.#matches = scopePredicate(options.scope, options.query);
  }

  /** Writes the head and everything up to now, then follows. */
  start(): void {
    const { scope, query } = this.#options;
    this.#response.once('close', () => this.end());
    let position: Position;
    try {
      position = startPosition(this.#api, scope, query);
    } catch (failure) {
      this.#refuse(failure);
      return;
    }
    for (const object of position.initial) {
      if (this.#matches(object)) this.#write('ADDED', object);
    }
    if (asksForState(query)) this.#bookmark({ 'k8s.io/initial-events-end': 'true' });
    this.#unreadMax = unreadBytesMax + this.#response.writableLength;
    for (const change of position.changes) this.#tell(change);
    const collection = collectionOf(scope.kind);
    this.#unsubscribe = this.#api.storage.subscribe((change) => {
      if (change.collection === collection) this.#tell(change);
    });
    this.#armTimers();
  }

  /** Ends the stream politely; idempotent. */
  end(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
    if (!this.#response.writableEnded) this.#response.end();
  }

  /** A stream that cannot start says so as its first and last event, with status 200. */
  #refuse(failure: unknown): void {
    const status = (failure as StatusFailure).status; // thrown by startPosition alone
    this.#response.write(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
    this.end();
  }

  #tell(change: Change): void {
    const isNow = change.type !== 'DELETED' && this.#matches(change.object);
    const was = change.previous !== undefined && this.#matches(change.previous);
    if (isNow) this.#write(was ? 'MODIFIED' : 'ADDED', change.object);
    else if (was) this.#write('DELETED', this.#leaving(change));
  }

  /** What leaves the selection is shown as it was, with the revision at which it left. */
  #leaving(change: Change): JsonObject {
    if (change.type === 'DELETED') return change.object;
    const metadata = change.previous?.metadata;
    if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
      return change.object;
    }
    const stamped = { ...metadata, resourceVersion: String(change.revision) };
    return { ...change.previous, metadata: stamped };
  }

  #write(type: string, object: JsonObject): void {
    this.#response.write(`{"type":"${type}","object":${this.#options.textOf(object)}}\n`);
    if (this.#response.writableLength > this.#unreadMax) this.#response.destroy();
  }

  #bookmark(annotations: JsonObject): void {
    const { kind } = this.#options.scope;
    const metadata: JsonObject = {
      resourceVersion: String(this.#api.storage.revision),
      creationTimestamp: null,
    };
    if (Object.keys(annotations).length > 0) metadata.annotations = annotations;
    const object = { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata };
    this.#response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  #armTimers(): void {
    const { query } = this.#options;
    const timeoutSeconds = Number(query.get('timeoutSeconds') ?? '0') || timeoutSecondsDefault;
    const takesBookmarks = query.get('allowWatchBookmarks') === 'true';
    const { timers } = this.#api.runtime;
    this.#timers.push(
      timers.after(timeoutSeconds * 1000, () => {
        if (takesBookmarks) this.#bookmark({});
        this.end();
      }),
    );
    if (takesBookmarks) this.#armBookmark();
  }

  #armBookmark(): void {
    const timer = this.#api.runtime.timers.after(bookmarkEveryMs, () => {
      this.#bookmark({});
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#armBookmark();
    });
    this.#timers.push(timer);
  }
}
