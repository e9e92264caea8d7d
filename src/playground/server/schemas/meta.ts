// The schema of `metadata`, which all kinds share (apimachinery ObjectMeta).
// Map keys and list types are those of the published OpenAPI document.
import {
  anything,
  described,
  flag,
  listByKey,
  listOf,
  long,
  mapOfText,
  object,
  setOf,
  text,
  time,
} from './words.ts';

const ownerReference = object(
  {
    apiVersion: text,
    kind: text,
    name: text,
    uid: text,
    controller: flag,
    blockOwnerDeletion: flag,
  },
  ['apiVersion', 'kind', 'name', 'uid'],
);

const managedEntry = object({
  manager: text,
  operation: text,
  apiVersion: text,
  time,
  fieldsType: text,
  fieldsV1: anything,
  subresource: text,
});

export const objectMeta = described(
  "Standard object's metadata.",
  object({
    name: described('Unique within a namespace; cannot be changed.', text),
    generateName: text,
    namespace: text,
    selfLink: text,
    uid: text,
    resourceVersion: text,
    generation: long,
    creationTimestamp: time,
    deletionTimestamp: time,
    deletionGracePeriodSeconds: long,
    labels: described('Keys and values that selectors can match.', mapOfText),
    annotations: described('Values that tools set and read; not queryable.', mapOfText),
    ownerReferences: listByKey(['uid'], ownerReference),
    finalizers: setOf(text),
    managedFields: listOf(managedEntry),
  }),
);

/** The two fields that say what an object is. */
export const identification = {
  apiVersion: described('Group and version of this representation of the object.', text),
  kind: described('The kind of this object, in CamelCase.', text),
};
