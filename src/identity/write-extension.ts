// Parts that certificates and certificate requests share, as DER values: extensions, alternative
// names, public keys. Names that could be read in two ways are bugs of the caller and assert.
import { assert, assertNever } from '../lib/assert.ts';
import { addressBytes } from './address-bytes.ts';
import { bits, boolean, encodeDer, implicit, objectId, octets, sequence } from './der.ts';
import type { DerValue } from './der.ts';
import { oids } from './oids.ts';
import { p256Point } from './p256-key.ts';

export type SubjectAltName =
  | { readonly kind: 'dns'; readonly name: string }
  | { readonly kind: 'ip'; readonly address: string }
  | { readonly kind: 'uri'; readonly uri: string };

/** One `Extension`; FALSE is the default of `critical` and not written. */
export function extension(oid: string, value: DerValue, isCritical: boolean): DerValue {
  const content = octets(encodeDer(value));
  return isCritical
    ? sequence(objectId(oid), boolean(true), content)
    : sequence(objectId(oid), content);
}

/** One `GeneralName`. */
export function generalName(name: SubjectAltName): DerValue {
  switch (name.kind) {
    case 'dns':
      assert(/^[A-Za-z0-9.*_-]+$/.test(name.name), `no DNS name: ${JSON.stringify(name.name)}`);
      return implicit(2, Buffer.from(name.name, 'latin1'));
    case 'uri':
      return implicit(6, uriBytes(name.uri));
    case 'ip': {
      const bytes = addressBytes(name.address);
      assert(bytes !== undefined, `no IP address: ${name.address}`);
      return implicit(7, bytes);
    }
    default:
      return assertNever(name);
  }
}

/** IA5String content. Commas and quotes are refused: text forms of SANs separate names by them. */
function uriBytes(uri: string): Uint8Array {
  assert(/^[\x21-\x7e]+$/.test(uri) && !/[,"\\]/.test(uri), `no URI: ${JSON.stringify(uri)}`);
  return Buffer.from(uri, 'latin1');
}

/** SubjectPublicKeyInfo of a P-256 key, built anew from its point. */
export function subjectPublicKey(publicKey: Uint8Array): DerValue {
  const point = p256Point(publicKey);
  assert(point !== undefined, 'certificates are made for P-256 keys only');
  return sequence(sequence(objectId(oids.ecPublicKey), objectId(oids.p256)), bits(point, 0));
}
