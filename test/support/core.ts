// The whole pure core in one call, for laws: objects → topology → snapshot → table. Every step is
// frozen as soon as it exists, so that whoever patches derived state throws (A2).
import type { ClusterState, MeshSettings, Problem } from '../../src/api/index.ts';
import {
  compileTable,
  type RequestHead,
  type RouteTable,
  type Source,
} from '../../src/route/index.ts';
import type { NodePart, Snapshot } from '../../src/snapshot/index.ts';
import {
  bindAddresses,
  buildTopology,
  compileSnapshot,
  type Topology,
} from '../../src/topology/index.ts';
import { deepFrozen } from './builders.ts';

export type Compiled = {
  readonly topology: Topology;
  readonly snapshot: Snapshot;
  readonly node: NodePart;
  readonly table: RouteTable;
  readonly problems: readonly Problem[];
};

/** Everything frozen as soon as it exists: who patches derived state throws (A2). */
export function compiled(
  state: ClusterState,
  settings: MeshSettings,
  previous?: Compiled,
): Compiled {
  const built = deepFrozen(buildTopology(state, settings, previous?.topology));
  const { value: snapshot, problems } = deepFrozen(
    compileSnapshot(built.value, settings, previous?.snapshot),
  );
  const addresses = { nodeName: 'node-1', pods: state.pods.values(), nodes: state.nodes.values() };
  const node = deepFrozen(bindAddresses(undefined, addresses, 0)).part;
  const table = compileTable(snapshot.sections, node, previous?.table);
  return {
    topology: built.value,
    snapshot,
    node,
    table,
    problems: [...built.problems, ...problems],
  };
}

export function workloadSource(principal: string): Source {
  const [namespace = '', serviceAccount = ''] = principal.split('/');
  const workload = `Deployment/${serviceAccount}`;
  return {
    kind: 'workload',
    namespace,
    serviceAccount,
    principal,
    workload,
    podName: serviceAccount,
  };
}

export type HeadFacts = {
  readonly hostname: string;
  readonly port?: number;
  readonly method?: string;
  readonly path?: string;
  readonly fields?: ReadonlyMap<string, string>;
};

export function headOf({
  hostname,
  port = 80,
  method = 'GET',
  path = '/',
  fields,
}: HeadFacts): RequestHead {
  const fieldValues = (name: string): readonly string[] => {
    const value = fields?.get(name);
    return value === undefined ? [] : [value];
  };
  return { servicePort: port, hostname, method, path, fieldValues };
}
