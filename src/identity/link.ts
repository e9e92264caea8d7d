// One link of a chain: whether a certificate was issued by another – by names, key ids, signature –
// and whether it may issue at all. Dates and name constraints are judged elsewhere; the whole path
// of a peer's certificate is OpenSSL's, in the handshake.
import { X509Certificate } from 'node:crypto';
import { oids } from './oids.ts';
import type { ParsedCertificate } from './read-certificate.ts';

/** Bit 5 of the key usage (RFC 5280 §4.2.1.3). */
const keyCertSign = 1 << 5;

/** Whether `issuer` has issued and signed `subject`; both are DER that our reader has taken. */
export function isIssuedBy(subject: Uint8Array, issuer: Uint8Array): boolean {
  try {
    const parent = new X509Certificate(issuer);
    const child = new X509Certificate(subject);
    return child.checkIssued(parent) && child.verify(parent.publicKey);
  } catch {
    // OpenSSL cannot read one of them, or knows no such key: then nothing is proven.
    return false;
  }
}

/** What keeps a certificate from issuing others; `undefined`: nothing. */
export function issuerFault({ extensions }: ParsedCertificate): string | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage } = extensions;
  if (basicConstraints?.isCa !== true) return 'it is no authority (basic constraints: CA)';
  if (keyUsage !== undefined && (keyUsage.bits & keyCertSign) === 0) {
    return 'its key usage lacks keyCertSign';
  }
  // OpenSSL and Go hold the usages of an issuer against what its leaves are for.
  const usages = extendedKeyUsage?.oids ?? [oids.clientAuth, oids.serverAuth];
  return usages.includes(oids.clientAuth) && usages.includes(oids.serverAuth)
    ? undefined
    : 'its extended key usage lacks client or server';
}
