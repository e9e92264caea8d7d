// Door of `identity` for everybody, workers among them: names, the judgement of peers, bundles and
// the schedule of renewals; no packages. Making certificates is behind control.ts.
export type { Credential } from './credential.ts';
export { boundNodeOf, nodeBindingOf, proxyServiceAccount } from './names.ts';
export { readCertificate } from './read-certificate.ts';
export type { CertificateReading, ParsedCertificate } from './read-certificate.ts';
export type { Refused } from './refusal.ts';
export { renewalOf } from './renewal.ts';
export { formatSpiffeId, isTrustDomain, parseSpiffeId } from './spiffe.ts';
export type { SpiffeId, WorkloadIdentity } from './spiffe.ts';
export { readTrustBundle } from './trust-bundle.ts';
export type { TrustBundle, TrustRoot } from './trust-bundle.ts';
export { verifyPeer } from './verify-peer.ts';
export type * from './verify-peer.ts';
