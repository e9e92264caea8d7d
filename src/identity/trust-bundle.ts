// The trust bundle: the roots that peers' certificates may chain to, PEM under `ca.crt` of a
// ConfigMap. One bad certificate harms no other; what is not PEM as a whole gives no roots at all,
// and the reader of the bundle stays with the last one that was good.
import { createHash } from 'node:crypto';
import { isIssuedBy, issuerFault } from './link.ts';
import { pemOf, readPem } from './pem.ts';
import { readCertificate } from './read-certificate.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';

export type TrustRoot = {
  readonly pem: string;
  readonly der: Uint8Array;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

export type BundleProblem = Refused<'BundleMalformed' | 'BundleTooLarge' | 'RootRefused'>;

export type TrustBundle = {
  /** In the order of the text, each once. Empty: keep what was trusted before. */
  readonly roots: readonly TrustRoot[];
  readonly problems: readonly BundleProblem[];
};

/** Two roots while rotating, and whatever an operator federates by hand. */
const bundleLimits = { label: 'CERTIFICATE', bytesMax: 262_144, blocksMax: 64 };

/** The roots of a bundle. */
export function readTrustBundle(pem: string): TrustBundle {
  const reading = readPem(pem, bundleLimits);
  if (reading.kind === 'refused') {
    const reason = reading.reason === 'TooLarge' ? 'BundleTooLarge' : 'BundleMalformed';
    return { roots: [], problems: [refused(reason, reading.message)] };
  }
  const roots = new Map<string, TrustRoot>();
  const problems: BundleProblem[] = [];
  for (const [index, der] of reading.blocks.entries()) {
    const root = readRoot(der);
    if (root.kind === 'root') roots.set(root.root.fingerprint, root.root);
    else problems.push(refused('RootRefused', `certificate ${index + 1}: ${root.message}`));
  }
  return { roots: [...roots.values()], problems };
}

function readRoot(
  der: Uint8Array,
): { readonly kind: 'root'; readonly root: TrustRoot } | Refused<'RootRefused' | 'Malformed'> {
  const reading = readCertificate(der);
  if (reading.kind === 'refused') return reading;
  const fault = issuerFault(reading.certificate);
  if (fault !== undefined) return refused('RootRefused', fault);
  if (!isIssuedBy(der, der)) return refused('RootRefused', 'it is not signed by itself');
  const { notBeforeMs, notAfterMs } = reading.certificate;
  const fingerprint = createHash('sha256').update(der).digest('hex');
  const pem = pemOf(der, 'CERTIFICATE');
  return { kind: 'root', root: { pem, der, fingerprint, notBeforeMs, notAfterMs } };
}
