// What may sign for the mesh: a root of its own, or an intermediate that an operator brings, with
// the chain up to its root. All faults are found at once, each with what to do, because whoever
// fixes them has to ask for a new certificate elsewhere.
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { isIssuedBy, issuerFault } from './link.ts';
import { p256Point } from './p256-key.ts';
import { pemOf, readPem } from './pem.ts';
import { readCertificate } from './read-certificate.ts';
import type { ParsedCertificate } from './read-certificate.ts';
import type { Subtrees } from './read-extension.ts';
import { refused } from './refusal.ts';
import type { Refused } from './refusal.ts';

export type AuthorityOptions = {
  /** The signing certificate, its issuer, and so on up to the root. */
  readonly chainPem: string;
  /** Unencrypted private key, PKCS#8 or SEC1. */
  readonly keyPem: string;
  readonly trustDomain: string;
  readonly nowMs: number;
};

/** A certificate that may sign, with all that leaves and bundles take from it. */
export type Authority = {
  readonly kind: 'authority';
  /** DER of its subject. */
  readonly name: Uint8Array;
  readonly keyId: Uint8Array;
  /** The earliest end in the whole chain. */
  readonly notAfterMs: number;
  /** What peers need besides the root; empty when the root signs itself. */
  readonly chainPem: string;
  /** Its place is the trust bundle. */
  readonly rootPem: string;
};

export type AuthorityRefusal =
  | 'ChainMalformed'
  | 'ChainOrder'
  | 'ChainRootMissing'
  | 'ChainPathLength'
  | 'ChainConstrained'
  | 'ChainWeak'
  | 'AuthorityExpired'
  | 'AuthorityNotYetValid'
  | 'AuthorityRefused'
  | 'AuthorityKeyIdMissing'
  | 'KeyMalformed'
  | 'KeyRefused'
  | 'KeyMismatch';

export type AuthorityVerdict =
  | Authority
  | { readonly kind: 'problems'; readonly problems: readonly Refused<AuthorityRefusal>[] };

type Link = { readonly der: Uint8Array; readonly certificate: ParsedCertificate };
type Problems = Refused<AuthorityRefusal>[];

/** Four issuers above the signing certificate are more than anybody has. */
const chainLimits = { label: 'CERTIFICATE', bytesMax: 65_536, blocksMax: 5 };
const keyBytesMax = 16_384;
const rsaBitsMin = 2_048;

/** Signature algorithms that OpenSSL takes today: ECDSA, RSA, PSS with SHA-2, and Ed25519. */
const strongSignatures: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.10',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.3.101.112',
]);

/** The authority that chain and key make, or everything that is wrong with them. */
export function checkAuthority(options: AuthorityOptions): AuthorityVerdict {
  const chain = readChain(options.chainPem);
  if (chain.kind === 'refused') return { kind: 'problems', problems: [chain] };
  const { links } = chain;
  const [first] = links;
  const root = links.at(-1);
  const problems: Problems = [];
  if (first !== undefined) problems.push(...keyProblems(first, options.keyPem));
  for (const [index, link] of links.entries()) {
    problems.push(...linkProblems(link, index, options), ...orderProblems(links, index));
  }
  const keyId = first?.certificate.extensions.subjectKeyId;
  if (keyId === undefined) {
    problems.push(refused('AuthorityKeyIdMissing', 'certificate 1 has no subject key id'));
  }
  if (problems.length > 0 || first === undefined || root === undefined || keyId === undefined) {
    return { kind: 'problems', problems };
  }
  return {
    kind: 'authority',
    name: first.certificate.subject,
    keyId,
    notAfterMs: Math.min(...links.map(({ certificate }) => certificate.notAfterMs)),
    chainPem: links
      .slice(0, -1)
      .map(({ der }) => pemOf(der, 'CERTIFICATE'))
      .join(''),
    rootPem: pemOf(root.der, 'CERTIFICATE'),
  };
}

function readChain(
  pem: string,
): { readonly kind: 'chain'; readonly links: readonly Link[] } | Refused<'ChainMalformed'> {
  const reading = readPem(pem, chainLimits);
  if (reading.kind === 'refused') return refused('ChainMalformed', reading.message);
  const links: Link[] = [];
  for (const [index, der] of reading.blocks.entries()) {
    const one = readCertificate(der);
    if (one.kind === 'refused') {
      return refused('ChainMalformed', `certificate ${index + 1}: ${one.message}`);
    }
    links.push({ der, certificate: one.certificate });
  }
  return { kind: 'chain', links };
}

function keyProblems({ certificate }: Link, keyPem: string): Problems {
  if (p256Point(certificate.publicKey) === undefined) {
    return [refused('KeyRefused', 'the signing key has to be on P-256 (prime256v1)')];
  }
  const publicKey = publicHalf(keyPem);
  if (publicKey === undefined) {
    return [refused('KeyMalformed', 'the key is no unencrypted PEM private key')];
  }
  return Buffer.compare(publicKey, certificate.publicKey) === 0
    ? []
    : [refused('KeyMismatch', 'the key is not that of certificate 1; give the signer’s first')];
}

/** SubjectPublicKeyInfo of a private key. */
function publicHalf(keyPem: string): Uint8Array | undefined {
  if (keyPem.length > keyBytesMax) return undefined;
  try {
    return createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
  } catch {
    return undefined;
  }
}

function linkProblems(link: Link, index: number, options: AuthorityOptions): Problems {
  const { certificate } = link;
  const problems: Problems = [];
  const who = `certificate ${index + 1}`;
  const add = (reason: AuthorityRefusal, what: string): void => {
    problems.push(refused(reason, `${who}: ${what}`));
  };
  const fault = issuerFault(certificate);
  const isOpen = certificate.extensions.keyUsage === undefined;
  if (fault !== undefined) add('AuthorityRefused', fault);
  if (index === 0 && isOpen) add('AuthorityRefused', 'it has no key usage; give it keyCertSign');
  if (options.nowMs > certificate.notAfterMs) add('AuthorityExpired', 'it has expired');
  if (options.nowMs < certificate.notBeforeMs) add('AuthorityNotYetValid', 'it is not valid yet');
  // The numbering from 0 is that of authorities below it on the way to a leaf.
  if ((certificate.extensions.basicConstraints?.pathLength ?? index) < index) {
    add('ChainPathLength', 'its path length forbids the authorities before it');
  }
  if (isConstrained(certificate, options.trustDomain)) {
    add(
      'ChainConstrained',
      `its name constraints exclude spiffe://${options.trustDomain} or node.weft.dev`,
    );
  }
  for (const critical of certificate.extensions.unknownCritical) {
    add('AuthorityRefused', `its critical extension ${critical} is unknown here`);
  }
  if (isWeak(link)) add('ChainWeak', 'RSA below 2048 bits, or a signature without SHA-2');
  return problems;
}

function orderProblems(links: readonly Link[], index: number): Problems {
  const link = links[index];
  const issuer = links[index + 1];
  if (link === undefined) return [];
  if (issuer === undefined) {
    return isIssuedBy(link.der, link.der)
      ? []
      : [refused('ChainRootMissing', 'the last certificate is no root; append its issuers')];
  }
  return isIssuedBy(link.der, issuer.der)
    ? []
    : [refused('ChainOrder', `certificate ${index + 2} has not issued certificate ${index + 1}`)];
}

function isWeak({ der, certificate }: Link): boolean {
  const isRoot = Buffer.compare(certificate.issuer, certificate.subject) === 0;
  // A root's own signature proves nothing, so its hash does not matter.
  if (!isRoot && !strongSignatures.has(certificate.signatureAlgorithm)) return true;
  try {
    const bits = new X509Certificate(der).publicKey.asymmetricKeyDetails?.modulusLength;
    return bits !== undefined && bits < rsaBitsMin;
  } catch {
    return true;
  }
}

/** RFC 5280 §4.2.1.10, for the names that all leaves have; other kinds of names bind nothing. */
function isConstrained({ extensions }: ParsedCertificate, trustDomain: string): boolean {
  const constraints = extensions.nameConstraints;
  if (constraints === undefined) return false;
  const { permitted, excluded } = constraints;
  const isUriAllowed = permitted.uris.length === 0 || hasHost(permitted, trustDomain);
  const isNodeAllowed = permitted.dnsNames.length === 0 || hasNodes(permitted);
  return !isUriAllowed || !isNodeAllowed || hasHost(excluded, trustDomain) || hasNodes(excluded);
}

/** A URI constraint is a host, or with a leading dot all hosts below it. */
function hasHost({ uris }: Subtrees, host: string): boolean {
  return uris.some((one) => (one.startsWith('.') ? host.endsWith(one) : host === one));
}

/** A DNS constraint is a name with all below it. */
function hasNodes({ dnsNames }: Subtrees): boolean {
  const name = 'any.node.weft.dev';
  return dnsNames.some((one) => one === '' || name.endsWith(one.startsWith('.') ? one : `.${one}`));
}
