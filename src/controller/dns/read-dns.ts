// What there is of the cluster's DNS: the few ConfigMaps by their names, the Deployments that tell
// which of them is in use, and whether an operator owns them all. Read one by one, so that the
// controller needs no right to list ConfigMaps. It judges nothing.
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import { textAt, valueAt } from '../raw-object.ts';

export type ConfigMapId = { readonly namespace: string; readonly name: string };

export type ConfigMapFacts =
  | { readonly kind: 'absent' }
  | { readonly kind: 'forbidden'; readonly why: string }
  | {
      readonly kind: 'present';
      readonly resourceVersion: string;
      readonly data: ReadonlyMap<string, string>;
      readonly annotations: ReadonlyMap<string, string>;
      readonly labels: ReadonlyMap<string, string>;
    };

export type DnsFacts = {
  readonly coredns: ConfigMapFacts;
  /** RKE2's Helm chart has names of its own. */
  readonly rke2: ConfigMapFacts;
  /** Imported by the Corefile on AKS, k3s, DigitalOcean, Gardener. */
  readonly custom: ConfigMapFacts;
  readonly kubeDns: ConfigMapFacts;
  readonly nodeLocal: ConfigMapFacts;
  /** Written by OpenShift's DNS operator, which takes no edits. */
  readonly openshift: ConfigMapFacts;
  /** Deployments of `kube-system` among those of DNS; empty when they may not be read. */
  readonly deployments: ReadonlySet<string>;
};

const inKubeSystem = (name: string): ConfigMapId => ({ namespace: 'kube-system', name });

export const dnsConfigMaps = {
  coredns: inKubeSystem('coredns'),
  rke2: inKubeSystem('rke2-coredns-rke2-coredns'),
  custom: inKubeSystem('coredns-custom'),
  kubeDns: inKubeSystem('kube-dns'),
  nodeLocal: inKubeSystem('node-local-dns'),
  openshift: { namespace: 'openshift-dns', name: 'dns-default' },
} as const;

const deploymentNames = ['coredns', 'rke2-coredns-rke2-coredns', 'kube-dns'];

export async function readDnsFacts(connection: Connection): Promise<DnsFacts> {
  const maps = dnsConfigMaps;
  const [coredns, rke2, custom, kubeDns, nodeLocal, openshift, deployments] = await Promise.all([
    readConfigMap(connection, maps.coredns),
    readConfigMap(connection, maps.rke2),
    readConfigMap(connection, maps.custom),
    readConfigMap(connection, maps.kubeDns),
    readConfigMap(connection, maps.nodeLocal),
    readConfigMap(connection, maps.openshift),
    readDeployments(connection),
  ]);
  return { coredns, rke2, custom, kubeDns, nodeLocal, openshift, deployments };
}

export function configMapPath({ namespace, name }: ConfigMapId): string {
  return resourcePath({ group: '', version: 'v1', plural: 'configmaps', namespace, name });
}

export async function readConfigMap(
  connection: Connection,
  id: ConfigMapId,
): Promise<ConfigMapFacts> {
  try {
    const object = await connection.get(configMapPath(id));
    return {
      kind: 'present',
      resourceVersion: textAt(object, 'metadata', 'resourceVersion') ?? '',
      data: textsOf(valueAt(object, 'data')),
      annotations: textsOf(valueAt(object, 'metadata', 'annotations')),
      labels: textsOf(valueAt(object, 'metadata', 'labels')),
    };
  } catch (error) {
    const reason = kubeReason(error);
    if (reason === 'NotFound') return { kind: 'absent' };
    if (reason === 'Forbidden') return { kind: 'forbidden', why: String(error) };
    throw error;
  }
}

async function readDeployments(connection: Connection): Promise<ReadonlySet<string>> {
  const found = await Promise.all(
    deploymentNames.map((name) => existingDeployment(connection, name)),
  );
  return new Set(found.flat());
}

async function existingDeployment(connection: Connection, name: string) {
  const kind = { group: 'apps', version: 'v1', plural: 'deployments', namespace: 'kube-system' };
  try {
    await connection.get(resourcePath({ ...kind, name }));
    return [name];
  } catch (error) {
    const reason = kubeReason(error);
    // Only evidence: the ConfigMaps decide where there is none.
    if (reason === 'NotFound' || reason === 'Forbidden') return [];
    throw error;
  }
}

function textsOf(value: unknown): ReadonlyMap<string, string> {
  const entries = Object.entries(value ?? {}) as readonly (readonly [string, unknown])[];
  return new Map(entries.flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])));
}
