// Names, labels and annotations: what metadata every object may have, whatever its kind. Grammar
// and texts are those of k8s.io/apimachinery/pkg/util/validation.
import { listAt, objectAt, textAt, isObject, type JsonObject } from './json.ts';
import type { ResourceKind } from './kinds.ts';
import type { Cause } from './status.ts';

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dns1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** All annotations of one object together, as the real server limits them. */
const annotationBytesMax = 256 * 1024;

const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and " +
  'must ' +
  "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for " +
  "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const dns1035Text =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an " +
  "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', " +
  "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const subdomainText =
  'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, ' +
  "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex " +
  "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelValueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " +
  "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or " +
  "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const qualifiedText =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end " +
  'with ' +
  "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " +
  "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/** A value that may not be, with the text of field.Invalid. */
export function invalidValue(field: string, value: unknown, why: string): Cause {
  const message = `Invalid value: ${JSON.stringify(value)}: ${why}`;
  return { reason: 'FieldValueInvalid', message, field };
}

/** A value that is missing, with the text of field.Required. */
export function required(field: string, why = ''): Cause {
  const message = why === '' ? 'Required value' : `Required value: ${why}`;
  return { reason: 'FieldValueRequired', message, field };
}

/** Why `text` is no DNS label, or `undefined` when it is one. */
export function labelFault(text: string): string | undefined {
  if (text.length > 63) return 'must be no more than 63 characters';
  return dnsLabel.test(text) ? undefined : labelText;
}

function nameFault(kind: ResourceKind, name: string): string | undefined {
  if (kind.group === '' && kind.plural === 'namespaces') return labelFault(name);
  if (kind.group === '' && kind.plural === 'services') {
    if (name.length > 63) return 'must be no more than 63 characters';
    return dns1035.test(name) ? undefined : dns1035Text;
  }
  if (kind.group.startsWith('rbac.')) return undefined;
  if (name.length > 253) return 'must be no more than 253 characters';
  return dnsSubdomain.test(name) ? undefined : subdomainText;
}

function keyFault(key: string): string | undefined {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = slash < 0 ? key : key.slice(slash + 1);
  if (prefix !== undefined && (prefix.length > 253 || !dnsSubdomain.test(prefix))) {
    return `prefix part ${subdomainText}`;
  }
  if (name.length > 63) return 'name part must be no more than 63 characters';
  return qualifiedName.test(name) ? undefined : qualifiedText;
}

function labelCauses(labels: JsonObject): readonly Cause[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const causes: Cause[] = [];
    const why = keyFault(key);
    if (why !== undefined) causes.push(invalidValue('metadata.labels', key, why));
    if (typeof value !== 'string') {
      causes.push(invalidValue('metadata.labels', value, 'must be a string'));
    } else if (value.length > 63) {
      causes.push(invalidValue('metadata.labels', value, 'must be no more than 63 characters'));
    } else if (!labelValue.test(value)) {
      causes.push(invalidValue('metadata.labels', value, labelValueText));
    }
    return causes;
  });
}

function annotationCauses(annotations: JsonObject): readonly Cause[] {
  const causes: Cause[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    const why = keyFault(key.toLowerCase());
    if (why !== undefined) causes.push(invalidValue('metadata.annotations', key, why));
    bytes += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
  }
  if (bytes > annotationBytesMax) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${annotationBytesMax} bytes`,
      field: 'metadata.annotations',
    });
  }
  return causes;
}

/** What is wrong with `metadata`; empty when nothing is. */
export function metadataCauses(kind: ResourceKind, object: JsonObject): readonly Cause[] {
  const metadata = objectAt(object, 'metadata');
  const name = textAt(metadata, 'name') ?? '';
  const causes: Cause[] = [];
  if (name === '') {
    causes.push(required('metadata.name', 'name or generateName is required'));
  } else {
    const why = nameFault(kind, name);
    if (why !== undefined) causes.push(invalidValue('metadata.name', name, why));
  }
  causes.push(...labelCauses(objectAt(metadata, 'labels')));
  causes.push(...annotationCauses(objectAt(metadata, 'annotations')));
  for (const [index, owner] of listAt(metadata, 'ownerReferences').entries()) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid']) {
      if (isObject(owner) && (textAt(owner, field) ?? '') !== '') continue;
      causes.push(
        invalidValue(`metadata.ownerReferences[${index}].${field}`, '', 'must not be empty'),
      );
    }
  }
  return causes;
}
