// When a certificate is renewed: before half of its life, each at a random moment, so that neither
// the certificates of a node nor the nodes of a cluster come at once. When to try again after a
// failure is the back-off's matter (lib).

export type RenewalOptions = {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Uniform in [0, 1), drawn once per certificate. */
  readonly jitter: number;
};

export type Renewal = {
  readonly renewAtMs: number;
  /** Still the same certificate then: somebody has to be told. */
  readonly alarmAtMs: number;
};

/**
 * Never later than 0.49: of 24 h more than 12 h are left then, so that an issuer may be away for
 * 12 h at the worst moment and has some minutes for everybody when it comes back.
 */
const earliest = 0.4;
const latest = 0.49;
const alarm = 0.75;

/** The moments of a certificate's life that matter to its keeper. */
export function renewalOf({ notBeforeMs, notAfterMs, jitter }: RenewalOptions): Renewal {
  const lifetimeMs = notAfterMs - notBeforeMs;
  const share = earliest + (latest - earliest) * jitter;
  return {
    renewAtMs: Math.floor(notBeforeMs + lifetimeMs * share),
    alarmAtMs: Math.floor(notBeforeMs + lifetimeMs * alarm),
  };
}
