// A cluster without machines: plays the Deployment, ReplicaSet, DaemonSet and EndpointSlice
// controllers, and the kubelets of a few nodes, as a client of the API server like any other. Level
// triggered: whatever changed, one pass brings the world nearer to what is asked for, and a pass
// that found nothing to do is the end. What runs in pods is kubelets.ts.
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import { nameSuffix } from '../server/context.ts';
import {
  isObject,
  listAt,
  nameOf,
  namespaceOf,
  numberAt,
  sameJson,
  textAt,
  withAt,
  type JsonObject,
} from '../server/json.ts';
import { PodAddresses } from './addresses.ts';
import { daemonPod, daemonSetStatus, nodesWithout, podToReplace } from './daemon-sets.ts';
import { desiredSlices, hasSelector, isAsDesired, isKeptFor, labelsOf } from './endpoint-slices.ts';
import { Kubelets } from './kubelets.ts';
import { Mirror } from './mirror.ts';
import type { PodPrograms } from './pod-program.ts';
import type { PodServer } from './pod-server.ts';
import {
  deploymentStatus,
  desiredPod,
  desiredReplicaSet,
  isOwnedBy,
  livePods,
  replicaSetStatus,
  replicasOf,
} from './workloads.ts';

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
  /** Pods that are programs of their own; none unless given. */
  readonly programs?: PodPrograms;
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
type Kinds = 'services' | 'pods' | 'deployments' | 'replicasets' | 'daemonsets' | 'endpointslices';

const kinds: readonly { readonly plural: Kinds; readonly group: string }[] = [
  { plural: 'services', group: '' },
  { plural: 'pods', group: '' },
  { plural: 'deployments', group: 'apps' },
  { plural: 'replicasets', group: 'apps' },
  { plural: 'daemonsets', group: 'apps' },
  { plural: 'endpointslices', group: 'discovery.k8s.io' },
];

/** Starts watching at once; pods come up as soon as there is something to run. */
export function startSimulator(options: SimulatorOptions): Simulator {
  const running = new RunningSimulator(options);
  return {
    pods: () => running.kubelets.servers,
    targetPort: (clusterIp, port) => running.targetPort(clusterIp, port),
    settled: () => running.settled(),
    close: () => running.close(),
  };
}

class RunningSimulator {
  readonly kubelets: Kubelets;
  readonly #options: SimulatorOptions;
  readonly #mirrors = new Map<Kinds, Mirror>();
  readonly #waiting: (() => void)[] = [];
  #timer: Timer | undefined;
  #pass: Promise<void> | undefined;
  #isDirty = true;
  #isClosed = false;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.kubelets = new Kubelets({
      connection: options.connection,
      runtime: options.runtime,
      nodes: options.nodes,
      addresses: new PodAddresses(options.isAddressShared, options.addressBlock ?? 1),
      programs: options.programs,
      write: (pod, subresource) => this.#update('', 'pods', pod, subresource),
      onChange: () => this.#note(),
      onFailure: (failure) => options.onFailure?.(failure),
    });
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
    await this.kubelets.close();
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
    await together(this.#all('deployments'), (one) => this.#reconcileDeployment(one));
    await together(this.#all('replicasets'), (one) => this.#reconcileReplicaSet(one));
    await together(this.#all('daemonsets'), (one) => this.#reconcileDaemonSet(one));
    await together(this.#all('pods'), (one) => this.kubelets.reconcile(one));
    const pods = this.#mirrors.get('pods');
    await this.kubelets.endOrphans((namespace, name) => pods?.get(namespace, name) !== undefined);
    await together(this.#all('services'), (one) => this.#reconcileSlices(one));
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
    const spread = live.map((pod) => textAt(pod, 'spec', 'nodeName') ?? '');
    for (let missing = wanted - live.length; missing > 0; missing -= 1) {
      const suffix = nameSuffix(this.#options.runtime.random);
      const node = this.kubelets.nextNode(spread);
      spread.push(node);
      await this.#create('', 'pods', desiredPod(set, suffix, node));
    }
    for (const pod of live.slice(wanted)) await this.#remove(pod);
  }

  async #reconcileDaemonSet(set: JsonObject): Promise<void> {
    const nodes = this.#nodeNames();
    for (const node of nodesWithout(set, nodes, this.#all('pods'))) {
      const suffix = nameSuffix(this.#options.runtime.random);
      await this.#create('', 'pods', daemonPod(set, node, suffix));
    }
    const old = podToReplace(set, nodes, this.#all('pods'));
    if (old !== undefined) await this.#remove(old);
  }

  #nodeNames(): readonly string[] {
    return this.#options.nodes.map(({ name }) => name);
  }

  async #reconcileSlices(service: JsonObject): Promise<void> {
    if (!hasSelector(service)) return;
    const lookup = (pod: JsonObject, port: number): number =>
      this.kubelets.servers.get(`${namespaceOf(pod)}/${nameOf(pod)}`)?.boundPort(port) ?? port;
    const wanted = desiredSlices(service, this.#all('pods'), lookup);
    const present = this.#all('endpointslices').filter((slice) => isKeptFor(slice, service));
    for (const slice of wanted) {
      const old = present.find((one) => nameOf(one) === nameOf(slice));
      if (old === undefined) await this.#create('discovery.k8s.io', 'endpointslices', slice);
      else if (!isAsDesired(old, slice)) {
        const { endpoints = [], ports = [] } = slice;
        const next = withAt(old, ['metadata', 'labels'], labelsOf(slice));
        await this.#update('discovery.k8s.io', 'endpointslices', { ...next, endpoints, ports });
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
    await together(sets, (set) => this.#report('replicasets', set, replicaSetStatus(set, pods)));
    await together(this.#all('deployments'), (deployment) =>
      this.#report('deployments', deployment, deploymentStatus(deployment, sets, pods)),
    );
    await together(this.#all('daemonsets'), (set) =>
      this.#report('daemonsets', set, daemonSetStatus(set, this.#nodeNames(), pods)),
    );
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

/** At once, because each waits for the server; rejects when all are done and one has failed. */
async function together(
  objects: readonly JsonObject[],
  act: (object: JsonObject) => Promise<void>,
): Promise<void> {
  const ends = await Promise.allSettled(objects.map(act));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
