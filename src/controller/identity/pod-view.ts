// Pods as the judgement asks for them: those of the cluster's watch, indexed once for each state of
// it, or those that the API server itself names for one request. A denial is never built on the
// watch, which may be behind.
import { parsers } from '../../api/index.ts';
import type { ClusterState, Pod } from '../../api/index.ts';
import type { PodView, RequestJudgement } from '../../identity/control.ts';
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import { listAt } from '../raw-object.ts';

type Pods = ClusterState['pods'];
export type KeyOwners = PodView['keyOwners'];
export type LookLive = Extract<RequestJudgement, { readonly kind: 'look-live' }>;

const core = { group: '', version: 'v1', plural: 'pods' };

/** Lives as long as the controller. */
export class WatchedPods {
  readonly #read: () => Pods;
  #pods: Pods | undefined;
  #byPlace = new Map<string, Pod[]>();

  constructor(read: () => Pods) {
    this.#read = read;
  }

  view(keyOwners: KeyOwners): PodView {
    const pods = this.#read();
    if (pods !== this.#pods) this.#index(pods);
    const byPlace = this.#byPlace;
    return {
      isLive: false,
      podNamed: (namespace, name) => pods.get(`${namespace}/${name}`),
      podsOn: (nodeName, namespace) => byPlace.get(`${nodeName}/${namespace}`) ?? [],
      keyOwners,
    };
  }

  #index(pods: Pods): void {
    const byPlace = new Map<string, Pod[]>();
    for (const pod of pods.values()) {
      const place = `${pod.nodeName}/${pod.meta.namespace}`;
      const list = byPlace.get(place);
      if (list === undefined) byPlace.set(place, [pod]);
      else list.push(pod);
    }
    this.#pods = pods;
    this.#byPlace = byPlace;
  }
}

/** The requester's pod and those that could bear out its claim, read now; throws KubeFailure. */
export async function livePods(
  connection: Connection,
  look: LookLive,
  keyOwners: KeyOwners,
): Promise<PodView> {
  const { requester, namespace } = look;
  const proxy = await readPod(connection, requester);
  const nodeName = look.nodeName ?? proxy?.nodeName ?? '';
  const pods = nodeName === '' ? [] : await readPodsOn(connection, nodeName, namespace);
  return {
    isLive: true,
    podNamed: (inNamespace, name) =>
      inNamespace === requester.namespace && name === requester.name ? proxy : undefined,
    podsOn: (node, inNamespace) => (node === nodeName && inNamespace === namespace ? pods : []),
    keyOwners,
  };
}

/** `undefined`: the API server knows no such pod. */
export async function readPod(
  connection: Connection,
  { namespace, name }: LookLive['requester'],
): Promise<Pod | undefined> {
  try {
    return parsers.Pod(await connection.get(resourcePath({ ...core, namespace, name }))).value;
  } catch (error) {
    if (kubeReason(error) === 'NotFound') return undefined;
    throw error;
  }
}

/** A kubelet runs a few hundred pods at most: one page. */
async function readPodsOn(
  connection: Connection,
  nodeName: string,
  namespace: string,
): Promise<readonly Pod[]> {
  const list = await connection.get(resourcePath({ ...core, namespace }), {
    fieldSelector: `spec.nodeName=${nodeName}`,
  });
  return listAt(list, 'items').flatMap((item) => {
    // Items of a list carry no kind of their own.
    const pod = parsers.Pod(item).value;
    return pod === undefined ? [] : [pod];
  });
}
