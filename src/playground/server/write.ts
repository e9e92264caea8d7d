// Creating and replacing objects: decode, prepare, default, validate, stamp, store – in that order,
// as a real API server does. All of it is synchronous, so that a write is atomic and a conflict is
// nothing but a resourceVersion that is not the present one.
import { nameSuffix, timestamp, uuid, type ApiContext, type WriteOptions } from './context.ts';
import { eventAsCore } from './events.ts';
import {
  at,
  copyOf,
  isObject,
  listAt,
  nameOf,
  numberAt,
  objectAt,
  sameJson,
  textAt,
  withAt,
  type Json,
  type JsonObject,
} from './json.ts';
import {
  apiVersionOf,
  collectionOf,
  subjectOf,
  type ResourceKind,
  type WriteContext,
} from './kinds.ts';
import { invalidValue, metadataCauses } from './metadata.ts';
import { decodeFields, schemaCauses, typeFault, withDefaults } from './schema.ts';
import { trackUpdate } from './ownership.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  modifiedMeanwhile,
  notFound,
  refusal,
} from './status.ts';

/** What a write is aimed at, from the path. */
export type Target = {
  readonly kind: ResourceKind;
  /** Empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  /** Empty, or one of the kind's subresources. */
  readonly subresource: string;
};

/** What is stored now, and what the client should be warned of. */
export type Written = { readonly object: JsonObject; readonly warnings: readonly string[] };

/** Metadata that clients may not set. */
const serverMetadata = ['uid', 'creationTimestamp', 'deletionTimestamp', 'generation', 'selfLink'];

function writeContext(api: ApiContext, target: Target, options: WriteOptions): WriteContext {
  const { user, isDryRun } = options;
  const nowMs = api.runtime.clock.wallMs();
  return { user, nowMs, subresource: target.subresource, isDryRun };
}

/** Kind, version and namespace of a body must be those of the path. */
export function checkBody(target: Target, body: Json): JsonObject {
  if (!isObject(body)) throw badRequest('the body of the request is not a JSON object');
  const expected = apiVersionOf(target.kind);
  const said = textAt(body, 'apiVersion') ?? expected;
  if (said !== expected) {
    throw badRequest(
      `the API version in the data (${said}) does not match the expected API version (${expected})`,
    );
  }
  const kind = textAt(body, 'kind') ?? target.kind.kind;
  if (kind !== target.kind.kind) {
    throw badRequest(
      `${kind} in version "${target.kind.version}" cannot be handled as a ${target.kind.kind}`,
    );
  }
  const namespace = textAt(body, 'metadata', 'namespace') ?? '';
  if (namespace !== '' && namespace !== target.namespace) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  return body;
}

function undecodable(target: Target, why: string): Error {
  const { kind, version } = target.kind;
  return badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`);
}

/** The stored form of a body: known fields only, own copy, storage spelling. */
export function decodeBody(target: Target, body: Json, options: WriteOptions): Written {
  const checked = checkBody(target, body);
  const decoded = decodeFields(target.kind, checked);
  const fault = typeFault(target.kind, decoded.object);
  if (fault !== undefined) throw undecodable(target, fault);
  if (decoded.unknown.length > 0 && options.fieldValidation === 'Strict') {
    const listed = decoded.unknown.map((path) => `unknown field "${path}"`).join(', ');
    throw undecodable(target, `strict decoding error: ${listed}`);
  }
  const warnings =
    options.fieldValidation === 'Ignore'
      ? []
      : decoded.unknown.map((path) => `unknown field "${path}"`);
  const isEvent = target.kind.kind === 'Event';
  const object = isEvent ? eventAsCore(decoded.object) : decoded.object;
  return { object, warnings };
}

function checkNamespace(api: ApiContext, target: Target): void {
  if (!target.kind.isNamespaced) return;
  const namespace = api.storage.get('/namespaces', '', target.namespace);
  if (namespace === undefined) {
    throw notFound({ group: '', plural: 'namespaces', name: target.namespace });
  }
  if (textAt(namespace, 'metadata', 'deletionTimestamp') === undefined) return;
  throw refusal(
    403,
    'Forbidden',
    `${target.kind.plural} "${target.name}" is forbidden: unable to create new content in ` +
      `namespace ${target.namespace} because it is being terminated`,
  );
}

function allCauses(api: ApiContext, target: Target, object: JsonObject, previous?: JsonObject) {
  const { kind, subresource } = target;
  const rules = api.rules.get(collectionOf(kind));
  return [
    ...metadataCauses(kind, object),
    ...schemaCauses(kind, object, previous),
    ...(rules?.validate?.(object, previous, subresource) ?? []),
  ];
}

function freshMetadata(api: ApiContext, target: Target, given: JsonObject): JsonObject {
  const metadata: JsonObject = { ...given };
  for (const field of [...serverMetadata, 'managedFields']) delete metadata[field];
  const prefix = textAt(metadata, 'generateName') ?? '';
  if ((textAt(metadata, 'name') ?? '') === '' && prefix !== '') {
    metadata.name = `${prefix}${nameSuffix(api.runtime.random)}`;
  }
  if (target.kind.isNamespaced) metadata.namespace = target.namespace;
  else delete metadata.namespace;
  metadata.uid = uuid(api.runtime.random);
  metadata.creationTimestamp = timestamp(api.runtime.clock.wallMs());
  if (target.kind.hasGeneration) metadata.generation = 1;
  return metadata;
}

/** POST to a collection. */
export function createObject(
  api: ApiContext,
  target: Target,
  body: Json,
  options: WriteOptions,
): Written {
  const { object: decoded, warnings } = decodeBody(target, body, options);
  if ((textAt(decoded, 'metadata', 'resourceVersion') ?? '') !== '') {
    // The real server answers 500 here, with this text and no reason.
    throw refusal(500, '', 'resourceVersion should not be set on objects to be created');
  }
  return { object: insertObject(api, target, decoded, options), warnings };
}

/** Creates from a decoded object; shared by POST and by an apply to a name that is free. */
export function insertObject(
  api: ApiContext,
  target: Target,
  decoded: JsonObject,
  options: WriteOptions,
): JsonObject {
  const { kind } = target;
  const managed = listAt(decoded, 'metadata', 'managedFields');
  let object: JsonObject = {
    ...decoded,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: freshMetadata(api, target, objectAt(decoded, 'metadata')),
  };
  if (kind.isCustom && kind.subresources.includes('status')) delete object.status;
  if (kind.kind === 'Event') object = eventAsCore(object);
  object = withDefaults(kind, object);
  api.rules.get(collectionOf(kind))?.prepareCreate?.(object, writeContext(api, target, options));
  checkNamespace(api, { ...target, name: nameOf(object) });
  const causes = allCauses(api, target, object);
  if (causes.length > 0) throw invalid(subjectOf(kind, nameOf(object)), kind.kind, causes);
  const stored = api.storage.get(collectionOf(kind), target.namespace, nameOf(object));
  if (stored !== undefined) throw alreadyExists(subjectOf(kind, nameOf(object)));
  object =
    managed.length > 0
      ? withAt(object, ['metadata', 'managedFields'], [...managed])
      : trackUpdate({ api, kind, object, previous: undefined, subresource: '', options });
  return options.isDryRun ? object : api.storage.put(collectionOf(kind), object);
}

/** The present object, or 404. */
export function existing(api: ApiContext, target: Target): JsonObject {
  const stored = api.storage.get(collectionOf(target.kind), target.namespace, target.name);
  if (stored === undefined) throw notFound(subjectOf(target.kind, target.name));
  return stored;
}

/** PUT of an object or of one of its subresources. */
export function replaceObject(
  api: ApiContext,
  target: Target,
  body: Json,
  options: WriteOptions,
): Written {
  const { object, warnings } = decodeBody(target, body, options);
  const stored = existing(api, target);
  const named = nameOf(object);
  if (named !== target.name) {
    throw badRequest(
      `the name of the object (${named}) does not match the name on the URL (${target.name})`,
    );
  }
  checkPreconditions(target, object, stored);
  return { object: storeUpdate(api, target, { object, stored }, options), warnings };
}

function checkPreconditions(target: Target, object: JsonObject, stored: JsonObject): void {
  const subject = subjectOf(target.kind, target.name);
  const wanted = textAt(object, 'metadata', 'resourceVersion') ?? '';
  if (wanted === '' && target.kind.needsVersion) {
    // Refused by the store, which knows the kind by its plural.
    throw invalid(subject, target.kind.plural, [
      invalidValue('metadata.resourceVersion', 0, 'must be specified for an update'),
    ]);
  }
  checkUnmodified(target, object, stored);
}

/** 409 when the object names a resourceVersion or uid that is not the present one. */
export function checkUnmodified(target: Target, object: JsonObject, stored: JsonObject): void {
  const subject = subjectOf(target.kind, target.name);
  const wanted = textAt(object, 'metadata', 'resourceVersion') ?? '';
  if (wanted !== '' && wanted !== textAt(stored, 'metadata', 'resourceVersion')) {
    throw conflict(subject, modifiedMeanwhile);
  }
  const wantedUid = textAt(object, 'metadata', 'uid') ?? '';
  const uid = textAt(stored, 'metadata', 'uid') ?? '';
  if (wantedUid !== '' && wantedUid !== uid) {
    throw conflict(
      subject,
      `Precondition failed: UID in precondition: ${wantedUid}, UID in object meta: ${uid}`,
    );
  }
}

/** A decoded object on its way over a stored one. */
export type Update = {
  readonly object: JsonObject;
  readonly stored: JsonObject;
  /** Already worked out by a server-side apply; otherwise the server tracks the change. */
  readonly managedFields?: readonly Json[];
};

/** What the server keeps of the old metadata, whatever the client sent. */
function mergedMetadata(stored: JsonObject, object: JsonObject): JsonObject {
  const metadata: JsonObject = { ...objectAt(object, 'metadata') };
  const old = objectAt(stored, 'metadata');
  const kept = [...serverMetadata, 'name', 'namespace', 'resourceVersion', 'managedFields'];
  for (const field of [...kept, 'deletionGracePeriodSeconds']) {
    const value = old[field];
    if (value === undefined) delete metadata[field];
    else metadata[field] = value;
  }
  return metadata;
}

/** Which part of the new object counts, given what was written to. */
function mergedBySubresource(target: Target, update: Update): JsonObject {
  const { object, stored } = update;
  const { kind, subresource } = target;
  const isSplit = kind.subresources.includes('status');
  if (subresource === '') {
    const status = stored.status;
    const merged = { ...object, metadata: mergedMetadata(stored, object) };
    if (!isSplit) return merged;
    if (status === undefined) return withAt(merged, ['status'], undefined);
    return { ...merged, status };
  }
  if (subresource === 'status' || subresource === 'approval') {
    return withAt(copyOf(stored), ['status'], object.status);
  }
  return { ...stored, spec: objectAt(object, 'spec') };
}

function contentOf(object: JsonObject, hasStatus: boolean): JsonObject {
  const { metadata: _metadata, apiVersion: _version, ...content } = object;
  if (hasStatus) delete content.status;
  return content;
}

type Ownership = { readonly options: WriteOptions; readonly given: Json | undefined };

/** The object with its owners: from an apply, cleared by the client (`[{}]`), or tracked. */
function ownedUpdate(
  api: ApiContext,
  target: Target,
  update: Update,
  ownership: Ownership,
): JsonObject {
  const { object, stored, managedFields } = update;
  const { options, given } = ownership;
  const path = ['metadata', 'managedFields'];
  if (managedFields !== undefined) return withAt(object, path, [...managedFields]);
  const entries = Array.isArray(given) ? given : [];
  if (entries.length === 1 && sameJson(entries[0], {})) return withAt(object, path, undefined);
  const previous = entries.length === 0 ? stored : withAt(stored, path, entries);
  const { kind, subresource } = target;
  return trackUpdate({ api, kind, object, previous, subresource, options });
}

/** Everything behind the decoding of an update; shared by PUT, the patches and apply. */
export function storeUpdate(
  api: ApiContext,
  target: Target,
  update: Update,
  options: WriteOptions,
): JsonObject {
  const { kind } = target;
  const { stored } = update;
  const collection = collectionOf(kind);
  let object = withDefaults(kind, mergedBySubresource(target, update));
  object = { ...copyOf(object), apiVersion: apiVersionOf(kind), kind: kind.kind };
  const context = writeContext(api, target, options);
  api.rules.get(collection)?.prepareUpdate?.(object, stored, context);
  const causes = allCauses(api, target, object, stored);
  if (causes.length > 0) throw invalid(subjectOf(kind, target.name), kind.kind, causes);
  const hasStatus = kind.subresources.includes('status');
  if (kind.hasGeneration && !sameJson(contentOf(object, hasStatus), contentOf(stored, hasStatus))) {
    const generation = (numberAt(stored, 'metadata', 'generation') ?? 0) + 1;
    object = withAt(object, ['metadata', 'generation'], generation);
  }
  object = ownedUpdate(
    api,
    target,
    { ...update, object },
    {
      options,
      given: objectAt(update.object, 'metadata').managedFields,
    },
  );
  if (options.isDryRun || sameButTimes(object, stored)) return options.isDryRun ? object : stored;
  if (isFinished(object)) return finish(api, target, object);
  return api.storage.put(collection, object);
}

/** An object in deletion whose last finalizer went is removed by that write. */
function isFinished(object: JsonObject): boolean {
  return (
    textAt(object, 'metadata', 'deletionTimestamp') !== undefined &&
    listAt(object, 'metadata', 'finalizers').length === 0 &&
    (numberAt(object, 'metadata', 'deletionGracePeriodSeconds') ?? 0) === 0
  );
}

function finish(api: ApiContext, target: Target, object: JsonObject): JsonObject {
  return api.storage.remove(collectionOf(target.kind), target.namespace, target.name) ?? object;
}

/** A write that changes nothing is no change: no revision, no event (as etcd3 storage does). */
function sameButTimes(object: JsonObject, stored: JsonObject): boolean {
  const plain = (value: JsonObject): JsonObject => {
    const metadata = { ...objectAt(value, 'metadata') };
    delete metadata.resourceVersion;
    metadata.managedFields = listAt(metadata, 'managedFields').map((entry) =>
      isObject(entry) ? withAt(entry, ['time'], undefined) : entry,
    );
    return { ...value, metadata, apiVersion: at(stored, 'apiVersion') ?? '' };
  };
  return sameJson(plain(object), plain(stored));
}
