// How a call gets to an endpoint (docs/design/0008, "Peers, and the way to an endpoint"). What it
// is made of are objects alone: no failure is an argument, and that is why a failing tunnel
// downgrades nobody. Fails closed: what is not known of the endpoint leaves no way.
import type { AddressBinding, MtlsMode, PeerPart } from '../snapshot/index.ts';
import type { RouteTable } from './table.ts';
import type { Endpoint, PlainReason, Way } from './types.ts';

const here: Way = { kind: 'here' };
const none: Way = { kind: 'none' };
const plain: Readonly<Record<PlainReason, Way>> = {
  mtls_off: { kind: 'plain', reason: 'mtls_off' },
  bare_node: { kind: 'plain', reason: 'bare_node' },
  deaf_node: { kind: 'plain', reason: 'deaf_node' },
  external: { kind: 'plain', reason: 'external' },
};

const strictness: Readonly<Record<MtlsMode, number>> = { off: 0, permissive: 1, strict: 2 };

/** The way to `endpoint`; always `here` as long as nobody has told of peers. */
export function wayTo(table: RouteTable, endpoint: Endpoint): Way {
  const { peers, node } = table;
  if (peers === undefined) return here;
  const binding = node.bindings.get(endpoint.address);
  if (binding?.kind === 'workload' && binding.nodeName === node.nodeName) return here;
  const nodeName = nodeOf(endpoint, binding);
  // Nobody's of ours: neither a pod's address nor a node's. Who knows only the pods of this node
  // cannot tell, and waits until all are known.
  if (nodeName === '') {
    return binding === undefined && peers.knowsAllPods ? plain.external : none;
  }
  // A pod of this node in the node's own network; no binding can say which one it is.
  if (nodeName === node.nodeName) return binding?.kind === 'infrastructure' ? here : none;
  return wayAcross(modeOf(table, endpoint, binding), { binding, nodeName, peers });
}

/**
 * Where the pod behind the endpoint is; empty: not known. What a slice says that somebody has
 * written by hand proves nothing; but a pod of the Service's own namespace proves it by itself:
 * operators of databases write such slices, and the pod's own node checks the same again.
 */
function nodeOf({ nodeName, namespace }: Endpoint, binding: AddressBinding | undefined): string {
  if (nodeName !== '' || binding?.kind !== 'workload') return nodeName;
  return binding.workload.namespace === namespace ? binding.nodeName : '';
}

type Across = {
  readonly binding: AddressBinding | undefined;
  /** Of the endpoint, as its slice says: not this node. */
  readonly nodeName: string;
  readonly peers: PeerPart;
};

function wayAcross(mode: MtlsMode, { binding, nodeName, peers }: Across): Way {
  // A slice alone cannot steer a call past a proxy: the pod itself has to be known to be there.
  const isKnown = binding?.kind === 'workload'
    ? binding.nodeName === nodeName
    : binding?.kind === 'infrastructure';
  if (isKnown && mode === 'off') return plain.mtls_off;
  if (isKnown && mode === 'permissive' && peers.deaf.has(nodeName)) return plain.deaf_node;
  // Also where plain text would do and the pod is not known yet: just after `off` has come about.
  if ((peers.dial.get(nodeName)?.length ?? 0) > 0) return { kind: 'tunnel', node: nodeName };
  const mayBePlain = isKnown && mode === 'permissive' && peers.bare.has(nodeName);
  return mayBePlain ? plain.bare_node : none;
}

/** The stricter of the Service's namespace and, where it is known, the pod's. */
function modeOf(
  { policies }: RouteTable,
  endpoint: Endpoint,
  binding: AddressBinding | undefined,
): MtlsMode {
  const { mtlsByNamespace, mtlsByDefault } = policies;
  const ofService = mtlsByNamespace.get(endpoint.namespace) ?? mtlsByDefault;
  if (binding?.kind !== 'workload') return ofService;
  const ofPod = mtlsByNamespace.get(binding.workload.namespace) ?? mtlsByDefault;
  return strictness[ofPod] > strictness[ofService] ? ofPod : ofService;
}
