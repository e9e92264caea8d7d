// Second door of `identity`: requests and certificates are made, judged and issued here, which needs
// node-forge's ASN.1 codec. Workers never load it.
export { createCertificate } from './certificate.ts';
export type { CertificateIssuer, CertificateTemplate } from './certificate.ts';
export { judgeRequest, requestUsages, workloadSigner } from './judge-request.ts';
export type * from './judge-request.ts';
export { pemOf } from './pem.ts';
export { createCertificateRequest } from './request.ts';
export type { RequestTemplate } from './request.ts';
export type { SubjectAltName } from './write-extension.ts';
