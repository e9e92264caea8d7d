// The seam to keys and secret randomness: only `main` (and tests) make implementations. A key lives
// in the memory of whoever asked for it; nothing here writes one anywhere.

/** A fresh P-256 key. */
export type MadeKey = {
  /** PKCS#8, unencrypted: for `node:tls`, and for Secret `weft-ca`; never for a log. */
  readonly privateKeyPem: string;
  /** SubjectPublicKeyInfo. */
  readonly publicKeySpki: Uint8Array;
  /** ECDSA with SHA-256 of `bytes`, as DER. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
};

export type KeyMaker = {
  readonly makeKey: () => Promise<MadeKey>;
  /** From the system's generator: serials, names that nobody may guess. */
  readonly randomBytes: (count: number) => Uint8Array;
};
