// A certificate with its key, as it goes from the control thread to the workers: PEM, because
// `node:tls` takes no KeyObject. It is never part of a snapshot, of a log or of an answer (A4).
import type { SpiffeId } from './spiffe.ts';

export type Credential = {
  readonly id: SpiffeId;
  /** The leaf, then its issuers below the root. */
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Of the leaf; wall time. */
  readonly notAfterMs: number;
};
