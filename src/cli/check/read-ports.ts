// Whether the Services of a cluster will all get ports of the mesh: the allocation that the
// controller would make is made, by the same functions, from the Services as they are.
import { parsers, type ClusterState, type MeshSettings } from '../../api/index.ts';
import type { Connection } from '../../kube/index.ts';
import { allocatePorts, buildTopology } from '../../topology/index.ts';
import { failed, ok, type Finding } from './finding.ts';
import { readAll } from './read-cluster.ts';

const core = { group: '', version: 'v1' };
const shownMax = 3;

export async function readPorts(
  connection: Connection,
  settings: MeshSettings,
): Promise<readonly Finding[]> {
  const services = await readAll(connection, { ...core, plural: 'services' }, (one) => {
    return parsers.Service(one).value;
  });
  const namespaces = await readAll(connection, { ...core, plural: 'namespaces' }, (one) => {
    return parsers.Namespace(one).value;
  });
  return portFindings({ services, namespaces }, settings);
}

type Ground = {
  readonly services: readonly (ReturnType<typeof parsers.Service>['value'])[];
  readonly namespaces: readonly (ReturnType<typeof parsers.Namespace>['value'])[];
};

/** Pure. What was given before an installation is nothing. */
export function portFindings(ground: Ground, settings: MeshSettings): readonly Finding[] {
  const { wishes } = buildTopology(stateOf(ground), settings).value;
  const { problems, given } = allocatePorts({ wishes, given: new Map(), nowMs: 0 });
  const [first] = problems;
  if (first === undefined) {
    const count = wishes.http.length;
    const places = [...given.keys()].filter((name) => name.startsWith('weft-l4-')).length;
    const l4 = `${places} addresses for TCP and UDP`;
    return [ok('ports', `no port clashes: ${count} port numbers of HTTP services, ${l4}`)];
  }
  const named = problems.slice(0, shownMax).map(({ kind, namespace, name, message }) => {
    return `${kind} ${namespace}/${name}: ${message}`;
  });
  const more = problems.length > shownMax ? ` and ${problems.length - shownMax} more` : '';
  const fix = 'take some out of the mesh (label weft.dev/mesh=disabled), or use --adopt labelled';
  return [failed('ports', `no port is left for ${named.join('; ')}${more}`, fix)];
}

function stateOf({ services, namespaces }: Ground): ClusterState {
  const none = new Map<string, never>();
  return {
    services: new Map(
      services.flatMap((one) =>
        one === undefined ? [] : [[`${one.meta.namespace}/${one.meta.name}`, one] as const],
      ),
    ),
    namespaces: new Map(
      namespaces.flatMap((one) => (one === undefined ? [] : [[one.meta.name, one] as const])),
    ),
    endpointSlices: none,
    pods: none,
    nodes: none,
    trafficTargets: none,
    httpRouteGroups: none,
    tcpRoutes: none,
    udpRoutes: none,
    trafficSplits: none,
    problems: [],
  };
}
