// Keeps the DNS of the cluster wired to the mesh: on the leader alone, looks at the ConfigMaps of
// DNS every few seconds, and writes what differs from what is wished. What that is, and where, is
// decided in plan-dns.ts; nothing here restarts anybody's pods.
// Invariant: nothing is written before Service weft-dns has an address, nor after leadership is
// lost; each write names the version that it was decided on.
import type { ClusterState, MeshSettings, Problem } from '../../api/index.ts';
import { isOneLabel } from '../../dns/index.ts';
import type { MeshDnsWish } from '../../dns/index.ts';
import { kubeReason, startWorkQueue } from '../../kube/index.ts';
import type { Connection, WorkQueue } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type { Log } from '../../telemetry/index.ts';
import {
  clashProblem,
  placeName,
  refusedProblem,
  revertedProblem,
  wiringProblems,
} from './dns-problems.ts';
import { PlaceMemories } from './place-memory.ts';
import { planDns } from './plan-dns.ts';
import type { DnsPlace, DnsPlan } from './plan-dns.ts';
import { readDnsFacts } from './read-dns.ts';
import { writeChange } from './write-place.ts';

export type KeepDnsOptions = {
  readonly connection: Connection;
  readonly settings: MeshSettings;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly isLeading: () => boolean;
  /** Problems are others than before. */
  readonly onProblems: () => void;
};

export type DnsKeeper = {
  /** The cluster as it is now; call it again whenever it changed. */
  readonly want: (state: ClusterState) => void;
  /** Look again: leadership was gained. */
  readonly look: () => void;
  /** What the last look of this replica found; nothing on one that does not lead. */
  readonly problems: () => readonly Problem[];
  /** Lets the look that is under way end. */
  readonly stop: () => Promise<void>;
};

/** Where mesh DNS is, and which namespaces have the name of a mesh domain. */
type Wanted = { readonly address: string | undefined; readonly clashing: readonly string[] };

/** The kubelet takes a minute to show an edit to CoreDNS: looking more often gains nothing. */
const lookMs = 10_000;
/** Somebody else wrote in between. */
const conflictRestMs = 500;
const key = 'dns';
export const dnsServiceName = 'weft-dns';

export function keepDns(options: KeepDnsOptions): DnsKeeper {
  const keeper = new Keeper(options);
  return {
    want: (state) => keeper.want(state),
    look: () => keeper.look(),
    problems: () => keeper.problems,
    stop: () => keeper.stop(),
  };
}

class Keeper {
  problems: readonly Problem[] = [];
  readonly #options: KeepDnsOptions;
  readonly #queue: WorkQueue;
  readonly #memories: PlaceMemories;
  #wanted: Wanted | undefined;
  /** Domains that were in force while we led: these a new namespace does not stop. */
  readonly #begun = new Set<string>();
  /** Place → why the API server took no write of the last look. */
  #refusals = new Map<string, Problem>();

  constructor(options: KeepDnsOptions) {
    this.#options = options;
    this.#memories = new PlaceMemories(options.runtime);
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 1,
      reconcile: () => this.#reconcile(),
    });
  }

  want(state: ClusterState): void {
    const { settings } = this.#options;
    const service = state.services.get(`${settings.meshNamespace}/${dnsServiceName}`);
    const clashing = settings.meshDomains.filter(
      (domain) => isOneLabel(domain) && state.namespaces.has(domain),
    );
    const wanted = { address: service?.clusterIps[0], clashing };
    if (JSON.stringify(wanted) === JSON.stringify(this.#wanted)) return;
    this.#wanted = wanted;
    this.look();
  }

  look(): void {
    this.#queue.add(key);
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #reconcile(): Promise<{ readonly againAfterMs: number } | undefined> {
    const wanted = this.#wanted;
    if (!this.#options.isLeading()) {
      this.#tell([]);
      return undefined;
    }
    if (wanted === undefined) return undefined;
    // A controller that is installed before its Service is: the next change of state comes with it.
    if (wanted.address === undefined) {
      this.#tell(this.#clashes(wanted));
      return undefined;
    }
    const wish = this.#wishOf(wanted, wanted.address);
    const facts = await readDnsFacts(this.#options.connection);
    const plan = planDns(facts, wish);
    const againAfterMs = await this.#write(plan, wish);
    const { meshNamespace } = this.#options.settings;
    this.#tell([
      ...wiringProblems({ facts, plan, wish, meshNamespace }),
      ...this.#refusals.values(),
      ...this.#fights(plan),
      ...this.#clashes(wanted),
    ]);
    return { againAfterMs };
  }

  #wishOf({ clashing }: Wanted, address: string): MeshDnsWish {
    const { meshDomains, clusterDomain } = this.#options.settings;
    const withheld = new Set(clashing.filter((domain) => !this.#begun.has(domain)));
    return { domains: meshDomains, clusterDomain, address, withheld };
  }

  /** Writes what is due; the answer is when to look again. */
  async #write({ places }: DnsPlan, wish: MeshDnsWish): Promise<number> {
    this.#refusals = new Map();
    let againMs = lookMs;
    for (const place of places) {
      const restMs = await this.#writePlace(place, wish);
      againMs = Math.min(againMs, restMs ?? lookMs);
      // What comes next may rely on what this one takes out.
      if (restMs !== undefined && place.isRemoval) break;
    }
    return againMs;
  }

  /** Milliseconds until the place may be written, when it could not be now. */
  async #writePlace(place: DnsPlace, wish: MeshDnsWish): Promise<number | undefined> {
    const name = placeName(place);
    const { domains, address, withheld } = wish;
    const wishText = JSON.stringify([domains, address, [...withheld], place.isRemoval]);
    if (place.change === undefined) {
      this.#fulfilled(place, wishText);
      return undefined;
    }
    const heldMs = this.#memories.restMs(name, wishText);
    if (heldMs > 0) return heldMs;
    // Leadership may have gone while the others were written.
    if (!this.#options.isLeading()) return lookMs;
    try {
      await writeChange(this.#options.connection, place.configMap, place.change);
    } catch (error) {
      return this.#failed(place, error);
    }
    this.#options.log.info('DNS of the cluster wired', { place: name, served: place.served });
    this.#fulfilled(place, wishText);
    return undefined;
  }

  #fulfilled(place: DnsPlace, wishText: string): void {
    // What was left alone was never as wished: to mend it is no revert.
    const isLeft = place.served.length === 0 && place.obstacles.length > 0;
    if (!isLeft) this.#memories.noteFulfilled(placeName(place), wishText);
    for (const domain of place.served) this.#begun.add(domain);
  }

  #failed(place: DnsPlace, error: unknown): number {
    const reason = kubeReason(error);
    if (reason === 'Conflict' || reason === 'AlreadyExists' || reason === 'NotFound') {
      return conflictRestMs;
    }
    // Not allowed to, an immutable ConfigMap, or an admission controller: a person has to act.
    if (reason !== 'Forbidden' && reason !== 'Invalid') throw error;
    const why = error instanceof Error ? error.message : String(error);
    this.#refusals.set(placeName(place), refusedProblem(place, why));
    return lookMs;
  }

  #fights({ places }: DnsPlan): readonly Problem[] {
    const fought = places.filter((place) => this.#memories.isFoughtOver(placeName(place)));
    return fought.map(revertedProblem);
  }

  #clashes({ clashing }: Wanted): readonly Problem[] {
    const { clusterDomain } = this.#options.settings;
    return clashing.map((domain) => clashProblem(domain, clusterDomain, this.#begun.has(domain)));
  }

  #tell(problems: readonly Problem[]): void {
    const isSame = JSON.stringify(problems) === JSON.stringify(this.problems);
    this.problems = problems;
    if (!isSame) this.#options.onProblems();
  }
}
