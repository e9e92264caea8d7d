// Brings an installation to the manifests of this program: reads what is there, plans per object
// (merge-plan.ts), and sends what changes, in the order in which things are installed. The
// annotation of `kubectl apply` is kept right, so that both ways of applying can follow each other.
import { resourcePath, type Connection, type ResourcePath } from '../../kube/index.ts';
import { orNothing } from '../check/read-cluster.ts';
import { isMap, type Json, type JsonMap } from '../install/json.ts';
import { pathOf } from '../install/object-path.ts';
import { planMerge, type FieldChange } from './merge-plan.ts';

export type ObjectChange = {
  /** `DaemonSet weft-system/weft-proxy`. */
  readonly what: string;
  readonly kind: 'create' | 'change';
  readonly changes: readonly FieldChange[];
  readonly path: ResourcePath;
  readonly body: JsonMap;
};

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

export async function planUpgrade(
  connection: Connection,
  wanted: readonly JsonMap[],
): Promise<readonly ObjectChange[]> {
  const changes: ObjectChange[] = [];
  for (const object of wanted) {
    const { path, what } = identityOf(object);
    const live = await orNothing(connection.get(resourcePath(path)));
    const change = changeOf(object, live, { path, what });
    if (change !== undefined) changes.push(change);
  }
  return changes;
}

type Identity = { readonly path: ResourcePath; readonly what: string };

function changeOf(
  object: JsonMap,
  live: unknown,
  { path, what }: Identity,
): ObjectChange | undefined {
  const stamped = { [lastApplied]: `${JSON.stringify(object)}\n` };
  if (live === undefined) {
    return { what, kind: 'create', changes: [], path, body: annotated(object, stamped) };
  }
  // What an API server answered is JSON.
  const there = live as JsonMap;
  const plan = planMerge(object, lastAppliedOf(there), there);
  if (plan.changes.length === 0) return undefined;
  return {
    what,
    kind: 'change',
    changes: plan.changes,
    path,
    body: annotated(plan.patch, stamped),
  };
}

function annotated(object: JsonMap, annotations: JsonMap): JsonMap {
  const metadata = mapAt(object, 'metadata');
  const others = mapAt(metadata, 'annotations');
  return {
    ...object,
    metadata: { ...metadata, annotations: { ...others, ...annotations } },
  };
}

/** As the annotation says; of an object that nobody applied nothing is known. */
function lastAppliedOf(live: JsonMap): JsonMap {
  const text = mapAt(mapAt(live, 'metadata'), 'annotations')[lastApplied];
  if (typeof text !== 'string') return {};
  try {
    const last: unknown = JSON.parse(text);
    return isMap(last as Json) ? (last as JsonMap) : {};
  } catch {
    return {};
  }
}

function mapAt(object: JsonMap, key: string): JsonMap {
  const value = object[key];
  return value !== undefined && isMap(value) ? value : {};
}

function identityOf(object: JsonMap): Identity {
  const path = pathOf(object);
  const { name = '', namespace } = path;
  const place = namespace === undefined ? name : `${namespace}/${name}`;
  return { path, what: `${textAt(object, 'kind')} ${place}` };
}

function textAt(object: JsonMap, key: string): string {
  const value = object[key];
  return typeof value === 'string' ? value : '';
}

/** Throws KubeFailure at the first object that is refused; what was sent before stays. */
export async function applyChanges(
  connection: Connection,
  changes: readonly ObjectChange[],
  onProgress: (line: string) => void,
): Promise<void> {
  for (const { what, kind, path, body } of changes) {
    if (kind === 'create') {
      const { name: _, ...collection } = path;
      await connection.create(resourcePath(collection), body);
    } else {
      await connection.patch(resourcePath(path), { kind: 'merge', body });
    }
    onProgress(`${kind === 'create' ? 'created' : 'changed'} ${what}`);
  }
}

/** What people read before they agree. */
export function changesText(changes: readonly ObjectChange[]): string {
  if (changes.length === 0) return 'nothing would change\n';
  const lines = changes.flatMap(({ what, kind, changes: fields }) => [
    `${kind === 'create' ? '+' : '~'} ${what}`,
    ...fields.map(({ path, from, to }) => `    ${path}: ${shown(from)} → ${shown(to)}`),
  ]);
  return `${lines.join('\n')}\n`;
}

const shownMax = 120;

function shown(value: Json | undefined): string {
  if (value === undefined) return '(absent)';
  const text = JSON.stringify(value);
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text;
}
