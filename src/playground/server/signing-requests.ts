// The server's part of a CertificateSigningRequest, as in
// k8s.io/kubernetes/pkg/registry/certificates and pkg/apis/certificates/validation: it stamps who
// asks, keeps the spec as it was, lets `/approval` change nothing but conditions and `/status`
// nothing of the decision, and takes a certificate once. Whether a request is granted is a
// controller's business; the bytes of the request are not looked into beyond their PEM frame.
import { timestamp } from './context.ts';
import { isObject, listAt, numberAt, objectAt, sameJson, textAt } from './json.ts';
import type { Json, JsonObject } from './json.ts';
import type { KindRules, WriteContext } from './kinds.ts';
import { invalidValue, required } from './metadata.ts';
import type { Cause } from './status.ts';

const decisions = ['Approved', 'Denied'];
/** Conditions that are there to stay, and are `True` or not there. */
const lasting = [...decisions, 'Failed'];
const conditionsField = 'status.conditions';

const knownUsages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];
const shortestSeconds = 600;

/** The server says who asks; whatever the client wrote there is overwritten. */
function stampRequester(object: JsonObject, { user }: WriteContext): void {
  const spec = objectAt(object, 'spec');
  spec.username = user.username;
  if (user.uid !== '') spec.uid = user.uid;
  else delete spec.uid;
  spec.groups = [...user.groups];
  const extra = Object.entries(user.extra).map(([key, values]): [string, Json] => [
    key,
    [...values],
  ]);
  if (extra.length > 0) spec.extra = Object.fromEntries(extra);
  else delete spec.extra;
  object.spec = spec;
  object.status = {};
}

/** Each subresource changes its own part and no other; nothing changes the spec. */
function keepOtherParts(object: JsonObject, previous: JsonObject, context: WriteContext): void {
  object.spec = objectAt(previous, 'spec');
  if (context.subresource === '') return;
  const old = objectAt(previous, 'status');
  const given = objectAt(object, 'status');
  let conditions = listAt(given, 'conditions');
  if (context.subresource === 'status') {
    for (const type of decisions) conditions = withOldOnes(conditions, old, type);
  }
  const stamped = stampedConditions(conditions, old, context);
  const status: JsonObject = { ...(context.subresource === 'approval' ? old : given) };
  if (stamped.length > 0) status.conditions = stamped;
  else delete status.conditions;
  object.status = status;
}

function ofType(conditions: readonly Json[], type: string): readonly Json[] {
  return conditions.filter((condition) => textAt(condition, 'type') === type);
}

/** What differs is put back; what was added or taken away stays, to be refused. */
function withOldOnes(conditions: readonly Json[], old: JsonObject, type: string): readonly Json[] {
  const held = [...ofType(listAt(old, 'conditions'), type)];
  if (ofType(conditions, type).length !== held.length) return conditions;
  return conditions.map((condition) =>
    textAt(condition, 'type') === type ? (held.shift() ?? condition) : condition,
  );
}

function stampedConditions(
  conditions: readonly Json[],
  old: JsonObject,
  { nowMs }: WriteContext,
): Json[] {
  const now = timestamp(nowMs);
  return conditions.map((condition) => {
    if (!isObject(condition)) return condition;
    const same = ofType(listAt(old, 'conditions'), textAt(condition, 'type') ?? '').find(
      (one) => textAt(one, 'status') === textAt(condition, 'status'),
    );
    const since = textAt(same, 'lastTransitionTime') ?? now;
    return { lastUpdateTime: now, lastTransitionTime: since, ...condition };
  });
}

function specCauses(object: JsonObject): readonly Cause[] {
  const pem = Buffer.from(textAt(object, 'spec', 'request') ?? '', 'base64').toString('latin1');
  const causes: Cause[] = [];
  if (!pem.includes('-----BEGIN CERTIFICATE REQUEST-----')) {
    causes.push(invalidValue('spec.request', [], 'PEM block type must be CERTIFICATE REQUEST'));
  }
  causes.push(...usageCauses(listAt(object, 'spec', 'usages')));
  const seconds = numberAt(object, 'spec', 'expirationSeconds');
  if (seconds !== undefined && seconds < shortestSeconds) {
    const why = `may not specify a duration less than ${shortestSeconds} seconds (10 minutes)`;
    causes.push(invalidValue('spec.expirationSeconds', seconds, why));
  }
  return [...causes, ...signerCauses(textAt(object, 'spec', 'signerName') ?? '')];
}

function usageCauses(usages: readonly Json[]): readonly Cause[] {
  if (usages.length === 0) return [required('spec.usages')];
  return usages.flatMap((usage, index): readonly Cause[] => {
    const field = `spec.usages[${index}]`;
    const text = String(usage);
    if (!knownUsages.includes(text)) return [unsupported(field, text, knownUsages)];
    return usages.indexOf(usage) < index ? [duplicate(field, text)] : [];
  });
}

function signerCauses(signer: string): readonly Cause[] {
  const field = 'spec.signerName';
  if (signer === '') return [required(field)];
  const [domain = '', ...path] = signer.split('/');
  if (path.length === 0) {
    const why = 'must be a fully qualified domain and path of the form "example.com/signer-name"';
    return [invalidValue(field, signer, why)];
  }
  if (!domain.includes('.')) {
    const why = 'should be a domain with at least two segments separated by dots';
    return [invalidValue(field, domain, why)];
  }
  if (signer !== 'kubernetes.io/legacy-unknown') return [];
  return [invalidValue(field, signer, 'the legacy signerName is not allowed via this API version')];
}

function duplicate(field: string, value: string): Cause {
  const message = `Duplicate value: ${JSON.stringify(value)}`;
  return { reason: 'FieldValueDuplicate', message, field };
}

function unsupported(field: string, value: string, known: readonly string[]): Cause {
  const listed = known.map((one) => JSON.stringify(one)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${listed}`;
  return { reason: 'FieldValueNotSupported', message, field };
}

function forbidden(field: string, why: string): Cause {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${why}`, field };
}

function statusCauses(object: JsonObject): readonly Cause[] {
  const conditions = listAt(object, 'status', 'conditions');
  const types = conditions.map((condition) => textAt(condition, 'type') ?? '');
  const causes = conditions.flatMap((condition, index) => conditionCauses(condition, index, types));
  const certificate = textAt(object, 'status', 'certificate') ?? '';
  const pem = Buffer.from(certificate, 'base64').toString('latin1');
  if (certificate !== '' && !pem.includes('-----BEGIN CERTIFICATE-----')) {
    const why = 'must contain at least one CERTIFICATE PEM block';
    causes.push(invalidValue('status.certificate', '<certificate data>', why));
  }
  return causes;
}

function conditionCauses(
  condition: Json,
  index: number,
  types: readonly string[],
): readonly Cause[] {
  const field = `${conditionsField}[${index}]`;
  const type = types[index] ?? '';
  const status = textAt(condition, 'status') ?? '';
  const allowed = lasting.includes(type) ? ['True'] : ['False', 'True', 'Unknown'];
  const causes: Cause[] = [];
  if (type === '') causes.push(required(`${field}.type`));
  if (status === '') causes.push(required(`${field}.status`));
  else if (!allowed.includes(status)) {
    causes.push(unsupported(`${field}.status`, status, allowed));
  }
  const before = types.slice(0, index);
  if (type !== '' && before.includes(type)) causes.push(duplicate(`${field}.type`, type));
  const isDecided = before.some((one) => one !== type && decisions.includes(one));
  if (decisions.includes(type) && isDecided) {
    const why = 'Approved and Denied conditions are mutually exclusive';
    causes.push(invalidValue(conditionsField, type, why));
  }
  return causes;
}

/** What may never be taken back, and what only `/approval` may add. */
function changeCauses(
  object: JsonObject,
  previous: JsonObject,
  subresource: string,
): readonly Cause[] {
  const now = listAt(object, 'status', 'conditions');
  const old = listAt(previous, 'status', 'conditions');
  const causes: Cause[] = [];
  for (const type of lasting) {
    const more = ofType(now, type).length - ofType(old, type).length;
    const why = `condition of type ${JSON.stringify(type)}`;
    const isAdded = more > 0 && subresource !== 'approval' && decisions.includes(type);
    if (more < 0) causes.push(forbidden(conditionsField, `updates may not remove a ${why}`));
    if (isAdded) causes.push(forbidden(conditionsField, `updates may not add a ${why}`));
  }
  const held = textAt(previous, 'status', 'certificate') ?? '';
  if (held !== '' && !sameJson(held, textAt(object, 'status', 'certificate') ?? '')) {
    const why = 'updates may not modify existing certificate content';
    causes.push(forbidden('status.certificate', why));
  }
  return causes;
}

export const signingRequestRules: KindRules = {
  prepareCreate: stampRequester,
  prepareUpdate: keepOtherParts,
  validate: (object, previous, subresource) => [
    ...specCauses(object),
    ...statusCauses(object),
    ...(previous === undefined ? [] : changeCauses(object, previous, subresource)),
  ],
};
