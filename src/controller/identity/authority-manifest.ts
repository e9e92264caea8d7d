// Secret `weft-ca` and ConfigMap `weft-trust` as they are written: the first authority, the
// bundle, and the steps of a rotation, each a change of the whole Secret, so that a step is made
// or not made. Pure.
import type { TrustRoot } from '../../identity/index.ts';
import { valueAt } from '../raw-object.ts';
import { authorityName, caAnnotations, trustName } from './authority-secret.ts';
import type { CaPhase, HeldAuthority } from './authority-secret.ts';

export type AuthorityFacts = {
  readonly namespace: string;
  readonly trustDomain: string;
  /** The signing certificate … the root. */
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly nowMs: number;
};

export type TrustFacts = {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly held: HeldAuthority;
};

export type TrustManifest = {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly data: Readonly<Record<'ca.crt', string>>;
};

const labels = { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'identity' };

/** A mesh's first authority. */
export function authorityManifest(facts: AuthorityFacts): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: authorityName,
      namespace: facts.namespace,
      labels,
      annotations: {
        [caAnnotations.trustDomain]: facts.trustDomain,
        [caAnnotations.phase]: 'steady',
        [caAnnotations.phaseSince]: timestampOf(facts.nowMs),
      },
    },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(facts.certificatePem), 'tls.key': base64(facts.keyPem) },
  };
}

/** What proxies trust. */
export function trustManifest({ namespace, trustDomain, held }: TrustFacts): TrustManifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: trustName,
      namespace,
      labels,
      annotations: {
        [caAnnotations.trustDomain]: trustDomain,
        [caAnnotations.phase]: held.phase,
      },
    },
    data: { 'ca.crt': bundleOf(held.roots) },
  };
}

/** A signer to come: the chain up to its root, and its key. */
export type Proposal = { readonly certificatePem: string; readonly keyPem: string };

export type StepFacts = {
  /** As it was read: everything of others stays. */
  readonly secret: unknown;
  readonly held: HeldAuthority;
  readonly to: CaPhase;
  /** To `adding`: who comes next; absent where it lies in the Secret already. */
  readonly proposal?: Proposal;
  readonly nowMs: number;
};

/** The Secret after a step of a rotation. */
export function steppedAuthority({ secret, held, to, proposal, nowMs }: StepFacts): unknown {
  const data = recordAt(secret, 'data');
  const annotations = recordAt(secret, 'metadata', 'annotations');
  annotations.set(caAnnotations.phase, to);
  annotations.set(caAnnotations.phaseSince, timestampOf(nowMs));
  switch (to) {
    case 'adding':
      annotations.delete(caAnnotations.rotate);
      if (proposal !== undefined) setNext(data, proposal);
      break;
    case 'switching':
      // The old key is gone from here on: nothing can be signed with it again.
      data.set('previous.crt', base64(held.signer.root.pem));
      for (const part of ['crt', 'key']) {
        data.set(`tls.${part}`, data.get(`next.${part}`));
        data.delete(`next.${part}`);
      }
      break;
    case 'removing':
      data.delete('previous.crt');
      break;
    case 'steady':
      break;
  }
  return withParts(secret, data, annotations);
}

/** The Secret with the wish for another root, and with who it shall be. */
export function proposedAuthority(
  secret: unknown,
  proposal: Proposal | undefined,
  nowMs: number,
): unknown {
  const data = recordAt(secret, 'data');
  const annotations = recordAt(secret, 'metadata', 'annotations');
  annotations.set(caAnnotations.rotate, timestampOf(nowMs));
  if (proposal !== undefined) setNext(data, proposal);
  return withParts(secret, data, annotations);
}

function setNext(data: Map<string, unknown>, { certificatePem, keyPem }: Proposal): void {
  data.set('next.crt', base64(certificatePem));
  data.set('next.key', base64(keyPem));
}

function withParts(
  secret: unknown,
  data: ReadonlyMap<string, unknown>,
  annotations: ReadonlyMap<string, unknown>,
): unknown {
  return {
    ...Object.fromEntries(recordOf(secret)),
    metadata: {
      ...Object.fromEntries(recordAt(secret, 'metadata')),
      annotations: Object.fromEntries(annotations),
    },
    data: Object.fromEntries(data),
  };
}

function recordAt(value: unknown, ...path: readonly string[]): Map<string, unknown> {
  return recordOf(valueAt(value, ...path));
}

function recordOf(value: unknown): Map<string, unknown> {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}

function bundleOf(roots: readonly TrustRoot[]): string {
  return roots.map(({ pem }) => pem).join('');
}

/** Whole seconds, as Kubernetes writes them. */
export function timestampOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
