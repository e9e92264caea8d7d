// All connections of one kind of user to pods – of clients' calls, or of copies – in one pool per
// way of speaking: HTTP/1.1, HTTP/2, HTTPS. Which one a backend takes is its scheme's.
import type { SecureNetwork } from '../lib/network.ts';
import type { Backend } from '../route/index.ts';
import type { Engine } from './engine.ts';
import { Http2Pools } from './http2-pool.ts';
import type { Http2PoolsOptions } from './http2-pool.ts';
import { Pools } from './pool.ts';
import type { PoolsOptions } from './pool.ts';
import { SecurePools } from './secure-pools.ts';

export type PodPools = Pick<Engine, 'pools' | 'http2Pools' | 'securePools'>;

export type PodPoolsOptions = PoolsOptions &
  Http2PoolsOptions & { readonly secure: Pick<SecureNetwork, 'toPods'> | undefined };

export function openPodPools(options: PodPoolsOptions): PodPools {
  return {
    pools: new Pools(options),
    http2Pools: new Http2Pools(options),
    securePools: new SecurePools(options),
  };
}

/** Connections of HTTP/1.1 to the pods of a backend. */
export function poolsTo({ pools, securePools }: PodPools, { tls }: Backend): Pools {
  return tls === undefined ? pools : securePools.of(tls);
}

export function countConnections({ pools, http2Pools, securePools }: PodPools) {
  return {
    open: pools.openCount + http2Pools.openCount + securePools.openCount,
    idle: pools.idleCount + http2Pools.idleCount + securePools.idleCount,
  };
}

/** Cuts everything. */
export function closePodPools({ pools, http2Pools, securePools }: PodPools): void {
  pools.close();
  http2Pools.close();
  securePools.close();
}
