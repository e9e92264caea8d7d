// What the server decides for a Job: its defaults, and the selector and labels that tie its pods to
// it. Nobody here runs the pods of a Job: one that is created stays as it is.
import { nameOf, objectAt, sameJson, textAt, type JsonObject } from './json.ts';
import type { KindRules } from './kinds.ts';
import { invalidValue, required } from './metadata.ts';
import type { Cause } from './status.ts';

const prefix = 'batch.kubernetes.io/';

const defaults: JsonObject = {
  backoffLimit: 6,
  completionMode: 'NonIndexed',
  manualSelector: false,
  parallelism: 1,
  podReplacementPolicy: 'TerminatingOrFailed',
  suspend: false,
};

/** Both spellings are written: older tools select by the one without a prefix. */
function ownLabels(object: JsonObject): JsonObject {
  const uid = textAt(object, 'metadata', 'uid') ?? '';
  const name = nameOf(object);
  return {
    'controller-uid': uid,
    [`${prefix}controller-uid`]: uid,
    'job-name': name,
    [`${prefix}job-name`]: name,
  };
}

function prepareJob(object: JsonObject): void {
  const given = objectAt(object, 'spec');
  const spec: JsonObject = { ...defaults, ...given };
  // Without a number of pods that work side by side, one success is what is asked for.
  if (given.parallelism === undefined) spec.completions ??= 1;
  object.spec = spec;
  object.status = {};
  const template = objectAt(spec, 'template');
  const metadata = objectAt(template, 'metadata');
  const labels = objectAt(metadata, 'labels');
  if (spec.manualSelector !== true) {
    const own = ownLabels(object);
    Object.assign(labels, own);
    const uidKey = `${prefix}controller-uid`;
    spec.selector = { matchLabels: { [uidKey]: own[uidKey] ?? '' } };
  }
  spec.template = { ...template, metadata: { ...metadata, labels } };
  // A Job without labels of its own takes those of its template.
  const held = objectAt(object, 'metadata');
  if (Object.keys(objectAt(held, 'labels')).length === 0) held.labels = { ...labels };
}

const fixedFields = ['completions', 'selector', 'template', 'completionMode'];

function jobCauses(object: JsonObject, previous: JsonObject | undefined): readonly Cause[] {
  const causes: Cause[] = [];
  const restarts = textAt(object, 'spec', 'template', 'spec', 'restartPolicy') ?? '';
  if (restarts !== 'OnFailure' && restarts !== 'Never') {
    const field = 'spec.template.spec.restartPolicy';
    const message = `Unsupported value: "${restarts}": supported values: "OnFailure", "Never"`;
    causes.push(
      restarts === ''
        ? required(field, 'valid values: "OnFailure", "Never"')
        : { reason: 'FieldValueNotSupported', message, field },
    );
  }
  if (previous === undefined) return causes;
  const spec = objectAt(object, 'spec');
  const old = objectAt(previous, 'spec');
  for (const field of fixedFields) {
    if (!sameJson(spec[field] ?? null, old[field] ?? null)) {
      causes.push(invalidValue(`spec.${field}`, spec[field] ?? null, 'field is immutable'));
    }
  }
  return causes;
}

export const jobRules: KindRules = { prepareCreate: prepareJob, validate: jobCauses };
