// What a peer's certificate has to be besides validly chained (SPIFFE X.509-SVID §5, narrowed to
// what our issuer makes). OpenSSL validates the path – signatures, roots, dates of every link, name
// constraints of issuers – in the TLS handshake, and takes much that is no identity of ours: leaves
// that are authorities, two URIs, none. This file judges the leaf itself, as a table of checks.
//
// No clock tolerance here: OpenSSL has none and comes first. Leaves are backdated by 5 minutes at
// their issue instead, which covers any two clocks that are less than 5 minutes apart.
import { boundNodeOf } from './names.ts';
import { oids } from './oids.ts';
import { readCertificate } from './read-certificate.ts';
import type { ParsedCertificate } from './read-certificate.ts';
import { quoted, refused } from './refusal.ts';
import type { Refused } from './refusal.ts';
import { isSerial, serialText } from './serial.ts';
import { parseSpiffeId } from './spiffe.ts';
import type { SpiffeId, WorkloadIdentity } from './spiffe.ts';

/** What is asked of a peer; nothing has a default, so that no caller can forget a part. */
export type PeerRules = {
  readonly trustDomain: string;
  /** The nodes that the peer's address may belong to; never empty in a useful call. */
  readonly nodes: ReadonlySet<string>;
  /** Whom the peer has to be: a caller is any workload, who is called is the proxy of its node. */
  readonly identity: SpiffeId | 'any';
  readonly nowMs: number;
};

/** Why a certificate that OpenSSL took is refused. */
export type PeerRefusal =
  | 'Malformed'
  | 'VersionRefused'
  | 'SerialRefused'
  | 'SignatureRefused'
  | 'KeyRefused'
  | 'NotYetValid'
  | 'Expired'
  | 'LifetimeTooLong'
  | 'SubjectNotEmpty'
  | 'ExtensionRefused'
  | 'NameConstrained'
  | 'IsAuthority'
  | 'KeyUsageRefused'
  | 'ExtendedKeyUsageRefused'
  | 'NamesNotCritical'
  | 'NameRefused'
  | 'SpiffeIdCount'
  | 'SpiffeIdRefused'
  | 'TrustDomainForeign'
  | 'IdentityMismatch'
  | 'NodeNameCount'
  | 'NodeNameRefused'
  | 'NodeMismatch';

/** Who a peer has proven to be. */
export type PeerIdentity = WorkloadIdentity & {
  readonly kind: 'peer';
  readonly spiffeId: SpiffeId;
  readonly node: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hex. */
  readonly serial: string;
};

export type PeerVerdict = PeerIdentity | Refused<PeerRefusal>;

/** Ours live 24 h and 5 min; more than 25 h is none of ours. */
const lifetimeMaxMs = 25 * 3_600_000;

type Check = {
  readonly reason: PeerRefusal;
  /** What is wrong, or `undefined`. Runs only when all checks before it were content. */
  readonly fault: (certificate: ParsedCertificate, rules: PeerRules) => string | undefined;
};

/** `message` unless `isMet`. */
function unless(isMet: boolean, message: string): string | undefined {
  return isMet ? undefined : message;
}

const checks: readonly Check[] = [
  {
    reason: 'VersionRefused',
    fault: ({ version }) => unless(version === 3, `version ${version}, not 3`),
  },
  {
    reason: 'SerialRefused',
    fault: ({ serial }) =>
      unless(isSerial(serial), 'the serial number is not positive or too long'),
  },
  {
    reason: 'SignatureRefused',
    fault: ({ signatureAlgorithm }) =>
      unless(
        signatureAlgorithm === oids.ecdsaWithSha256,
        `signed with ${signatureAlgorithm}, not with ECDSA and SHA-256`,
      ),
  },
  {
    reason: 'KeyRefused',
    fault: ({ isP256 }) => unless(isP256, 'the key is not on P-256'),
  },
  {
    reason: 'NotYetValid',
    fault: ({ notBeforeMs }, { nowMs }) =>
      unless(nowMs >= notBeforeMs, `valid in ${notBeforeMs - nowMs} ms (do the clocks agree?)`),
  },
  {
    reason: 'Expired',
    fault: ({ notAfterMs }, { nowMs }) =>
      unless(nowMs <= notAfterMs, `expired ${nowMs - notAfterMs} ms ago`),
  },
  {
    reason: 'LifetimeTooLong',
    fault: ({ notBeforeMs, notAfterMs }) =>
      unless(notAfterMs - notBeforeMs <= lifetimeMaxMs, 'valid for more than 25 h'),
  },
  {
    reason: 'SubjectNotEmpty',
    fault: ({ isSubjectEmpty }) => unless(isSubjectEmpty, 'the subject is not empty'),
  },
  {
    reason: 'NameConstrained',
    fault: ({ extensions }) =>
      unless(extensions.nameConstraints === undefined, 'a leaf with name constraints'),
  },
  {
    reason: 'ExtensionRefused',
    fault: ({ extensions: { unknownCritical } }) =>
      unless(unknownCritical.length === 0, `critical extension ${unknownCritical[0]}`),
  },
  {
    reason: 'IsAuthority',
    fault: ({ extensions: { basicConstraints } }) =>
      unless(
        basicConstraints?.isCa === false && basicConstraints.isCritical,
        'not marked, critically, as no authority',
      ),
  },
  {
    reason: 'KeyUsageRefused',
    fault: ({ extensions: { keyUsage } }) =>
      unless(
        keyUsage?.bits === 1 && keyUsage.isCritical,
        'the key usage is not digitalSignature alone, critically',
      ),
  },
  {
    reason: 'ExtendedKeyUsageRefused',
    fault: ({ extensions }) =>
      unless(
        isClientAndServer(extensions.extendedKeyUsage?.oids ?? []),
        'the extended key usage is not client and server',
      ),
  },
  {
    reason: 'NamesNotCritical',
    fault: ({ extensions: { subjectAltNames } }) =>
      unless(
        subjectAltNames === undefined || subjectAltNames.isCritical,
        'alternative names are not critical',
      ),
  },
  {
    reason: 'NameRefused',
    fault: ({ extensions: { subjectAltNames: names } }) =>
      unless(
        names === undefined || (names.addresses.length === 0 && names.otherCount === 0),
        'alternative names other than URIs and DNS names',
      ),
  },
  {
    reason: 'SpiffeIdCount',
    fault: (certificate) =>
      unless(urisOf(certificate).length === 1, `${urisOf(certificate).length} URIs, not one`),
  },
  {
    reason: 'SpiffeIdRefused',
    fault: (certificate) =>
      unless(
        parseSpiffeId(uriOf(certificate)) !== undefined,
        `${quoted(uriOf(certificate))} is no SPIFFE id of a workload`,
      ),
  },
  {
    reason: 'TrustDomainForeign',
    fault: (certificate, { trustDomain }) =>
      unless(
        parseSpiffeId(uriOf(certificate))?.trustDomain === trustDomain,
        `${quoted(uriOf(certificate))} is not of trust domain ${trustDomain}`,
      ),
  },
  {
    reason: 'IdentityMismatch',
    fault: (certificate, { identity }) =>
      unless(
        identity === 'any' || uriOf(certificate) === identity,
        `${quoted(uriOf(certificate))} is not ${identity}`,
      ),
  },
  {
    reason: 'NodeNameCount',
    fault: (certificate) =>
      unless(namesOf(certificate).length === 1, `${namesOf(certificate).length} nodes, not one`),
  },
  {
    reason: 'NodeNameRefused',
    fault: (certificate) =>
      unless(
        boundNodeOf(nameOf(certificate)) !== undefined,
        `${quoted(nameOf(certificate))} names no node`,
      ),
  },
  {
    reason: 'NodeMismatch',
    fault: (certificate, { nodes }) =>
      unless(
        nodes.has(boundNodeOf(nameOf(certificate)) ?? ''),
        `${quoted(nameOf(certificate))} is not the node of this peer`,
      ),
  },
];

/**
 * Who the owner of this certificate is. Only after OpenSSL has validated its path: this function
 * verifies no signature.
 */
export function verifyPeer(der: Uint8Array, rules: PeerRules): PeerVerdict {
  const reading = readCertificate(der);
  if (reading.kind === 'refused') return reading;
  const { certificate } = reading;
  for (const check of checks) {
    const fault = check.fault(certificate, rules);
    if (fault !== undefined) return refused(check.reason, fault);
  }
  const text = uriOf(certificate);
  const identity = parseSpiffeId(text);
  const node = boundNodeOf(nameOf(certificate));
  // Belt and braces: what the checks promise is what the answer is made of.
  if (identity === undefined || node === undefined) return refused('Malformed', 'no identity');
  return {
    kind: 'peer',
    ...identity,
    // `parseSpiffeId` has read it, and reading is exact: only one text stands for an identity.
    spiffeId: text as SpiffeId,
    node,
    notBeforeMs: certificate.notBeforeMs,
    notAfterMs: certificate.notAfterMs,
    serial: serialText(certificate.serial),
  };
}

function isClientAndServer(usages: readonly string[]): boolean {
  return (
    usages.length === 2 && usages.includes(oids.clientAuth) && usages.includes(oids.serverAuth)
  );
}

function urisOf(certificate: ParsedCertificate): readonly string[] {
  return certificate.extensions.subjectAltNames?.uris ?? [];
}

function uriOf(certificate: ParsedCertificate): string {
  return urisOf(certificate)[0] ?? '';
}

function namesOf(certificate: ParsedCertificate): readonly string[] {
  return certificate.extensions.subjectAltNames?.dnsNames ?? [];
}

function nameOf(certificate: ParsedCertificate): string {
  return namesOf(certificate)[0] ?? '';
}
