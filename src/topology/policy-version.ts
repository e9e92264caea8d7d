// The hash of what users wrote (contract §2, status conditions): two builds that read the same
// objects say the same word even when they compile them differently, so a controller can tell that
// a proxy has seen a change. Pods and endpoints take no part: they change without anybody's will.
import type { ClusterState, Namespace, ObjectMeta, Service } from '../api/index.ts';
import { emptyPart, partHash, withLines, type HashedPart } from '../lib/hash.ts';
import { byKey, withKeysInOrder } from '../lib/order.ts';
import type { PolicyVersion } from './topology.ts';

/**
 * Hash over kind, namespace, name, uid and what identifies the content of each input, one kind
 * after the other: `previous` spares those before the first that changed, and changes no value.
 */
export function policyVersionOf(
  state: ClusterState,
  previous: PolicyVersion | undefined,
): PolicyVersion {
  const steps: Step[] = [];
  let part = emptyPart();
  let known = previous?.steps ?? [];
  for (const { objects, append } of inputsOf(state)) {
    const before = known[steps.length];
    const isAsBefore = before?.objects === objects;
    if (!isAsBefore) known = [];
    part = isAsBefore ? before.part : append(part);
    steps.push({ objects, part });
  }
  return { value: partHash(part), steps };
}

type Step = PolicyVersion['steps'][number];

/** Objects of one kind, and how their lines follow those of the kinds before. */
type Input = {
  readonly objects: ReadonlyMap<string, unknown>;
  readonly append: (before: HashedPart) => HashedPart;
};

/** All that decides the version; what changes most comes last. */
function inputsOf(state: ClusterState): readonly Input[] {
  return [
    linesOf(state.services, serviceLine),
    linesOf(state.namespaces, namespaceLine),
    linesOf<SmiObject>(state.trafficTargets, smiLine),
    linesOf<SmiObject>(state.httpRouteGroups, smiLine),
    linesOf<SmiObject>(state.tcpRoutes, smiLine),
    linesOf<SmiObject>(state.udpRoutes, smiLine),
    linesOf<SmiObject>(state.trafficSplits, smiLine),
  ];
}

/** By the keys of the objects: they are short, and mostly in order. */
function linesOf<T>(objects: ReadonlyMap<string, T>, lineOf: (object: T) => string): Input {
  const append = (before: HashedPart): HashedPart =>
    withLines(before, withKeysInOrder(objects).values(), lineOf);
  return { objects, append };
}

type SmiObject = { readonly kind: string; readonly meta: ObjectMeta };

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
