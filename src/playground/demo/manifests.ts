// Manifests from files to objects on the API server: what `kubectl apply` would do, by server-side
// apply, in an order in which definitions and namespaces come first.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { resourcePath, type Connection } from '../../kube/index.ts';
import {
  isObject,
  nameOf,
  namespaceOf,
  objectAt,
  textAt,
  type Json,
  type JsonObject,
} from '../server/json.ts';

/** Who applies; `kubectl apply --server-side` takes over from it without a conflict when forced. */
const fieldOwner = 'weft-demo';

/**
 * Every object of the YAML files in a folder, or of one file; of these kinds alone where they are
 * given: a definition takes longer to parse than the demo has to start.
 */
export function readManifests(path: string, kinds?: readonly string[]): readonly JsonObject[] {
  const files = path.endsWith('.yaml')
    ? [path]
    : readdirSync(path)
        .filter((name) => name.endsWith('.yaml'))
        .sort()
        .map((name) => join(path, name));
  return files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return documents(kinds === undefined ? text : onlyOf(text, kinds));
  });
}

/** The documents of a file of ours whose line `kind:` names one of these. */
function onlyOf(text: string, kinds: readonly string[]): string {
  const parts = text.split(/^---$/m);
  const isWanted = (part: string): boolean =>
    kinds.includes(/^kind: (\w+)$/m.exec(part)?.[1] ?? '');
  return parts.filter(isWanted).join('\n---\n');
}

function documents(text: string): readonly JsonObject[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    // A YAML document without tags is a JSON tree.
    const tree = document.toJS() as Json;
    return isObject(tree) ? [tree] : [];
  });
}

/** Plurals of the kinds that manifests of the demo hold, and whether they live in a namespace. */
const plurals: ReadonlyMap<string, string> = new Map([
  ['Namespace', 'namespaces'],
  ['Node', 'nodes'],
  ['Pod', 'pods'],
  ['Service', 'services'],
  ['ServiceAccount', 'serviceaccounts'],
  ['ConfigMap', 'configmaps'],
  ['Deployment', 'deployments'],
  ['DaemonSet', 'daemonsets'],
  ['CustomResourceDefinition', 'customresourcedefinitions'],
  ['TrafficSplit', 'trafficsplits'],
  ['TrafficTarget', 'traffictargets'],
  ['HTTPRouteGroup', 'httproutegroups'],
  ['TCPRoute', 'tcproutes'],
  ['UDPRoute', 'udproutes'],
]);

const clusterScoped: ReadonlySet<string> = new Set([
  'Namespace',
  'Node',
  'CustomResourceDefinition',
]);

/** Where an object lives; throws for a kind that the demo does not know. */
function objectPath(object: JsonObject): string {
  const apiVersion = textAt(object, 'apiVersion') ?? '';
  const kind = textAt(object, 'kind') ?? '';
  const plural = plurals.get(kind);
  if (plural === undefined) throw new Error(`the demo knows no kind ${apiVersion} ${kind}`);
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const place = { group: group ?? '', version: version ?? '', plural, name: nameOf(object) };
  if (clusterScoped.has(kind)) return resourcePath(place);
  return resourcePath({ ...place, namespace: namespaceOf(object) });
}

/**
 * As kubectl apply leaves it, so that the user's own `kubectl apply` knows what was applied before.
 */
function remembered(object: JsonObject): JsonObject {
  const metadata = objectAt(object, 'metadata');
  const annotations = objectAt(metadata, 'annotations');
  const applied = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) };
  return { ...object, metadata: { ...metadata, annotations: { ...annotations, ...applied } } };
}

function stage(object: JsonObject): number {
  const kind = textAt(object, 'kind') ?? '';
  return kind === 'CustomResourceDefinition' ? 0 : kind === 'Namespace' ? 1 : 2;
}

/** Applies all; definitions, then namespaces, then the rest at once. */
export async function applyAll(
  connection: Connection,
  objects: readonly JsonObject[],
): Promise<void> {
  for (const due of [0, 1, 2]) {
    const now = objects.filter((object) => stage(object) === due);
    await Promise.all(
      now.map((object) =>
        connection.apply(objectPath(object), remembered(object), {
          force: true,
          owner: fieldOwner,
        }),
      ),
    );
  }
}
