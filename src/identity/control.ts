// Second door of `identity`: requests and certificates are made, judged and issued here, which
// needs node-forge's ASN.1 codec. Workers never load it.
export { acceptIssued } from './accept-issued.ts';
export type * from './accept-issued.ts';
export { checkAuthority } from './authority.ts';
export type * from './authority.ts';
export { createCertificate } from './certificate.ts';
export { issueLeaf, makeRoot } from './issue.ts';
export type * from './issue.ts';
export { judgeRequest, podUidKey, requestUsages, workloadSigner } from './judge-request.ts';
export type * from './judge-request.ts';
export { pemOf } from './pem.ts';
export { createCertificateRequest, workloadNames } from './request.ts';
export type { SubjectAltName } from './write-extension.ts';
