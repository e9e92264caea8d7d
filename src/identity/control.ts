// Second door of `identity`: making certificates, which needs node-forge's ASN.1 codec. Workers
// never load it.
export { createCertificate } from './certificate.ts';
export type { CertificateIssuer, CertificateTemplate, SubjectAltName } from './certificate.ts';
export { pemOf } from './pem.ts';
