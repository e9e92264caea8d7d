// The hash of what users wrote (contract §2, status conditions): two builds that read the same
// objects say the same word even when they compile them differently, so a controller can tell that
// a proxy has seen a change. Pods and endpoints take no part: they change without anybody's will.
import type { ClusterState, Namespace, ObjectMeta, Service } from '../api/index.ts';
import { contentHash } from '../lib/hash.ts';
import { byKey, byText } from './problems.ts';

/** Hash over kind, namespace, name, uid and what identifies the content of each input. */
export function policyVersionOf(state: ClusterState): string {
  const lines: string[] = [];
  for (const service of state.services.values()) lines.push(serviceLine(service));
  for (const namespace of state.namespaces.values()) lines.push(namespaceLine(namespace));
  for (const objects of smiObjects(state)) {
    for (const { kind, meta } of objects.values()) {
      lines.push(`${identityOf(kind, meta)} ${meta.generation}`);
    }
  }
  return contentHash(lines.sort(byText).join('\n'));
}

/** The maps that decide the version; unchanged maps mean an unchanged version. */
export function policyInputs(state: ClusterState): readonly object[] {
  return [state.services, state.namespaces, ...smiObjects(state)];
}

type SmiObjects = ReadonlyMap<string, { readonly kind: string; readonly meta: ObjectMeta }>;

function smiObjects(state: ClusterState): readonly SmiObjects[] {
  return [
    state.trafficTargets,
    state.httpRouteGroups,
    state.tcpRoutes,
    state.udpRoutes,
    state.trafficSplits,
  ];
}

function identityOf(kind: string, { namespace, name, uid }: ObjectMeta): string {
  return `${kind} ${namespace}/${name} ${uid}`;
}

/** Services and Namespaces have no generation that counts: their content stands for it. */
function serviceLine(service: Service): string {
  const { kind, meta, type, clusterIps, isHeadless, hasSelector } = service;
  let line = `${identityOf(kind, meta)} ${type} ${clusterIps.join(',')}`;
  line += ` ${isHeadless} ${hasSelector}`;
  for (const { name, port, protocol, appProtocol, targetPort } of service.ports) {
    line += ` ${name}:${port}/${protocol}:${appProtocol ?? ''}:${targetPort}`;
  }
  return line + marksOf(meta);
}

function namespaceLine({ kind, meta }: Namespace): string {
  return identityOf(kind, meta) + marksOf(meta);
}

/** Our labels and annotations; what other tools write is none of our inputs. */
function marksOf(meta: ObjectMeta): string {
  if (meta.labels.size === 0 && meta.annotations.size === 0) return '';
  const labels = [...meta.labels].filter(([key]) => key.startsWith('weft.dev/')).sort(byKey);
  return ` ${JSON.stringify([labels, [...meta.annotations].sort(byKey)])}`;
}
