// What an installation leaves in a cluster, looked for after it was removed: by our labels and
// names, and by our markers in the cluster's DNS. CRDs stay unless they were asked to go, since
// users' objects go with them.
import { resourcePath, type Connection } from '../../kube/index.ts';
import { failed, ok, type Finding } from './finding.ts';
import {
  clusterKinds,
  ourIdentity,
  readDefinitions,
  readRequests,
  requestsText,
  type SmiDefinition,
} from './our-objects.ts';
import { nameOf, orNothing, readAll } from './read-cluster.ts';

export type Remains = {
  readonly meshNamespace: string;
  /** `ClusterRole weft-proxy`; all that should be gone. */
  readonly objects: readonly string[];
  /** Of SMI; ours to leave, and others'. */
  readonly crds: readonly SmiDefinition[];
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
  const requests = await readRequests(connection);
  if (requests.length > 0) objects.push(requestsText(requests));
  return { meshNamespace, objects, crds: await readDefinitions(connection) };
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
    failed('removed', `still there: ${what}`, 'weft uninstall removes it'),
  );
  if (findings.length === 0) findings.push(ok('removed', 'nothing of the mesh is left'));
  if (crds.length === 0) return [...findings, ok('crds', 'no CRDs of SMI are installed')];
  const ours = crds.filter(({ isOurs }) => isOurs).length;
  if (ours > 0) {
    const message = `${ours} CRDs of SMI stay, with the objects of users`;
    findings.push(ok('crds', `${message} (weft uninstall --crds removes both)`));
  }
  const others = crds.filter(({ isOurs }) => !isOurs).map(({ name }) => name);
  if (others.length > 0) {
    findings.push(ok('crds', `CRDs of SMI that weft did not install: ${others.join(', ')}`));
  }
  return findings;
}
