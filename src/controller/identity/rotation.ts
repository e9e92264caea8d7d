// When a rotation of the root may go on: adding (everybody has to trust the new root before it
// signs), switching (it signs; nobody may use a leaf of the old one any more when that goes),
// removing (everybody has forgotten the old one). A pure decision from what the proxies say of
// themselves in `/version`; who asks them is keep-rotation.ts, what is written authority-
// manifest.ts.
//
// The order is the whole point: a root that signs before all trust it, or goes while one uses it,
// costs connections. Waiting costs nothing, so a proxy that does not answer is waited for. One that
// keeps no identity (`--mtls off`, or a build from before) verifies and shows no certificate: it
// need not trust anybody and is not waited for.
import { listAt, textAt, valueAt } from '../raw-object.ts';
import type { CaPhase } from './authority-secret.ts';

/** What a proxy says: fingerprints of roots. */
export type TrustStatement = {
  readonly roots: ReadonlySet<string>;
  /** Those to which a certificate that it uses chains. */
  readonly inUse: ReadonlySet<string>;
};

export type AskedProxy = {
  readonly uid: string;
  readonly node: string;
  /** `undefined`: no answer, or none that can be read. */
  readonly said: Said | undefined;
};

export type Said = TrustStatement | 'keeps none';

export type RotationView = {
  readonly phase: CaPhase;
  /** Wall clock, as the Secret says. */
  readonly phaseSinceMs: number;
  readonly isRotationAsked: boolean;
  /** Fingerprint of the root that signs now. */
  readonly signing: string;
  /** The other one of the bundle: next while adding, previous while switching, if it differs. */
  readonly other: string | undefined;
};

export type RotationStep =
  | { readonly kind: 'stay'; readonly waitsFor: readonly string[] }
  | { readonly kind: 'advance'; readonly to: CaPhase };

/** All have to agree for so long: a proxy hands a bundle to its workers, and may start anew. */
const agreedMinMs = 60_000;
/** The longest life of a leaf, and an hour for clocks: then none of the old root is left. */
const switchingMaxMs = 25 * 3_600_000;
/** Nothing is taken away by the last step: it only says that all have been seen to follow. */
const removingMaxMs = 3_600_000;
/** Two roots, and what operators add by hand. */
const rootsMax = 64;

/** What an answer to `GET /version` says of trust. */
export function readStatement(answer: unknown): Said | undefined {
  const isProxy = textAt(answer, 'build') !== undefined;
  if (isProxy && valueAt(answer, 'trust') === undefined) return 'keeps none';
  const roots = fingerprintsOf(listAt(answer, 'trust', 'roots'));
  // Who trusts nobody has not read the bundle yet.
  if (roots.size === 0) return undefined;
  return { roots, inUse: fingerprintsOf(listAt(answer, 'trust', 'inUse')) };
}

function fingerprintsOf(values: readonly unknown[]): ReadonlySet<string> {
  return new Set(
    values
      .slice(0, rootsMax)
      .filter((value) => typeof value === 'string')
      .filter((value) => /^[0-9a-f]{64}$/.test(value)),
  );
}

/** Whether this proxy is where the phase wants it. */
function isAgreed({ phase, signing, other }: RotationView, said: Said): boolean {
  if (said === 'keeps none') return true;
  const { roots, inUse } = said;
  switch (phase) {
    case 'steady':
      return true;
    case 'adding':
      return roots.has(other ?? signing);
    case 'switching':
      return roots.has(signing) && (other === undefined || !inUse.has(other));
    case 'removing':
      return roots.size === 1 && roots.has(signing);
  }
}

/** Since when which proxy agrees; one per rotation keeper. Times are monotonic. */
export class Agreement {
  /** By uid of the pod. */
  #since = new Map<string, number>();
  #phase = '';
  #phaseSeenMs = 0;

  /** What a whole round has heard; names the nodes that are waited for. */
  note(view: RotationView, proxies: readonly AskedProxy[], nowMs: number): readonly string[] {
    const phase = `${view.phase} ${view.phaseSinceMs} ${view.signing} ${view.other ?? ''}`;
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#phaseSeenMs = nowMs;
      this.#since = new Map();
    }
    const since = new Map<string, number>();
    for (const { uid, said } of proxies) {
      const before = this.#since.get(uid);
      // Silence takes back nothing: what was trusted a minute ago is trusted.
      if (said === undefined ? before !== undefined : isAgreed(view, said)) {
        since.set(uid, before ?? nowMs);
      }
    }
    this.#since = since;
    return proxies.filter(({ uid }) => !since.has(uid)).map(({ node }) => node);
  }

  /** How long all of the last round have agreed. */
  agreedMs(nowMs: number): number {
    const latest = Math.max(this.#phaseSeenMs, ...this.#since.values());
    return nowMs - latest;
  }
}

export type StepInput = {
  readonly view: RotationView;
  /** As `Agreement.note` has named them. */
  readonly waitsFor: readonly string[];
  readonly agreedMs: number;
  /** Wall clock. */
  readonly wallMs: number;
};

/** What comes next. */
export function nextStep({ view, waitsFor, agreedMs, wallMs }: StepInput): RotationStep {
  const stay = { kind: 'stay', waitsFor } as const;
  const haveAgreed = waitsFor.length === 0 && agreedMs >= agreedMinMs;
  switch (view.phase) {
    case 'steady':
      return view.isRotationAsked ? { kind: 'advance', to: 'adding' } : { ...stay, waitsFor: [] };
    case 'adding':
      return haveAgreed ? { kind: 'advance', to: 'switching' } : stay;
    case 'switching': {
      const isOver = wallMs - view.phaseSinceMs >= switchingMaxMs;
      return haveAgreed || isOver ? { kind: 'advance', to: 'removing' } : stay;
    }
    case 'removing':
      return waitsFor.length === 0 || wallMs - view.phaseSinceMs >= removingMaxMs
        ? { kind: 'advance', to: 'steady' }
        : stay;
  }
}

/** A phase that lasts for longer waits for somebody to mend something: leaves take ten minutes. */
const patienceMs: { readonly [P in CaPhase]: number } = {
  steady: Number.POSITIVE_INFINITY,
  adding: 3 * 60_000,
  switching: 15 * 60_000,
  removing: 3 * 60_000,
};
const nodesToldMax = 10;

export type Wait = {
  readonly view: RotationView;
  readonly waitsFor: readonly string[];
  readonly proxies: readonly AskedProxy[];
  /** Wall clock. */
  readonly wallMs: number;
};

/** Whom a rotation waits for and what to do about it; `undefined` while it is no news. */
export function waitText({ view, waitsFor, proxies, wallMs }: Wait): string | undefined {
  const { phase, phaseSinceMs } = view;
  if (waitsFor.length === 0 || wallMs - phaseSinceMs < patienceMs[phase]) return undefined;
  const silent = new Set(proxies.filter(({ said }) => !said).map(({ node }) => node));
  const named = [...new Set(waitsFor)].sort().slice(0, nodesToldMax).map((node) => {
    return silent.has(node) ? `${node} (does not answer)` : node;
  });
  const more = waitsFor.length - named.length;
  const others = more > 0 ? ` and ${more} more` : '';
  return (
    `the rotation of the root waits in phase ${phase} for the proxies on ${named.join(', ')}` +
    `${others}; mend them, or delete their pods, or the Node objects of machines that are gone: ` +
    'a proxy that starts anew takes the bundle in force'
  );
}
