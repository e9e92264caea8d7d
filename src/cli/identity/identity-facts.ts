// What `weft identity` shows: the roots that the mesh trusts, where a rotation stands, and for each
// proxy whom it trusts and which certificates it has until when. Pure; it is read in
// read-identity.ts.

export type RootFacts = {
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
  /** The first of the bundle. */
  readonly isSigning: boolean;
};

export type ProxyIdentities = {
  readonly node: string;
  readonly pod: string;
  /** Fingerprints; `undefined`: the proxy does not answer, or says nothing of trust. */
  readonly trusts: readonly string[] | undefined;
  readonly certificates: readonly CertificateFacts[];
};

export type CertificateFacts = { readonly identity: string; readonly notAfterMs: number };

export type IdentityFacts = {
  /** `undefined`: there is no trust bundle yet. */
  readonly trustDomain: string | undefined;
  readonly phase: string;
  readonly roots: readonly RootFacts[];
  readonly proxies: readonly ProxyIdentities[];
};

const shownDigits = 16;

/** As `-o json` and `-o yaml` print it. */
export function identityRecord(facts: IdentityFacts) {
  return {
    trustDomain: facts.trustDomain ?? null,
    phase: facts.phase,
    roots: facts.roots.map(({ fingerprint, notAfterMs, isSigning }) => ({
      fingerprint,
      notAfter: timeOf(notAfterMs),
      isSigning,
    })),
    proxies: facts.proxies.map(({ node, pod, trusts, certificates }) => ({
      node,
      pod,
      trusts: trusts ?? null,
      certificates: certificates.map(({ identity, notAfterMs }) => ({
        identity,
        notAfter: timeOf(notAfterMs),
      })),
    })),
  };
}

export function identityTable(facts: IdentityFacts, nowMs: number): string {
  if (facts.trustDomain === undefined) {
    return 'there is no trust bundle yet: the controller makes it when it leads\n';
  }
  const roots = facts.roots.map(({ fingerprint, notAfterMs, isSigning }) => [
    fingerprint.slice(0, shownDigits),
    timeOf(notAfterMs),
    isSigning ? 'signs' : '',
  ]);
  const lines = facts.proxies.flatMap((proxy) => {
    const { node, trusts, certificates } = proxy;
    const trusted = trusts?.map((one) => one.slice(0, shownDigits)).join(' ') ?? 'no answer';
    if (certificates.length === 0) return [[node, trusted, '', '']];
    return certificates.map(({ identity, notAfterMs }, index) => [
      index === 0 ? node : '',
      index === 0 ? trusted : '',
      identity,
      notAfterMs <= nowMs ? `${timeOf(notAfterMs)} (expired)` : timeOf(notAfterMs),
    ]);
  });
  return [
    `trust domain ${facts.trustDomain}, phase ${facts.phase}`,
    '',
    ...aligned([['ROOT', 'EXPIRES', ''], ...roots]),
    '',
    ...aligned([['NODE', 'TRUSTS', 'IDENTITY', 'EXPIRES'], ...lines]),
    '',
  ].join('\n');
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (at: number): number => Math.max(...rows.map((row) => (row[at] ?? '').length));
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(width(at)))
      .join('  ')
      .trimEnd(),
  );
}

/** Somebody has to look: no bundle, a proxy that is silent, something that has expired. */
export function isIdentityWell(facts: IdentityFacts, nowMs: number): boolean {
  const ends = [
    ...facts.roots.map(({ notAfterMs }) => notAfterMs),
    ...facts.proxies.flatMap(({ certificates }) => certificates.map((one) => one.notAfterMs)),
  ];
  const haveAnswered = facts.proxies.every(({ trusts }) => trusts !== undefined);
  return facts.trustDomain !== undefined && haveAnswered && ends.every((end) => end > nowMs);
}

function timeOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}

const expiryMetric = 'weft_certificate_expiry_timestamp_seconds';

/** The certificates of a proxy, as its page of metrics names them. */
export function readExpiries(page: string): readonly CertificateFacts[] {
  const found: CertificateFacts[] = [];
  for (const line of page.split('\n')) {
    if (!line.startsWith(`${expiryMetric}{`)) continue;
    const [, identity] = /\bidentity="([^"\\]*)"/.exec(line) ?? [];
    const seconds = Number(/\} ([0-9.eE+]+)/.exec(line)?.[1]);
    if (identity === undefined || !Number.isFinite(seconds)) continue;
    found.push({ identity, notAfterMs: seconds * 1_000 });
  }
  return found.sort((left, right) => (left.identity < right.identity ? -1 : 1));
}
