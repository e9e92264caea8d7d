// What the cases ask of the cluster again and again: nodes, pods of ours, that a roll-out is over,
// and the commands that only a cluster kit has (a node's power cut).
import { spawn } from 'node:child_process';
import { ended, kubectl, kubectlJson } from './kubectl.ts';
import { until } from './until.ts';

export const meshNamespace = 'weft-system';

type List<T> = { readonly items: readonly T[] };

export type Pod = {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly containerID?: string;
    }[];
  };
};

export async function nodeNames(): Promise<readonly string[]> {
  type Node = { readonly metadata: { readonly name: string } };
  const { items } = await kubectlJson<List<Node>>(['get', 'nodes']);
  return items.map(({ metadata }) => metadata.name).sort();
}

export async function podsOf(namespace: string, selector: string): Promise<readonly Pod[]> {
  const { items } = await kubectlJson<List<Pod>>(['-n', namespace, 'get', 'pods', '-l', selector]);
  return items;
}

export const proxySelector = 'app.kubernetes.io/name=weft,app.kubernetes.io/component=proxy';

export function isReady({ metadata, status }: Pod): boolean {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  return metadata.deletionTimestamp === undefined && ready?.status === 'True';
}

/** The proxy of each node, ready; waits until there is one everywhere and no other pod. */
export async function proxies(timeoutMs = 60_000): Promise<ReadonlyMap<string, Pod>> {
  const nodes = await nodeNames();
  return until(
    'one ready proxy on every node',
    async () => {
      const pods = await podsOf(meshNamespace, proxySelector);
      const ready = pods.filter(isReady);
      if (pods.length !== nodes.length || ready.length !== nodes.length) return undefined;
      return new Map(ready.map((pod) => [pod.spec.nodeName, pod]));
    },
    timeoutMs,
  );
}

export async function rolledOut(
  namespace: string,
  what: string,
  timeoutMs = 120_000,
): Promise<void> {
  const args = ['-n', namespace, 'rollout', 'status', what, `--timeout=${timeoutMs / 1_000}s`];
  await kubectl(args, { timeoutMs: timeoutMs + 10_000 });
}

/** All Deployments of a namespace are as they should be. */
export async function allRolledOut(namespace: string): Promise<void> {
  const names = (await kubectl(['-n', namespace, 'get', 'deploy', '-o', 'name'])).split('\n');
  await Promise.all(names.filter(Boolean).map((name) => rolledOut(namespace, name)));
}

/** A command of the kit: the only way to break a node. */
export async function kit(args: readonly string[], timeoutMs = 120_000): Promise<string> {
  const home = process.env['WEFT_CLUSTER_KIT'];
  if (home === undefined) throw new Error('this case needs WEFT_CLUSTER_KIT: it breaks nodes');
  const child = spawn(`${home}/cluster`, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end();
  const { status, stdout, stderr } = await ended(child, `cluster ${args.join(' ')}`, { timeoutMs });
  if (status !== 0) throw new Error(`cluster ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

/** SIGKILL from outside: process 1 of a container cannot be killed from within. */
export async function killContainer(namespace: string, pod: string): Promise<void> {
  const { spec, status } = await kubectlJson<Pod>(['-n', namespace, 'get', 'pod', pod]);
  const id = status.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? '';
  const kill = ['ctr', '-n', 'k8s.io', 'tasks', 'kill', '-s', 'SIGKILL', id];
  await kit(['exec', spec.nodeName, '--', ...kill]);
}

/** The node of the one pod of a client. */
export async function nodeOf(namespace: string, app: string): Promise<string> {
  const [pod] = await podsOf(namespace, `app=${app}`);
  if (pod === undefined) throw new Error(`no pod of ${namespace}/${app}`);
  return pod.spec.nodeName;
}
