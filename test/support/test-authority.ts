// An issuer for tests that keep certificates: a root of the mesh and leaves by the product's own
// `issueLeaf`, at whatever time the test says it is.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { checkAuthority, issueLeaf, makeRoot, type Authority } from '../../src/identity/control.ts';
import { readTrustBundle, type SpiffeId, type TrustBundle } from '../../src/identity/index.ts';
import type { KeyMaker, MadeKey } from '../../src/lib/keys.ts';

const trustDomain = 'cluster.local';
const dayMs = 86_400_000;

function makeKeySync(): MadeKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeySpki: publicKey.export({ type: 'spki', format: 'der' }),
    sign: (bytes) => sign('sha256', bytes, privateKey),
  };
}

/** Real keys, made without a thread: a promise settles without time. */
export const testKeys: KeyMaker = {
  makeKey: () => Promise.resolve(makeKeySync()),
  randomBytes: (count) => randomBytes(count),
};

export class TestAuthority {
  readonly rootPem: string;
  readonly keyPem: string;
  /** Of the leaves to come. */
  lifetimeMs = dayMs;
  readonly #key = makeKeySync();
  readonly #authority: Authority;

  constructor(nowMs: number) {
    const { publicKeySpki: publicKey, sign: signRoot, privateKeyPem: keyPem } = this.#key;
    const serial = randomBytes(16);
    this.rootPem = makeRoot({ trustDomain, publicKey, serial, nowMs, sign: signRoot });
    this.keyPem = keyPem;
    const verdict = checkAuthority({ chainPem: this.rootPem, keyPem, trustDomain, nowMs });
    if (verdict.kind !== 'authority') throw new Error(verdict.problems[0]?.message);
    this.#authority = verdict;
  }

  /** The chain of a leaf that is issued now. */
  leaf(spiffeId: SpiffeId, node: string, publicKey: Uint8Array, nowMs: number): string {
    const issued = issueLeaf({
      leaf: { spiffeId, node, publicKey, lifetimeMs: this.lifetimeMs },
      authority: this.#authority,
      serial: randomBytes(16),
      nowMs,
      sign: this.#key.sign,
    });
    if (issued.kind !== 'issued') throw new Error(issued.message);
    return issued.pem;
  }
}

/** These roots, the first of which signs. */
export function bundleOf(...authorities: readonly TestAuthority[]): TrustBundle {
  return readTrustBundle(authorities.map(({ rootPem }) => rootPem).join(''));
}
