// The hash of what users wrote (contract §2, status conditions): two builds that read the same
// objects say the same word even when they compile them differently, so a controller can tell that
// a proxy has seen a change. Pods and endpoints take no part: they change without anybody's will.
import type { ClusterState, Namespace, ObjectMeta, Service } from '../api/index.ts';
import { contentHash } from '../lib/hash.ts';
import { byKey, sortedKeys } from '../lib/order.ts';

/** Hash over kind, namespace, name, uid and what identifies the content of each input. */
export function policyVersionOf(state: ClusterState): string {
  const lines: string[] = [];
  addLines(lines, state.services, serviceLine);
  addLines(lines, state.namespaces, namespaceLine);
  for (const objects of smiObjects(state)) addLines(lines, objects, smiLine);
  // The last line ends, too.
  lines.push('');
  return contentHash(lines.join('\n'));
}

/** Lines by the keys of their objects, one kind at a time: keys are short, and sort fast. */
function addLines<T>(
  lines: string[],
  objects: ReadonlyMap<string, T>,
  lineOf: (object: T) => string,
): void {
  for (const key of sortedKeys(objects)) {
    const object = objects.get(key);
    if (object !== undefined) lines.push(lineOf(object));
  }
}

/** The maps that decide the version; unchanged maps mean an unchanged version. */
export function policyInputs(state: ClusterState): readonly object[] {
  return [state.services, state.namespaces, ...smiObjects(state)];
}

type SmiObject = { readonly kind: string; readonly meta: ObjectMeta };
type SmiObjects = ReadonlyMap<string, SmiObject>;

function smiObjects(state: ClusterState): readonly SmiObjects[] {
  return [
    state.trafficTargets,
    state.httpRouteGroups,
    state.tcpRoutes,
    state.udpRoutes,
    state.trafficSplits,
  ];
}

function smiLine({ kind, meta }: SmiObject): string {
  return `${identityOf(kind, meta)} ${meta.generation}`;
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
