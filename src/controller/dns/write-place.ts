// Writes one change of a DNS ConfigMap: a merge patch that is valid only for the version that was
// read (a conflict is somebody else's edit: read and decide again), under a field owner of our own.
import { resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { DnsChange } from './plan-dns.ts';
import { configMapPath } from './read-dns.ts';
import type { ConfigMapId } from './read-dns.ts';

const owner = { fieldManager: 'weft-dns' };
/** A ConfigMap with it was made by us, and goes when nothing else is in it. */
export const madeByUs = { key: 'app.kubernetes.io/managed-by', value: 'weft-controller' };

/** Throws KubeFailure; `Conflict` or `AlreadyExists` when the object is another by now. */
export async function writeChange(
  connection: Connection,
  id: ConfigMapId,
  change: DnsChange,
): Promise<void> {
  const { data, annotations, resourceVersion } = change;
  if (resourceVersion === undefined) {
    await connection.create(collectionOf(id), newConfigMap(id, change), owner);
    return;
  }
  const metadata = { resourceVersion, ...(annotations === undefined ? {} : { annotations }) };
  const patch = { kind: 'merge', body: { metadata, data } } as const;
  await connection.patch(configMapPath(id), patch, owner);
}

function collectionOf({ namespace }: ConfigMapId): string {
  return resourcePath({ group: '', version: 'v1', plural: 'configmaps', namespace });
}

function newConfigMap({ namespace, name }: ConfigMapId, { data, annotations = {} }: DnsChange) {
  const labels = { [madeByUs.key]: madeByUs.value };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name, labels, annotations: withoutNull(annotations) },
    data: withoutNull(data),
  };
}

function withoutNull(texts: Readonly<Record<string, string | null>>) {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== null));
}
