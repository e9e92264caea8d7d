// The way of a TCP connection to one endpoint, and what policy says of it where this node is the
// one that judges. Pure. Where a tunnel is due nothing goes plain, whatever fails.
import { authoriseFlow, destinationOf, wayTo } from '../route/index.ts';
import type { Endpoint, PlainReason, RouteTable, Source, Verdict } from '../route/index.ts';

export type TcpHop = {
  /** Where a tunnel is due the pod's node judges; here it is allowed to go there. */
  readonly verdict: Verdict;
  readonly isJudgedHere: boolean;
  /** `none`: it may not be made on any way that there is. */
  readonly way: 'here' | 'plain' | 'tunnel' | 'none';
  readonly plainReason: PlainReason | undefined;
  /** Of the pod, where the way is a tunnel. */
  readonly node: string | undefined;
};

export function tcpHop(table: RouteTable, source: Source, endpoint: Endpoint): TcpHop {
  const way = wayTo(table, endpoint);
  const isJudgedHere = way.kind === 'here' || way.kind === 'plain';
  return {
    verdict: isJudgedHere
      ? authoriseFlow(table, source, endpoint, 'tcp')
      : { kind: 'allow', destination: destinationOf(table, endpoint) },
    isJudgedHere,
    way: way.kind,
    plainReason: way.kind === 'plain' ? way.reason : undefined,
    node: way.kind === 'tunnel' ? way.node : undefined,
  };
}
