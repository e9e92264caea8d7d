// The shop's traffic: which pods call what, at which rate, and what was seen of it – at the callers
// and at the pods that received. Pods come and go while the demo runs (scale, rollout); counts
// stay.
import type { Runtime } from '../../lib/clock.ts';
import { MeshClient, type MeshCall } from '../cluster/mesh-client.ts';
import type { PodServer } from '../cluster/pod-server.ts';
import type { Simulator } from '../cluster/simulator.ts';
import { Load } from './load.ts';
import { dnsPort, type Places } from './places.ts';
import type { CallerFact, ShareFact } from './verdict.ts';

/** One line of traffic: pods of an app call a service. */
export type Flow = {
  readonly caller: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** Label `app` of the pods that serve it, to count what they received. */
  readonly servedBy: string;
  readonly perSecond: number;
  readonly isAllowed: boolean;
};

const flows: readonly Flow[] = [
  {
    caller: 'front',
    method: 'GET',
    host: 'reviews.shop.mesh',
    path: '/reviews',
    servedBy: 'reviews',
    perSecond: 100,
    isAllowed: true,
  },
  {
    caller: 'front',
    method: 'POST',
    host: 'cart.checkout.mesh',
    path: '/items',
    servedBy: 'cart',
    perSecond: 25,
    isAllowed: true,
  },
  {
    caller: 'prying',
    method: 'GET',
    host: 'cart.checkout.mesh',
    path: '/items',
    servedBy: 'cart',
    perSecond: 10,
    isAllowed: false,
  },
];

/**
 * Where nobody's address is his own, identity cannot be shown: callers of enforced services are
 * denied.
 */
function flowsFor(places: Places): readonly Flow[] {
  if (!places.isAddressShared) return flows;
  return flows.map((flow) => ({ ...flow, isAllowed: flow.servedBy === 'reviews' }));
}

type Running = { readonly flow: Flow; readonly pod: PodServer; readonly load: Load };

/** Whose pods call, and where their nodes' proxies are. */
export type TrafficOptions = {
  readonly runtime: Runtime;
  readonly simulator: Simulator;
  readonly places: Places;
};

/** All loads of the demo, and what was seen of them. */
export class Traffic {
  readonly #options: TrafficOptions;
  readonly #flows: readonly Flow[];
  readonly #clients = new Map<PodServer, MeshClient>();
  readonly #loads: Running[] = [];
  /** Every pod that ever ran, so that counts survive a rollout. */
  readonly #seen = new Set<PodServer>();

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#flows = flowsFor(options.places);
  }

  /**
   * A call by every caller of every flow, marked as a probe; true when all are answered as they
   * should.
   */
  async probe(): Promise<string | undefined> {
    for (const flow of this.#flows) {
      for (const pod of this.#callers(flow)) {
        const fault = await this.#probeOne(flow, pod);
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  }

  async #probeOne(flow: Flow, pod: PodServer): Promise<string | undefined> {
    const due = flow.isAllowed ? 200 : 403;
    const what = `${flow.caller} → ${flow.host}`;
    try {
      const answer = await this.#client(pod).call(callOf(flow, 'probe'));
      return answer.status === due ? undefined : `${what}: ${answer.status} instead of ${due}`;
    } catch (error) {
      // The name or the listener is not there yet; the caller asks again until its deadline.
      return `${what}: ${String(error)}`;
    }
  }

  /** Starts a load for each caller pod that has none, and ends those whose pod is gone. */
  follow(): void {
    for (const pod of this.#options.simulator.pods().values()) this.#seen.add(pod);
    for (const flow of this.#flows) {
      for (const pod of this.#callers(flow)) {
        if (this.#loads.some((one) => one.flow === flow && one.pod === pod)) continue;
        const load = new Load({
          runtime: this.#options.runtime,
          client: this.#client(pod),
          call: callOf(flow, flow.caller),
          perSecond: flow.perSecond,
        });
        this.#loads.push({ flow, pod, load });
      }
    }
    const alive = new Set(this.#options.simulator.pods().values());
    for (const running of this.#loads) if (!alive.has(running.pod)) void running.load.stop();
  }

  /** Sends nothing more and waits for the answers. */
  async stop(): Promise<void> {
    await Promise.all(this.#loads.map((running) => running.load.stop()));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }

  /** Requests sent by all callers so far. */
  get sent(): number {
    return this.#loads.reduce((sum, running) => sum + running.load.counts.sent, 0);
  }

  lastFailure(): string {
    return this.#loads.map((running) => running.load.lastFailure).find((how) => how !== '') ?? '';
  }

  callerFacts(): readonly CallerFact[] {
    return this.#flows.map((flow) => {
      const counts = this.#loads.filter((one) => one.flow === flow).map((one) => one.load.counts);
      const sum = (part: 'sent' | 'accepted' | 'denied' | 'failed'): number =>
        counts.reduce((total, one) => total + one[part], 0);
      return {
        caller: flow.caller,
        host: flow.host,
        sent: sum('sent'),
        accepted: sum('accepted'),
        denied: sum('denied'),
        failed: sum('failed'),
        received: this.#receivedBy(flow.servedBy, flow.caller),
        isAllowed: flow.isAllowed,
      };
    });
  }

  /** What the pods of each backend have received of the callers' requests. */
  receivedByBackend(backends: readonly string[]): ReadonlyMap<string, number> {
    return new Map(
      backends.map((backend) => {
        const own = [...this.#seen].filter((pod) => pod.facts.name.startsWith(`${backend}-`));
        return [backend, own.reduce((sum, pod) => sum + pod.receivedFrom('front'), 0)] as const;
      }),
    );
  }

  #receivedBy(app: string, caller: string): number {
    return [...this.#seen]
      .filter((pod) => pod.facts.labels.get('app') === app)
      .reduce((sum, pod) => sum + pod.receivedFrom(caller), 0);
  }

  #callers(flow: Flow): readonly PodServer[] {
    return [...this.#options.simulator.pods().values()].filter(
      (pod) => pod.facts.labels.get('app') === flow.caller,
    );
  }

  #client(pod: PodServer): MeshClient {
    const known = this.#clients.get(pod);
    if (known !== undefined) return known;
    const { runtime, simulator, places } = this.#options;
    const node = places.nodes.find((one) => one.name === pod.facts.nodeName);
    const client = new MeshClient({
      clock: runtime.clock,
      podAddress: pod.facts.address,
      proxyAddress: node?.address ?? '127.0.0.1',
      dnsPort,
      targetPort: simulator.targetPort,
    });
    this.#clients.set(pod, client);
    return client;
  }
}

function callOf(flow: Flow, caller: string): MeshCall {
  const headers = { 'x-caller': caller };
  return { method: flow.method, host: flow.host, port: 80, path: flow.path, headers };
}

/** Shares since a base line that moves when the weights change. */
export class ShareMeter {
  #weights: ReadonlyMap<string, number> = new Map();
  #base: ReadonlyMap<string, number> = new Map();

  /** Takes the weights as they are now; new ones start a new measurement. */
  measure(
    weights: ReadonlyMap<string, number>,
    received: (backends: readonly string[]) => ReadonlyMap<string, number>,
  ): readonly ShareFact[] {
    const now = received([...weights.keys()]);
    const text = (of: ReadonlyMap<string, number>): string => JSON.stringify([...of]);
    if (text(weights) !== text(this.#weights)) {
      this.#weights = weights;
      this.#base = now;
    }
    return [...weights].map(([backend, weight]) => ({
      backend,
      weight,
      received: (now.get(backend) ?? 0) - (this.#base.get(backend) ?? 0),
    }));
  }
}
