// Where an attempt goes from here: the way to its endpoint, and what policy says of it where this
// node is the one that judges. `RequestPlan` makes hops for clients of this node, `ArrivedPlan` for
// requests that came by tunnel; an exchange takes either.
import type { Endpoint, Backend, Decision, RouteTable, Source, Verdict } from '../route/index.ts';
import type { PlainReason } from '../route/index.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import type { Reason } from './refusals.ts';
import type { TunnelDeadline } from './tunnel-fields.ts';
import type { TunnelKey } from './tunnel-key.ts';

/** Whose tunnel to which node, and the lines that tell its proxy what the request is for. */
export type TunnelHop = TunnelKey & { readonly lines: string };

export type Hop = {
  /** Where a tunnel is due the pod's node judges; here it is allowed to go there. */
  readonly verdict: Verdict;
  readonly isJudgedHere: boolean;
  /** `none`: the call may not be made on any way that there is. */
  readonly way: 'here' | 'plain' | 'tunnel' | 'none';
  readonly plainReason: PlainReason | undefined;
  readonly tunnel: TunnelHop | undefined;
};

/** What of an exchange is written into the head that it sends. */
export type Sender = RequestIds & {
  /** For a tunnel: how much time is left (tunnel-fields.ts); absent or empty: it has no bound. */
  readonly deadlineLine?: string;
};

/** What follows from a request's head, its source and one table, and from nothing else. */
export type Plan = {
  readonly table: RouteTable;
  /** As it is matched and forwarded. */
  readonly head: HttpRequestHead;
  readonly remoteAddress: string;
  readonly source: Source;
  readonly decision: Decision;
  /** Why it is not even looked up, whatever the table says. */
  readonly refusal: Reason | undefined;
  /** Sending the request twice does no more than sending it once. */
  readonly isRepeatable: boolean;
  /** Ids that the client sent and that go on to the pod. */
  readonly sentRequestId: string | undefined;
  readonly sentTraceparent: string | undefined;
  /** Of a request that came by tunnel, where its caller's proxy has said one. */
  readonly deadline?: TunnelDeadline | undefined;
  /** It was made of the very same. */
  isOf(table: RouteTable, head: HttpRequestHead): boolean;
  hopTo(backend: Backend, endpoint: Endpoint): Hop;
  /** The head as it is sent on `hop`. */
  upstreamHead(sender: Sender, hop: Hop): string;
  /** What a pod gets in front of the ids and behind them; the same object each time. */
  podParts(): RequestHeadParts;
  /** Whether the owner of the service has stopped its traffic, by this table. */
  isStoppedBy(table: RouteTable): boolean;
  /** Whether an upgraded connection would still be opened by this table. */
  isAllowedBy(table: RouteTable, endpoint: Endpoint, hop: Hop): boolean;
};
