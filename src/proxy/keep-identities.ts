// Keeps the certificates of this node: one per service account that has a pod here, and the proxy's
// own. It asks, accepts only what `acceptIssued` takes, renews in time and forgets; workers are
// told every change. A certificate that fails to renew is used until it expires: traffic needs
// neither the controller nor the API server. Keys leave this file towards workers and a memory-
// backed state file, and never towards a log or an answer (A4).
import { acceptIssued, type AcceptedCertificate } from '../identity/control.ts';
import {
  type Credential,
  type SpiffeId,
  type TrustBundle,
} from '../identity/index.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import type { CertificateRequests, RequestOutcome } from './certificate-requests.ts';
import {
  alarmAtMs,
  ownIdentity,
  renewAtMs,
  type CertificateDates,
  type TrustInForce,
  type WantedIdentity,
} from './identity-plan.ts';
import type { Identities } from './messages.ts';
import type { KeptIdentity, StateFile } from './state-file.ts';

export type IdentityKeeperOptions = {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly nodeName: string;
  readonly meshNamespace: string;
  readonly trustDomain: string;
  readonly requests: CertificateRequests;
  readonly stateFile: StateFile;
  /** Something of what workers know is another. */
  readonly onChange: (change: Identities) => void;
  readonly onOutcome: (result: string) => void;
};

/** One line of /debug/identities. */
export type IdentityFact = {
  readonly id: string;
  readonly state: 'valid' | 'renewing' | 'requested' | 'waiting';
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** Fingerprint of the root that it chains to. */
  readonly root: string;
  readonly lastFailure: string;
};

type HeldCertificate = CertificateDates & {
  readonly serial: string;
  readonly credential: Credential;
};

type Entry = {
  readonly id: SpiffeId;
  pods: ReadonlySet<string>;
  /** Monotonic; `undefined`: it is wanted. */
  leftMs: number | undefined;
  certificate: HeldCertificate | undefined;
  isAsking: boolean;
  /** In a row. */
  failures: number;
  /** Certificates in a row that were due for renewal when they came. */
  dueAtOnce: number;
  /** Monotonic: not before. */
  retryMs: number;
  lastFailure: string;
  isAlarmed: boolean;
};

/** How long an identity outlives the last pod that wanted it: restarts and roll-outs come back. */
const forgetMs = 5 * 60_000;
const retries = { baseMs: 1_000, maxMs: 150_000 };
/**
 * Between two certificates of one identity. One that is due when it comes (an authority that ends
 * soon, a root that is not the first yet) would else be asked for without rest.
 */
const renewals = { baseMs: 60_000, maxMs: 600_000 };
/** Of what is left of a certificate: the rest after it came ends before the certificate does. */
const restShare = 1 / 3;
/** Timers are not trusted with days: clocks are set, machines sleep. */
const longestRestMs = 60_000;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #own: SpiffeId | undefined;
  readonly #entries = new Map<SpiffeId, Entry>();
  #trust: TrustInForce = { roots: [], firstSinceMs: 0 };
  #kept: readonly KeptIdentity[] = [];
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#own = ownIdentity(options);
  }

  /** Reads what a predecessor has kept; to be called before anything else. */
  async load(): Promise<void> {
    this.#kept = await this.#options.stateFile.load();
    this.#adoptKept();
    this.#look();
  }

  /** What the pods of this node want now, the most urgent first. */
  want(wanted: readonly WantedIdentity[]): void {
    const nowMs = this.#nowMs();
    const ids = new Set(wanted.map(({ id }) => id));
    for (const { id, pods } of wanted) this.#wantOne(id, pods, nowMs);
    for (const entry of this.#entries.values()) {
      if (!ids.has(entry.id)) entry.leftMs ??= nowMs;
    }
    this.#adoptKept();
    this.#look(wanted);
  }

  /** Another question is worth while: an answer is there, or its obstacle has gone. */
  askAgain(id: SpiffeId): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.retryMs = this.#nowMs();
    this.#look();
  }

  trust(bundle: TrustBundle): void {
    const isSameFirst = this.#trust.roots[0]?.fingerprint === bundle.roots[0]?.fingerprint;
    const firstSinceMs = isSameFirst ? this.#trust.firstSinceMs : this.#wallMs();
    this.#trust = { roots: bundle.roots, firstSinceMs };
    const roots = bundle.roots.map(({ fingerprint }) => fingerprint.slice(0, 16));
    this.#options.log.info('trust changed', { roots });
    this.#adoptKept();
    this.#tell({ set: [], removed: [] });
    this.#look();
  }

  /** For a worker that has just started. */
  complete(): Identities {
    const set = this.#held().flatMap(({ id, certificate }) =>
      id === this.#own || certificate === undefined ? [] : [certificate.credential],
    );
    return this.#message({ set, removed: [] });
  }

  hasOwn(): boolean {
    return this.#ownCredential() !== undefined;
  }

  /** Whether every identity that is wanted has its certificate. */
  hasAll(): boolean {
    return [...this.#entries.values()].every(
      ({ leftMs, certificate }) => leftMs !== undefined || certificate !== undefined,
    );
  }

  /** What `/version` says of roots: which are trusted, and which this proxy's leaves chain to. */
  trustFacts(): { readonly roots: readonly string[]; readonly inUse: readonly string[] } {
    const inUse = this.#held().flatMap(({ certificate }) => certificate?.rootFingerprint ?? []);
    return {
      roots: this.#trust.roots.map(({ fingerprint }) => fingerprint),
      inUse: [...new Set(inUse)].sort(),
    };
  }

  facts(): readonly IdentityFact[] {
    return [...this.#entries.values()].map((entry) => factOf(entry));
  }

  /** Identity → when its certificate expires (Unix seconds). */
  expiries(): readonly { readonly id: SpiffeId; readonly atSeconds: number }[] {
    return this.#held().flatMap(({ id, certificate }) =>
      certificate === undefined ? [] : [{ id, atSeconds: certificate.notAfterMs / 1_000 }],
    );
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #wantOne(id: SpiffeId, pods: ReadonlySet<string>, nowMs: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#entries.set(id, newEntry(id, pods));
      return;
    }
    // A new pod may be what the last refusal was for.
    const isMissing = entry.certificate === undefined;
    if (isMissing && [...pods].some((uid) => !entry.pods.has(uid))) entry.retryMs = nowMs;
    entry.pods = pods;
    entry.leftMs = undefined;
  }

  /** Identities that are in the state file and wanted, once there are roots to judge them by. */
  #adoptKept(): void {
    if (this.#trust.roots.length === 0 || this.#kept.length === 0) return;
    const set: Credential[] = [];
    for (const kept of this.#kept) {
      const entry = this.#findEntry(kept.id);
      if (entry === undefined || entry.certificate !== undefined) continue;
      const accepted = this.#judge(entry.id, kept.certificatePem, kept.publicKeySpki);
      if (accepted.kind === 'accepted') set.push(this.#hold(entry, accepted, kept.keyPem));
    }
    if (set.length > 0) this.#tell({ set, removed: [] });
    this.#kept = this.#kept.filter(({ id }) => this.#findEntry(id)?.certificate === undefined);
  }

  #findEntry(id: string): Entry | undefined {
    // The keys are well-formed ids; any other text is just not among them.
    return this.#entries.get(id as SpiffeId);
  }

  /** Does what is due, and comes back when something else is. */
  #look(order: readonly WantedIdentity[] = []): void {
    if (this.#isStopped) return;
    this.#timer?.cancel();
    this.#forget();
    this.#expire();
    this.#alarm();
    const first = order.flatMap(({ id }) => this.#entries.get(id) ?? []);
    for (const entry of new Set([...first, ...this.#entries.values()])) {
      if (this.#isDue(entry)) void this.#obtain(entry);
    }
    this.#timer = this.#options.runtime.timers.after(this.#restMs(), () => this.#look());
  }

  #isDue(entry: Entry): boolean {
    if (entry.isAsking || entry.leftMs !== undefined) return false;
    if (this.#trust.roots.length === 0 || this.#nowMs() < entry.retryMs) return false;
    const { certificate } = entry;
    return certificate === undefined || renewAtMs(certificate, this.#trust) <= this.#wallMs();
  }

  /** Until the next moment at which something may be due. */
  #restMs(): number {
    const nowMs = this.#nowMs();
    const wallMs = this.#wallMs();
    let restMs = longestRestMs;
    for (const entry of this.#entries.values()) {
      const { certificate, leftMs, retryMs, isAsking } = entry;
      if (leftMs !== undefined) restMs = Math.min(restMs, leftMs + forgetMs - nowMs);
      if (certificate !== undefined) restMs = Math.min(restMs, certificate.notAfterMs - wallMs);
      if (isAsking || leftMs !== undefined || this.#trust.roots.length === 0) continue;
      const dueMs =
        certificate === undefined ? 0 : renewAtMs(certificate, this.#trust) - wallMs;
      restMs = Math.min(restMs, Math.max(dueMs, retryMs - nowMs));
    }
    return Math.max(1, restMs);
  }

  async #obtain(entry: Entry): Promise<void> {
    entry.isAsking = true;
    const outcome = await this.#options.requests.ask(entry.id);
    entry.isAsking = false;
    if (this.#isStopped || this.#entries.get(entry.id) !== entry) return;
    const refusal = this.#take(entry, outcome);
    if (refusal !== undefined) this.#noteFailure(entry, refusal);
    this.#look();
  }

  /** Why it was not taken; `undefined`: it is in force. */
  #take(entry: Entry, outcome: RequestOutcome): Refusal | undefined {
    if (outcome.kind === 'failed') return outcome;
    const { key, pem } = outcome;
    const accepted = this.#judge(entry.id, pem, key.publicKeySpki);
    if (accepted.kind === 'refused') return accepted;
    const credential = this.#hold(entry, accepted, key.privateKeyPem);
    this.#options.onOutcome('issued');
    this.#options.log.info('certificate in force', {
      identity: entry.id,
      serial: accepted.serial,
      notAfter: new Date(accepted.notAfterMs).toISOString(),
    });
    this.#tell({ set: [credential], removed: [] });
    this.#save();
    return undefined;
  }

  #judge(spiffeId: SpiffeId, pem: string, publicKey: Uint8Array) {
    const { trustDomain, nodeName: node } = this.#options;
    const { roots } = this.#trust;
    const nowMs = this.#wallMs();
    return acceptIssued(pem, { trustDomain, spiffeId, node, publicKey, roots, nowMs });
  }

  #hold(entry: Entry, accepted: AcceptedCertificate, keyPem: string): Credential {
    const { pem: certificatePem, notBeforeMs, notAfterMs, serial, rootFingerprint } = accepted;
    const credential = { id: entry.id, certificatePem, keyPem, notAfterMs };
    const jitter = this.#options.runtime.random();
    const dates = { notBeforeMs, notAfterMs, rootFingerprint, jitter };
    entry.certificate = { ...dates, serial, credential };
    entry.failures = 0;
    entry.retryMs = this.#nowMs() + this.#renewalRestMs(entry, dates);
    entry.lastFailure = '';
    entry.isAlarmed = false;
    return credential;
  }

  /** Until the next request for an identity whose certificate has just come. */
  #renewalRestMs(entry: Entry, dates: CertificateDates): number {
    const isDue = renewAtMs(dates, this.#trust) <= this.#wallMs();
    const grownMs = backoffMs(entry.dueAtOnce, renewals, this.#options.runtime.random);
    entry.dueAtOnce = isDue ? entry.dueAtOnce + 1 : 0;
    const leftMs = dates.notAfterMs - this.#wallMs();
    return Math.max(renewals.baseMs, Math.min(grownMs, leftMs * restShare));
  }

  #noteFailure(entry: Entry, { reason, message }: Refusal): void {
    const { runtime, log } = this.#options;
    const restMs = backoffMs(entry.failures, retries, runtime.random);
    entry.failures += 1;
    entry.retryMs = this.#nowMs() + restMs;
    entry.lastFailure = `${reason}: ${message}`;
    this.#options.onOutcome(reason);
    const facts = { identity: entry.id, reason, why: message, againInMs: Math.round(restMs) };
    if (entry.failures === 1) log.warn('no certificate', facts);
    else log.debug('no certificate again', facts);
  }

  #forget(): void {
    const nowMs = this.#nowMs();
    const removed: SpiffeId[] = [];
    for (const { id, leftMs } of [...this.#entries.values()]) {
      if (leftMs === undefined || nowMs < leftMs + forgetMs) continue;
      this.#entries.delete(id);
      removed.push(id);
    }
    this.#tellRemoved(removed);
  }

  /** What has expired is of use to nobody. */
  #expire(): void {
    const wallMs = this.#wallMs();
    const removed: SpiffeId[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.certificate === undefined || wallMs <= entry.certificate.notAfterMs) continue;
      entry.certificate = undefined;
      removed.push(entry.id);
      const facts = { identity: entry.id, lastFailure: entry.lastFailure };
      this.#options.log.error('certificate has expired', facts);
    }
    this.#tellRemoved(removed);
  }

  #alarm(): void {
    const wallMs = this.#wallMs();
    for (const entry of this.#entries.values()) {
      const { certificate, id, lastFailure } = entry;
      if (certificate === undefined || entry.isAlarmed || entry.leftMs !== undefined) continue;
      if (wallMs < alarmAtMs(certificate)) continue;
      entry.isAlarmed = true;
      const notAfter = new Date(certificate.notAfterMs).toISOString();
      this.#options.log.warn('certificate is not renewed', { identity: id, notAfter, lastFailure });
    }
  }

  #tellRemoved(removed: readonly SpiffeId[]): void {
    if (removed.length === 0) return;
    this.#tell({ set: [], removed });
    this.#save();
  }

  /** The proxy's own certificate travels in its own field. */
  #tell({ set, removed }: Pick<Identities, 'set' | 'removed'>): void {
    const others = set.filter(({ id }) => id !== this.#own);
    this.#options.onChange(this.#message({ set: others, removed }));
  }

  #message({ set, removed }: Pick<Identities, 'set' | 'removed'>): Identities {
    const trustPem = this.#trust.roots.map(({ pem }) => pem).join('');
    return { kind: 'identities', trustPem, own: this.#ownCredential(), set, removed };
  }

  #ownCredential(): Credential | undefined {
    return this.#own && this.#entries.get(this.#own)?.certificate?.credential;
  }

  #held(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ certificate }) => certificate !== undefined);
  }

  #save(): void {
    const credentials = this.#held().flatMap(({ certificate }) => certificate?.credential ?? []);
    void this.#options.stateFile.save(credentials);
  }

  #nowMs(): number {
    return this.#options.runtime.clock.nowMs();
  }

  #wallMs(): number {
    return this.#options.runtime.clock.wallMs();
  }
}

type Refusal = { readonly reason: string; readonly message: string };

function newEntry(id: SpiffeId, pods: ReadonlySet<string>): Entry {
  return {
    id,
    pods,
    leftMs: undefined,
    certificate: undefined,
    isAsking: false,
    failures: 0,
    dueAtOnce: 0,
    retryMs: 0,
    lastFailure: '',
    isAlarmed: false,
  };
}

function factOf({ id, certificate, isAsking, lastFailure }: Entry): IdentityFact {
  const held = isAsking ? 'renewing' : 'valid';
  const missing = isAsking ? 'requested' : 'waiting';
  return {
    id,
    state: certificate === undefined ? missing : held,
    serial: certificate?.serial ?? '',
    notBefore: dateOf(certificate?.notBeforeMs),
    notAfter: dateOf(certificate?.notAfterMs),
    root: certificate?.rootFingerprint ?? '',
    lastFailure,
  };
}

function dateOf(atMs: number | undefined): string {
  return atMs === undefined ? '' : new Date(atMs).toISOString();
}
