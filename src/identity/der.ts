// Writes DER (X.690) in the few shapes that certificates need, over node-forge's ASN.1 codec. Bytes
// are Uint8Array outside; forge's binary strings stay in this file. No cryptography happens here,
// and forge decodes nothing: what others wrote is read by der-read.ts, which is stricter.
import asn1 from 'node-forge/lib/asn1.js';
import type { asn1 as forge } from 'node-forge';
import { assert } from '../lib/assert.ts';
import { newTrail, readDer } from './der-read.ts';
import type { DerNode } from './der-read.ts';

/** A value of the tree that becomes DER. */
export type DerValue = forge.Asn1;

const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function primitive(type: forge.Type, value: string): DerValue {
  return asn1.create(UNIVERSAL, type, false, value);
}

export function sequence(...values: DerValue[]): DerValue {
  return asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, values);
}

export function setOf(...values: DerValue[]): DerValue {
  return asn1.create(UNIVERSAL, asn1.Type.SET, true, values);
}

export function objectId(dotted: string): DerValue {
  return primitive(asn1.Type.OID, asn1.oidToDer(dotted).getBytes());
}

/** A non-negative integer of big-endian `magnitude`, in its one shortest form. */
export function integer(magnitude: Uint8Array): DerValue {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const digits = binary(magnitude.subarray(start));
  const isHigh = (magnitude[start] ?? 0) >= 0x80;
  return primitive(asn1.Type.INTEGER, isHigh ? `\0${digits}` : digits || '\0');
}

export function boolean(value: boolean): DerValue {
  return primitive(asn1.Type.BOOLEAN, value ? '\xff' : '\0');
}

export function utf8(text: string): DerValue {
  return primitive(asn1.Type.UTF8, binary(Buffer.from(text, 'utf8')));
}

export function octets(bytes: Uint8Array): DerValue {
  return primitive(asn1.Type.OCTETSTRING, binary(bytes));
}

export function bits(bytes: Uint8Array, unusedBits: number): DerValue {
  return primitive(asn1.Type.BITSTRING, String.fromCharCode(unusedBits) + binary(bytes));
}

/** RFC 5280 §4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050 on; whole seconds. */
export function time(epochMs: number): DerValue {
  const seconds = Math.floor(epochMs / 1000);
  const { year, month, day } = civilDate(Math.floor(seconds / daySeconds));
  const inDay = seconds - Math.floor(seconds / daySeconds) * daySeconds;
  const clock = [Math.floor(inDay / 3600), Math.floor(inDay / 60) % 60, inDay % 60];
  const text = `${[year, month, day, ...clock].map(twoDigits).join('')}Z`;
  return year < 2050
    ? primitive(asn1.Type.UTCTIME, text.slice(2))
    : primitive(asn1.Type.GENERALIZEDTIME, text);
}

const daySeconds = 86_400;

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/**
 * Gregorian date of a day counted from 1970-01-01, by arithmetic: pure modules have no Date. Years
 * are counted from March here, so that the leap day is the last of its year; 146 097 days are 400
 * years (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
 */
function civilDate(epochDay: number): { year: number; month: number; day: number } {
  const shifted = epochDay + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524);
  const yearOfEra = Math.floor((dayOfEra - leapDays + Math.floor(dayOfEra / 146_096)) / 365);
  const daysBefore = 365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100);
  const dayOfYear = dayOfEra - daysBefore;
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

/** `[tag] IMPLICIT` over raw content, as in GeneralName and KeyIdentifier. */
export function implicit(tag: number, content: Uint8Array): DerValue {
  return asn1.create(CONTEXT_SPECIFIC, tag, false, binary(content));
}

/** `[tag] EXPLICIT`: a constructed wrapper. */
export function explicit(tag: number, value: DerValue): DerValue {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, [value]);
}

/** `[tag] IMPLICIT` over a SET OF, as the attributes of a certificate request. */
export function implicitSet(tag: number, ...values: DerValue[]): DerValue {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, values);
}

/** A value that is DER already, such as the name of an issuer, to stand in another one. */
export function fromDer(der: Uint8Array): DerValue {
  const trail = newTrail();
  const value = copyOf(readDer(der, trail));
  assert(trail.fault === undefined, `not DER: ${trail.fault}`);
  // Forge shortens integers on its way out; DER is short already, so nothing may have changed.
  assert(Buffer.compare(encodeDer(value), der) === 0, 'DER that forge writes differently');
  return value;
}

function copyOf(node: DerNode): DerValue {
  const isConstructed = (node.tag & 0x20) !== 0;
  const value = isConstructed ? node.children.map(copyOf) : binary(node.content);
  // Class and number of the identifier octet are forge's own encoding of them.
  return asn1.create((node.tag & 0xc0) as forge.Class, node.tag & 0x1f, isConstructed, value);
}

export function encodeDer(value: DerValue): Uint8Array {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}
