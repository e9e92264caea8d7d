// The hash of what users wrote (contract §2, status conditions): two builds that read the same
// objects say the same word even when they compile them differently, so a controller can tell that
// a proxy has seen a change. Pods and endpoints take no part: they change without anybody's will.
import type { ClusterState, Namespace, ObjectMeta, Service } from '../api/index.ts';
import { emptyPart, partHash, withLines, type HashedPart } from '../lib/hash.ts';
import { byKey, withKeysInOrder } from '../lib/order.ts';
import type { PolicyVersion } from './topology.ts';

/**
 * Hash over kind, key, uid and what identifies the content of each input, one kind after the
 * other: `previous` spares those before the first that changed, and changes no value.
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
    linesOf('Service ', state.services, serviceContent),
    // They are in no namespace.
    linesOf('Namespace /', state.namespaces, namespaceContent),
    linesOf('TrafficTarget ', state.trafficTargets, generationOf),
    linesOf('HTTPRouteGroup ', state.httpRouteGroups, generationOf),
    linesOf('TCPRoute ', state.tcpRoutes, generationOf),
    linesOf('UDPRoute ', state.udpRoutes, generationOf),
    linesOf('TrafficSplit ', state.trafficSplits, generationOf),
  ];
}

type AnyObject = { readonly meta: ObjectMeta };

/**
 * Kind, key, uid and content of each object, by their keys. A line is put together from as few
 * texts as it can be: writing them one after the other is what takes the time.
 */
function linesOf<T extends AnyObject>(
  start: string,
  objects: ReadonlyMap<string, T>,
  contentOf: (object: T) => string,
): Input {
  const lineOf = ([key, object]: readonly [string, T]): string =>
    `${start}${key} ${object.meta.uid}${contentOf(object)}`;
  const append = (before: HashedPart): HashedPart =>
    withLines(before, withKeysInOrder(objects), lineOf);
  return { objects, append };
}

function generationOf({ meta }: AnyObject): string {
  return ` ${meta.generation}\n`;
}

/** Services and Namespaces have no generation that counts: their content stands for it. */
function serviceContent(service: Service): string {
  const { meta, type, clusterIps, isHeadless, hasSelector } = service;
  let content = ` ${type} ${clusterIps.join(',')} ${isHeadless} ${hasSelector}`;
  for (const { name, port, protocol, appProtocol, targetPort } of service.ports) {
    content += ` ${name}:${port}/${protocol}:${appProtocol ?? ''}:${targetPort}`;
  }
  return `${content}${marksOf(meta)}\n`;
}

function namespaceContent({ meta }: Namespace): string {
  return `${marksOf(meta)}\n`;
}

/** Our labels and annotations; what other tools write is none of our inputs. */
function marksOf(meta: ObjectMeta): string {
  if (meta.labels.size === 0 && meta.annotations.size === 0) return '';
  const labels = [...meta.labels].filter(([key]) => key.startsWith('weft.dev/')).sort(byKey);
  return ` ${JSON.stringify([labels, [...meta.annotations].sort(byKey)])}`;
}
