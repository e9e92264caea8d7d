// CustomResourceDefinitions: a definition that is accepted is Established at once and its versions
// are served from the same moment; one that goes takes its objects with it. Conversion None only.
import { structuralSchemas } from '../../api/index.ts';
import {
  byPreference,
  collectionOf,
  type Column,
  type KindRules,
  type Registry,
  type ResourceKind,
} from './kinds.ts';
import { timestamp } from './context.ts';
import {
  at,
  isObject,
  listAt,
  nameOf,
  objectAt,
  textAt,
  type Json,
  type JsonObject,
} from './json.ts';
import { invalidValue, labelFault, required } from './metadata.ts';
import { customColumns } from './columns.ts';
import type { Cause } from './status.ts';
import type { Storage } from './storage.ts';

const collection = 'apiextensions.k8s.io/customresourcedefinitions';

function textsAt(root: Json | undefined, ...path: readonly string[]): readonly string[] {
  return listAt(root, ...path).filter((item): item is string => typeof item === 'string');
}

/** The conditions that a definition gets when its names are free. */
function acceptedConditions(nowMs: number): Json[] {
  const lastTransitionTime = timestamp(nowMs);
  return [
    {
      type: 'NamesAccepted',
      status: 'True',
      lastTransitionTime,
      reason: 'NoConflicts',
      message: 'no conflicts found',
    },
    {
      type: 'Established',
      status: 'True',
      lastTransitionTime,
      reason: 'InitialNamesAccepted',
      message: 'the initial names have been accepted',
    },
  ];
}

function fillIn(object: JsonObject, nowMs: number, previous?: JsonObject): void {
  const spec = objectAt(object, 'spec');
  const names = objectAt(spec, 'names');
  const kind = textAt(names, 'kind') ?? '';
  names.singular ??= kind.toLowerCase();
  names.listKind ??= `${kind}List`;
  spec.conversion ??= { strategy: 'None' };
  const old = listAt(previous, 'status', 'conditions');
  const versions = listAt(spec, 'versions');
  const stored = versions.find((version) => at(version, 'storage') === true);
  object.status = {
    conditions: old.length > 0 ? [...old] : acceptedConditions(nowMs),
    acceptedNames: names,
    storedVersions: [textAt(stored, 'name') ?? ''],
  };
}

function versionCauses(version: Json, index: number): readonly Cause[] {
  const field = `spec.versions[${index}]`;
  const causes: Cause[] = [];
  const why = labelFault(textAt(version, 'name') ?? '');
  if (why !== undefined) causes.push(invalidValue(`${field}.name`, textAt(version, 'name'), why));
  const schema = at(version, 'schema', 'openAPIV3Schema');
  if (!isObject(schema)) {
    causes.push(required(`${field}.schema.openAPIV3Schema`, 'schemas are required'));
    return causes;
  }
  for (const fault of structuralSchemas.read(schema).faults) {
    const place = `${field}.schema.openAPIV3Schema`;
    causes.push({ reason: 'FieldValueInvalid', message: fault, field: place });
  }
  return causes;
}

function definitionCauses(object: JsonObject): readonly Cause[] {
  const spec = objectAt(object, 'spec');
  const group = textAt(spec, 'group') ?? '';
  const plural = textAt(spec, 'names', 'plural') ?? '';
  const causes: Cause[] = [];
  const due = `${plural}.${group}`;
  if (nameOf(object) !== due) {
    causes.push(
      invalidValue('metadata.name', nameOf(object), `must be spec.names.plural+"."+spec.group`),
    );
  }
  if (group === '') causes.push(required('spec.group'));
  if (plural === '') causes.push(required('spec.names.plural'));
  if ((textAt(spec, 'names', 'kind') ?? '') === '') causes.push(required('spec.names.kind'));
  const scope = textAt(spec, 'scope') ?? '';
  if (scope !== 'Namespaced' && scope !== 'Cluster') causes.push(required('spec.scope'));
  const versions = listAt(spec, 'versions');
  causes.push(...versions.flatMap(versionCauses));
  if (versions.filter((version) => at(version, 'storage') === true).length !== 1) {
    causes.push(
      invalidValue('spec.versions', '…', 'must have exactly one version marked as storage version'),
    );
  }
  return causes;
}

/** What is decided and refused for definitions, besides the schemas in them. */
export const definitionRules: KindRules = {
  prepareCreate: (object, context) => fillIn(object, context.nowMs),
  prepareUpdate: (object, previous, context) => fillIn(object, context.nowMs, previous),
  validate: (object) => definitionCauses(object),
};

function customKind(definition: JsonObject, version: Json): ResourceKind {
  const spec = objectAt(definition, 'spec');
  const names = objectAt(spec, 'names');
  const subresources = objectAt(version, 'subresources');
  const isNamespaced = textAt(spec, 'scope') === 'Namespaced';
  const columns: readonly Column[] = customColumns(listAt(version, 'additionalPrinterColumns'));
  return {
    group: textAt(spec, 'group') ?? '',
    version: textAt(version, 'name') ?? '',
    kind: textAt(names, 'kind') ?? '',
    plural: textAt(names, 'plural') ?? '',
    singular: textAt(names, 'singular') ?? '',
    shortNames: textsAt(names, 'shortNames'),
    categories: textsAt(names, 'categories'),
    isNamespaced,
    subresources: Object.keys(subresources).filter((name) => name === 'status' || name === 'scale'),
    schema: objectAt(version, 'schema', 'openAPIV3Schema'),
    columns,
    selectableFields: listAt(version, 'selectableFields').map((field) =>
      (textAt(field, 'jsonPath') ?? '').replace(/^\./, ''),
    ),
    hasGeneration: true,
    needsVersion: true,
    isCustom: true,
    answersDeleted: false,
  };
}

/** The kinds of a definition, served versions only, preferred first. */
function kindsOf(definition: JsonObject): readonly ResourceKind[] {
  return listAt(definition, 'spec', 'versions')
    .filter((version) => at(version, 'served') === true)
    .map((version) => customKind(definition, version))
    .sort((left, right) => byPreference(left.version, right.version));
}

/** Keeps the registry in step with the definitions in the store. */
export function followDefinitions(
  storage: Storage,
  registry: Registry,
  onGone: (collection: string) => void,
): () => void {
  return storage.subscribe((change) => {
    if (change.collection !== collection) return;
    const spec = objectAt(change.object, 'spec');
    const plural = textAt(spec, 'names', 'plural') ?? '';
    const custom = collectionOf({ group: textAt(spec, 'group') ?? '', plural });
    registry.removeCollection(custom);
    if (change.type !== 'DELETED') {
      for (const kind of kindsOf(change.object)) registry.add(kind);
      return;
    }
    for (const object of storage.list(custom)) {
      storage.remove(custom, textAt(object, 'metadata', 'namespace') ?? '', nameOf(object));
    }
    onGone(custom);
  });
}
