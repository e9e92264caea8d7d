// What an installation leaves in a cluster, looked for after it was removed: by our labels and
// names, and by our markers in the cluster's DNS. CRDs stay unless they were asked to go, since
// users' objects go with them.
import { resourcePath, type Connection } from '../../kube/index.ts';
import { failed, ok, type Finding } from './finding.ts';
import { clusterKinds, crdPath, ourIdentity } from './our-objects.ts';
import { nameOf, orNothing, readAll } from './read-cluster.ts';

export type Remains = {
  readonly meshNamespace: string;
  /** `ClusterRole weft-proxy`; all that should be gone. */
  readonly objects: readonly string[];
  /** Names of CRDs that are ours to leave. */
  readonly crds: readonly string[];
};

const core = { group: '', version: 'v1' };
/** What the lines that we write into the cluster's DNS bear. */
const dnsMarks = ['weft:begin', 'weft.dev/stub-domains'];

export async function readRemains(connection: Connection, meshNamespace: string): Promise<Remains> {
  const objects: string[] = [];
  for (const { kind, path } of clusterKinds) {
    const found = await readAll(connection, path, ourIdentity);
    objects.push(...found.flatMap((one) => (one === undefined ? [] : [`${kind} ${one.name}`])));
  }
  for (const name of [meshNamespace, 'weft-check']) {
    const path = resourcePath({ ...core, plural: 'namespaces', name });
    if ((await orNothing(connection.get(path))) !== undefined) objects.push(`Namespace ${name}`);
  }
  objects.push(...(await readMarkedConfigMaps(connection)));
  const crds = await readAll(connection, crdPath, nameOf);
  return { meshNamespace, objects, crds: crds.filter((name) => name.endsWith('.smi-spec.io')) };
}

/** The DNS of a cluster is in kube-system; our markers name us. */
async function readMarkedConfigMaps(connection: Connection): Promise<readonly string[]> {
  const path = { ...core, plural: 'configmaps', namespace: 'kube-system' };
  const marked = await readAll(connection, path, (object) => {
    const text = JSON.stringify(object);
    return dnsMarks.some((mark) => text.includes(mark)) ? nameOf(object) : '';
  });
  return marked.flatMap((name) => (name === '' ? [] : [`lines of ours in ConfigMap ${name}`]));
}

export function remainsFindings({ objects, crds }: Remains): readonly Finding[] {
  const findings = objects.map((what) =>
    failed('removed', `${what} is still there`, 'weft uninstall removes it'),
  );
  if (findings.length === 0) findings.push(ok('removed', 'nothing of the mesh is left'));
  if (crds.length === 0) return [...findings, ok('crds', 'no CRDs of SMI are installed')];
  const message = `${crds.length} CRDs of SMI stay, with the objects of users`;
  return [...findings, ok('crds', `${message} (weft uninstall --crds removes both)`)];
}
