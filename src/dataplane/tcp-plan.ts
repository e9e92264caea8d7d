// What follows for a TCP connection from who opened it and whom it is for: a client of this node,
// whom a table routes, or another proxy, which has chosen the pod already and is believed nothing
// but that its certificate proves the caller. Pure but for the look-up of arrivals.
import {
  authoriseFlow,
  decideFlow,
  destinationOf,
  sourceOf,
  unauthenticated,
  wayTo,
} from '../route/index.ts';
import type {
  Decision,
  Endpoint,
  FlowDestination,
  RouteTable,
  Source,
  Verdict,
} from '../route/index.ts';
import type { ArrivedFrom } from './arrived-plan.ts';
import type { Hop } from './hop.ts';
import type { TunnelFields } from './tunnel-fields.ts';

/** As of a request, but for what a tunnel is told. */
export type TcpHop = Omit<Hop, 'tunnel'> & {
  /** Of the pod, where the way is a tunnel. */
  readonly node: string | undefined;
};

export type TcpPlan = {
  readonly source: Source;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly to: FlowDestination;
  /**
   * False: another proxy has routed it, which tries elsewhere itself and cuts what is stopped; a
   * backend here that is stopped takes what was split to it, as for HTTP.
   */
  readonly isRoutedHere: boolean;
  readonly decide: (table: RouteTable) => Decision;
  /** The way to a pod, and the verdict where it is made here. */
  readonly hopTo: (table: RouteTable, endpoint: Endpoint) => TcpHop;
  /** What policy says under this table. */
  readonly judge: (table: RouteTable, endpoint: Endpoint) => Verdict;
};

/** A connection of a client of this node. */
export function clientPlan(
  table: RouteTable,
  remoteAddress: string,
  to: FlowDestination,
): TcpPlan {
  const judge = (now: RouteTable, endpoint: Endpoint): Verdict =>
    authoriseFlow(now, sourceOf(now, remoteAddress), endpoint, 'tcp');
  return {
    source: sourceOf(table, remoteAddress),
    remoteAddress,
    to,
    isRoutedHere: true,
    decide: (now) => decideFlow(now, to),
    hopTo: (now, endpoint) => hopOf(now, endpoint, judge),
    judge,
  };
}

function hopOf(table: RouteTable, endpoint: Endpoint, judge: TcpPlan['judge']): TcpHop {
  const way = wayTo(table, endpoint);
  const isJudgedHere = way.kind === 'here' || way.kind === 'plain';
  return {
    verdict: isJudgedHere
      ? judge(table, endpoint)
      : { kind: 'allow', destination: destinationOf(table, endpoint) },
    isJudgedHere,
    way: way.kind,
    plainReason: way.kind === 'plain' ? way.reason : undefined,
    node: way.kind === 'tunnel' ? way.node : undefined,
  };
}

/**
 * Whether a connection that went plain may go on: what is open outlives a proxy that comes to its
 * pod's node, but not the word that nothing goes plain.
 */
export function mayStayPlain(table: RouteTable, endpoint: Endpoint): boolean {
  const way = wayTo(table, endpoint);
  if (way.kind === 'here' || way.kind === 'plain') return true;
  const binding = table.node.bindings.get(endpoint.address);
  const pod = binding?.kind === 'workload' ? binding.workload.namespace : endpoint.namespace;
  const { mtlsByNamespace, mtlsByDefault } = table.policies;
  return [endpoint.namespace, pod].every((namespace) => {
    return (mtlsByNamespace.get(namespace) ?? mtlsByDefault) !== 'strict';
  });
}

/** A connection that came by tunnel: nothing is routed, and no second tunnel is opened. */
export function arrivedPlan(
  { source: proven, arrivals }: ArrivedFrom,
  remoteAddress: string,
  { target, isLowered }: TunnelFields,
): TcpPlan {
  const { namespace, service, port: servicePort } = target;
  const source = isLowered ? unauthenticated : proven;
  const judge = (table: RouteTable, endpoint: Endpoint): Verdict =>
    authoriseFlow(table, source, endpoint, 'tcp');
  return {
    source,
    remoteAddress,
    to: { protocol: 'tcp', namespace, service, servicePort },
    isRoutedHere: false,
    decide: (table) => {
      const end = arrivals.find(table, target);
      return end === undefined
        ? { kind: 'refuse', reason: 'UnknownService', host: undefined }
        : { kind: 'split', host: end.host, split: end.split };
    },
    hopTo: (table, endpoint) => ({
      verdict: judge(table, endpoint),
      isJudgedHere: true,
      way: 'here',
      plainReason: undefined,
      node: undefined,
    }),
    judge,
  };
}
