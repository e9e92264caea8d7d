// A cluster without kubelets: plays the Deployment, ReplicaSet and EndpointSlice controllers, the
// scheduler and the kubelets of a few nodes, as a client of the API server like any other. Level
// triggered: whatever changed, one pass brings the world nearer to what is asked for, and a pass
// that found nothing to do is the end. A pod with the annotation `playground.weft.dev/runs:
// elsewhere` is scheduled and run by somebody else.
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import { nameSuffix } from '../server/context.ts';
import {
  isObject,
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  objectAt,
  sameJson,
  textAt,
  withAt,
  type Json,
  type JsonObject,
} from '../server/json.ts';
import { PodAddresses } from './addresses.ts';
import { desiredSlices, hasSelector, isKeptFor } from './endpoint-slices.ts';
import { Mirror } from './mirror.ts';
import { PodServer } from './pod-server.ts';
import {
  containerPorts,
  deploymentStatus,
  desiredPod,
  desiredReplicaSet,
  isOwnedBy,
  livePods,
  replicaSetStatus,
  replicasOf,
  uidOf,
} from './workloads.ts';

/** Annotation of pods that are processes of their own: weft itself. */
export const runsElsewhere = 'playground.weft.dev/runs';

/** The cluster that is simulated. */
export type SimulatorOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  /** Nodes that pods are scheduled on, with the address that each one's proxy binds. */
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  /** Only 127.0.0.1 exists: pods share it and differ by port. */
  readonly isAddressShared: boolean;
  /** Second byte of the pods' addresses, 127.B.x.y; 1 unless given. */
  readonly addressBlock?: number;
  /** A pass failed (the API server is away, or a conflict); it is tried again. */
  readonly onFailure?: (failure: unknown) => void;
};

/** A running simulation, as its starter holds it. */
export type Simulator = {
  /** Servers of the pods that run now, by `namespace/name`. */
  readonly pods: () => ReadonlyMap<string, PodServer>;
  /** What kube-proxy knows: number of the target port behind a ClusterIP and port. */
  readonly targetPort: (clusterIp: string, port: number) => number | undefined;
  /** Resolves when the last pass had nothing left to do. */
  readonly settled: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Changes come in bursts; one pass for all of them. */
const holdOffMs = 5;
/** After a failed pass. */
const retryMs = 200;
/** A pod that is deleted serves on for this long, so that proxies hear of it first. */
const terminationMs = 1000;

type Kinds = 'services' | 'pods' | 'deployments' | 'replicasets' | 'endpointslices';

const kinds: readonly { readonly plural: Kinds; readonly group: string }[] = [
  { plural: 'services', group: '' },
  { plural: 'pods', group: '' },
  { plural: 'deployments', group: 'apps' },
  { plural: 'replicasets', group: 'apps' },
  { plural: 'endpointslices', group: 'discovery.k8s.io' },
];

/** Starts watching at once; pods come up as soon as there is something to run. */
export function startSimulator(options: SimulatorOptions): Simulator {
  const running = new RunningSimulator(options);
  return {
    pods: () => running.servers,
    targetPort: (clusterIp, port) => running.targetPort(clusterIp, port),
    settled: () => running.settled(),
    close: () => running.close(),
  };
}

class RunningSimulator {
  readonly servers = new Map<string, PodServer>();
  readonly #options: SimulatorOptions;
  readonly #mirrors = new Map<Kinds, Mirror>();
  readonly #addresses: PodAddresses;
  readonly #ending = new Set<string>();
  readonly #waiting: (() => void)[] = [];
  #timer: Timer | undefined;
  #pass: Promise<void> | undefined;
  #isDirty = true;
  #isClosed = false;
  #nextNode = 0;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.#addresses = new PodAddresses(options.isAddressShared, options.addressBlock ?? 1);
    for (const { plural, group } of kinds) {
      const { connection, runtime } = options;
      const onChange = (): void => this.#note();
      const mirror = new Mirror({ connection, runtime, group, version: 'v1', plural, onChange });
      this.#mirrors.set(plural, mirror);
    }
  }

  targetPort(clusterIp: string, port: number): number | undefined {
    const service = this.#all('services').find(
      (one) => textAt(one, 'spec', 'clusterIP') === clusterIp,
    );
    const found = listAt(service, 'spec', 'ports').find((one) => numberAt(one, 'port') === port);
    return numberAt(found, 'targetPort');
  }

  settled(): Promise<void> {
    if (!this.#isDirty && this.#pass === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all([...this.#mirrors.values()].map((mirror) => mirror.stop()));
    await this.#pass;
    await Promise.all([...this.servers.values()].map((server) => server.close()));
    this.servers.clear();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #all(plural: Kinds): readonly JsonObject[] {
    return this.#mirrors.get(plural)?.all() ?? [];
  }

  #note(): void {
    this.#isDirty = true;
    this.#arm(holdOffMs);
  }

  #arm(delayMs: number): void {
    if (this.#isClosed || this.#timer !== undefined || this.#pass !== undefined) return;
    this.#timer = this.#options.runtime.timers.after(delayMs, () => {
      this.#timer = undefined;
      this.#pass = this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isDirty = false;
    let delayMs = holdOffMs;
    try {
      const isSynced = [...this.#mirrors.values()].every((mirror) => mirror.isSynced);
      if (isSynced) await this.#reconcile();
      else this.#isDirty = true;
    } catch (failure) {
      // A conflict or an API server that is away: the next pass starts from what is true then.
      this.#options.onFailure?.(failure);
      this.#isDirty = true;
      delayMs = retryMs;
    }
    this.#pass = undefined;
    if (this.#isDirty) this.#arm(delayMs);
    else for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #reconcile(): Promise<void> {
    for (const deployment of this.#all('deployments')) await this.#reconcileDeployment(deployment);
    for (const set of this.#all('replicasets')) await this.#reconcileReplicaSet(set);
    for (const pod of this.#all('pods')) await this.#reconcilePod(pod);
    await this.#closeOrphans();
    for (const service of this.#all('services')) await this.#reconcileSlices(service);
    await this.#reportStatus();
  }

  async #reconcileDeployment(deployment: JsonObject): Promise<void> {
    const wanted = desiredReplicaSet(deployment);
    const own = this.#all('replicasets').filter((set) => isOwnedBy(set, deployment));
    const current = own.find((set) => nameOf(set) === nameOf(wanted));
    if (current === undefined) {
      await this.#create('apps', 'replicasets', wanted);
      return;
    }
    if (replicasOf(current) !== replicasOf(deployment)) {
      await this.#update(
        'apps',
        'replicasets',
        withAt(current, ['spec', 'replicas'], replicasOf(deployment)),
      );
    }
    const isReady =
      replicaSetStatus(current, this.#all('pods')).readyReplicas === replicasOf(deployment);
    for (const old of own) {
      if (old === current || replicasOf(old) === 0 || !isReady) continue;
      await this.#update('apps', 'replicasets', withAt(old, ['spec', 'replicas'], 0));
    }
  }

  async #reconcileReplicaSet(set: JsonObject): Promise<void> {
    const live = livePods(set, this.#all('pods'));
    const wanted = replicasOf(set);
    for (let missing = wanted - live.length; missing > 0; missing -= 1) {
      const node = this.#options.nodes[this.#nextNode % this.#options.nodes.length];
      this.#nextNode += 1;
      const suffix = nameSuffix(this.#options.runtime.random);
      await this.#create('', 'pods', desiredPod(set, suffix, node?.name ?? ''));
    }
    for (const pod of live.slice(wanted)) await this.#remove(pod);
  }

  /** Scheduler and kubelet: a node, a server, a Running status, and the end. */
  async #reconcilePod(pod: JsonObject): Promise<void> {
    if (textAt(pod, 'metadata', 'annotations', runsElsewhere) === 'elsewhere') return;
    const key = `${namespaceOf(pod)}/${nameOf(pod)}`;
    if (textAt(pod, 'metadata', 'deletionTimestamp') !== undefined) {
      this.#endLater(key, pod);
      return;
    }
    const nodeName = textAt(pod, 'spec', 'nodeName') ?? '';
    if (nodeName === '') {
      const node = this.#options.nodes[this.#nextNode % this.#options.nodes.length];
      this.#nextNode += 1;
      await this.#update('', 'pods', withAt(pod, ['spec', 'nodeName'], node?.name ?? ''));
      return;
    }
    const number = this.#options.nodes.findIndex((node) => node.name === nodeName) + 1;
    if (number === 0) return;
    const server = this.servers.get(key) ?? (await this.#start(key, pod, number));
    const status = this.#runningStatus(pod, server);
    if (sameJson(objectAt(pod, 'status'), status)) return;
    await this.#update('', 'pods', { ...pod, status }, 'status');
  }

  async #start(key: string, pod: JsonObject, nodeNumber: number): Promise<PodServer> {
    const { runtime } = this.#options;
    const labels = new Map(
      Object.entries(objectAt(pod, 'metadata', 'labels')).map(([name, value]) => [
        name,
        String(value),
      ]),
    );
    const facts = {
      namespace: namespaceOf(pod),
      name: nameOf(pod),
      nodeName: textAt(pod, 'spec', 'nodeName') ?? '',
      serviceAccount: textAt(pod, 'spec', 'serviceAccountName') ?? 'default',
      labels,
      address: this.#addresses.take(nodeNumber),
      ports: containerPorts(pod),
    };
    const server = new PodServer(facts, runtime);
    await server.listen(this.#addresses.isShared);
    this.servers.set(key, server);
    return server;
  }

  #runningStatus(pod: JsonObject, server: PodServer): JsonObject {
    const { address, nodeName } = server.facts;
    const since = textAt(pod, 'metadata', 'creationTimestamp') ?? '';
    const hostIP = this.#options.nodes.find((node) => node.name === nodeName)?.address ?? '';
    const conditions: Json[] = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map(
      (type) => ({
        type,
        status: 'True',
        lastTransitionTime: since,
      }),
    );
    const containerStatuses: Json[] = listAt(pod, 'spec', 'containers').map((container) => ({
      name: textAt(container, 'name') ?? '',
      image: textAt(container, 'image') ?? '',
      imageID: '',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: since } },
    }));
    return {
      phase: 'Running',
      qosClass: textAt(pod, 'status', 'qosClass') ?? 'BestEffort',
      conditions,
      containerStatuses,
      hostIP,
      hostIPs: [{ ip: hostIP }],
      podIP: address,
      podIPs: [{ ip: address }],
      startTime: since,
    };
  }

  /** A deleted pod serves on for a moment, then its server and the object go. */
  #endLater(key: string, pod: JsonObject): void {
    if (this.#ending.has(key)) return;
    this.#ending.add(key);
    this.#options.runtime.timers.after(terminationMs, () => {
      this.#end(key, pod)
        .catch((failure: unknown) => this.#options.onFailure?.(failure))
        .finally(() => {
          this.#ending.delete(key);
          this.#note();
        });
    });
  }

  async #end(key: string, pod: JsonObject): Promise<void> {
    await this.#closeServer(key);
    const path = {
      group: '',
      version: 'v1',
      plural: 'pods',
      namespace: namespaceOf(pod),
      name: nameOf(pod),
    };
    await this.#options.connection.remove(resourcePath(path), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      preconditions: { uid: uidOf(pod) },
    });
  }

  async #closeServer(key: string): Promise<void> {
    const server = this.servers.get(key);
    if (server === undefined) return;
    this.servers.delete(key);
    this.#addresses.release(server.facts.address);
    await server.close();
  }

  /** Servers whose pods are gone without a goodbye (a namespace was deleted). */
  async #closeOrphans(): Promise<void> {
    const pods = this.#mirrors.get('pods');
    for (const [key, server] of [...this.servers]) {
      const { namespace, name } = server.facts;
      if (pods?.get(namespace, name) === undefined) await this.#closeServer(key);
    }
  }

  async #reconcileSlices(service: JsonObject): Promise<void> {
    if (!hasSelector(service)) return;
    const lookup = (pod: JsonObject, port: number): number =>
      this.servers.get(`${namespaceOf(pod)}/${nameOf(pod)}`)?.boundPort(port) ?? port;
    const wanted = desiredSlices(service, this.#all('pods'), lookup);
    const present = this.#all('endpointslices').filter((slice) => isKeptFor(slice, service));
    for (const slice of wanted) {
      const old = present.find((one) => nameOf(one) === nameOf(slice));
      if (old === undefined) await this.#create('discovery.k8s.io', 'endpointslices', slice);
      else if (!sameJson(old.endpoints, slice.endpoints) || !sameJson(old.ports, slice.ports)) {
        const next = { ...old, endpoints: slice.endpoints ?? [], ports: slice.ports ?? [] };
        await this.#update('discovery.k8s.io', 'endpointslices', next);
      }
    }
    for (const old of present) {
      if (wanted.some((slice) => nameOf(slice) === nameOf(old))) continue;
      const place = { namespace: namespaceOf(old), name: nameOf(old) };
      const path = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', ...place };
      await this.#options.connection.remove(resourcePath(path));
      this.#mirrors.get('endpointslices')?.forget(old);
    }
  }

  async #reportStatus(): Promise<void> {
    const pods = this.#all('pods');
    const sets = this.#all('replicasets');
    for (const set of sets) {
      await this.#report('replicasets', set, replicaSetStatus(set, pods));
    }
    for (const deployment of this.#all('deployments')) {
      await this.#report('deployments', deployment, deploymentStatus(deployment, sets, pods));
    }
  }

  async #report(plural: Kinds, object: JsonObject, status: JsonObject): Promise<void> {
    if (isObject(object.status) && sameJson(object.status, status)) return;
    await this.#update('apps', plural, { ...object, status }, 'status');
  }

  async #create(group: string, plural: Kinds, object: JsonObject): Promise<void> {
    const path = { group, version: 'v1', plural, namespace: namespaceOf(object) };
    const made = await this.#options.connection.create(resourcePath(path), object);
    this.#noteWritten(plural, made);
  }

  async #update(
    group: string,
    plural: Kinds,
    object: JsonObject,
    subresource?: string,
  ): Promise<void> {
    const place = { namespace: namespaceOf(object), name: nameOf(object) };
    const path = { group, version: 'v1', plural, ...place };
    const target = resourcePath(subresource === undefined ? path : { ...path, subresource });
    const apiVersion = group === '' ? 'v1' : `${group}/v1`;
    const { kind: _kind, ...body } = object;
    const written = await this.#options.connection.update(target, { ...body, apiVersion });
    this.#noteWritten(plural, written);
  }

  #noteWritten(plural: Kinds, answer: unknown): void {
    // What the server answers to a write of an object is that object, a JSON tree.
    this.#mirrors.get(plural)?.note(answer as JsonObject);
    this.#isDirty = true;
  }

  async #remove(pod: JsonObject): Promise<void> {
    const path = {
      group: '',
      version: 'v1',
      plural: 'pods',
      namespace: namespaceOf(pod),
      name: nameOf(pod),
    };
    const marked = await this.#options.connection.remove(resourcePath(path));
    this.#noteWritten('pods', marked);
  }
}
