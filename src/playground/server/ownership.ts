// Who owns which field (`metadata.managedFields`), for all writes that are not server-side apply:
// the writer takes what it changed, the others lose it. The model is that of structured-merge-diff,
// without conversion between versions: entries are read as if they were of the present one.
import { timestamp, type ApiContext, type WriteOptions } from './context.ts';
import {
  changedFields,
  fieldsOf,
  fromFieldsV1,
  toFieldsV1,
  union,
  without,
  type FieldSet,
} from './field-set.ts';
import { isObject, listAt, textAt, withAt, type Json, type JsonObject } from './json.ts';
import { apiVersionOf, type ResourceKind } from './kinds.ts';
import { rootShape } from './shape.ts';

/** One owner: a name, an operation and the subresource that it wrote to. */
export type Owner = {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly fields: FieldSet;
};

/** One write as the owners see it: what was, what is, who did it. */
export type TrackedWrite = {
  readonly api: ApiContext;
  readonly kind: ResourceKind;
  readonly object: JsonObject;
  readonly previous: JsonObject | undefined;
  readonly subresource: string;
  readonly options: WriteOptions;
};

/**
 * Owners of one object at most; beyond it the oldest writers are merged, as the real server does.
 */
const ownersMax = 20;

const serverOwned: readonly string[] = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'resourceVersion',
  'generation',
  'selfLink',
  'managedFields',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];

/** The part of an object that clients can own; what a write cannot change belongs to nobody. */
export function ownable(kind: ResourceKind, object: JsonObject, subresource: string): JsonObject {
  const { apiVersion: _version, kind: _kind, metadata, ...content } = object;
  const kept = isObject(metadata) ? { ...metadata } : {};
  for (const field of serverOwned) delete kept[field];
  const hasStatus = kind.subresources.includes('status');
  if (subresource === 'status' || subresource === 'approval') {
    return content.status === undefined ? {} : { status: content.status };
  }
  if (hasStatus) delete content.status;
  return Object.keys(kept).length === 0 ? content : { ...content, metadata: kept };
}

/** The owners that the object names; entries that cannot be read are left out. */
export function ownersOf(object: JsonObject | undefined): readonly Owner[] {
  return listAt(object, 'metadata', 'managedFields').flatMap((entry) => {
    const operation = textAt(entry, 'operation');
    if (!isObject(entry) || (operation !== 'Apply' && operation !== 'Update')) return [];
    return [
      {
        name: textAt(entry, 'manager') ?? '',
        operation,
        subresource: textAt(entry, 'subresource') ?? '',
        apiVersion: textAt(entry, 'apiVersion') ?? '',
        time: textAt(entry, 'time') ?? '',
        fields: fromFieldsV1(entry.fieldsV1),
      },
    ];
  });
}

function ownerEntry(owner: Owner): JsonObject {
  const entry: JsonObject = {
    ['manager']: owner.name,
    operation: owner.operation,
    apiVersion: owner.apiVersion,
    time: owner.time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(owner.fields),
  };
  if (owner.subresource !== '') entry.subresource = owner.subresource;
  return entry;
}

/** The wire form; owners of nothing are gone. Appliers first, then by time, as the real server. */
export function ownerEntries(owners: readonly Owner[]): Json[] {
  const left = owners.filter((owner) => owner.fields.size > 0);
  const order = (owner: Owner): string => `${owner.operation === 'Apply' ? 0 : 1}${owner.time}`;
  const sorted = [...left].sort((one, other) => (order(one) < order(other) ? -1 : 1));
  return merged(sorted).map(ownerEntry);
}

function merged(owners: readonly Owner[]): readonly Owner[] {
  const updaters = owners.filter((owner) => owner.operation === 'Update');
  const surplus = owners.length - ownersMax;
  if (surplus <= 0 || updaters.length < 2) return owners;
  const ancient = updaters.slice(0, surplus + 1);
  const first = ancient[0];
  if (first === undefined) return owners;
  const together = {
    ...first,
    name: 'ancient-changes',
    fields: union(ancient.map((one) => one.fields)),
  };
  return [together, ...owners.filter((owner) => !ancient.includes(owner))];
}

/** Owners are told apart by name, operation and subresource; times do not count. */
export function isSameOwner(
  owner: Owner,
  other: Omit<Owner, 'fields' | 'time' | 'apiVersion'>,
): boolean {
  return (
    owner.name === other.name &&
    owner.operation === other.operation &&
    owner.subresource === other.subresource
  );
}

/** The object with what this write changed owned by the writer. */
export function trackUpdate(write: TrackedWrite): JsonObject {
  const { kind, object, previous, subresource, options } = write;
  const shape = rootShape(kind);
  const now = ownable(kind, object, subresource);
  const before = previous === undefined ? undefined : ownable(kind, previous, subresource);
  const changed = changedFields(shape, now, before);
  const present = fieldsOf(shape, now);
  const gone = before === undefined ? new Set<string>() : without(fieldsOf(shape, before), present);
  const owners = ownersOf(previous);
  if (changed.size === 0 && gone.size === 0) {
    return withAt(object, ['metadata', 'managedFields'], ownerEntries(owners));
  }
  const who = { name: options.fieldOwner, operation: 'Update' as const, subresource };
  const mine = owners.find((owner) => isSameOwner(owner, who));
  const time = timestamp(write.api.runtime.clock.wallMs());
  const others = owners
    .filter((owner) => owner !== mine)
    .map((owner) => ({ ...owner, fields: without(without(owner.fields, gone), changed) }));
  const fields = without(union([mine?.fields ?? new Set(), changed]), gone);
  const me: Owner = { ...who, apiVersion: apiVersionOf(kind), time, fields };
  const entries = ownerEntries([...others, me]);
  return withAt(object, ['metadata', 'managedFields'], entries.length > 0 ? entries : undefined);
}
