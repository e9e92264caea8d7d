// Which proxies have had which policy version: the arithmetic behind condition `Programmed`. The
// leader counts the versions that it compiles; a proxy that lists one of them has seen everything
// up to that count. It asks nobody and keeps no time.
import type { Spread } from './conditions.ts';
import { listAt, textAt } from './raw-object.ts';

/** A pod of DaemonSet weft-proxy that is ready. */
export type ReadyProxy = {
  readonly uid: string;
  readonly node: string;
  readonly address: string;
};

/** Versions that are remembered: a proxy names 32, and may be a few hundred changes behind. */
const versionsMax = 1_024;

export class ProxyVersions {
  /** Version → its count; the newest last. */
  readonly #counts = new Map<string, number>();
  /** Uid of a pod → the highest count that it has had. */
  readonly #had = new Map<string, number>();
  #proxies: readonly ReadyProxy[] = [];
  #count = 0;

  /** The count that the current objects have. */
  get count(): number {
    return this.#count;
  }

  /** True when the version is another one than before. */
  compiled(policyVersion: string): boolean {
    if (this.#counts.get(policyVersion) === this.#count && this.#count > 0) return false;
    this.#count += 1;
    // What comes again is the newest again: whoever lists it has all that it stands for.
    this.#counts.delete(policyVersion);
    this.#counts.set(policyVersion, this.#count);
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= versionsMax) break;
      this.#counts.delete(oldest);
    }
    return true;
  }

  /** Who is ready now; what others have had is forgotten. */
  ready(proxies: readonly ReadyProxy[]): void {
    this.#proxies = proxies;
    const uids = new Set(proxies.map(({ uid }) => uid));
    for (const uid of this.#had.keys()) if (!uids.has(uid)) this.#had.delete(uid);
  }

  /** What a proxy answered to `GET /version`. */
  told(uid: string, answer: unknown): void {
    const names = [...listAt(answer, 'recent'), textAt(answer, 'policyVersion')];
    let highest = this.#had.get(uid) ?? 0;
    for (const name of names) {
      const count = typeof name === 'string' ? this.#counts.get(name) : undefined;
      if (count !== undefined && count > highest) highest = count;
    }
    if (this.#proxies.some((proxy) => proxy.uid === uid)) this.#had.set(uid, highest);
  }

  /** Those that have not had `count` yet. */
  lagging(count: number): readonly ReadyProxy[] {
    return this.#proxies.filter(({ uid }) => (this.#had.get(uid) ?? 0) < count);
  }

  /** Nodes on which every ready proxy has had `count`, of those that have one. */
  spread(count: number): Spread {
    const nodes = new Set(this.#proxies.map(({ node }) => node));
    const behind = new Set(this.lagging(count).map(({ node }) => node));
    return { on: nodes.size - behind.size, of: nodes.size };
  }
}
