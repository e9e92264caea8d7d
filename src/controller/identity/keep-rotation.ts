// Takes a rotation of the root from phase to phase: while there is one it asks every proxy, ready
// or not, whom it trusts, and writes the next phase into Secret `weft-ca` when all are where they
// have to be. What that means is rotation.ts; where it stands is in the Secret, so that a new
// leader goes on. Between rotations it does nothing.
import type { MeshSettings, Problem } from '../../api/index.ts';
import { makeRoot } from '../../identity/control.ts';
import { proxyServiceAccount } from '../../identity/index.ts';
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import type { AskVersion } from '../ask-version.ts';
import { listAt, textAt } from '../raw-object.ts';
import type { AuthorityKeeper } from './authority.ts';
import { steppedAuthority } from './authority-manifest.ts';
import type { Proposal } from './authority-manifest.ts';
import { authorityName, readProposed } from './authority-secret.ts';
import type { CaPhase, HeldAuthority } from './authority-secret.ts';
import { Agreement, nextStep, readStatement, waitText } from './rotation.ts';
import type { AskedProxy, RotationView, Wait } from './rotation.ts';

export type RotationKeeperOptions = {
  readonly connection: Pick<Connection, 'get' | 'update'>;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  readonly authority: Pick<AuthorityKeeper, 'held' | 'secret' | 'see'>;
  /** ConfigMap `weft-trust` says what the authority says. */
  readonly isPublished: () => boolean;
  readonly ask: AskVersion;
  /** `problems` says something else than before. */
  readonly onProblems: () => void;
};

const atOnceMax = 20;
/** A rotation takes minutes; one that hangs for longer waits for somebody to mend a node. */
const restMs = { brisk: 5_000, patient: 60_000 };
const briskMs = 30 * 60_000;
const waitTellMs = 60_000;
const nodesLoggedMax = 10;
const fieldSelector = `spec.serviceAccountName=${proxyServiceAccount}`;

export class RotationKeeper {
  readonly #options: RotationKeeperOptions;
  readonly #agreement = new Agreement();
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  #fault: string | undefined;
  #wait: string | undefined;
  /** The last round did not get through: the next one is not at once. */
  #hasFailed = false;
  #isStopped = false;

  constructor(options: RotationKeeperOptions) {
    this.#options = options;
  }

  /** The authority, or leadership, may be another. */
  look(): void {
    if (this.#isStopped || this.#timer !== undefined || this.#round !== undefined) return;
    const view = this.#view();
    if (view === undefined) {
      this.#setWait(undefined);
      return this.#setFault(undefined);
    }
    const { runtime } = this.#options;
    const ageMs = runtime.clock.wallMs() - view.phaseSinceMs;
    const isFirst = view.phase === 'steady' && !this.#hasFailed;
    const delayMs = isFirst ? 0 : ageMs < briskMs ? restMs.brisk : restMs.patient;
    this.#timer = runtime.timers.after(delayMs, () => {
      this.#timer = undefined;
      this.#round = this.#advance().finally(() => {
        this.#round = undefined;
        // A fault of the proposal is looked at again when the Secret changes.
        if (this.#fault === undefined) this.look();
      });
    });
  }

  problems(): readonly Problem[] {
    const { meshNamespace: namespace } = this.#options.settings;
    const told: Problem[] = [];
    const tell = (reason: Problem['reason'], message: string | undefined): void => {
      if (message === undefined) return;
      told.push({ kind: 'Secret', name: authorityName, namespace, reason, message });
    };
    tell('AuthorityRefused', this.#fault);
    tell('RotationWaits', this.#wait);
    return told;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#round;
  }

  /** `undefined`: nothing is under way, or it is not ours to go on. */
  #view(): RotationView | undefined {
    const { isLeading, authority } = this.#options;
    const { held } = authority;
    if (!isLeading() || held === undefined) return undefined;
    if (held.phase === 'steady' && !held.isRotationAsked) return undefined;
    const signing = held.signer.root.fingerprint;
    const other = held.roots.find(({ fingerprint }) => fingerprint !== signing)?.fingerprint;
    const { phase, phaseSinceMs, isRotationAsked } = held;
    return { phase, phaseSinceMs, isRotationAsked, signing, other };
  }

  /** Never throws. */
  async #advance(): Promise<void> {
    const { runtime, log, isPublished, authority } = this.#options;
    const view = this.#view();
    const { held } = authority;
    if (view === undefined || held === undefined) return;
    try {
      // What is not published yet nobody can know.
      if (view.phase !== 'steady' && !isPublished()) return;
      const proxies = view.phase === 'steady' ? [] : await this.#askAll();
      const nowMs = runtime.clock.nowMs();
      const waitsFor = this.#agreement.note(view, proxies, nowMs);
      const agreedMs = this.#agreement.agreedMs(nowMs);
      const wallMs = runtime.clock.wallMs();
      const step = nextStep({ view, waitsFor, agreedMs, wallMs });
      if (step.kind === 'advance') await this.#step(held, step.to);
      this.#tellWait({ view, proxies, wallMs, waitsFor: 'waitsFor' in step ? step.waitsFor : [] });
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      // Somebody else has written it, or nobody answers: the next round sees.
      const isExpected = kubeReason(error) === 'Conflict' || kubeReason(error) === 'Cancelled';
      if (!isExpected) log.warn('rotation of the root waits', { why: String(error) });
    }
  }

  async #step(held: HeldAuthority, to: CaPhase): Promise<void> {
    const { connection, authority, runtime, settings } = this.#options;
    const { secret } = authority;
    const proposal = to === 'adding' ? await this.#proposal(secret) : 'present';
    if (proposal === undefined) return;
    const nowMs = runtime.clock.wallMs();
    const given = proposal === 'present' ? {} : { proposal };
    const path = resourcePath({
      group: '',
      version: 'v1',
      plural: 'secrets',
      namespace: settings.meshNamespace,
      name: authorityName,
    });
    const stepped = steppedAuthority({ secret, held, to, ...given, nowMs });
    authority.see(await connection.update(path, stepped));
    this.#options.log.info('rotation of the root goes on', { from: held.phase, to });
  }

  /** Who comes next; `undefined` and a problem where what lies there may not sign. */
  async #proposal(secret: unknown): Promise<Proposal | 'present' | undefined> {
    const { keys, settings, runtime } = this.#options;
    const { trustDomain } = settings;
    const nowMs = runtime.clock.wallMs();
    const proposed = readProposed(secret, { trustDomain, nowMs });
    this.#setFault(proposed?.kind === 'faulty' ? proposed.message : undefined);
    if (proposed?.kind === 'faulty') return undefined;
    if (proposed !== undefined) return 'present';
    const key = await keys.makeKey();
    const certificatePem = makeRoot({
      trustDomain,
      publicKey: key.publicKeySpki,
      serial: keys.randomBytes(16),
      nowMs,
      sign: key.sign,
    });
    return { certificatePem, keyPem: key.privateKeyPem };
  }

  #setFault(fault: string | undefined): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#options.onProblems();
  }

  #setWait(wait: string | undefined): void {
    if (wait === this.#wait) return;
    this.#wait = wait;
    this.#options.onProblems();
  }

  #tellWait(wait: Wait): void {
    this.#setWait(waitText(wait));
    const { runtime, log } = this.#options;
    const nowMs = runtime.clock.nowMs();
    const { waitsFor, view } = wait;
    if (waitsFor.length === 0 || nowMs - this.#toldMs < waitTellMs) return;
    this.#toldMs = nowMs;
    const nodes = [...waitsFor].sort().slice(0, nodesLoggedMax);
    const { phase } = view;
    log.info('rotation of the root waits for proxies', { phase, count: waitsFor.length, nodes });
  }

  /** All pods that are not on their way out; those of no address have said nothing. */
  async #askAll(): Promise<readonly AskedProxy[]> {
    const { connection, settings } = this.#options;
    const namespace = settings.meshNamespace;
    const path = resourcePath({ group: '', version: 'v1', plural: 'pods', namespace });
    const pods = listAt(await connection.get(path, { fieldSelector }), 'items').filter(isHere);
    const asked: AskedProxy[] = [];
    const open = [...pods];
    const lanes = Array.from({ length: Math.min(atOnceMax, open.length) }, async () => {
      for (let pod = open.pop(); pod !== undefined; pod = open.pop()) {
        asked.push(await this.#ask(pod));
      }
    });
    await Promise.all(lanes);
    return asked;
  }

  async #ask(pod: unknown): Promise<AskedProxy> {
    const uid = textAt(pod, 'metadata', 'uid') ?? '';
    const node = textAt(pod, 'spec', 'nodeName') ?? '(not scheduled)';
    const address = textAt(pod, 'status', 'podIP');
    if (address === undefined) return { uid, node, said: undefined };
    try {
      return { uid, node, said: readStatement(await this.#options.ask(address)) };
    } catch {
      // It is asked again in the next round; who it is is told by `#tellWait`.
      return { uid, node, said: undefined };
    }
  }
}

/** A proxy, not terminating, not ended. */
function isHere(pod: unknown): boolean {
  // What the server was asked for; one that knows no such selector gives all.
  if (textAt(pod, 'spec', 'serviceAccountName') !== proxyServiceAccount) return false;
  const phase = textAt(pod, 'status', 'phase');
  const isEnded = phase === 'Succeeded' || phase === 'Failed';
  return !isEnded && textAt(pod, 'metadata', 'deletionTimestamp') === undefined;
}
