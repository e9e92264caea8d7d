// The probe of `weft check`: two small pods on each node, in a namespace of their own that is
// removed again. One answers, one calls: the pod of its node by its address (is the caller's
// address kept?) and, where a mesh is installed, all of them by a mesh name (DNS → proxy → pod).
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { listAt, textAt } from '../../lib/raw-object.ts';
import { poll } from '../poll.ts';
import type { ProbeFacts, Said } from './probe-facts.ts';
import { orNothing, readAll } from './read-cluster.ts';

export type ProbePlan = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly image: string;
  readonly nodes: readonly string[];
  /** Canonical mesh domain; `undefined` before the installation. */
  readonly meshDomain: string | undefined;
  /** Called with one line for people who wait. */
  readonly onProgress: (line: string) => void;
};

const namespace = 'weft-check';
const port = 8080;
/** An image may have to be pulled on every node. */
const podDeadlineMs = 90_000;
const core = { group: '', version: 'v1' };
const podsPath = { ...core, plural: 'pods', namespace };

/** What the callers said. A node is missing when its pods did not run in time. */
export async function runProbe(plan: ProbePlan): Promise<ProbeFacts> {
  const said = new Map<string, readonly Said[]>();
  const callers = new Map<string, string>();
  try {
    await prepare(plan);
    plan.onProgress(`probe: waits for a pod on each of ${plan.nodes.length} nodes`);
    const addresses = await startServers(plan);
    plan.onProgress('probe: calls');
    await startCallers(plan, addresses);
    const ended = await waitForPods(plan, 'caller', (pod) => phaseOf(pod) === 'Succeeded');
    for (const pod of ended) {
      const node = textAt(pod, 'spec', 'nodeName') ?? '';
      said.set(node, linesOf(pod));
      callers.set(node, textAt(pod, 'status', 'podIP') ?? '');
    }
    return { nodes: plan.nodes, said, callers, asksMesh: plan.meshDomain !== undefined };
  } finally {
    await removeNamespace(plan.connection);
  }
}

/** Removes what a probe that was killed has left; `false` when there was nothing. */
async function removeNamespace(connection: Connection): Promise<boolean> {
  const path = resourcePath({ ...core, plural: 'namespaces', name: namespace });
  return (await orNothing(connection.remove(path))) !== undefined;
}

async function prepare({ connection, runtime }: ProbePlan): Promise<void> {
  const path = resourcePath({ ...core, plural: 'namespaces', name: namespace });
  if (await removeNamespace(connection)) {
    await poll(
      runtime,
      podDeadlineMs,
      async () => (await orNothing(connection.get(path))) === undefined,
    );
  }
  await connection.create(resourcePath({ ...core, plural: 'namespaces' }), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: {
        'app.kubernetes.io/managed-by': 'weft-check',
        'pod-security.kubernetes.io/enforce': 'restricted',
      },
    },
  });
  await connection.create(resourcePath({ ...core, plural: 'services', namespace }), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'probe' },
    spec: {
      selector: { 'weft.dev/probe': 'server' },
      ports: [{ name: 'http', port, targetPort: port }],
    },
  });
}

/** Node → address of its server. */
async function startServers(plan: ProbePlan): Promise<ReadonlyMap<string, string>> {
  for (const [index, node] of plan.nodes.entries()) {
    await startPod(plan, { role: 'server', index, node, args: ['serve', `${port}`] });
  }
  const ready = await waitForPods(plan, 'server', (pod) => phaseOf(pod) === 'Running');
  const addresses = new Map<string, string>();
  for (const pod of ready) {
    const node = textAt(pod, 'spec', 'nodeName') ?? '';
    addresses.set(node, textAt(pod, 'status', 'podIP') ?? '');
  }
  return addresses;
}

async function startCallers(
  plan: ProbePlan,
  addresses: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [index, node] of plan.nodes.entries()) {
    const address = addresses.get(node);
    if (address === undefined) continue;
    const host = address.includes(':') ? `[${address}]` : address;
    const urls = [`http://${host}:${port}/direct`];
    if (plan.meshDomain !== undefined) {
      urls.push(`http://probe.${namespace}.${plan.meshDomain}:${port}/mesh`);
    }
    await startPod(plan, { role: 'caller', index, node, args: ['call', ...urls] });
  }
}

type ProbePod = {
  readonly role: 'server' | 'caller';
  readonly index: number;
  readonly node: string;
  readonly args: readonly string[];
};

async function startPod(plan: ProbePlan, { role, index, node, args }: ProbePod): Promise<void> {
  const field = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  await plan.connection.create(resourcePath(podsPath), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: `${role}-${index}`, labels: { 'weft.dev/probe': role } },
    spec: {
      nodeName: node,
      restartPolicy: 'Never',
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'probe',
          image: plan.image,
          command: ['node', '/app/dist/probe.js', ...args],
          env: [
            field('POD_NAME', 'metadata.name'),
            field('NODE_NAME', 'spec.nodeName'),
            { name: 'PROBE_RESULT_FILE', value: '/dev/termination-log' },
          ],
          resources: { requests: { cpu: '10m', memory: '48Mi' }, limits: { memory: '128Mi' } },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            readOnlyRootFilesystem: true,
            runAsNonRoot: true,
            runAsUser: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
        },
      ],
    },
  });
}

function phaseOf(pod: unknown): string {
  return textAt(pod, 'status', 'phase') ?? '';
}

/** The pods of a role that got there before the deadline. */
async function waitForPods(
  plan: ProbePlan,
  role: ProbePod['role'],
  isThere: (pod: unknown) => boolean,
): Promise<readonly unknown[]> {
  const query = { labelSelector: `weft.dev/probe=${role}` };
  let there: readonly unknown[] = [];
  await poll(plan.runtime, podDeadlineMs, async () => {
    const pods = await readAll(plan.connection, podsPath, (pod) => pod, query);
    there = pods.filter(isThere);
    const isOver = (pod: unknown): boolean => isThere(pod) || phaseOf(pod) === 'Failed';
    return pods.every(isOver);
  });
  return there;
}

/** The kubelet keeps the last 4 kB that a program has left there. */
function linesOf(pod: unknown): readonly Said[] {
  const text = listAt(pod, 'status', 'containerStatuses')
    .flatMap((one) => textAt(one, 'state', 'terminated', 'message') ?? [])
    .join('\n');
  return text.split('\n').flatMap((line) => {
    try {
      // Our own program wrote it (src/main/probe.ts); whoever else did gets no finding of `ok`.
      return line.startsWith('{') ? [JSON.parse(line) as Said] : [];
    } catch {
      return [];
    }
  });
}
