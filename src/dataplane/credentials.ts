// The certificates of this node's workloads and the roots in force, as the control thread sends
// them, and the TLS contexts made of them. A context is made when it is first asked for and thrown
// away when its certificate or the bundle changes: then everybody is told, and connections that
// were opened under the old one are replaced. Keys are in here and in OpenSSL, and nowhere else
// (A4).
import { readTrustBundle } from '../identity/index.ts';
import type { Credential, SpiffeId } from '../identity/index.ts';
import type { SecureNetwork, TlsContext, TlsTerms } from '../lib/network.ts';
import { offeredFor, tunnelProtocols } from './peer-check.ts';
import type { TunnelProtocol, TunnelUse } from './peer-check.ts';

export type IdentityUpdate = {
  readonly trustPem: string;
  readonly own: Credential | undefined;
  readonly set: readonly Credential[];
  readonly removed: readonly SpiffeId[];
};

export type CredentialChange = {
  /** Certificates that are others now, or gone. */
  readonly replaced: ReadonlySet<SpiffeId>;
  readonly isOwnReplaced: boolean;
  /** A root has gone: whatever was opened under it has to end. */
  readonly isRootGone: boolean;
};

/** A certificate that can be used; `notAfterMs` is wall time. */
export type UsableCredential = { readonly context: TlsContext; readonly notAfterMs: number };

/** By what it is to be used for: each offers its protocols, while a server takes any. */
type Held = {
  readonly credential: Credential;
  readonly usable: Map<TunnelUse, UsableCredential>;
};

export class Credentials {
  readonly #network: SecureNetwork;
  readonly #bugFound: (error: unknown) => void;
  readonly #byId = new Map<SpiffeId, Held>();
  #own: Held | undefined;
  #server: UsableCredential | undefined;
  #trustPem = '';
  #roots: ReadonlySet<string> = new Set();

  /** `bugFound` is told of what OpenSSL cannot read: the control thread has checked it before. */
  constructor(network: SecureNetwork, bugFound: (error: unknown) => void) {
    this.#network = network;
    this.#bugFound = bugFound;
  }

  /** Takes an update over and says what was replaced. */
  apply(update: IdentityUpdate): CredentialChange {
    const replaced = new Set<SpiffeId>();
    const isRootGone = this.#trust(update.trustPem);
    for (const id of update.removed) if (this.#byId.delete(id)) replaced.add(id);
    for (const credential of update.set) {
      const before = this.#byId.get(credential.id)?.credential;
      if (before?.certificatePem === credential.certificatePem) continue;
      if (before !== undefined) replaced.add(credential.id);
      this.#byId.set(credential.id, { credential, usable: new Map() });
    }
    const isOwnReplaced = this.#own !== undefined
      && this.#own.credential.certificatePem !== update.own?.certificatePem;
    if (this.#own === undefined || isOwnReplaced) {
      this.#own = update.own && { credential: update.own, usable: new Map() };
      this.#server = undefined;
    }
    return { replaced, isOwnReplaced, isRootGone };
  }

  /** What a connection under this identity is opened with. */
  of(id: SpiffeId, use: TunnelUse): UsableCredential | undefined {
    return this.#usable(this.#byId.get(id), use);
  }

  /** For callers without an identity. */
  own(use: TunnelUse): UsableCredential | undefined {
    return this.#usable(this.#own, use);
  }

  /** What this proxy shows as server. */
  get server(): UsableCredential | undefined {
    const credential = this.#own?.credential;
    if (this.#server === undefined && credential !== undefined) {
      this.#server = this.#make(credential, 'server', tunnelProtocols);
    }
    return this.#server;
  }

  /** Whether a root of the old bundle is none any more. */
  #trust(text: string): boolean {
    const { roots } = readTrustBundle(text);
    const trustPem = roots.map(({ pem }) => pem).join('');
    // A bundle without a root leaves the last good one in force.
    if (roots.length === 0 || trustPem === this.#trustPem) return false;
    const before = this.#roots;
    this.#trustPem = trustPem;
    this.#roots = new Set(roots.map(({ fingerprint }) => fingerprint));
    for (const held of this.#byId.values()) held.usable.clear();
    this.#own?.usable.clear();
    this.#server = undefined;
    return [...before].some((fingerprint) => !this.#roots.has(fingerprint));
  }

  #usable(held: Held | undefined, use: TunnelUse): UsableCredential | undefined {
    if (held === undefined) return undefined;
    const known = held.usable.get(use);
    if (known !== undefined) return known;
    const made = this.#make(held.credential, 'client', offeredFor[use]);
    if (made !== undefined) held.usable.set(use, made);
    return made;
  }

  #make(
    credential: Credential,
    side: TlsTerms['side'],
    alpn: readonly TunnelProtocol[],
  ): UsableCredential | undefined {
    // Nobody is trusted yet; without roots OpenSSL would take those that Node brings along.
    if (this.#roots.size === 0) return undefined;
    const { certificatePem, keyPem, notAfterMs } = credential;
    const terms = { certificatePem, keyPem, trustPem: this.#trustPem, alpn };
    try {
      return { context: this.#network.context({ side, ...terms }), notAfterMs };
    } catch (error) {
      this.#bugFound(error);
      return undefined;
    }
  }
}
