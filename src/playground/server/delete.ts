// Deletions: preconditions, finalizers, a pod's grace period, the contents of a namespace, and what
// is owned by what went. In a real cluster the last two are controllers' work; here the server does
// it at once (a named deviation), because there is no controller manager.
import { timestamp, type ApiContext, type WriteOptions } from './context.ts';
import {
  isObject,
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  textAt,
  withAt,
  type Json,
  type JsonObject,
} from './json.ts';
import { collectionOf, subjectOf, type ResourceKind } from './kinds.ts';
import { badRequest, conflict, deletedStatus } from './status.ts';
import { existing, type Target } from './write.ts';

/** What `terminationGracePeriodSeconds` defaults to. */
const graceSecondsDefault = 30;

type DeleteOptions = {
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly graceSeconds: number | undefined;
  readonly isOrphaning: boolean;
};

function parseOptions(body: Json | undefined, query: URLSearchParams): DeleteOptions {
  if (body !== undefined && !isObject(body)) throw badRequest('DeleteOptions must be an object');
  const policy = textAt(body, 'propagationPolicy') ?? query.get('propagationPolicy') ?? '';
  const grace = query.get('gracePeriodSeconds');
  return {
    uid: textAt(body, 'preconditions', 'uid'),
    resourceVersion: textAt(body, 'preconditions', 'resourceVersion'),
    graceSeconds:
      numberAt(body, 'gracePeriodSeconds') ?? (grace === null ? undefined : Number(grace)),
    isOrphaning: policy === 'Orphan',
  };
}

function checkPreconditions(target: Target, stored: JsonObject, options: DeleteOptions): void {
  const subject = subjectOf(target.kind, target.name);
  const uid = textAt(stored, 'metadata', 'uid') ?? '';
  if (options.uid !== undefined && options.uid !== uid) {
    throw conflict(
      subject,
      `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${uid}`,
    );
  }
  const version = textAt(stored, 'metadata', 'resourceVersion') ?? '';
  if (options.resourceVersion !== undefined && options.resourceVersion !== version) {
    throw conflict(
      subject,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ` +
        `ResourceVersion in object meta: ${version}`,
    );
  }
}

/** Seconds that the object stays as terminating; only scheduled pods have any. */
function graceOf(kind: ResourceKind, stored: JsonObject, options: DeleteOptions): number {
  if (kind.group !== '' || kind.plural !== 'pods') return 0;
  const phase = textAt(stored, 'status', 'phase');
  const isScheduled = (textAt(stored, 'spec', 'nodeName') ?? '') !== '';
  if (!isScheduled || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = numberAt(stored, 'spec', 'terminationGracePeriodSeconds') ?? graceSecondsDefault;
  return options.graceSeconds ?? own;
}

/** The answer to a deletion: the object (as it is now or was last), or a Status. */
export type Deleted = { readonly body: JsonObject; readonly isObject: boolean };

/** DELETE of one object. */
export function deleteObject(
  api: ApiContext,
  target: Target,
  request: { readonly body: Json | undefined; readonly query: URLSearchParams },
  options: WriteOptions,
): Deleted {
  const stored = existing(api, target);
  const deletion = parseOptions(request.body, request.query);
  checkPreconditions(target, stored, deletion);
  const grace = graceOf(target.kind, stored, deletion);
  const isHeld = listAt(stored, 'metadata', 'finalizers').length > 0 || grace > 0;
  if (isHeld) {
    const isMarked = textAt(stored, 'metadata', 'deletionTimestamp') !== undefined;
    const marked = isMarked ? stored : marking(api, stored, grace);
    if (options.isDryRun || isMarked) return { body: marked, isObject: true };
    return { body: api.storage.put(collectionOf(target.kind), marked), isObject: true };
  }
  const removed = options.isDryRun ? stored : removeWithOwned(api, target.kind, stored, deletion);
  const uid = textAt(stored, 'metadata', 'uid') ?? '';
  return target.kind.answersDeleted
    ? { body: removed, isObject: true }
    : { body: deletedStatus(subjectOf(target.kind, target.name), uid), isObject: false };
}

function marking(api: ApiContext, stored: JsonObject, graceSeconds: number): JsonObject {
  const atMs = api.runtime.clock.wallMs() + graceSeconds * 1000;
  const stamped = withAt(stored, ['metadata', 'deletionTimestamp'], timestamp(atMs));
  return withAt(stamped, ['metadata', 'deletionGracePeriodSeconds'], graceSeconds);
}

function removeWithOwned(
  api: ApiContext,
  kind: ResourceKind,
  stored: JsonObject,
  options: DeleteOptions,
): JsonObject {
  const removed =
    api.storage.remove(collectionOf(kind), namespaceOf(stored), nameOf(stored)) ?? stored;
  if (kind.group === '' && kind.plural === 'namespaces') emptyNamespace(api, nameOf(stored));
  const uid = textAt(stored, 'metadata', 'uid') ?? '';
  if (!options.isOrphaning) removeOwned(api, uid, namespaceOf(stored));
  return removed;
}

/** One kind per collection: versions share their objects. */
function collections(api: ApiContext): readonly ResourceKind[] {
  const seen = new Map<string, ResourceKind>();
  for (const kind of api.registry.all()) seen.set(collectionOf(kind), kind);
  return [...seen.values()];
}

function emptyNamespace(api: ApiContext, namespace: string): void {
  for (const kind of collections(api)) {
    if (!kind.isNamespaced) continue;
    for (const object of api.storage.list(collectionOf(kind))) {
      if (namespaceOf(object) !== namespace) continue;
      api.storage.remove(collectionOf(kind), namespace, nameOf(object));
    }
  }
}

function removeOwned(api: ApiContext, ownerUid: string, namespace: string): void {
  if (ownerUid === '') return;
  for (const kind of collections(api)) {
    for (const object of api.storage.list(collectionOf(kind))) {
      const owners = listAt(object, 'metadata', 'ownerReferences');
      const isOwned = owners.some((owner) => textAt(owner, 'uid') === ownerUid);
      if (!isOwned || (namespace !== '' && namespaceOf(object) !== namespace)) continue;
      if (owners.length > 1) continue;
      const target = {
        kind,
        namespace: namespaceOf(object),
        name: nameOf(object),
        subresource: '',
      };
      deleteOwned(api, target, object);
    }
  }
}

/** As the garbage collector: an ordinary deletion, so that pods get their grace period. */
function deleteOwned(api: ApiContext, target: Target, object: JsonObject): void {
  const none: DeleteOptions = {
    uid: undefined,
    resourceVersion: undefined,
    graceSeconds: undefined,
    isOrphaning: false,
  };
  const grace = graceOf(target.kind, object, none);
  if (grace > 0 || listAt(object, 'metadata', 'finalizers').length > 0) {
    if (textAt(object, 'metadata', 'deletionTimestamp') !== undefined) return;
    api.storage.put(collectionOf(target.kind), marking(api, object, grace));
    return;
  }
  removeWithOwned(api, target.kind, object, none);
}
