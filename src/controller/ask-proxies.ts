// Finds out on which nodes a generation has arrived: watches which proxies are ready and, while
// somebody wants to know, asks those that lag – 20 at a time, each with a deadline, in rounds that
// grow rarer. Only the leader asks. What the answers mean is proxy-versions.ts.
import { proxyServiceAccount } from '../identity/index.ts';
import { startReflector } from '../kube/index.ts';
import type { Connection, Reflector, Replacement, Sink } from '../kube/index.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import type { AskVersion } from './ask-version.ts';
import type { Spread } from './conditions.ts';
import { ProxyVersions, type ReadyProxy } from './proxy-versions.ts';
import { listAt, textAt } from './raw-object.ts';

export type AskProxiesOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly meshNamespace: string;
  readonly ask: AskVersion;
  readonly isLeading: () => boolean;
  /** The highest count that somebody waits for; 0 = nobody waits. */
  readonly wanted: () => number;
  /** A round has ended: `spread` may say something new. */
  readonly onRound: () => void;
};

/** Proxies need this long to see and compile what we have just compiled. */
const firstRestMs = 150;
const laterRests = { baseMs: 300, maxMs: 10_000 };
const atOnceMax = 20;
const labels = 'app.kubernetes.io/name=weft,app.kubernetes.io/component=proxy';

export class ProxyRounds {
  readonly #options: AskProxiesOptions;
  readonly #versions = new ProxyVersions();
  readonly #pods: Reflector;
  /** By path of the pod; only those that are ready. */
  #ready = new Map<string, ReadyProxy>();
  #timer: Timer | undefined;
  /** The count that the last whole round asked for. */
  #known = 0;
  #attempt = 0;
  #isAsking = false;
  #isStopped = false;

  constructor(options: AskProxiesOptions) {
    this.#options = options;
    this.#pods = startReflector<ReadyProxy>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind: 'Pod' }),
      resource: { group: '', plural: 'pods', versions: ['v1'] },
      selector: {
        labelSelector: labels,
        fieldSelector: `metadata.namespace=${options.meshNamespace}`,
      },
      parse: (object) => ({ value: readyProxyOf(object), problems: [] }),
      sink: this.#sink(),
    });
  }

  /** The count that all current objects have. */
  get count(): number {
    return this.#versions.count;
  }

  compiled(policyVersion: string): void {
    if (!this.#versions.compiled(policyVersion)) return;
    this.#attempt = 0;
    this.look();
  }

  /** A whole round was asked since `count`: `spread` is a statement and no guess. */
  isKnown(count: number): boolean {
    return this.#known >= count;
  }

  spread(count: number): Spread {
    return this.#versions.spread(count);
  }

  /** Leadership was gained: whoever waits is answered soon. */
  begin(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#attempt = 0;
    this.look();
  }

  /** Somebody waits, or proxies came and went. */
  look(): void {
    if (this.#isStopped || this.#isAsking || this.#timer !== undefined) return;
    if (this.#options.wanted() === 0) return;
    const { runtime } = this.#options;
    const restMs =
      this.#attempt === 0
        ? firstRestMs
        : backoffMs(this.#attempt - 1, laterRests, runtime.random);
    this.#timer = runtime.timers.after(restMs, () => {
      this.#timer = undefined;
      void this.#round();
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#pods.stop();
  }

  /** Never throws. */
  async #round(): Promise<void> {
    const wanted = this.#options.wanted();
    // A follower asks when it leads: whoever waits then comes back.
    if (wanted === 0 || !this.#options.isLeading() || !this.#pods.status().isSynced) {
      if (wanted > 0) this.#rest();
      return;
    }
    this.#isAsking = true;
    const open = [...this.#versions.lagging(wanted)];
    const lanes = Array.from({ length: Math.min(atOnceMax, open.length) }, async () => {
      for (let proxy = open.pop(); proxy !== undefined; proxy = open.pop()) await this.#ask(proxy);
    });
    await Promise.all(lanes);
    this.#isAsking = false;
    if (this.#isStopped) return;
    this.#known = Math.max(this.#known, wanted);
    this.#options.onRound();
    const isNew = this.#options.wanted() > wanted;
    if (isNew || this.#versions.lagging(wanted).length > 0) this.#rest();
  }

  #rest(): void {
    this.#attempt += 1;
    this.look();
  }

  async #ask(proxy: ReadyProxy): Promise<void> {
    try {
      this.#versions.told(proxy.uid, await this.#options.ask(proxy.address));
    } catch (error) {
      // It counts as lagging, and is asked again.
      this.#options.log.debug('proxy does not say its version', {
        node: proxy.node,
        why: String(error),
      });
    }
  }

  #sink(): Sink<ReadyProxy> {
    return {
      put: (path, { value }) => {
        if (value === undefined) this.#ready.delete(path);
        else this.#ready.set(path, value);
        this.#readyChanged();
      },
      remove: (path, uid) => {
        if (uid !== '' && this.#ready.get(path)?.uid !== uid) return;
        this.#ready.delete(path);
        this.#readyChanged();
      },
      replace: () => this.#replacement(),
    };
  }

  #replacement(): Replacement<ReadyProxy> {
    const next = new Map<string, ReadyProxy>();
    return {
      put: (path, { value }) => {
        if (value !== undefined) next.set(path, value);
      },
      remove: (path) => void next.delete(path),
      commit: () => {
        this.#ready = next;
        this.#readyChanged();
      },
    };
  }

  #readyChanged(): void {
    this.#versions.ready([...this.#ready.values()]);
    // A proxy less may be all that was missing.
    if (this.#options.wanted() > 0 && this.#known > 0) this.#options.onRound();
    this.look();
  }
}

/** `undefined` while it is not ready, or on its way out. Labels can be anybody's. */
function readyProxyOf(pod: unknown): ReadyProxy | undefined {
  if (textAt(pod, 'spec', 'serviceAccountName') !== proxyServiceAccount) return undefined;
  const uid = textAt(pod, 'metadata', 'uid');
  const node = textAt(pod, 'spec', 'nodeName');
  const address = textAt(pod, 'status', 'podIP');
  if (uid === undefined || node === undefined || address === undefined) return undefined;
  if (textAt(pod, 'metadata', 'deletionTimestamp') !== undefined) return undefined;
  const isReady = listAt(pod, 'status', 'conditions').some(
    (one) => textAt(one, 'type') === 'Ready' && textAt(one, 'status') === 'True',
  );
  return isReady ? { uid, node, address } : undefined;
}
