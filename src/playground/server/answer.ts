// One request to one reply: authentication is done, the body is read; here path and method choose
// what to do. Everything is synchronous – the store is memory – so that a request sees one state.
import type { ApiContext, FieldValidation, WriteOptions } from './context.ts';
import { applyObject } from './apply.ts';
import { deleteObject } from './delete.ts';
import { coreVersions, groupList, oneGroup, resourceList, versionDocument } from './discovery.ts';
import {
  copyOf,
  isObject,
  nameOf,
  namespaceOf,
  parseJson,
  type Json,
  type JsonObject,
} from './json.ts';
import { apiVersionOf, collectionOf, type ResourceKind, type User } from './kinds.ts';
import { listPage, scopePredicate, type Scope } from './list.ts';
import {
  openapiDocument,
  openapiIndex,
  openapiV2,
  openapiV2Protobuf,
  openapiV2Types,
} from './openapi.ts';
import { jsonPatch, mergePatch, parsePatch } from './patch.ts';
import { answerReview } from './reviews.ts';
import { resourcePath, type ResourcePath } from './routes.ts';
import { badRequest, noSuchResource, refusal } from './status.ts';
import { strategicMerge } from './strategic.ts';
import { rowContent, tableOf } from './table.ts';
import { answerTokenRequest } from './token-requests.ts';
import { acceptedForms, asItem, metadataOnly, viewOf } from './view.ts';
import {
  checkBody,
  checkUnmodified,
  createObject,
  decodeBody,
  existing,
  replaceObject,
  storeUpdate,
  type Target,
  type Written,
} from './write.ts';

/** A request whose sender is known and whose body is read. */
export type ApiRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly contentType: string;
  readonly userAgent: string;
  readonly user: User;
  readonly body: string;
};

/** What is sent back, before it is bytes. */
export type Reply = {
  readonly code: number;
  /** Text is plain; an object is JSON; bytes are what `contentType` says. */
  readonly body: JsonObject | string | Buffer;
  /** Only where the body does not tell. */
  readonly contentType?: string;
  readonly warnings: readonly string[];
};

const fine = (body: JsonObject | string, code = 200): Reply => ({ code, body, warnings: [] });

/** Documents that name no object; `undefined` when the path is none of them. */
export function documentReply(
  api: ApiContext,
  request: Pick<ApiRequest, 'path' | 'accept'>,
  address: string,
): Reply | undefined {
  const { path } = request;
  if (path === '/openapi/v2') return openapiV2Reply(request.accept);
  const found = ((): JsonObject | undefined => {
    switch (path) {
      case '/version':
        return versionDocument();
      case '/api':
        return coreVersions(address);
      case '/apis':
        return groupList(api.registry);
      case '/openapi/v3':
        return openapiIndex(api.registry);
      default:
        return groupDocument(api, path);
    }
  })();
  return found === undefined ? undefined : fine(found);
}

function openapiV2Reply(accept: string): Reply {
  if (!accept.includes(openapiV2Types.asked)) return fine(openapiV2());
  const contentType = openapiV2Types.answered;
  return { code: 200, body: openapiV2Protobuf(), contentType, warnings: [] };
}

function groupDocument(api: ApiContext, path: string): JsonObject | undefined {
  const [, root, group, version, ...rest] = path.replace(/\/$/, '').split('/');
  if (path.startsWith('/openapi/v3/')) return openapiDocument(api.registry, path.slice(12));
  if (rest.length > 0 || group === undefined) return undefined;
  if (root === 'api' && version === undefined) return resourceList(api.registry, '', group);
  if (root !== 'apis') return undefined;
  return version === undefined
    ? oneGroup(api.registry, group)
    : resourceList(api.registry, group, version);
}

/** The reply to a request for objects; throws a StatusFailure for every refusal. */
export function answer(api: ApiContext, request: ApiRequest): Reply {
  const path = resourcePath(api.registry, request.path);
  if (path === undefined) throw noSuchResource();
  if (path.subresource === 'token') return answerToken(api, path, request);
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return path.name === undefined
        ? answerList(api, path, request)
        : answerGet(api, path, request);
    case 'POST':
      return answerCreate(api, path, request);
    case 'PUT':
      return answerReplace(api, path, request);
    case 'PATCH':
      return answerPatch(api, path, request);
    case 'DELETE':
      return path.name === undefined
        ? answerDeleteAll(api, path, request)
        : answerDelete(api, path, request);
    default:
      throw notAllowed();
  }
}

function notAllowed(): Error {
  const why = 'the server does not allow this method on the requested resource';
  return refusal(405, 'MethodNotAllowed', why);
}

/** A token for a ServiceAccount: asked for, never read. */
function answerToken(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  if (request.method !== 'POST') throw notAllowed();
  const account = existing(api, targetOf(path));
  const body = request.body === '' ? {} : parseBody(request.body);
  return fine(answerTokenRequest(api, account, isObject(body) ? body : {}), 201);
}

/** The query of a watch, when the request is one. */
export function watchScope(
  api: ApiContext,
  request: ApiRequest,
): { scope: Scope; query: URLSearchParams } | undefined {
  const asked = request.query.get('watch');
  if (request.method !== 'GET' || (asked !== 'true' && asked !== '1')) return undefined;
  const path = resourcePath(api.registry, request.path);
  if (path === undefined) throw noSuchResource();
  if (path.name === undefined) return { scope: scopeOf(path), query: request.query };
  const query = new URLSearchParams(request.query);
  query.set('fieldSelector', `metadata.name=${path.name}`);
  return { scope: scopeOf(path), query };
}

function scopeOf(path: ResourcePath): Scope {
  return { kind: path.kind, namespace: path.namespace };
}

function targetOf(path: ResourcePath, name = path.name ?? ''): Target {
  return { kind: path.kind, namespace: path.namespace ?? '', name, subresource: path.subresource };
}

function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value === 'true' || value === '1' || value === 't';
}

function validationOf(query: URLSearchParams, kind: ResourceKind): FieldValidation {
  const asked = query.get('fieldValidation') ?? '';
  if (asked === '') return kind.isCustom ? 'Warn' : 'Warn';
  if (asked === 'Strict' || asked === 'Warn' || asked === 'Ignore') return asked;
  throw badRequest(`fieldValidation: Unsupported value: "${asked}"`);
}

function writeOptions(path: ResourcePath, request: ApiRequest): WriteOptions {
  const dryRuns = request.query.getAll('dryRun');
  if (dryRuns.some((value) => value !== 'All' && value !== '')) {
    throw badRequest(`dryRun: Unsupported value: "${dryRuns.join(',')}": supported values: "All"`);
  }
  return {
    user: request.user,
    isDryRun: dryRuns.includes('All'),
    fieldOwner: request.query.get('fieldManager') ?? (request.userAgent.split('/')[0] || 'unknown'),
    fieldValidation: validationOf(request.query, path.kind),
    isForced: flag(request.query, 'force'),
  };
}

function parseBody(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    // The parser's own message would show the body.
    throw badRequest(
      'the object provided is unrecognized (must be of type Object): the body is not valid JSON',
    );
  }
}

/** One object in the form that the client accepts. */
function objectReply(
  api: ApiContext,
  path: ResourcePath,
  request: ApiRequest,
  object: JsonObject,
): Reply {
  for (const { form } of acceptedForms(request.accept)) {
    if (form === 'Table') {
      const nowMs = api.runtime.clock.wallMs();
      const metadata = { resourceVersion: String(api.storage.revision) };
      const content = rowContent(request.query);
      return fine(tableOf({ kind: path.kind, objects: [object], content, nowMs, metadata }));
    }
    if (form === 'PartialObjectMetadata') return fine(metadataOnly(object));
    if (form === '') break;
  }
  return fine(viewOf(path.kind, object));
}

function answerGet(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  const stored = existing(api, targetOf(path));
  return path.subresource === 'scale'
    ? fine(scaleOf(stored))
    : objectReply(api, path, request, stored);
}

function answerList(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  const listing = listPage(api, scopeOf(path), request.query);
  const metadata: JsonObject = { resourceVersion: String(listing.revision) };
  if (listing.continueToken !== '') metadata.continue = listing.continueToken;
  if (listing.remaining !== undefined) metadata.remainingItemCount = listing.remaining;
  for (const { form } of acceptedForms(request.accept)) {
    if (form === 'Table') {
      const nowMs = api.runtime.clock.wallMs();
      const content = rowContent(request.query);
      return fine(tableOf({ kind: path.kind, objects: listing.items, content, nowMs, metadata }));
    }
    if (form === 'PartialObjectMetadataList') {
      const items: Json[] = listing.items.map(metadataOnly);
      return fine({ kind: form, apiVersion: 'meta.k8s.io/v1', metadata, items });
    }
    if (form === '') break;
  }
  const items: Json[] = listing.items.map((object) => asItem(path.kind, object));
  const kind = `${path.kind.kind}List`;
  return fine({ kind, apiVersion: apiVersionOf(path.kind), metadata, items });
}

function answerCreate(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  if (path.name !== undefined) {
    throw notAllowed();
  }
  const body = parseBody(request.body);
  const said = isObject(body) ? namespaceOf(body) : '';
  const given = targetOf(path, isObject(body) ? nameOf(body) : '');
  if (path.kind.isNamespaced && path.namespace === undefined && said === '') {
    throw badRequest('an empty namespace may not be set during creation');
  }
  const review = answerReview(path.kind, checkBody(given, body), request.user);
  if (review !== undefined)
    return fine({ ...review, kind: path.kind.kind, apiVersion: apiVersionOf(path.kind) }, 201);
  const written = createObject(api, given, body, writeOptions(path, request));
  return writtenReply(api, path, request, { written, code: 201 });
}

function writtenReply(
  api: ApiContext,
  path: ResourcePath,
  request: ApiRequest,
  done: { readonly written: Written; readonly code: number },
): Reply {
  const reply = objectReply(api, path, request, done.written.object);
  return { ...reply, code: done.code, warnings: done.written.warnings };
}

function answerReplace(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  if (path.name === undefined) {
    throw notAllowed();
  }
  const options = writeOptions(path, request);
  const target = targetOf(path);
  const body = parseBody(request.body);
  if (path.subresource === 'scale') return fine(rescale(api, target, body, options));
  if (path.subresource === 'finalize') return fine(viewOf(path.kind, existing(api, target)));
  const written = replaceObject(api, target, body, options);
  return writtenReply(api, path, request, { written, code: 200 });
}

/** The patched tree by the body's media type, before the server judges it. */
function patchedBy(path: ResourcePath, request: ApiRequest, view: JsonObject): Json {
  const patch = parsePatch(request.body);
  const type = request.contentType.split(';')[0]?.trim() ?? '';
  switch (type) {
    case 'application/json-patch+json':
      return jsonPatch(view, patch);
    case 'application/merge-patch+json':
      return mergePatch(copyOf(view), patch);
    case 'application/strategic-merge-patch+json':
      if (path.kind.isCustom) throw unsupportedPatch(type);
      return strategicMerge(path.kind.schema, view, patch);
    default:
      throw unsupportedPatch(type);
  }
}

function unsupportedPatch(type: string): Error {
  return refusal(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ` +
      'application/json-patch+json, application/merge-patch+json, ' +
      `application/apply-patch+yaml (${type})`,
  );
}

function answerPatch(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  if (path.name === undefined) {
    throw notAllowed();
  }
  const options = writeOptions(path, request);
  const target = targetOf(path);
  if (request.contentType.startsWith('application/apply-patch+')) {
    const applied = applyObject(api, target, request, options);
    const code = applied.isCreated ? 201 : 200;
    return writtenReply(api, path, request, { written: applied, code });
  }
  const stored = existing(api, target);
  if (path.subresource === 'scale') {
    return fine(rescale(api, target, patchedBy(path, request, scaleOf(stored)), options));
  }
  const patched = patchedBy(path, request, copyOf(viewOf(path.kind, stored)));
  const decoded = decodeBody(target, patched, options);
  checkUnmodified(target, decoded.object, stored);
  if (nameOf(decoded.object) !== target.name) {
    throw badRequest('the name of the object does not match the name on the URL');
  }
  const object = storeUpdate(api, target, { object: decoded.object, stored }, options);
  const written = { object, warnings: decoded.warnings };
  return writtenReply(api, path, request, { written, code: 200 });
}

function answerDelete(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  const body = request.body === '' ? undefined : parseBody(request.body);
  const options = writeOptions(path, request);
  const deleted = deleteObject(api, targetOf(path), { body, query: request.query }, options);
  return deleted.isObject ? objectReply(api, path, request, deleted.body) : fine(deleted.body);
}

function answerDeleteAll(api: ApiContext, path: ResourcePath, request: ApiRequest): Reply {
  const options = writeOptions(path, request);
  const matches = scopePredicate(scopeOf(path), request.query);
  const doomed = api.storage.list(collectionOf(path.kind)).filter(matches);
  const none = { body: undefined, query: request.query };
  for (const object of doomed) {
    const target = { ...targetOf(path, nameOf(object)), namespace: namespaceOf(object) };
    deleteObject(api, target, none, options);
  }
  const items: Json[] = doomed.map((object) => asItem(path.kind, object));
  const metadata = { resourceVersion: String(api.storage.revision) };
  const kind = `${path.kind.kind}List`;
  return fine({ kind, apiVersion: apiVersionOf(path.kind), metadata, items });
}

function scaleOf(stored: JsonObject): JsonObject {
  const metadata = isObject(stored.metadata) ? stored.metadata : {};
  const spec = isObject(stored.spec) ? stored.spec : {};
  const status = isObject(stored.status) ? stored.status : {};
  const {
    name = '',
    namespace = '',
    uid = '',
    resourceVersion = '',
    creationTimestamp = null,
  } = metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec.replicas ?? 0 },
    status: { replicas: status.replicas ?? 0 },
  };
}

function rescale(api: ApiContext, target: Target, body: Json, options: WriteOptions): JsonObject {
  const stored = existing(api, target);
  const wanted = isObject(body) && isObject(body.spec) ? (body.spec.replicas ?? 0) : 0;
  const spec = { ...(isObject(stored.spec) ? stored.spec : {}), replicas: wanted };
  const object = { ...stored, spec };
  const whole = { ...target, subresource: '' };
  return scaleOf(storeUpdate(api, whole, { object, stored }, options));
}
