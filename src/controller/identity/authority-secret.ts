// What Secret `weft-ca` says: who signs, who comes next or went before, and where a rotation
// stands – or the one thing that is wrong with it. All else follows from this object alone: the
// trust bundle, and what a controller that has just started does next. Pure.
import { checkAuthority } from '../../identity/control.ts';
import type { Authority } from '../../identity/control.ts';
import { readTrustBundle } from '../../identity/index.ts';
import type { TrustRoot } from '../../identity/index.ts';
import { parseTimestamp } from '../../lib/timestamp.ts';
import { textAt } from '../raw-object.ts';

export const authorityName = 'weft-ca';
export const trustName = 'weft-trust';

const caPhases = ['steady', 'adding', 'switching', 'removing'] as const;
export type CaPhase = (typeof caPhases)[number];

/** Annotations of the Secret; the first two stand on the ConfigMap, too. */
export const caAnnotations = {
  trustDomain: 'weft.dev/trust-domain',
  phase: 'weft.dev/phase',
  phaseSince: 'weft.dev/phase-since',
  /** Set by whoever wants another root; taken away when the rotation begins. */
  rotate: 'weft.dev/rotate',
} as const;

export type Signer = {
  readonly authority: Authority;
  readonly keyPem: string;
  readonly root: TrustRoot;
};

export type HeldAuthority = {
  readonly kind: 'held';
  readonly signer: Signer;
  /** Signs after the next switch. */
  readonly next: Signer | undefined;
  readonly phase: CaPhase;
  readonly phaseSinceMs: number;
  readonly isRotationAsked: boolean;
  /** What is trusted, the root that signs first; each once. */
  readonly roots: readonly TrustRoot[];
};

export type FaultyAuthority = {
  readonly kind: 'faulty';
  readonly reason: 'AuthorityRefused' | 'TrustDomainForeign';
  readonly message: string;
};

export type ReadOptions = { readonly trustDomain: string; readonly nowMs: number };

/** Everything or nothing: a part that is wrong makes all of it faulty, and nothing is signed. */
export function readAuthority(
  secret: unknown,
  options: ReadOptions,
): HeldAuthority | FaultyAuthority {
  const annotation = (name: string): string | undefined =>
    textAt(secret, 'metadata', 'annotations', name);
  const domain = annotation(caAnnotations.trustDomain);
  if (domain !== options.trustDomain) {
    const is = domain === undefined ? 'names no trust domain' : `is of trust domain ${domain}`;
    return {
      kind: 'faulty',
      reason: 'TrustDomainForeign',
      message:
        `the authority ${is}, and the controller of ${options.trustDomain}; set --trust-domain ` +
        'back, or bring an authority of this one (weft ca use)',
    };
  }
  const signer = readSigner(secret, 'tls', options);
  if (signer.kind === 'faulty') return signer;
  const phase = caPhases.find((known) => known === annotation(caAnnotations.phase)) ?? 'steady';
  const next = phase === 'adding' ? readSigner(secret, 'next', options) : undefined;
  if (next?.kind === 'faulty') return next;
  const previous = phase === 'switching' ? readPrevious(secret) : undefined;
  if (previous?.kind === 'faulty') return previous;
  const trusted = [signer.signer.root, next?.signer.root, previous?.root];
  return {
    kind: 'held',
    signer: signer.signer,
    next: next?.signer,
    phase,
    phaseSinceMs: parseTimestamp(annotation(caAnnotations.phaseSince) ?? '') ?? 0,
    isRotationAsked: annotation(caAnnotations.rotate) !== undefined,
    roots: distinct(trusted.filter((root) => root !== undefined)),
  };
}

/** The signer that `weft ca use` has laid beside the one in force. */
export function readProposed(
  secret: unknown,
  options: ReadOptions,
): { readonly kind: 'signer'; readonly signer: Signer } | FaultyAuthority | undefined {
  return dataAt(secret, 'next.crt') === undefined ? undefined : readSigner(secret, 'next', options);
}

function readSigner(
  secret: unknown,
  which: 'tls' | 'next',
  { trustDomain, nowMs }: ReadOptions,
): { readonly kind: 'signer'; readonly signer: Signer } | FaultyAuthority {
  const chainPem = dataAt(secret, `${which}.crt`) ?? '';
  const keyPem = dataAt(secret, `${which}.key`) ?? '';
  const authority = checkAuthority({ chainPem, keyPem, trustDomain, nowMs });
  if (authority.kind === 'problems') {
    return faulty(`${which}.crt`, authority.problems.map(({ message }) => message).join('; '));
  }
  const root = rootOf(authority.rootPem);
  if (root === undefined) return faulty(`${which}.crt`, 'its root is none that proxies take');
  return { kind: 'signer', signer: { authority, keyPem, root } };
}

function readPrevious(
  secret: unknown,
): { readonly kind: 'root'; readonly root: TrustRoot } | FaultyAuthority {
  const root = rootOf(dataAt(secret, 'previous.crt') ?? '');
  return root === undefined ? faulty('previous.crt', 'it is no root') : { kind: 'root', root };
}

function rootOf(pem: string): TrustRoot | undefined {
  const { roots, problems } = readTrustBundle(pem);
  return problems.length === 0 && roots.length === 1 ? roots[0] : undefined;
}

function distinct(roots: readonly TrustRoot[]): readonly TrustRoot[] {
  return [...new Map(roots.map((root) => [root.fingerprint, root])).values()];
}

function faulty(field: string, what: string): FaultyAuthority {
  return { kind: 'faulty', reason: 'AuthorityRefused', message: `${field}: ${what}` };
}

/** A value of a Secret, decoded. */
function dataAt(secret: unknown, name: string): string | undefined {
  const value = textAt(secret, 'data', name);
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}
