// Public keys on P-256 in the one form that the mesh writes and takes: SubjectPublicKeyInfo with
// the named curve and an uncompressed point (RFC 5480). Any other key is not ours.
import { createHash } from 'node:crypto';
import { assert } from '../lib/assert.ts';

/** Everything of a P-256 SubjectPublicKeyInfo before the point; the point is 0x04, X, Y. */
const spkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const pointBytes = 65;

/** The point of a P-256 key in SubjectPublicKeyInfo form; `undefined` for any other key. */
export function p256Point(publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== spkiPrefix.length + pointBytes) return undefined;
  if (!spkiPrefix.equals(publicKey.subarray(0, spkiPrefix.length))) return undefined;
  return publicKey[spkiPrefix.length] === 4 ? publicKey.subarray(spkiPrefix.length) : undefined;
}

/** RFC 7093 §2 method 1: the first 160 bits of SHA-256 of the key, without its algorithm. */
export function keyIdOf(publicKey: Uint8Array): Uint8Array {
  const point = p256Point(publicKey);
  assert(point !== undefined, 'key ids are made for P-256 keys only');
  return createHash('sha256').update(point).digest().subarray(0, 20);
}
