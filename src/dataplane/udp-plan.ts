// Where a flow goes and whether it may (smi §1.6, "UDP: the same with UDPRoute"): decided at its
// first datagram, and looked at again under each later table before the next datagram passes. So a
// change of policy, of a pod or of the way there holds from the next datagram on, and flows that
// are silent cost nothing. Pure but for the turn and the load that its arguments count.
import { authoriseFlow, decideFlow, destinationOf, servesUdp, wayTo } from '../route/index.ts';
import type {
  Backend,
  Destination,
  Endpoint,
  FlowDestination,
  PlainReason,
  RouteTable,
  Source,
  Split,
  Verdict,
  VirtualHost,
} from '../route/index.ts';
import type { DropReason, FlowEnd } from './udp-observer.ts';

/** How a flow gets to its pod. */
export type FlowWay =
  | { readonly kind: 'direct'; readonly plainReason: PlainReason | undefined }
  | { readonly kind: 'tunnel'; readonly node: string };

export type FlowPlan =
  | {
      readonly kind: 'forward';
      readonly host: VirtualHost;
      readonly backend: Backend;
      readonly endpoint: Endpoint;
      readonly destination: Destination;
      readonly way: FlowWay;
      /** Undefined: the pod's node judges. */
      readonly verdict: Verdict | undefined;
    }
  | {
      readonly kind: 'drop';
      readonly reason: DropReason;
      /** What policy has denied. */
      readonly denied: DeniedFlow | undefined;
    };

export type DeniedFlow = {
  readonly host: VirtualHost;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly verdict: Verdict;
};

/** What changes by itself: turns, load, chance. */
export type FlowChoice = {
  readonly pickBackend: (split: Split) => Backend;
  readonly pickEndpoint: (backend: Backend, host: VirtualHost) => Endpoint | undefined;
};

export function planFlow(
  table: RouteTable,
  to: FlowDestination,
  source: Source,
  choice: FlowChoice,
): FlowPlan {
  const decision = decideFlow(table, to);
  if (decision.kind === 'refuse') return drop(decision.reason);
  const { host, split } = decision;
  const backend = choice.pickBackend(split);
  const endpoint = choice.pickEndpoint(backend, host);
  if (endpoint === undefined) return drop('NoEndpoints');
  const way = flowWay(table, endpoint);
  if (way === undefined) return drop('TunnelUnavailable');
  if (way.kind === 'tunnel') {
    const destination = destinationOf(table, endpoint);
    return { kind: 'forward', host, backend, endpoint, destination, way, verdict: undefined };
  }
  const verdict = authoriseFlow(table, source, endpoint, 'udp');
  const { destination } = verdict;
  if (verdict.kind !== 'deny') {
    return { kind: 'forward', host, backend, endpoint, destination, way, verdict };
  }
  return drop(verdict.reason, { host, backend, endpoint, verdict });
}

function drop(reason: DropReason, denied?: DeniedFlow): FlowPlan {
  return { kind: 'drop', reason, denied };
}

function flowWay(table: RouteTable, endpoint: Endpoint): FlowWay | undefined {
  const way = wayTo(table, endpoint);
  switch (way.kind) {
    case 'here':
      return { kind: 'direct', plainReason: undefined };
    case 'plain':
      return { kind: 'direct', plainReason: way.reason };
    case 'tunnel':
      return { kind: 'tunnel', node: way.node };
    case 'none':
      return undefined;
  }
}

/** A flow that goes on. */
export type PlannedFlow = {
  readonly to: FlowDestination;
  readonly source: Source;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly way: FlowWay;
};

/**
 * Why a flow may not go on under `table`; `undefined`: it may. One whose pod has left the Service
 * ends as kube-proxy ends its own: the client's next datagram goes to another pod. Weights move
 * nothing, and a backend that has left the split keeps the flows that it has.
 */
export function flowEndUnder(table: RouteTable, flow: PlannedFlow): FlowEnd | undefined {
  const denial = flowDenialUnder(table, flow);
  if (denial !== undefined) return denial;
  const { backend, endpoint, way } = flow;
  if (!servesUdp(table, backend, endpoint)) return 'moved';
  const now = flowWay(table, endpoint);
  if (now?.kind !== way.kind) return 'moved';
  return now.kind === 'tunnel' && way.kind === 'tunnel' && now.node !== way.node
    ? 'moved'
    : undefined;
}

/** Why not even the answers that are still to come may pass. */
export function flowDenialUnder(table: RouteTable, flow: PlannedFlow): FlowEnd | undefined {
  const { to, source, endpoint, way } = flow;
  // Stopped by its owner, gone, or all its weights are zero.
  if (decideFlow(table, to).kind === 'refuse') return 'policy';
  if (way.kind === 'tunnel') return undefined;
  return authoriseFlow(table, source, endpoint, 'udp').kind === 'deny' ? 'policy' : undefined;
}
