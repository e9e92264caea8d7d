// DER (X.690) in the few shapes that certificates need, over node-forge's ASN.1 codec. Bytes are
// Uint8Array outside; forge's binary strings stay in this file. No cryptography happens here, and
// nothing is decoded yet: reading requests and foreign certificates comes with issuing.
import asn1 from 'node-forge/lib/asn1.js';
import type { asn1 as forge } from 'node-forge';

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
  const date = new Date(Math.floor(epochMs / 1000) * 1000);
  return date.getUTCFullYear() < 2050
    ? primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

/** `[tag] IMPLICIT` over raw content, as in GeneralName and KeyIdentifier. */
export function implicit(tag: number, content: Uint8Array): DerValue {
  return asn1.create(CONTEXT_SPECIFIC, tag, false, binary(content));
}

/** `[tag] EXPLICIT`: a constructed wrapper. */
export function explicit(tag: number, value: DerValue): DerValue {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, [value]);
}

export function encodeDer(value: DerValue): Uint8Array {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}
