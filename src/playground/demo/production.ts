// The production programs of the demo, unmodified: `weft controller` and `weft proxy`, as the pods
// of the objects that `weft install` prints. The simulator says which pod runs where and with which
// token; here each becomes a child of this program, on a loopback address of its own.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type {
  PodIdentity,
  PodLaunch,
  PodProgram,
  PodPrograms,
} from '../cluster/pod-program.ts';
import { textAt, withAt, type JsonObject } from '../server/json.ts';
import { Child } from './child.ts';
import { readManifests } from './manifests.ts';
import { adminPort, controllerPlace, dnsPort, type NodePlace, type Places } from './places.ts';

/** Where the mesh itself lives, as in a cluster. */
export const meshNamespace = 'weft-system';

/** What the children are started with. */
export type ProductionOptions = {
  readonly runtime: Runtime;
  readonly places: Places;
  /** Text of a kubeconfig with this token. */
  readonly kubeconfig: (token: string) => string;
  /** Program and first arguments of `weft`: Node and dist/weft.js. */
  readonly program: readonly [string, ...string[]];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A child is gone that nobody has stopped. */
  readonly onEnd: (child: Child, how: string) => void;
};

/** A probe that is slower is not answered; as in the chart. */
const probeTimeoutMs = 2000;
/** Ctrl-C in a demo should not take the 25 s that a node is given. */
const shortDrain = ['--drain-delay', '0s', '--drain-timeout', '2s'];
const probes = new Agent();
/** Of all that is installed: the rest is above, or has no meaning without RBAC and admission. */
const playedKinds = ['DaemonSet', 'Deployment'];

/** What kubeadm gives CoreDNS; nobody reads it here, but it shows how the controller wires it. */
const corefile = `.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
`;

/** What a cluster holds before the mesh runs: its DNS, our namespace and accounts, nodes. */
export function meshObjects(nodes: readonly NodePlace[]): readonly JsonObject[] {
  const account = (name: string): JsonObject => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: meshNamespace },
  });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: meshNamespace } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'coredns', namespace: 'kube-system' },
      data: { Corefile: corefile },
    },
    account('weft-proxy'),
    account('weft-controller'),
    ...nodes.map(nodeObject),
  ];
}

/** What is installed: the shipped manifest, with one controller instead of two. */
export function installedObjects(manifest: string): readonly JsonObject[] {
  return readManifests(manifest, playedKinds).map((object) =>
    textAt(object, 'kind') === 'Deployment' ? withAt(object, ['spec', 'replicas'], 1) : object,
  );
}

function nodeObject(node: NodePlace): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels: { 'kubernetes.io/hostname': node.name } },
    status: {
      addresses: [
        { type: 'Hostname', address: node.name },
        { type: 'InternalIP', address: node.address },
      ],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'simulated' }],
      nodeInfo: { kubeletVersion: 'v1.34.4' },
    },
  };
}

type Component = 'proxy' | 'controller';

/** Probes of `weft check` run the same image; they are none of the two. */
function componentOf({ namespace, serviceAccount, args }: PodIdentity): Component | undefined {
  if (namespace !== meshNamespace) return undefined;
  const [command] = args;
  if (command !== 'proxy' && command !== 'controller') return undefined;
  return serviceAccount === `weft-${command}` ? command : undefined;
}

/** The children of one demo, pod by pod. */
export class Production implements PodPrograms {
  readonly #options: ProductionOptions;
  /** By name of the pod, in order of their start. */
  readonly #children = new Map<string, Child>();
  /** Name of the pod at each place of a controller. */
  readonly #controllers: (string | undefined)[] = [];

  constructor(options: ProductionOptions) {
    this.#options = options;
  }

  get children(): readonly Child[] {
    return [...this.#children.values()];
  }

  place(pod: PodIdentity): string | undefined {
    const { places } = this.#options;
    switch (componentOf(pod)) {
      case 'proxy':
        return places.nodes.find(({ name }) => name === pod.nodeName)?.address;
      case 'controller':
        return controllerPlace(places, this.#controllerIndex(pod.name)).address;
      case undefined:
        return undefined;
    }
  }

  launch(pod: PodLaunch): PodProgram {
    const { runtime, onEnd } = this.#options;
    const child = componentOf(pod) === 'proxy' ? this.#proxy(pod) : this.#controller(pod);
    const port = this.#adminPortOf(pod);
    this.#children.set(pod.name, child);
    let isStopping = false;
    void child.ended.then((how) => {
      if (!isStopping) onEnd(child, how);
    });
    return {
      isReady: () => isReadyAt(`http://${pod.address}:${port}`),
      stop: async () => {
        isStopping = true;
        await child.stop(runtime);
        this.#children.delete(pod.name);
        const index = this.#controllers.indexOf(pod.name);
        if (index >= 0) this.#controllers[index] = undefined;
      },
    };
  }

  /** The lowest that is free. */
  #controllerIndex(name: string): number {
    const own = this.#controllers.indexOf(name);
    if (own >= 0) return own;
    const free = this.#controllers.indexOf(undefined);
    const index = free >= 0 ? free : this.#controllers.length;
    this.#controllers[index] = name;
    return index;
  }

  #adminPortOf(pod: PodIdentity): number {
    if (componentOf(pod) === 'proxy') return adminPort;
    return controllerPlace(this.#options.places, this.#controllerIndex(pod.name)).adminPort;
  }

  #controller(pod: PodLaunch): Child {
    return this.#child(pod, 'weft-controller', []);
  }

  #proxy(pod: PodLaunch): Child {
    const flags = ['--dns-port', String(dnsPort), ...shortDrain];
    return this.#child(pod, `weft-proxy-${pod.nodeName}`, flags);
  }

  #child(pod: PodLaunch, name: string, flags: readonly string[]): Child {
    const { directory, program, environment, kubeconfig } = this.#options;
    const file = join(directory, `${pod.name}.kubeconfig`);
    writeFileSync(file, kubeconfig(pod.token), { mode: 0o600 });
    const where = ['--bind-address', pod.address, '--admin-port', String(this.#adminPortOf(pod))];
    return new Child({
      name,
      command: [...program, ...pod.args, '--kubeconfig', file, ...where, ...flags],
      logFile: join(directory, `${name}.log`),
      environment: { ...environment, ...pod.environment },
    });
  }
}

/** A kubelet's probe: 2xx and 3xx are good. */
async function isReadyAt(origin: string): Promise<boolean> {
  const signal = AbortSignal.timeout(probeTimeoutMs);
  const answer = await probes.request({ method: 'GET', origin, path: '/readyz', signal });
  await answer.body.dump();
  return answer.statusCode >= 200 && answer.statusCode < 400;
}

/** Resolves after `ms`. */
export function pause(runtime: Runtime, ms: number): Promise<void> {
  return new Promise((resolve) => {
    runtime.timers.after(ms, resolve);
  });
}
