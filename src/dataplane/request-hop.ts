// The hop of a client's request to one endpoint: which way, judged by whom, and for a tunnel under
// whose identity and with which fields. Where the way is not plain and no tunnel can be opened
// there is none: nothing here falls back to plain text.
import { formatSpiffeId } from '../identity/index.ts';
import type { SpiffeId } from '../identity/index.ts';
import { authorise, destinationOf, wayTo } from '../route/index.ts';
import type { Backend, Endpoint, RouteTable, Source, Verdict } from '../route/index.ts';
import type { Engine } from './engine.ts';
import type { Hop, TunnelHop } from './hop.ts';
import type { HttpRequestHead } from './http1/request-head.ts';
import { renderTunnelFields } from './tunnel-fields.ts';
import { tunnelName } from './tunnel-key.ts';

export type Asking = {
  readonly table: RouteTable;
  readonly source: Source;
  readonly head: HttpRequestHead;
  /** Host that the pod sees is another one than the caller's. */
  readonly isHostRewritten: boolean;
};

export function requestHop(
  engine: Engine,
  asking: Asking,
  backend: Backend,
  endpoint: Endpoint,
): Hop {
  const { table, source, head } = asking;
  const way = wayTo(table, endpoint);
  if (way.kind === 'here' || way.kind === 'plain') {
    const verdict = authorise(table, source, endpoint, head);
    const plainReason = way.kind === 'plain' ? way.reason : undefined;
    return { verdict, isJudgedHere: true, way: way.kind, plainReason, tunnel: undefined };
  }
  const tunnel = way.kind === 'tunnel'
    ? tunnelHop(engine, asking, { node: way.node, backend, endpoint })
    : undefined;
  return {
    verdict: judgedThere(table, endpoint),
    isJudgedHere: false,
    way: tunnel === undefined ? 'none' : 'tunnel',
    plainReason: undefined,
    tunnel,
  };
}

function judgedThere(table: RouteTable, endpoint: Endpoint): Verdict {
  return { kind: 'allow', destination: destinationOf(table, endpoint) };
}

type Through = { readonly node: string; readonly backend: Backend; readonly endpoint: Endpoint };

function tunnelHop(
  engine: Engine,
  { source, head, isHostRewritten }: Asking,
  { node, backend, endpoint }: Through,
): TunnelHop | undefined {
  const { tunnels } = engine;
  if (tunnels === undefined) return undefined;
  const isAuthenticated = source.kind === 'workload';
  const id = isAuthenticated ? idOf(source, tunnels.trustDomain) : undefined;
  if (isAuthenticated && id === undefined) return undefined;
  const authority = isHostRewritten ? head.authority : undefined;
  const lines = renderTunnelFields({ backend, endpoint, authority, isAuthenticated });
  return { id, node, name: tunnelName(id, node), lines };
}

type Known = Extract<Source, { kind: 'workload' }>;

function idOf({ namespace, serviceAccount }: Known, trustDomain: string): SpiffeId | undefined {
  return formatSpiffeId({ trustDomain, namespace, serviceAccount });
}
