// Which addresses a hand-written EndpointSlice may name. Whoever may write a slice must not make
// the proxies call what the mesh or the node keeps for itself: themselves, nodes, the API server, a
// ClusterIP (a loop), loopback or link-local addresses such as a cloud's metadata server (contract
// §3, "Where policy is enforced"). Addresses arrive in their one normal spelling.
import type { ClusterState, MeshSettings } from '../api/index.ts';
import type { ExternalCheck } from './endpoints.ts';

/** The check for one cluster state. Reads it when the first address is asked for. */
export function externalCheck(state: ClusterState, settings: MeshSettings): ExternalCheck {
  let reserved: ReadonlyMap<string, string> | undefined;
  return (address) => {
    const special = specialUse(address);
    if (special !== undefined) return special;
    reserved ??= reservedAddresses(state, settings);
    return reserved.get(address);
  };
}

function reservedAddresses(
  state: ClusterState,
  settings: MeshSettings,
): ReadonlyMap<string, string> {
  const reserved = new Map<string, string>();
  for (const service of state.services.values()) {
    for (const address of service.clusterIps) reserved.set(address, 'is a ClusterIP');
  }
  for (const slice of state.endpointSlices.values()) {
    const owner = ownerOf(slice.meta.namespace, slice.serviceName, settings);
    if (owner === undefined) continue;
    for (const { addresses } of slice.endpoints) {
      for (const address of addresses) reserved.set(address, owner);
    }
  }
  for (const node of state.nodes.values()) {
    for (const address of node.addresses) reserved.set(address, 'belongs to a node');
  }
  return reserved;
}

function ownerOf(namespace: string, service: string, settings: MeshSettings): string | undefined {
  if (namespace === settings.meshNamespace) return 'belongs to the mesh';
  if (namespace === 'default' && service === 'kubernetes') return 'belongs to the API server';
  return undefined;
}

/** Addresses that never name a destination of their own (RFC 6890). */
function specialUse(address: string): string | undefined {
  if (address.includes(':')) return specialUseIpv6(address);
  const [first = 0, second = 0] = address.split('.').map(Number);
  if (first === 127) return 'is a loopback address';
  if (first === 169 && second === 254) return 'is a link-local address';
  if (first === 0 || first >= 224) return 'is no unicast address';
  return undefined;
}

function specialUseIpv6(address: string): string | undefined {
  if (address === '::1') return 'is a loopback address';
  if (address === '::') return 'is no unicast address';
  const first = Number.parseInt(address, 16);
  if (first >= 0xfe80 && first <= 0xfebf) return 'is a link-local address';
  if (first >= 0xff00) return 'is no unicast address';
  return undefined;
}
