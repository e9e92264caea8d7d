// Door of `identity` for everybody, workers among them: names, and the judgement of peers; no
// packages. Making certificates is behind control.ts.
export { boundNodeOf, nodeBindingOf } from './names.ts';
export { readCertificate } from './read-certificate.ts';
export type { CertificateReading, ParsedCertificate } from './read-certificate.ts';
export type { Refused } from './refusal.ts';
export { formatSpiffeId, isTrustDomain, parseSpiffeId } from './spiffe.ts';
export type { SpiffeId, WorkloadIdentity } from './spiffe.ts';
export { verifyPeer } from './verify-peer.ts';
export type { PeerIdentity, PeerRefusal, PeerRules, PeerVerdict } from './verify-peer.ts';
