// Server-side apply: what a client applies becomes its own, what it applied before and left out
// goes, and what others own with another value is a conflict, unless it is forced. The steps are
// those of structured-merge-diff's Updater: merge, compare, conflicts, prune.
import { parse as parseYaml } from 'yaml';
import { timestamp, type ApiContext, type WriteOptions } from './context.ts';
import {
  changedFields,
  fieldsOf,
  intersection,
  readablePath,
  union,
  without,
  type FieldSet,
} from './field-set.ts';
import { objectAt, parseJson, textAt, withAt, type Json, type JsonObject } from './json.ts';
import { apiVersionOf, collectionOf, subjectOf } from './kinds.ts';
import { required } from './metadata.ts';
import { isSameOwner, ownable, ownerEntries, ownersOf, type Owner } from './ownership.ts';
import { rootShape } from './shape.ts';
import { badRequest, conflict, invalid, StatusFailure, statusObject } from './status.ts';
import { typedMerge, withoutFields } from './typed-merge.ts';
import {
  checkUnmodified,
  decodeBody,
  insertObject,
  storeUpdate,
  type Target,
  type Written,
} from './write.ts';

/** What an apply wrote, and whether it was the first to do so. */
export type Applied = Written & { readonly isCreated: boolean };

/** The body of an apply is YAML; JSON is a part of it and read faster. */
function parseApplied(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    // Not JSON: then it is YAML, or refused below.
  }
  try {
    // A YAML document without tags is a JSON tree.
    return parseYaml(text, { version: '1.1', maxAliasCount: 100 }) as Json;
  } catch {
    throw badRequest('error decoding YAML: the body is neither YAML nor JSON');
  }
}

/** PATCH with `application/apply-patch+yaml`. */
export function applyObject(
  api: ApiContext,
  target: Target,
  request: { readonly body: string; readonly query: URLSearchParams },
  options: WriteOptions,
): Applied {
  if ((request.query.get('fieldManager') ?? '') === '') {
    const subject = { group: 'meta.k8s.io', plural: '', name: '' };
    throw invalid(subject, 'PatchOptions', [
      required('fieldManager', 'is required for apply patch'),
    ]);
  }
  const decoded = decodeBody(target, parseApplied(request.body), options);
  if (objectAt(decoded.object, 'metadata').managedFields !== undefined) {
    throw badRequest('metadata.managedFields must be nil');
  }
  const applied = withAt(decoded.object, ['metadata', 'name'], target.name);
  const stored = api.storage.get(collectionOf(target.kind), target.namespace, target.name);
  const { warnings } = decoded;
  if (stored === undefined) {
    return { object: applyNew(api, target, applied, options), warnings, isCreated: true };
  }
  checkUnmodified(target, applied, stored);
  const object = applyOnto(api, target, { applied, stored }, options);
  return { object, warnings, isCreated: false };
}

function ownerOf(api: ApiContext, target: Target, fields: FieldSet, options: WriteOptions): Owner {
  return {
    name: options.fieldOwner,
    operation: 'Apply',
    subresource: target.subresource,
    apiVersion: apiVersionOf(target.kind),
    time: timestamp(api.runtime.clock.wallMs()),
    fields,
  };
}

function applyNew(
  api: ApiContext,
  target: Target,
  applied: JsonObject,
  options: WriteOptions,
): JsonObject {
  if ((textAt(applied, 'metadata', 'resourceVersion') ?? '') !== '') {
    throw conflict(
      subjectOf(target.kind, target.name),
      'resourceVersion is specified but the object does not exist',
    );
  }
  const fields = fieldsOf(
    rootShape(target.kind),
    ownable(target.kind, applied, target.subresource),
  );
  const entries = ownerEntries([ownerOf(api, target, fields, options)]);
  return insertObject(
    api,
    target,
    withAt(applied, ['metadata', 'managedFields'], entries),
    options,
  );
}

type Onto = { readonly applied: JsonObject; readonly stored: JsonObject };

function applyOnto(api: ApiContext, target: Target, onto: Onto, options: WriteOptions): JsonObject {
  const { kind, subresource } = target;
  const shape = rootShape(kind);
  const config = ownable(kind, onto.applied, subresource);
  const live = ownable(kind, onto.stored, subresource);
  const fields = fieldsOf(shape, config);
  const me = ownerOf(api, target, fields, options);
  const owners = ownersOf(onto.stored);
  const mine = owners.find((owner) => isSameOwner(owner, me));
  const others = owners.filter((owner) => owner !== mine);

  const merged = objectOf(typedMerge(shape, live, config));
  const changed = changedFields(shape, merged, live);
  const disputed = others
    .map((owner) => ({ owner, fields: intersection(owner.fields, changed) }))
    .filter((dispute) => dispute.fields.size > 0);
  if (disputed.length > 0 && !options.isForced) throw applyConflict(disputed);

  const held = union([fields, ...others.map((owner) => owner.fields)]);
  const doomed = without(mine?.fields ?? new Set(), held);
  const left = withoutFields(shape, merged, { doomed, held });
  const losers = others.map((owner) => ({ ...owner, fields: without(owner.fields, changed) }));
  const isSame = mine !== undefined && mine.fields.size === fields.size && changed.size === 0;
  const kept = isSame ? { ...me, time: mine.time } : me;
  const object = rejoined(onto.stored, left);
  const managedFields = ownerEntries([...losers, kept]);
  return storeUpdate(api, target, { object, stored: onto.stored, managedFields }, options);
}

function objectOf(value: Json): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** The ownable part back in the whole object; storeUpdate restores what the server keeps. */
function rejoined(stored: JsonObject, part: JsonObject): JsonObject {
  const metadata = { ...objectAt(stored, 'metadata'), ...objectAt(part, 'metadata') };
  const owned = objectAt(part, 'metadata');
  for (const field of ['labels', 'annotations', 'finalizers', 'ownerReferences']) {
    if (owned[field] === undefined) delete metadata[field];
  }
  return { ...part, apiVersion: stored.apiVersion ?? '', kind: stored.kind ?? '', metadata };
}

type Dispute = { readonly owner: Owner; readonly fields: FieldSet };

function applyConflict(disputes: readonly Dispute[]): StatusFailure {
  const causes = disputes.flatMap(({ owner, fields }) =>
    [...fields].sort().map((path) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with "${owner.name}"${usingText(owner)}`,
      field: readablePath(path),
    })),
  );
  const first = causes[0];
  const message =
    causes.length === 1 && first !== undefined
      ? `Apply failed with 1 conflict: ${first.message}: ${first.field}`
      : `Apply failed with ${causes.length} conflicts: ${disputes.map(disputeText).join('\n')}`;
  const status = statusObject(409, 'Conflict', message);
  status.details = { causes };
  return new StatusFailure(status, 409);
}

/** Appliers are named alone; updaters with their version, as the real server words it. */
function usingText(owner: Owner): string {
  if (owner.operation === 'Apply') return '';
  const part = owner.subresource === '' ? '' : ` with subresource "${owner.subresource}"`;
  return `${part} using ${owner.apiVersion}`;
}

function disputeText({ owner, fields }: Dispute): string {
  const listed = [...fields]
    .sort()
    .map((path) => `- ${readablePath(path)}`)
    .join('\n');
  const word = fields.size === 1 ? 'conflict' : 'conflicts';
  return `${word} with "${owner.name}"${usingText(owner)}:\n${listed}`;
}
