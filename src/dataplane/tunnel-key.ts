// Whose tunnel and whereto: what names a pool of tunnels. Identities never share one, and neither
// do the uses of one identity.
import type { SpiffeId } from '../identity/index.ts';
import type { TunnelUse } from './peer-check.ts';

export type TunnelIdentities = {
  readonly trustDomain: string;
  readonly proxyId: SpiffeId;
  /** Port of every peer. */
  readonly port: number;
};

/** Whose tunnel, and whereto. `id` undefined: nobody's, under the proxy's own certificate. */
export type TunnelKey = {
  readonly id: SpiffeId | undefined;
  readonly node: string;
  /** From `tunnelName`, where a key is used again and again. */
  readonly name?: string;
  /** What is called, for telling long answers from others. */
  readonly lines?: string;
};

/** No SPIFFE id and no node's name holds a space. */
export function tunnelName(id: SpiffeId | undefined, node: string): string {
  return `${id ?? ''} ${node}`;
}

/** Of the pool. */
export function nameOf({ id, node, name }: TunnelKey, use: TunnelUse): string {
  const said = name ?? tunnelName(id, node);
  return use === 'requests' ? said : `${said} ${use}`;
}
