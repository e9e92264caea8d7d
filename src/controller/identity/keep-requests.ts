// Answers certificate requests of signer `weft.dev/workload`: takes them in the order of the pace,
// reads each anew, judges it, and writes the verdict and the certificate. It decides nothing: who
// may have what is judgeRequest of `identity`. Only the leader writes; a follower keeps the queue,
// so that it goes on where the leader ended.
// No answer of the API server is no denial: such a request is looked at again.
import type { ClusterState, MeshSettings } from '../../api/index.ts';
import { workloadSigner } from '../../identity/control.ts';
import type { IssueRules } from '../../identity/control.ts';
import { proxyServiceAccount } from '../../identity/index.ts';
import { kubeReason, startReflector } from '../../kube/index.ts';
import type { Connection, Reflector, Replacement, Sink } from '../../kube/index.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import type { Signing } from './authority.ts';
import { RequestAnswers } from './request-answers.ts';
import type { RequestEvents } from './request-answers.ts';
import { readEntry } from './request-object.ts';
import type { RequestEntry } from './request-object.ts';
import { RequestPace } from './request-pace.ts';
import { RequestSweep } from './request-sweep.ts';

export type RequestsKeeperOptions = {
  /** Its writes are sent only while this replica leads. */
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  readonly pods: () => ClusterState['pods'];
  /** `undefined`: nothing is signed, and nothing denied either. */
  readonly signing: () => Signing | undefined;
  readonly events: RequestEvents;
};

/** Three calls each; a hundred new identities take a second of this. */
const atOnceMax = 16;
const retries = { baseMs: 500, maxMs: 30_000 };

/** What the queue and its turns know of one request. */
type Held = {
  readonly entry: RequestEntry;
  /** Attempts that failed. */
  failures: number;
  retry: Timer | undefined;
};

export class RequestsKeeper {
  readonly #options: RequestsKeeperOptions;
  readonly #username: string;
  readonly #pace = new RequestPace();
  readonly #answers: RequestAnswers;
  readonly #sweep: RequestSweep;
  readonly #reflector: Reflector;
  /** Pending ones, by uid. */
  readonly #held = new Map<string, Held>();
  readonly #uidOf = new Map<string, string>();
  #working = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: RequestsKeeperOptions) {
    this.#options = options;
    const { meshNamespace, trustDomain } = options.settings;
    const rules: IssueRules = { meshNamespace, trustDomain, proxyServiceAccount };
    this.#username = `system:serviceaccount:${meshNamespace}:${proxyServiceAccount}`;
    this.#answers = new RequestAnswers({ ...options, rules });
    this.#sweep = new RequestSweep({
      ...options,
      meshNamespace,
      excess: (countMax) => this.#excess(countMax),
      pending: {
        count: () => this.#held.size,
        all: () => [...this.#held.values()].map(({ entry }) => entry),
      },
    });
    this.#reflector = startReflector<RequestEntry>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind: 'CertificateSigningRequest' }),
      resource: {
        group: 'certificates.k8s.io',
        plural: 'certificatesigningrequests',
        versions: ['v1'],
      },
      selector: { fieldSelector: `spec.signerName=${workloadSigner}` },
      parse: (object) => ({ value: readEntry(object, this.#username), problems: [] }),
      sink: this.#sink(),
      onSynced: () => this.look(),
    });
  }

  isSynced(): boolean {
    return this.#reflector.status().isSynced;
  }

  get waitingCount(): number {
    return this.#held.size;
  }

  /** Something that turns depend on may be another: leadership, the authority, the queue. */
  look(): void {
    if (this.#isStopped) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#working < atOnceMax && this.#mayWork()) {
      const turn = this.#pace.next(this.#options.runtime.clock.nowMs());
      if (turn.kind === 'idle') break;
      if (turn.kind === 'wait') {
        this.#timer = this.#options.runtime.timers.after(turn.waitMs, () => this.look());
        break;
      }
      void this.#work(turn.id);
    }
    this.#sweep.look();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const { retry } of this.#held.values()) retry?.cancel();
    await Promise.all([this.#reflector.stop(), this.#sweep.stop()]);
  }

  #mayWork(): boolean {
    const { isLeading, signing } = this.#options;
    return isLeading() && this.isSynced() && signing() !== undefined;
  }

  /** Never throws. */
  async #work(uid: string): Promise<void> {
    const held = this.#held.get(uid);
    if (held === undefined) return;
    this.#working += 1;
    try {
      const state = await this.#answers.answer(held.entry);
      // The watch tells the same a moment later.
      if (state === 'gone') this.#forget(uid);
      else this.#see({ ...held.entry, state });
    } catch (error) {
      this.#again(held, error);
    }
    this.#working -= 1;
    this.look();
  }

  #again(held: Held, error: unknown): void {
    const { runtime, log, isLeading } = this.#options;
    const restMs = backoffMs(held.failures, retries, runtime.random);
    held.failures += 1;
    // A leader no more: that is no failure, and whoever leads now has the queue.
    if (kubeReason(error) !== 'Cancelled' || isLeading()) {
      const { name } = held.entry;
      // An API server that is away would be told for each request, again and again.
      const level = held.failures === 1 ? 'warn' : 'debug';
      log[level]('certificate request waits', { request: name, why: String(error), restMs });
    }
    held.retry = runtime.timers.after(restMs, () => {
      held.retry = undefined;
      this.#enqueue(held);
      this.look();
    });
  }

  #enqueue({ entry }: Held): void {
    if (this.#isStopped || !this.#held.has(entry.uid)) return;
    const { uid, requester, createdMs } = entry;
    this.#pace.add({ id: uid, requester, createdMs });
  }

  /** The newest above the limit, of whoever asks too much; they are deleted unread. */
  #excess(countMax: number): readonly RequestEntry[] {
    return this.#pace.excess(countMax).flatMap((uid) => this.#held.get(uid)?.entry ?? []);
  }

  #see(entry: RequestEntry): void {
    const { name, uid, state } = entry;
    const before = this.#uidOf.get(name);
    if (before !== undefined && before !== uid) this.#forget(before);
    this.#uidOf.set(name, uid);
    if (state !== 'pending') {
      this.#settle(uid);
      this.#sweep.settled(entry);
      return;
    }
    // A late word of the watch about what was answered since.
    if (this.#held.has(uid) || this.#sweep.isSettled(uid)) return;
    const held: Held = { entry, failures: 0, retry: undefined };
    this.#held.set(uid, held);
    this.#enqueue(held);
  }

  /** It needs no answer any more. */
  #settle(uid: string): void {
    this.#held.get(uid)?.retry?.cancel();
    this.#held.delete(uid);
    this.#pace.remove(uid);
  }

  #forget(uid: string): void {
    this.#settle(uid);
    this.#sweep.gone(uid);
  }

  #remove(name: string, uid: string): void {
    const known = this.#uidOf.get(name);
    // A late deletion of a predecessor does not take its successor away.
    if (known === undefined || (uid !== '' && uid !== known)) return;
    this.#uidOf.delete(name);
    this.#forget(known);
  }

  #sink(): Sink<RequestEntry> {
    return {
      put: (name, { value }) => {
        if (value === undefined) this.#remove(name, '');
        else this.#see(value);
        this.look();
      },
      remove: (key, uid) => this.#remove(key, uid),
      replace: () => this.#replacement(),
    };
  }

  #replacement(): Replacement<RequestEntry> {
    const listed = new Map<string, RequestEntry>();
    return {
      put: (key, { value }) => {
        if (value !== undefined) listed.set(key, value);
      },
      remove: (key) => void listed.delete(key),
      commit: () => {
        for (const name of [...this.#uidOf.keys()]) if (!listed.has(name)) this.#remove(name, '');
        for (const entry of listed.values()) this.#see(entry);
        this.look();
      },
    };
  }
}
