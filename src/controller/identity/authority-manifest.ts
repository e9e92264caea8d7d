// Secret `weft-ca` and ConfigMap `weft-trust` as they are written. Pure.
import type { TrustRoot } from '../../identity/index.ts';
import { authorityName, caAnnotations, trustName } from './authority-secret.ts';
import type { HeldAuthority } from './authority-secret.ts';

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

function bundleOf(roots: readonly TrustRoot[]): string {
  return roots.map(({ pem }) => pem).join('');
}

/** Whole seconds, as Kubernetes writes them. */
export function timestampOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`;
}

export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
