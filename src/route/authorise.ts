// Whether a source may make a request to the pod that was chosen (smi §1.6 step 5, contract §3
// "Where policy is enforced"). The same function on both nodes. Fails closed: what is not known of
// source or destination is not allowed where a namespace enforces.
import type { FlowProtocol, PolicyMode, SectionId, Workload } from '../snapshot/index.ts';
import { permissionsId } from './compile-permissions.ts';
import { matchesHead } from './match.ts';
import type { HttpMatch, Permission, Place, PortGrant, RouteTable } from './table.ts';
import type { DenyReason, Destination, Endpoint, RequestHead, Source, Verdict } from './types.ts';

/** What metrics call a destination that is no pod we know. */
const unknownWorkload = 'unknown';

/** An HTTP request of `source` to `endpoint`. */
export function authorise(
  table: RouteTable,
  source: Source,
  endpoint: Endpoint,
  head: RequestHead,
): Verdict {
  return judge(table, source, endpoint, head);
}

/**
 * A flow whose bytes nobody reads: only a TCPRoute opens TCP, only a UDPRoute UDP.
 * The source of datagrams is as sure as the network is.
 */
export function authoriseFlow(
  table: RouteTable,
  source: Source,
  endpoint: Endpoint,
  protocol: FlowProtocol,
): Verdict {
  return judge(table, source, endpoint, protocol);
}

/** What is known of a call: its head, or that it has none. */
type Asked = RequestHead | FlowProtocol;

function judge(
  table: RouteTable,
  source: Source,
  endpoint: Endpoint,
  asked: Asked,
): Verdict {
  const pod = podOf(table, endpoint);
  // The policy is the pod's namespace's; what is nobody's pod counts for the Service's namespace.
  const namespace = pod?.namespace ?? endpoint.namespace;
  const place = placeOf(table, pod, namespace);
  const mode = policyOf(table, namespace);
  if (mode === 'off') return place.allowed;
  // No TrafficTarget can name an external, disputed or node address: it has no service account.
  const reason =
    place.permissions === undefined
      ? 'SourceNotAllowed'
      : denialOf(table, place.permissions, { source, endpoint, asked });
  if (reason === undefined) return place.allowed;
  const { destination } = place.allowed;
  return { kind: mode === 'audit' ? 'audit' : 'deny', reason, destination };
}

/** What metrics call the workload behind an endpoint. */
export function destinationOf(table: RouteTable, endpoint: Endpoint): Destination {
  const pod = podOf(table, endpoint);
  return placeOf(table, pod, pod?.namespace ?? endpoint.namespace).allowed.destination;
}

function podOf(table: RouteTable, endpoint: Endpoint): Workload | undefined {
  const binding = table.node.bindings.get(endpoint.address);
  return binding?.kind === 'workload' ? binding.workload : undefined;
}

/** Made at the first request to a pod: an allowed request then costs no allocation. */
function placeOf({ places }: RouteTable, pod: Workload | undefined, namespace: string): Place {
  if (pod === undefined) return placeOfNobody(namespace);
  const known = places.get(pod);
  if (known !== undefined) return known;
  const { workload, serviceAccount } = pod;
  const destination: Destination = { namespace, workload };
  const permissions = permissionsId(namespace, serviceAccount);
  const place: Place = { allowed: { kind: 'allow', destination }, permissions };
  places.set(pod, place);
  return place;
}

function placeOfNobody(namespace: string): Place {
  const destination: Destination = { namespace, workload: unknownWorkload };
  return { allowed: { kind: 'allow', destination }, permissions: undefined };
}

function policyOf({ policies }: RouteTable, namespace: string): PolicyMode {
  return policies.byNamespace.get(namespace) ?? policies.byDefault;
}

type Call = {
  readonly source: Source;
  readonly endpoint: Endpoint;
  readonly asked: Asked;
};

/** Why its pods are closed to the call; `undefined` = some permission opens them. */
function denialOf(
  table: RouteTable,
  id: SectionId,
  call: Call,
): DenyReason | undefined {
  const { source, endpoint, asked } = call;
  if (source.kind === 'unauthenticated') return 'SourceUnknown';
  const permissions = table.permissions.get(id)?.bySource.get(source.principal);
  if (permissions === undefined) return 'SourceNotAllowed';
  for (const permission of permissions) {
    // the port is the pod's, after the Service's targetPort was resolved.
    const isOpen =
      typeof asked === 'string'
        ? opensPort(permission[asked], endpoint.port)
        : opensHttp(permission, endpoint.port, asked);
    if (isOpen) return undefined;
  }
  return 'RouteNotAllowed';
}

function opensPort(grant: PortGrant | undefined, port: number): boolean {
  return grant !== undefined && (grant.ports === undefined || grant.ports.has(port));
}

function opensHttp({ http }: Permission, port: number, head: RequestHead): boolean {
  if (http === undefined) return false;
  if (http.ports !== undefined && !http.ports.has(port)) return false;
  if (http.matches === undefined) return true;
  for (const match of http.matches) {
    if (isTrustworthy(match, head) && matchesHead(match, head)) return true;
  }
  return false;
}

/**
 * A path with an encoded slash or backslash may be one segment more to the application than it was
 * to the pattern, so a permission that speaks of paths does not open it.
 */
function isTrustworthy(match: HttpMatch, head: RequestHead): boolean {
  return match.path === undefined || !encodedSlash.test(head.path);
}

const encodedSlash = /%(?:2f|5c)/i;
