// Who asks: bearer tokens and the users behind them. No RBAC: who has a token may do everything (a
// named deviation); what the mesh relies on is that the *server* stamps who asked, from which pod.
import type { IncomingMessage } from 'node:http';
import type { User } from './kinds.ts';

/** A ServiceAccount token as a kubelet would project it into a pod. */
export type TokenBinding = {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Made up from the name when absent. */
  readonly accountUid?: string;
  /** Empty: not bound to a pod. */
  readonly podName: string;
  readonly podUid: string;
  readonly nodeName: string;
  /** Left out when empty or absent: the node has no object. */
  readonly nodeUid?: string;
};

/** Who the printed kubeconfig belongs to. */
export const adminUser: User = {
  username: 'kubernetes-admin',
  uid: '',
  groups: ['system:masters', 'system:authenticated'],
  extra: {},
};

/**
 * The user that a pod's token stands for, with the claims that a real API server stamps (1.30+).
 */
export function serviceAccountUser(binding: TokenBinding, credentialId: string): User {
  const { namespace, serviceAccount, accountUid } = binding;
  const claims = {
    'node-name': binding.nodeName,
    'node-uid': binding.nodeUid ?? '',
    'pod-name': binding.podName,
    'pod-uid': binding.podUid,
  };
  const stamped = Object.entries(claims)
    .filter(([, value]) => value !== '')
    .map(([claim, value]) => [`authentication.kubernetes.io/${claim}`, [value]] as const);
  return {
    username: `system:serviceaccount:${namespace}:${serviceAccount}`,
    uid: accountUid ?? `sa-${namespace}-${serviceAccount}`,
    groups: [
      'system:serviceaccounts',
      `system:serviceaccounts:${namespace}`,
      'system:authenticated',
    ],
    extra: {
      'authentication.kubernetes.io/credential-id': [`JTI=${credentialId}`],
      ...Object.fromEntries(stamped),
    },
  };
}

/** How long a token is good. */
export type TokenLife = {
  /** By the wall clock. */
  readonly endMs: number;
  /** Asked at each use: what it is bound to may be gone. */
  readonly isValid: () => boolean;
};

const endless: TokenLife = { endMs: Number.POSITIVE_INFINITY, isValid: () => true };

/** The table of tokens; a token that is not in it, or is over, is answered 401. */
export class Tokens {
  readonly #users = new Map<string, { readonly user: User; readonly life: TokenLife }>();

  add(token: string, user: User, life = endless): void {
    this.#users.set(token, { user, life });
  }

  revoke(token: string): void {
    this.#users.delete(token);
  }

  userOf(request: IncomingMessage, nowMs: number): User | undefined {
    const bearer = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (bearer === undefined) return undefined;
    const known = this.#users.get(bearer);
    if (known === undefined) return undefined;
    if (known.life.endMs > nowMs && known.life.isValid()) return known.user;
    this.revoke(bearer);
    return undefined;
  }
}
