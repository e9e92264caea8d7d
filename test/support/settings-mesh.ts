// The service `h1` of namespace `t` as Kubernetes objects, with annotations, in a running data
// plane: objects → topology → snapshot → bytes → table → sockets, the whole way that a setting
// goes. The data plane is that of dataplane-harness.ts, its listener included.
import type { ClusterState, Problem } from '../../src/api/index.ts';
import { compileTable } from '../../src/route/index.ts';
import type { RouteTable } from '../../src/route/index.ts';
import { applyDelta, diffSnapshot } from '../../src/snapshot/index.ts';
import type { SectionId, SectionRecord } from '../../src/snapshot/index.ts';
import {
  metaOf,
  namespaceOf,
  podOf,
  portOf,
  serviceOf,
  settingsOf,
  sliceOf,
  stateOf,
  entryOf,
  type AnyObject,
} from './builders.ts';
import { compiled } from './core.ts';
import { meshTable } from './dataplane-harness.ts';
import type { TestEndpoint } from './dataplane-harness.ts';

export type Annotations = Readonly<Record<string, string>>;

export type SettingsMesh = {
  readonly endpoints: readonly TestEndpoint[];
  readonly onService?: Annotations;
  readonly onNamespace?: Annotations;
  /** Of the port of `h1`. */
  readonly appProtocol?: string | undefined;
  /** Other objects of the cluster. */
  readonly others?: readonly AnyObject[];
  /** Policy is as the objects say; else it is off. */
  readonly keepsPolicy?: boolean;
};

export type SettledMesh = { readonly table: RouteTable; readonly problems: readonly Problem[] };

/** The table of the annotated service; `previous` as in a worker. */
export function settledMesh(mesh: SettingsMesh, previous?: RouteTable): SettledMesh {
  const { snapshot, node, problems } = compiled(objectsOf(mesh), settingsOf());
  const applied = applyDelta(undefined, diffSnapshot(undefined, snapshot));
  if (applied.kind === 'failure') throw applied.failure;
  const sections = new Map<SectionId, SectionRecord>(applied.snapshot.sections);
  // The listener of the harness, and its open policy.
  const own = meshTable({ endpoints: mesh.endpoints }).sections;
  const policy = mesh.keepsPolicy === true ? [] : ['namespaces'];
  for (const id of ['mesh', ...policy] as SectionId[]) {
    const record = own.get(id);
    if (record !== undefined) sections.set(id, record);
  }
  return { table: compileTable(sections, node, previous), problems };
}

function objectsOf(mesh: SettingsMesh): ClusterState {
  const { endpoints, onService = {}, onNamespace = {}, appProtocol, others = [] } = mesh;
  return stateOf(
    namespaceOf('t', onNamespace),
    podOf('t/client', { addresses: ['127.0.0.1'], serviceAccount: 'client' }),
    ...endpoints.map(({ address }) => podAt(address)),
    ...serviceObjects('h1', endpoints, { annotations: onService, appProtocol }),
    ...others,
  );
}

/** The pod at an address. */
export function podAt(address: string, serviceAccount = 'default'): AnyObject {
  const name = `t/pod-${address.replaceAll('.', '-')}`;
  return podOf(name, { addresses: [address], serviceAccount });
}

export type ServiceSaid = {
  readonly annotations?: Annotations;
  readonly appProtocol?: string | undefined;
};

/** Service `t/<name>`, port 80, and its slices; the pods are others' business. */
export function serviceObjects(
  name: string,
  endpoints: readonly TestEndpoint[],
  { annotations = {}, appProtocol }: ServiceSaid = {},
): readonly AnyObject[] {
  const meta = metaOf(`t/${name}`, { annotations: new Map(Object.entries(annotations)) });
  return [
    serviceOf(`t/${name}`, { meta, ports: [portOf(80, { appProtocol })] }),
    ...endpoints.map(({ address, port }) =>
      sliceOf(`t/${name}`, {
        meta: metaOf(`t/${name}-${address.replaceAll('.', '-')}-${port}`),
        ports: [{ name: '', port, protocol: 'TCP' }],
        endpoints: [entryOf(address)],
      }),
    ),
  ];
}
