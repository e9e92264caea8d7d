// Bodies in Kubernetes' protobuf envelope (`k8s\0` + runtime.Unknown), which kubectl's typed
// commands send: `create namespace`, `create configmap`, `scale`, `auth can-i`. Only the kinds of
// the table are read; field numbers are those of the kinds' generated.proto. Answers are always
// JSON, which these commands accept.
import { isObject, type Json, type JsonObject } from './json.ts';
import { refusal } from './status.ts';

type FieldForm =
  | { readonly kind: 'text' | 'base64' | 'number' | 'flag' }
  | { readonly kind: 'message'; readonly fields: Message }
  | { readonly kind: 'texts' }
  | { readonly kind: 'messages'; readonly fields: Message }
  /** map<string, string> or map<string, bytes>. */
  | { readonly kind: 'map'; readonly of: 'text' | 'base64' };

type Message = ReadonlyMap<number, { readonly name: string; readonly form: FieldForm }>;

const text: FieldForm = { kind: 'text' };
const number: FieldForm = { kind: 'number' };
const flag: FieldForm = { kind: 'flag' };
const texts: FieldForm = { kind: 'texts' };

function message(fields: Readonly<Record<number, readonly [string, FieldForm]>>): Message {
  return new Map(
    Object.entries(fields).map(([id, [name, form]]) => [Number(id), { name, form }] as const),
  );
}

function inner(fields: Message): FieldForm {
  return { kind: 'message', fields };
}

const objectMeta = inner(
  message({
    1: ['name', text],
    2: ['generateName', text],
    3: ['namespace', text],
    5: ['uid', text],
    6: ['resourceVersion', text],
    11: ['labels', { kind: 'map', of: 'text' }],
    12: ['annotations', { kind: 'map', of: 'text' }],
    14: ['finalizers', texts],
  }),
);

const resourceAttributes = message({
  1: ['namespace', text],
  2: ['verb', text],
  3: ['group', text],
  4: ['version', text],
  5: ['resource', text],
  6: ['subresource', text],
  7: ['name', text],
});

const reviewSpec = message({
  1: ['resourceAttributes', inner(resourceAttributes)],
  2: ['nonResourceAttributes', inner(message({ 1: ['path', text], 2: ['verb', text] }))],
});

/** By kind, and by apiVersion where two kinds share a name. */
const messages: ReadonlyMap<string, Message> = new Map([
  ['Namespace', message({ 1: ['metadata', objectMeta] })],
  [
    'ServiceAccount',
    message({ 1: ['metadata', objectMeta], 4: ['automountServiceAccountToken', flag] }),
  ],
  [
    'ConfigMap',
    message({
      1: ['metadata', objectMeta],
      2: ['data', { kind: 'map', of: 'text' }],
      3: ['binaryData', { kind: 'map', of: 'base64' }],
      4: ['immutable', flag],
    }),
  ],
  [
    'Secret',
    message({
      1: ['metadata', objectMeta],
      2: ['data', { kind: 'map', of: 'base64' }],
      3: ['type', text],
      4: ['stringData', { kind: 'map', of: 'text' }],
      5: ['immutable', flag],
    }),
  ],
  [
    'Scale',
    message({
      1: ['metadata', objectMeta],
      2: ['spec', inner(message({ 1: ['replicas', number] }))],
    }),
  ],
  [
    'SelfSubjectAccessReview',
    message({ 1: ['metadata', objectMeta], 2: ['spec', inner(reviewSpec)] }),
  ],
  ['SelfSubjectReview', message({ 1: ['metadata', objectMeta] })],
  [
    'DeleteOptions',
    message({
      1: ['gracePeriodSeconds', number],
      2: ['preconditions', inner(message({ 1: ['uid', text], 2: ['resourceVersion', text] }))],
      3: ['orphanDependents', flag],
      4: ['propagationPolicy', text],
      5: ['dryRun', texts],
    }),
  ],
]);

const envelopeMark = Buffer.from('k8s\u0000', 'latin1');
const typeMeta = message({ 1: ['apiVersion', text], 2: ['kind', text] });
const unknownObject = message({ 1: ['typeMeta', inner(typeMeta)], 2: ['raw', { kind: 'base64' }] });

/** Nesting of a message at most; ours are three deep. */
const depthMax = 16;

/** Whether a body of this media type is in the envelope. */
export function isProtobuf(contentType: string): boolean {
  return contentType.startsWith('application/vnd.kubernetes.protobuf');
}

/** The object in a protobuf body, as the JSON that it stands for. */
export function parseProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(envelopeMark)) throw unreadable('no k8s envelope');
  const envelope = readMessage(body.subarray(4), unknownObject, 0);
  const kind = isObject(envelope.typeMeta) ? envelope.typeMeta.kind : undefined;
  const apiVersion = isObject(envelope.typeMeta) ? envelope.typeMeta.apiVersion : undefined;
  const fields = typeof kind === 'string' ? messages.get(kind) : undefined;
  if (fields === undefined || kind === undefined || apiVersion === undefined) {
    throw unreadable(`kind ${JSON.stringify(kind ?? '')} is read as JSON only`);
  }
  const raw = typeof envelope.raw === 'string' ? envelope.raw : '';
  return { apiVersion, kind, ...readMessage(Buffer.from(raw, 'base64'), fields, 0) };
}

function unreadable(why: string): Error {
  return refusal(
    415,
    'UnsupportedMediaType',
    `protobuf body cannot be read: ${why} (hint: send JSON)`,
  );
}

type Cursor = { readonly bytes: Buffer; offset: number };

function readVarint(cursor: Cursor): number {
  let value = 0;
  for (let shift = 0; shift < 64; shift += 7) {
    const byte = cursor.bytes[cursor.offset];
    if (byte === undefined) throw unreadable('it ends inside a number');
    cursor.offset += 1;
    // Beyond 2^53 precision is lost; none of the fields of the table is that large.
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw unreadable('a number is too long');
}

function readBytes(cursor: Cursor, length: number): Buffer {
  const end = cursor.offset + length;
  if (end > cursor.bytes.length) throw unreadable('it ends inside a field');
  const part = cursor.bytes.subarray(cursor.offset, end);
  cursor.offset = end;
  return part;
}

function readMessage(bytes: Buffer, fields: Message, depth: number): JsonObject {
  if (depth > depthMax) throw unreadable('it is nested too deeply');
  const object: JsonObject = {};
  const cursor: Cursor = { bytes, offset: 0 };
  while (cursor.offset < bytes.length) {
    const tag = readVarint(cursor);
    const wireType = tag % 8;
    const field = fields.get(Math.floor(tag / 8));
    const value = readWire(cursor, wireType);
    if (field === undefined) continue;
    place(object, field.name, decoded(value, field.form, depth), field.form);
  }
  return object;
}

/** Wire types 0, 1, 2 and 5; groups are not used by Kubernetes. */
function readWire(cursor: Cursor, wireType: number): number | Buffer {
  switch (wireType) {
    case 0:
      return readVarint(cursor);
    case 1:
      return readBytes(cursor, 8);
    case 2:
      return readBytes(cursor, readVarint(cursor));
    case 5:
      return readBytes(cursor, 4);
    default:
      throw unreadable(`wire type ${wireType}`);
  }
}

function decoded(value: number | Buffer, form: FieldForm, depth: number): Json {
  if (typeof value === 'number') return form.kind === 'flag' ? value !== 0 : value;
  switch (form.kind) {
    case 'base64':
      return value.toString('base64');
    case 'message':
    case 'messages':
      return readMessage(value, form.fields, depth + 1);
    case 'map':
      return readMessage(
        value,
        message({ 1: ['key', text], 2: ['value', { kind: form.of }] }),
        depth + 1,
      );
    case 'text':
    case 'texts':
    case 'number':
    case 'flag':
      return value.toString('utf8');
  }
}

function place(object: JsonObject, name: string, value: Json, form: FieldForm): void {
  const held = object[name];
  if (form.kind === 'map') {
    const entries = isObject(held) ? held : {};
    const entry = isObject(value) ? value : {};
    object[name] = { ...entries, [String(entry.key ?? '')]: entry.value ?? '' };
    return;
  }
  if (form.kind === 'texts' || form.kind === 'messages') {
    object[name] = [...(Array.isArray(held) ? held : []), value];
    return;
  }
  // Empty texts stand for absent fields.
  if (value !== '') object[name] = value;
}
