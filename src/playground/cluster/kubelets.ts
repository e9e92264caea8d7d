// The scheduler and the kubelets of all nodes: a pod gets a node, runs – as a small server of this
// process, or as a program that the simulator's starter brings – says how it is, and ends. A pod
// with the annotation `playground.weft.dev/runs: elsewhere` is run by somebody else.
import { resourcePath, type Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import { nameOf, namespaceOf, objectAt, sameJson, textAt, withAt } from '../server/json.ts';
import type { JsonObject } from '../server/json.ts';
import type { PodAddresses } from './addresses.ts';
import {
  environmentOf,
  identityOf,
  ProbedProgram,
  tokenIn,
  tokenRequest,
  type PodIdentity,
  type PodPrograms,
} from './pod-program.ts';
import { PodServer } from './pod-server.ts';
import { runningStatus } from './pod-status.ts';
import { containerPorts, uidOf } from './workloads.ts';

/** Annotation of pods that somebody else runs. */
export const runsElsewhere = 'playground.weft.dev/runs';

/** Nodes, and what the kubelets need of the simulation. */
export type KubeletOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly addresses: PodAddresses;
  readonly programs: PodPrograms | undefined;
  /** Writes a pod, or its subresource. */
  readonly write: (pod: JsonObject, subresource?: 'status') => Promise<void>;
  /** Something changed that a pass should look at. */
  readonly onChange: () => void;
  readonly onFailure: (failure: unknown) => void;
};

/** A pod that is deleted serves on for this long, so that proxies hear of it first. */
const terminationMs = 1000;
const core = { group: '', version: 'v1' };

/** All pods that run; `close` ends them. */
export class Kubelets {
  /** Pods that are served by this process, by `namespace/name`. */
  readonly servers = new Map<string, PodServer>();
  readonly #programs = new Map<string, ProbedProgram>();
  readonly #options: KubeletOptions;
  readonly #ending = new Set<string>();
  #nextNode = 0;

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  /** The scheduler: a node with the fewest pods of those that should be spread; else in turn. */
  nextNode(spread: readonly string[] = []): string {
    const { nodes } = this.#options;
    const first = this.#nextNode % nodes.length;
    this.#nextNode += 1;
    const inTurn = [...nodes.slice(first), ...nodes.slice(0, first)].map(({ name }) => name);
    const held = (node: string): number => spread.filter((one) => one === node).length;
    return inTurn.toSorted((left, right) => held(left) - held(right))[0] ?? '';
  }

  /** Brings one pod a step nearer to what it should be. */
  async reconcile(pod: JsonObject): Promise<void> {
    if (textAt(pod, 'metadata', 'annotations', runsElsewhere) === 'elsewhere') return;
    const key = `${namespaceOf(pod)}/${nameOf(pod)}`;
    if (textAt(pod, 'metadata', 'deletionTimestamp') !== undefined) {
      this.#endLater(key, pod);
      await this.#reportStatus(pod, this.#status(key, pod));
      return;
    }
    const nodeName = textAt(pod, 'spec', 'nodeName') ?? '';
    if (nodeName === '') {
      return this.#options.write(withAt(pod, ['spec', 'nodeName'], this.nextNode()));
    }
    const number = this.#options.nodes.findIndex((node) => node.name === nodeName) + 1;
    if (number === 0) return;
    if (!this.servers.has(key) && !this.#programs.has(key)) await this.#start(key, pod, number);
    await this.#reportStatus(pod, this.#status(key, pod));
  }

  /** Pods that are gone without a goodbye (a namespace was deleted). */
  async endOrphans(isThere: (namespace: string, name: string) => boolean): Promise<void> {
    for (const [key, server] of [...this.servers]) {
      const { namespace, name } = server.facts;
      if (!isThere(namespace, name)) await this.#stop(key);
    }
    for (const [key, { pod }] of [...this.#programs]) {
      if (!isThere(pod.namespace, pod.name) && !this.#ending.has(key)) await this.#stop(key);
    }
  }

  async close(): Promise<void> {
    const keys = [...this.servers.keys(), ...this.#programs.keys()];
    await Promise.all(keys.map((key) => this.#stop(key)));
  }

  async #start(key: string, pod: JsonObject, nodeNumber: number): Promise<void> {
    const identity = identityOf(pod);
    const address = this.#options.programs?.place(identity);
    if (address !== undefined) return this.#launch(key, pod, { identity, address });
    const labels = Object.entries(objectAt(pod, 'metadata', 'labels')).map(
      ([name, value]) => [name, String(value)] as const,
    );
    const facts = {
      ...identity,
      labels: new Map(labels),
      address: this.#options.addresses.take(nodeNumber),
      ports: containerPorts(pod),
    };
    const server = new PodServer(facts, this.#options.runtime);
    await server.listen(this.#options.addresses.isShared);
    this.servers.set(key, server);
  }

  async #launch(
    key: string,
    pod: JsonObject,
    at: { readonly identity: PodIdentity; readonly address: string },
  ): Promise<void> {
    const { connection, programs, runtime, onChange } = this.#options;
    const { identity, address } = at;
    const { namespace, serviceAccount: name } = identity;
    const path = { ...core, plural: 'serviceaccounts', namespace, name, subresource: 'token' };
    const answer = await connection.create(resourcePath(path), tokenRequest(identity));
    const environment = environmentOf(pod, address);
    const launch = { ...identity, address, environment, token: tokenIn(answer) };
    const program = programs?.launch(launch);
    if (program === undefined) return;
    this.#programs.set(key, new ProbedProgram(launch, program, { runtime, onChange }));
  }

  /** `undefined` for a pod that does not run here. */
  #status(key: string, pod: JsonObject): JsonObject | undefined {
    const nodeName = textAt(pod, 'spec', 'nodeName');
    const node = this.#options.nodes.find((one) => one.name === nodeName);
    const hostAddress = node?.address ?? '';
    const server = this.servers.get(key);
    if (server !== undefined) {
      return runningStatus(pod, { address: server.facts.address, hostAddress, isReady: true });
    }
    const program = this.#programs.get(key);
    if (program === undefined) return undefined;
    const { isReady, sinceMs: readySinceMs } = program;
    const { address } = program.pod;
    return runningStatus(pod, { address, hostAddress, isReady, readySinceMs });
  }

  async #reportStatus(pod: JsonObject, status: JsonObject | undefined): Promise<void> {
    if (status === undefined || sameJson(objectAt(pod, 'status'), status)) return;
    await this.#options.write({ ...pod, status }, 'status');
  }

  /** A deleted pod serves on for a moment, a program drains; then the object goes. */
  #endLater(key: string, pod: JsonObject): void {
    if (this.#ending.has(key)) return;
    this.#ending.add(key);
    const { runtime, onChange, onFailure } = this.#options;
    const restMs = this.#programs.has(key) ? 0 : terminationMs;
    runtime.timers.after(restMs, () => {
      this.#end(key, pod)
        .catch(onFailure)
        .finally(() => {
          this.#ending.delete(key);
          onChange();
        });
    });
  }

  async #end(key: string, pod: JsonObject): Promise<void> {
    await this.#stop(key);
    const path = { ...core, plural: 'pods', namespace: namespaceOf(pod), name: nameOf(pod) };
    await this.#options.connection.remove(resourcePath(path), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      preconditions: { uid: uidOf(pod) },
    });
  }

  async #stop(key: string): Promise<void> {
    const server = this.servers.get(key);
    if (server !== undefined) {
      this.servers.delete(key);
      this.#options.addresses.release(server.facts.address);
      await server.close();
    }
    await this.#programs.get(key)?.stop();
    this.#programs.delete(key);
  }
}
