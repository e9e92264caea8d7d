// Bodies in Kubernetes' protobuf envelope (`k8s\0` + runtime.Unknown), which kubectl's typed
// commands send: `create namespace`, `create deployment`, `scale`, `auth can-i`. No kubectl falls
// back to JSON after a 415, so the kinds that it writes this way are read by the tables of
// protobuf-kinds.ts. A body that says something that its table does not know is refused, never cut.
// Answers are always JSON, which these commands accept.
// The encoding: protobuf.dev/programming-guides/encoding.
import { isObject, type Json, type JsonObject } from './json.ts';
import { inner, message, protobufKinds, text, type FieldForm } from './protobuf-kinds.ts';
import type { Message } from './protobuf-kinds.ts';
import { refusal } from './status.ts';

const envelopeMark = Buffer.from('k8s\u0000', 'latin1');
const typeMeta = message({ 1: ['apiVersion', text], 2: ['kind', text] });
const unknownObject = message({ 1: ['typeMeta', inner(typeMeta)], 2: ['raw', { kind: 'base64' }] });

/** apimachinery's IntOrString: which of the two it is, and both. */
const intOrText = message({
  1: ['isText', { kind: 'flag', isOptional: true }],
  2: ['number', { kind: 'number', isOptional: true }],
  3: ['text', text],
});

/** Nesting of a message at most; a container's port of a Deployment is six deep. */
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
  const fields = typeof kind === 'string' ? protobufKinds.get(kind) : undefined;
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
  let value = 0n;
  for (let shift = 0n; shift < 64n; shift += 7n) {
    const byte = cursor.bytes[cursor.offset];
    if (byte === undefined) throw unreadable('it ends inside a number');
    cursor.offset += 1;
    value |= BigInt(byte & 0x7f) << shift;
    // Two's complement of 64 bits; beyond 2^53 precision is lost, and no field is that large.
    if (byte < 0x80) return Number(BigInt.asIntN(64, value));
  }
  throw unreadable('a number is too long');
}

function readBytes(cursor: Cursor, length: number): Buffer {
  const end = cursor.offset + length;
  if (length < 0 || end > cursor.bytes.length) throw unreadable('it ends inside a field');
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
    const id = Math.floor(tag / 8);
    const field = fields.get(id);
    const value = readWire(cursor, wireType);
    if (field === undefined) {
      if (!isBlank(value, depth)) throw unreadable(`field ${id} of a message is not known here`);
      continue;
    }
    place(object, field.name, decoded(value, field.form, depth), field.form);
  }
  return object;
}

/**
 * Whether a field says nothing: Go writes every field that is not a pointer, structs of empty
 * fields too (a new object's status).
 */
function isBlank(value: number | Buffer, depth: number): boolean {
  if (typeof value === 'number') return value === 0;
  if (depth > depthMax) return false;
  const cursor: Cursor = { bytes: value, offset: 0 };
  try {
    while (cursor.offset < value.length) {
      const tag = readVarint(cursor);
      if (!isBlank(readWire(cursor, tag % 8), depth + 1)) return false;
    }
    return true;
  } catch {
    // Not a message, so a text with something in it.
    return false;
  }
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
    case 'int-or-text': {
      const either = readMessage(value, intOrText, depth + 1);
      return either.isText === true ? (either.text ?? '') : (either.number ?? 0);
    }
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
  // Empty texts stand for absent fields, and so do the zeros of fields that are no pointers.
  const isAbsent = 'isOptional' in form && !form.isOptional && (value === 0 || value === false);
  if (value !== '' && !isAbsent) object[name] = value;
}
