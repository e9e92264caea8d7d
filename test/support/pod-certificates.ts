// Certificates of pods that serve HTTPS, of authorities that a test makes: nothing of the mesh's
// own identities is in them.
import {
  commonName,
  craft,
  dns,
  extensions,
  goodParts,
  isCa,
  keyPair,
  pem,
  usages,
  utcTime,
} from './crafted-certificates.ts';
import type { Issuer } from './crafted-certificates.ts';

export type PodCertificate = { readonly cert: string; readonly key: string };

const day = 86_400_000;

export class PodAuthority {
  readonly #issuer: Issuer = { name: commonName('users of weft'), key: keyPair() };
  readonly pem: string;

  constructor() {
    const parts = goodParts(this.#issuer, this.#issuer.key, Date.now());
    const root = craft({
      ...parts,
      subject: this.#issuer.name,
      basic: extensions.basic(isCa),
      keyUsage: extensions.keyUsage([1, 0x06]),
      extendedKeyUsage: Buffer.alloc(0),
      names: Buffer.alloc(0),
    });
    this.pem = pem(root);
  }

  /** For a name; good for a day, or until a day ago. */
  issue(name: string, { isExpired = false } = {}): PodCertificate {
    const key = keyPair();
    const nowMs = Date.now() - (isExpired ? 2 * day : 0);
    const leaf = craft({
      ...goodParts(this.#issuer, key, nowMs),
      notAfter: utcTime(nowMs + day),
      extendedKeyUsage: extensions.extendedKeyUsage([usages.serverAuth]),
      names: extensions.names([dns(name)]),
    });
    const keyPem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return { cert: pem(leaf), key: keyPem };
  }
}
