// What the demo reads back from the API server, as anybody with kubectl could: whether the mesh is
// installed and ready, the split's weights, the port of mesh names, and what the controller says of
// users' objects.
import { kubeReason, resourcePath, type Connection, type ResourcePath } from '../../kube/index.ts';
import {
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  objectAt,
  textAt,
  type JsonObject,
} from '../server/json.ts';
import { meshNamespace } from './production.ts';

const apps = { group: 'apps', version: 'v1', namespace: meshNamespace };
const split = { group: 'split.smi-spec.io', version: 'v1alpha4', plural: 'trafficsplits' };
const specs = { group: 'specs.smi-spec.io', version: 'v1alpha4' };
const smiKinds: readonly (readonly [kind: string, path: ResourcePath])[] = [
  ['TrafficSplit', split],
  [
    'TrafficTarget',
    { group: 'access.smi-spec.io', version: 'v1alpha3', plural: 'traffictargets' },
  ],
  ['HTTPRouteGroup', { ...specs, plural: 'httproutegroups' }],
  ['TCPRoute', { ...specs, plural: 'tcproutes' }],
  ['UDPRoute', { ...specs, plural: 'udproutes' }],
];

/** `undefined` when there is none: users of the demo may delete what they like. */
async function find(
  connection: Connection,
  path: ResourcePath,
): Promise<JsonObject | undefined> {
  try {
    // What the server answers is a JSON object.
    return (await connection.get(resourcePath(path))) as JsonObject;
  } catch (error) {
    if (kubeReason(error) === 'NotFound') return undefined;
    throw error;
  }
}

/** Every node has a proxy that is ready, and a controller is. */
export async function isMeshReady(connection: Connection): Promise<boolean> {
  const set = await find(connection, { ...apps, plural: 'daemonsets', name: 'weft-proxy' });
  const { desiredNumberScheduled: wanted, numberReady } = objectAt(set, 'status');
  if (wanted === undefined || wanted !== numberReady) return false;
  const path = { ...apps, plural: 'deployments', name: 'weft-controller' };
  const deployment = await find(connection, path);
  return (numberAt(deployment, 'status', 'readyReplicas') ?? 0) > 0;
}

/** Backend → weight of the split as it is on the API server now. */
export async function readWeights(connection: Connection): Promise<ReadonlyMap<string, number>> {
  const found = await find(connection, { ...split, namespace: 'shop', name: 'reviews' });
  const backends = listAt(found, 'spec', 'backends');
  return new Map(
    backends.map((one) => [textAt(one, 'service') ?? '', numberAt(one, 'weight') ?? 0]),
  );
}

/** Where the proxies serve port 80 of mesh names. */
export async function readMeshPort(connection: Connection): Promise<number> {
  const path = { group: '', version: 'v1', plural: 'services', namespace: meshNamespace };
  const service = await find(connection, { ...path, name: 'weft-http' });
  const port = listAt(service, 'spec', 'ports').find((one) => numberAt(one, 'port') === 80);
  return numberAt(port, 'targetPort') ?? 0;
}

/** SMI objects that are not in force on every node in the generation that they have, and why. */
export async function readPending(connection: Connection): Promise<readonly string[]> {
  const pending = await Promise.all(
    smiKinds.map(async ([kind, collection]) => {
      const list = await find(connection, collection);
      return listAt(list, 'items').flatMap((item) => {
        const object = item as JsonObject; // an item of a list is an object
        const why = whyPending(object);
        const path = `${namespaceOf(object)}/${nameOf(object)}`;
        return why === undefined ? [] : [`${kind} ${path}: ${why}`];
      });
    }),
  );
  return pending.flat();
}

function whyPending(object: JsonObject): string | undefined {
  const found = listAt(object, 'status', 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Programmed',
  );
  const generation = numberAt(object, 'metadata', 'generation');
  if (found === undefined || numberAt(found, 'observedGeneration') !== generation) {
    return 'nothing is said of it yet';
  }
  if (textAt(found, 'status') === 'True') return undefined;
  return textAt(found, 'message') ?? textAt(found, 'reason') ?? 'not programmed';
}
