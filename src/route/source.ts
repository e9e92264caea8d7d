// Who calls, from the address of the connection or the certificate of a tunnel, and nothing else
// (A8). Only pods of this node have an identity by address; every other address is unauthenticated,
// never a default identity.
import type { PeerIdentity, SpiffeId } from '../identity/index.ts';
import { normaliseAddress } from '../lib/address.ts';
import type { NodePart, Workload } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';
import type { Source } from './types.ts';

/** Who is nobody that is known. */
export const unauthenticated: Source = { kind: 'unauthenticated' };

/** The source behind `address` (as a socket shows it, `::ffff:` included). */
export function sourceOf({ sources }: RouteTable, address: string): Source {
  // Keys are in their one normal spelling; only what is not found as it stands needs to be read.
  const source = sources.get(address) ?? sources.get(normaliseAddress(address) ?? '');
  return source ?? unauthenticated;
}

/**
 * The source that a peer's certificate proves. A proxy's own identity is nobody: whoever calls
 * under it says so himself, and a TrafficTarget that names it opens nothing.
 */
export function sourceOfPeer(
  peer: Pick<PeerIdentity, 'namespace' | 'serviceAccount' | 'spiffeId'>,
  proxyId: SpiffeId,
): Source {
  if (peer.spiffeId === proxyId) return unauthenticated;
  const { namespace, serviceAccount } = peer;
  const principal = `${namespace}/${serviceAccount}`;
  // What runs under the account, its node alone knows: a label must not come from a header.
  const workload = `ServiceAccount/${serviceAccount}`;
  return { kind: 'workload', namespace, serviceAccount, principal, workload, podName: '' };
}

/**
 * Address → source for the pods of this node. A pod keeps its object over tables, so that what is
 * counted per source can be found by identity.
 */
export function localSources(node: NodePart, previous?: RouteTable): RouteTable['sources'] {
  if (previous?.node === node) return previous.sources;
  const sources = new Map<string, Source>();
  for (const [address, binding] of node.bindings) {
    if (binding.kind !== 'workload' || !binding.isLocal) continue;
    const isSame = previous?.node.bindings.get(address) === binding;
    const kept = isSame ? previous?.sources.get(address) : undefined;
    sources.set(address, kept ?? sourceFrom(binding.workload));
  }
  return sources;
}

function sourceFrom({ namespace, serviceAccount, workload, podName }: Workload): Source {
  const principal = `${namespace}/${serviceAccount}`;
  return { kind: 'workload', namespace, serviceAccount, principal, workload, podName };
}
