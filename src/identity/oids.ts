// Object identifiers of X.509 (RFC 5280, RFC 5480) and PKCS#10 (RFC 2985), in dotted form. Only
// what certificates of the mesh and of its issuers carry.

export const oids = {
  ecPublicKey: '1.2.840.10045.2.1',
  p256: '1.2.840.10045.3.1.7',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  /** PKCS#10 attribute that carries the extensions asked for. */
  extensionRequest: '1.2.840.113549.1.9.14',
} as const;
