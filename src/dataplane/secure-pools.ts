// The pools of pods that serve HTTPS, one per name and trust that their certificates are held to: a
// connection that was opened under one is never used under another. What to trust is the table's;
// a changed bundle is another pool, and the connections of the old one end by themselves. Bounds:
// those of each pool; of many pools, those without connections go when another one comes.
import { assert } from '../lib/assert.ts';
import type { SecureNetwork } from '../lib/network.ts';
import type { PodTls } from '../route/index.ts';
import type { OwnConnections } from './places.ts';
import { Pools } from './pool.ts';
import type { PoolsOptions } from './pool.ts';

export type SecurePoolsOptions = Omit<PoolsOptions, 'network'> & {
  /** Undefined: no table here has such pods. */
  readonly secure: Pick<SecureNetwork, 'toPods'> | undefined;
};

/** As many are kept without a connection: to make a context of TLS takes a millisecond. */
const poolsMax = 64;

export class SecurePools implements OwnConnections {
  readonly #options: SecurePoolsOptions;
  readonly #pools = new Map<string, Pools>();

  constructor(options: SecurePoolsOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#sum((pools) => pools.openCount);
  }

  get idleCount(): number {
    return this.#sum((pools) => pools.idleCount);
  }

  of({ key, serverName, trust }: PodTls): Pools {
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const { secure, ...options } = this.#options;
    assert(secure !== undefined, 'pods of HTTPS where there is no TLS');
    if (this.#pools.size >= poolsMax) this.#forgetUnused();
    const pools = new Pools({ ...options, network: secure.toPods({ serverName, trust }) });
    this.#pools.set(key, pools);
    return pools;
  }

  hasSpare(endpointId: string): boolean {
    return [...this.#pools.values()].some((pools) => pools.hasSpare(endpointId));
  }

  giveUp(endpointId: string): boolean {
    return [...this.#pools.values()].some((pools) => pools.giveUp(endpointId));
  }

  *endpointIds(): Iterable<string> {
    for (const pools of this.#pools.values()) yield* pools.endpointIds();
  }

  /** Cuts everything. */
  close(): void {
    for (const pools of this.#pools.values()) pools.close();
  }

  #forgetUnused(): void {
    for (const [key, pools] of this.#pools) {
      if (pools.openCount === 0) this.#pools.delete(key);
    }
  }

  #sum(count: (pools: Pools) => number): number {
    return [...this.#pools.values()].reduce((sum, pools) => sum + count(pools), 0);
  }
}
