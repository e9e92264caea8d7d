// Nodes on which no proxy can run: pods there can call no mesh name (mesh Services are `Local`),
// and nobody would find out from the DaemonSet, which counts such a node as none of its own. One
// problem of DaemonSet weft-proxy names them all.
import type { ClusterState, MeshSettings, Problem } from '../api/index.ts';
import { byText } from '../lib/order.ts';

/** The rest is counted: an Event holds 1024 bytes. */
const shownMax = 10;

/** At most one problem. */
export function nodesWithoutProxy(
  { nodes }: Pick<ClusterState, 'nodes'>,
  { meshNamespace }: Pick<MeshSettings, 'meshNamespace'>,
): readonly Problem[] {
  const lacking = [...nodes.values()]
    .flatMap(({ meta, proxyObstacle }) =>
      proxyObstacle === undefined ? [] : [`${meta.name} (${proxyObstacle})`],
    )
    .sort(byText);
  if (lacking.length === 0) return [];
  const more = lacking.length > shownMax ? ` and ${lacking.length - shownMax} more` : '';
  const message =
    `no proxy can run on ${lacking.slice(0, shownMax).join(', ')}${more}; pods there can call no ` +
    'mesh name (hint: keep workloads that do off these nodes, by nodeSelector or affinity)';
  const daemonSet = { kind: 'DaemonSet', namespace: meshNamespace, name: 'weft-proxy' } as const;
  return [{ reason: 'NodeWithoutProxy', ...daemonSet, message }];
}
