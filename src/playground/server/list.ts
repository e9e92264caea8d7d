// Lists: selectors, pages, and the state that a page token or `resourceVersionMatch=Exact` asks
// for. A page token names the revision of its first page, so that all pages show one instant; when
// the history no longer reaches back to it, the answer is 410 and the client starts again.
import type { ApiContext } from './context.ts';
import { namespaceOf, nameOf, type JsonObject } from './json.ts';
import { collectionOf, type ResourceKind } from './kinds.ts';
import { fieldPredicate, labelPredicate, type Predicate } from './selectors.ts';
import { badRequest, expired, StatusFailure, statusObject } from './status.ts';
import { placeOf } from './storage.ts';

/** One page, at one revision. */
export type Listing = {
  readonly items: readonly JsonObject[];
  readonly revision: number;
  /** Empty when there is no further page. */
  readonly continueToken: string;
  readonly remaining: number | undefined;
};

/** What a list or watch covers: a kind, in one namespace or in all. */
export type Scope = { readonly kind: ResourceKind; readonly namespace: string | undefined };

type PageToken = { readonly revision: number; readonly after: string };

/** Both selectors and the namespace, as one predicate. */
export function scopePredicate(scope: Scope, query: URLSearchParams): Predicate {
  const byLabel = labelPredicate(query.get('labelSelector'));
  const byField = fieldPredicate(query.get('fieldSelector'), scope.kind.selectableFields);
  return (object) =>
    (scope.namespace === undefined || namespaceOf(object) === scope.namespace) &&
    byLabel(object) &&
    byField(object);
}

/** `resourceVersion=`; 0 for absent. */
export function wantedRevision(query: URLSearchParams): number {
  const text = query.get('resourceVersion') ?? '';
  if (text === '') return 0;
  if (!/^\d{1,16}$/.test(text)) {
    throw badRequest(
      `Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  }
  return Number(text);
}

function parseToken(text: string): PageToken {
  const parts = /^v1:(\d{1,16}):(.*)$/.exec(Buffer.from(text, 'base64url').toString('utf8'));
  if (parts === null) throw badRequest('continue key is not valid: cannot be decoded');
  return { revision: Number(parts[1]), after: parts[2] ?? '' };
}

function tokenText(token: PageToken): string {
  return Buffer.from(`v1:${token.revision}:${token.after}`).toString('base64url');
}

/** A client asks for a state that this server has not reached. */
export function tooLargeRevision(wanted: number, current: number): StatusFailure {
  const message = `Timeout: Too large resource version: ${wanted}, current: ${current}`;
  const cause = {
    reason: 'ResourceVersionTooLarge',
    message: 'Too large resource version',
  };
  const status = statusObject(504, 'Timeout', message);
  status.details = { causes: [cause], retryAfterSeconds: 1 };
  return new StatusFailure(status, 504, 1);
}

function listedRevision(api: ApiContext, query: URLSearchParams): number {
  const wanted = wantedRevision(query);
  const match = query.get('resourceVersionMatch') ?? '';
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan') {
    throw badRequest(`resourceVersionMatch: unsupported value: "${match}"`);
  }
  if (wanted > api.storage.revision) throw tooLargeRevision(wanted, api.storage.revision);
  return match === 'Exact' && wanted > 0 ? wanted : api.storage.revision;
}

function pageLimit(query: URLSearchParams): number {
  const text = query.get('limit') ?? '';
  // From its cache (`resourceVersion=0`) the real server answers whole, whatever the limit.
  if (query.get('resourceVersion') === '0') return Number.POSITIVE_INFINITY;
  if (text === '' || text === '0') return Number.POSITIVE_INFINITY;
  if (!/^\d{1,9}$/.test(text)) throw badRequest(`invalid limit: ${text}`);
  return Number(text);
}

/** One page of the collection, as the query asks. */
export function listPage(api: ApiContext, scope: Scope, query: URLSearchParams): Listing {
  const tokenQuery = query.get('continue') ?? '';
  const token = tokenQuery === '' ? undefined : parseToken(tokenQuery);
  const revision = token?.revision ?? listedRevision(api, query);
  const state = api.storage.listAtRevision(collectionOf(scope.kind), revision);
  if (state === undefined) {
    throw expired(
      'The provided continue parameter is too old to display a consistent list result.',
    );
  }
  const matches = scopePredicate(scope, query);
  const after = token?.after ?? '';
  const matching = state.filter(
    (object) =>
      (after === '' || placeOf(namespaceOf(object), nameOf(object)) > after) && matches(object),
  );
  const limit = pageLimit(query);
  const items = matching.slice(0, limit);
  const last = items.at(-1);
  const remaining = matching.length - items.length;
  if (remaining === 0 || last === undefined) {
    return { items, revision, continueToken: '', remaining: undefined };
  }
  const place = placeOf(namespaceOf(last), nameOf(last));
  // As the real server: with a selector nobody knows how many are left.
  const isSelected = query.has('labelSelector') || query.has('fieldSelector');
  return {
    items,
    revision,
    continueToken: tokenText({ revision, after: place }),
    remaining: isSelected ? undefined : remaining,
  };
}
