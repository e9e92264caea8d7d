// What users have, as bytes: every object of every kind that is not ours, so that "nothing else is
// touched" can be compared. Left out is what changes by itself: what only counts (resourceVersion,
// managedFields, status), Leases and Events, and tokens and hashes that controllers renew.
import { kubectl, kubectlJson, type Json } from './kubectl.ts';

/** One text per object, by its name; equal texts are equal objects. */
export type Snapshot = ReadonlyMap<string, string>;

/** Kinds that come and go without anybody's doing, or that are only views of others. */
const restless = /^(events|leases|endpoints|componentstatuses|.*\.metrics\.k8s\.io)(\.|$)/;

type Meta = Json & {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
};
type Item = Json & { readonly kind: string; readonly metadata: Meta };

export type SnapshotOptions = {
  /** Only objects in these namespaces; else all of the cluster. */
  readonly namespaces?: readonly string[];
  /**
   * The mesh is installed: what is its own is left out, and so are the ConfigMaps of the cluster's
   * DNS. Otherwise nothing is, so that whatever of it stays is seen.
   */
  readonly hasMesh: boolean;
};

export async function snapshotOf(options: SnapshotOptions): Promise<Snapshot> {
  const named = await kubectl(['api-resources', '--verbs=list', '-o', 'name']);
  const kinds = named.split('\n').filter((kind) => kind !== '' && !restless.test(kind));
  type List = { readonly items: readonly Item[] };
  const { items } = await kubectlJson<List>(['get', kinds.join(','), '-A']);
  const kept = items.filter((item) => isTheirs(item, options));
  return new Map(kept.map((item) => [nameOf(item), textOf(item)]));
}

function nameOf({ kind, metadata }: Item): string {
  return [kind, metadata.namespace ?? '', metadata.name].join('/');
}

function isTheirs({ kind, metadata }: Item, { namespaces, hasMesh }: SnapshotOptions): boolean {
  const { namespace = '', name, labels = {} } = metadata;
  if (namespaces !== undefined && !namespaces.includes(namespace)) return false;
  if (!hasMesh) return true;
  if (namespace === 'weft-system' || name === 'weft-system') return false;
  if (labels['app.kubernetes.io/name'] === 'weft') return false;
  if (/^(CustomResourceDefinition|APIService)$/.test(kind)) return !name.endsWith('smi-spec.io');
  return !(kind === 'ConfigMap' && namespace === 'kube-system' && /dns/.test(name));
}

function textOf({ metadata, ...rest }: Item): string {
  const counts = ['resourceVersion', 'managedFields', 'generation'];
  const meta = Object.entries(metadata)
    .filter(([field]) => !counts.includes(field))
    .map(([field, value]) => [field, field === 'annotations' ? kept(value as Json) : value])
    .filter(([, value]) => value !== undefined);
  const body = Object.entries(rest)
    .filter(([field]) => field !== 'status')
    .map(([field, value]) => [field, isEndpoints(rest, field) ? steady(value as Json[]) : value]);
  return JSON.stringify([body, meta]);
}

function isEndpoints({ kind }: Json, field: string): boolean {
  return kind === 'EndpointSlice' && field === 'endpoints';
}

/** Without whether they are ready: a kubelet whose probe was late takes that back for a moment. */
function steady(endpoints: readonly Json[]): readonly string[] {
  return endpoints.map(({ conditions: _, ...one }) => JSON.stringify(one)).toSorted();
}

/** Without the time at which a pod was unready for a moment: the endpoints are the same again. */
function kept(annotations: Json): Json | undefined {
  const restlessKey = 'endpoints.kubernetes.io/last-change-trigger-time';
  const others = Object.entries(annotations).filter(([key]) => key !== restlessKey);
  return others.length === 0 ? undefined : Object.fromEntries(others);
}

/** What differs, as lines; empty when nothing does. */
export function differences(before: Snapshot, after: Snapshot): readonly string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is) return [];
    if (was === undefined) return [`${name} is new`];
    return is === undefined ? [`${name} is gone`] : [`${name} was ${was}, is ${is}`];
  });
}
