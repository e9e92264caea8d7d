// Reads what NetworkPolicies are judged by: policies, pods with their labels and ports, Services
// and slices of the mesh, namespaces, nodes; each pruned as it arrives. IO without judgement.
// Settings of the mesh are read from its DaemonSet, so that what counts as meshed and as enforcing
// is what the proxies think.
import {
  meshSettingsOf,
  parsers,
  readNetworkPolicy,
  resolveFlags,
  type MeshSettings,
} from '../../api/index.ts';
import { resourcePath, type Connection } from '../../kube/index.ts';
import { listAt, textAt } from '../../lib/raw-object.ts';
import { orNothing, readAll } from '../check/read-cluster.ts';
import { backendsOf, joinView, namespaceOf, placeOf } from './policy-objects.ts';
import type { PolicyView } from './policy-view.ts';

const core = { group: '', version: 'v1' };
const networking = { group: 'networking.k8s.io', version: 'v1', plural: 'networkpolicies' };
const discovery = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' };

export async function readPolicyView(
  connection: Connection,
  meshNamespace: string,
): Promise<PolicyView> {
  const settings = await readSettings(connection, meshNamespace);
  const read = <T>(plural: string, take: (object: unknown) => T) =>
    readAll(connection, { ...core, plural }, take);
  return joinView(settings, {
    namespaces: await read('namespaces', namespaceOf),
    places: await read('pods', placeOf),
    nodes: await read('nodes', (one) => parsers.Node(one).value),
    services: await read('services', (one) => parsers.Service(one).value),
    backends: (await readAll(connection, discovery, backendsOf)).flat(),
    policies: await readAll(connection, networking, readNetworkPolicy),
  });
}

/** What the proxies of an installation were told. */
export async function readSettings(
  connection: Connection,
  meshNamespace: string,
): Promise<MeshSettings> {
  const path = { group: 'apps', version: 'v1', plural: 'daemonsets', namespace: meshNamespace };
  const daemonSet = await orNothing(connection.get(resourcePath({ ...path, name: 'weft-proxy' })));
  const [container] = listAt(daemonSet, 'spec', 'template', 'spec', 'containers');
  const entries = listAt(container, 'env').flatMap((one): readonly [string, string][] => {
    const [name, value] = [textAt(one, 'name'), textAt(one, 'value')];
    return name === undefined || value === undefined ? [] : [[name, value]];
  });
  const given = new Map([['mesh-namespace', [meshNamespace]]]);
  const values = resolveFlags('controller', given, Object.fromEntries(entries));
  // Flags of another release: what this one knows by itself is the nearest.
  if ('complaint' in values) return settingsWithout(meshNamespace);
  return meshSettingsOf(values);
}

function settingsWithout(meshNamespace: string): MeshSettings {
  return meshSettingsOf(new Map([['mesh-namespace', [meshNamespace]]]));
}
