// Writes a certificate request (PKCS#10, RFC 2986) as a proxy makes it: no subject, a P-256 key,
// and the alternative names asked for in an `extensionRequest`. Nothing else can be asked for.
import { assert } from '../lib/assert.ts';
import { bits, encodeDer, implicitSet, integer, objectId, sequence, setOf } from './der.ts';
import { nodeBindingOf } from './names.ts';
import { oids } from './oids.ts';
import { pemOf } from './pem.ts';
import type { SpiffeId } from './spiffe.ts';
import { extension, generalName, subjectPublicKey } from './write-extension.ts';
import type { SubjectAltName } from './write-extension.ts';

/** Label of the PEM block that Kubernetes takes in `spec.request`. */
export const requestLabel = 'CERTIFICATE REQUEST';

export type RequestTemplate = {
  /** SubjectPublicKeyInfo of a P-256 key. */
  readonly publicKey: Uint8Array;
  readonly sans: readonly SubjectAltName[];
  /** ECDSA with SHA-256 of `bytes`, as DER, by the key that the certificate is for. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
};

/** What the certificate of an identity on a node is for; asserts on a node that can have none. */
export function workloadNames(spiffeId: SpiffeId, node: string): readonly SubjectAltName[] {
  const name = nodeBindingOf(node);
  assert(name !== undefined, `no certificate can name node ${node}`);
  return [
    { kind: 'uri', uri: spiffeId },
    { kind: 'dns', name },
  ];
}

/** The PEM of a request. */
export function createCertificateRequest(template: RequestTemplate): string {
  const names = sequence(...template.sans.map(generalName));
  const extensions = sequence(extension(oids.subjectAltName, names, true));
  const body = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    subjectPublicKey(template.publicKey),
    implicitSet(0, sequence(objectId(oids.extensionRequest), setOf(extensions))),
  );
  const signature = template.sign(encodeDer(body));
  const algorithm = sequence(objectId(oids.ecdsaWithSha256));
  return pemOf(encodeDer(sequence(body, algorithm, bits(signature, 0))), requestLabel);
}
