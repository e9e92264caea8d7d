// Who asks: bearer tokens and the users behind them. No RBAC: who has a token may do everything (a
// named deviation); what the mesh relies on is that the *server* stamps who asked, from which pod.
import type { IncomingMessage } from 'node:http';
import type { User } from './kinds.ts';

/** A ServiceAccount token as a kubelet would project it into a pod. */
export type TokenBinding = {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  readonly nodeName: string;
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
  return {
    username: `system:serviceaccount:${binding.namespace}:${binding.serviceAccount}`,
    uid: `sa-${binding.namespace}-${binding.serviceAccount}`,
    groups: [
      'system:serviceaccounts',
      `system:serviceaccounts:${binding.namespace}`,
      'system:authenticated',
    ],
    extra: {
      'authentication.kubernetes.io/credential-id': [`JTI=${credentialId}`],
      'authentication.kubernetes.io/node-name': [binding.nodeName],
      'authentication.kubernetes.io/pod-name': [binding.podName],
      'authentication.kubernetes.io/pod-uid': [binding.podUid],
    },
  };
}

/** The table of tokens; a token that is not in it is answered 401. */
export class Tokens {
  readonly #users = new Map<string, User>();

  add(token: string, user: User): void {
    this.#users.set(token, user);
  }

  revoke(token: string): void {
    this.#users.delete(token);
  }

  userOf(request: IncomingMessage): User | undefined {
    const bearer = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    return bearer === undefined ? undefined : this.#users.get(bearer);
  }
}
