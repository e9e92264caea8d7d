// The workers' half of a proxy, and all that a worker loads (second door): takes updates from the
// control thread, compiles the table, hands it to the data plane, and sends back what it counted.
// An update that does not decode leaves the last good table in force (A6).
import {
  startDataplane,
  type Dataplane,
  type DataplaneEvents,
  type IdMakers,
} from '../dataplane/index.ts';
import { addressFamily, normaliseAddress } from '../lib/address.ts';
import type { Runtime } from '../lib/clock.ts';
import type { DatagramNetwork } from '../lib/datagrams.ts';
import type { ConnectOptions, Network, SecureNetwork } from '../lib/network.ts';
import {
  compileTable,
  splitDestinations,
  withNodePart,
  withPeers,
  type RouteTable,
} from '../route/index.ts';
import {
  applyDelta,
  applyNodePart,
  type NodePart,
  type PeerPart,
  type Snapshot,
  type SnapshotDelta,
} from '../snapshot/index.ts';
import {
  AccessLogRing,
  MeterArena,
  parseAccessLogMode,
  SlotView,
  type SeriesDefinition,
} from '../telemetry/index.ts';
import { HandshakeNotices } from './handshake-notices.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { meteringObserver, type Metering } from './metering.ts';
import { tcpMetering } from './tcp-metering.ts';
import { meteringUdp } from './udp-metering.ts';
import { ownsUdp } from './udp-owners.ts';

export { fastestNetwork, fastestTlsNetwork } from '../dataplane/index.ts';
export { nodeNetwork, tlsNetwork, type IdMakers } from '../dataplane/index.ts';
export type { FromWorker, ToWorker, WorkerStart } from './messages.ts';

export type WorkerPlatform = {
  readonly runtime: Runtime;
  readonly network: Network;
  /** What tunnels run on. */
  readonly secureNetwork: SecureNetwork;
  /** What UDP services run on. */
  readonly datagrams: DatagramNetwork;
  /** The network's sockets are direct ones; the control thread tells. */
  readonly hasDirectSockets: boolean;
  readonly ids: IdMakers;
  readonly post: (message: FromWorker) => void;
};

const noPeers: PeerPart = {
  nodes: new Map(),
  dial: new Map(),
  bare: new Set(),
  deaf: new Set(),
  knowsAllPods: false,
};

/** How often lines of the access log and new series go to the control thread. */
const reportMs = 100;

/** Starts the worker; the answer takes the control thread's messages. */
export function startWorker(start: WorkerStart, platform: WorkerPlatform) {
  const worker = new Worker(start, platform);
  platform.post({ kind: 'started', hasDirectSockets: platform.hasDirectSockets });
  return (message: ToWorker): void => worker.receive(message);
}

class Worker {
  readonly #platform: WorkerPlatform;
  readonly #start: WorkerStart;
  readonly #slots: SlotView;
  readonly #ring = new AccessLogRing();
  readonly #metering: Metering;
  readonly #dataplane: Dataplane;
  readonly #notices = new HandshakeNotices();
  #series: SeriesDefinition[] = [];
  #snapshot: Snapshot | undefined;
  #node: NodePart;
  #peers: PeerPart | undefined;
  #table: RouteTable | undefined;
  #sequence = 0;
  /** The series of the table's splits exist. */
  #isAnnounced = true;

  constructor(start: WorkerStart, platform: WorkerPlatform) {
    this.#start = start;
    this.#platform = platform;
    this.#slots = new SlotView(start.slots, start);
    this.#node = { nodeName: start.nodeName, bindings: new Map() };
    // Until somebody has told of peers there is no way across: a worker that may have tunnels never
    // begins with plain text.
    if (start.settings.tunnel !== undefined) this.#peers = noPeers;
    const onBug = (error: unknown): void =>
      platform.post({ kind: 'bug', message: textOf(error) });
    const meters = new MeterArena(start.meters, (definition) => this.#series.push(definition));
    const { settings } = start;
    const fromHere = fromBindAddresses(settings.bindAddresses);
    const metering = {
      meters,
      ring: this.#ring,
      mode: parseAccessLogMode(settings.accessLog) ?? { kind: 'errors' },
      clock: platform.runtime.clock,
      random: platform.runtime.random,
      onBug,
    };
    this.#metering = meteringObserver(metering);
    const secure = boundSecureNetwork(platform.secureNetwork, fromHere);
    this.#dataplane = startDataplane({
      runtime: platform.runtime,
      network: boundNetwork(platform.network, fromHere),
      secure,
      tunnels: settings.tunnel && { ...settings.tunnel, network: secure },
      udp: {
        network: boundDatagrams(platform.datagrams, fromHere),
        observer: meteringUdp({ meters, onBug }),
        workerCount: start.count,
      },
      ids: platform.ids,
      slots: this.#slots,
      limits: settings.limits,
      bindAddresses: settings.bindAddresses,
      localAddress: undefined,
      reusePort: settings.usesReusePort,
      trustedSources: settings.trustedSources,
      observer: {
        ...this.#metering,
        tunnelHandshake: (facts) => {
          this.#metering.tunnelHandshake(facts);
          const notice = this.#notices.note(facts, platform.runtime.clock.nowMs());
          if (notice !== undefined) platform.post({ kind: 'handshake-failed', notice });
        },
      },
      tcp: tcpMetering(metering),
      events: this.#events(),
    });
    this.#report();
  }

  receive(message: ToWorker): void {
    switch (message.kind) {
      case 'update':
        return this.#update(message);
      case 'drain':
        void this.#drain(message.delayMs, message.timeoutMs);
        return;
      case 'inspect':
        return this.#platform.post({
          kind: 'inspected',
          query: message.query,
          state: this.#dataplane.state(),
        });
      case 'identities':
        return this.#dataplane.identify(message);
      case 'udp-owners':
        return this.#dataplane.ownUdp(ownsUdp(message.owners, this.#start.index));
      case 'throw':
        if (this.#start.settings.testHooks) throw new Error('test hook: this worker shall die');
    }
  }

  #update(update: Extract<ToWorker, { kind: 'update' }>): void {
    const { sequence } = update;
    if (update.slots !== undefined) this.#slots.apply(update.slots);
    if (update.node !== undefined) this.#node = applyNodePart(this.#node, update.node);
    if (update.peers !== undefined) this.#peers = update.peers;
    const refusal = this.#takeOver(update.snapshot);
    if (refusal !== undefined) {
      // Whose an address is has changed all the same: nobody goes on being known by an address
      // that is somebody else's now.
      if (this.#table !== undefined) this.#publish(withNodePart(this.#table, this.#node));
      this.#platform.post({ kind: 'refused', sequence, message: refusal });
      return;
    }
    if (this.#table === undefined) return;
    this.#sequence = sequence;
    this.#confirm();
  }

  /** Why it cannot be taken over; the last good snapshot then stays in force (A6). */
  #takeOver(delta: SnapshotDelta | undefined): string | undefined {
    if (delta === undefined) {
      if (this.#table !== undefined) this.#publish(withNodePart(this.#table, this.#node));
      return undefined;
    }
    const applied = applyDelta(this.#snapshot, delta);
    if (applied.kind === 'failure') return applied.failure.message;
    try {
      this.#publish(compileTable(applied.snapshot.sections, this.#node, this.#table));
    } catch (error) {
      // A snapshot that our own code fails on would kill each worker that starts with it.
      return textOf(error);
    }
    this.#snapshot = applied.snapshot;
    return undefined;
  }

  #publish(compiled: RouteTable): void {
    const peers = this.#peers;
    const isSame = peers === undefined || compiled.peers === peers;
    const table = isSame ? compiled : withPeers(compiled, peers);
    this.#dataplane.publish(table);
    this.#table = table;
    this.#isAnnounced = false;
  }

  /** Tells what is in force; again when a listener opens or fails later. */
  #confirm(): void {
    const { listeners: ofTcp, udp } = this.#dataplane.state();
    const listeners = [...ofTcp, ...(udp?.listeners ?? [])];
    this.#platform.post({
      kind: 'applied',
      sequence: this.#sequence,
      version: this.#snapshot?.version ?? '',
      openPorts: listeners.filter((one) => one.isOpen).map((one) => one.targetPort),
      openingPorts: listeners
        .filter((one) => !one.isOpen && one.failure === undefined)
        .map((one) => one.targetPort),
      failedPorts: listeners
        .filter((one) => one.failure !== undefined)
        .map((one) => ({ port: one.targetPort, message: one.failure ?? '' })),
    });
  }

  #events(): DataplaneEvents {
    return { listenersChanged: () => this.#confirm() };
  }

  async #drain(delayMs: number, timeoutMs: number): Promise<void> {
    await this.#dataplane.drain({ delayMs, timeoutMs });
    this.#flush();
    this.#platform.post({ kind: 'drained' });
  }

  #report(): void {
    this.#platform.runtime.timers.after(reportMs, () => {
      this.#flush();
      this.#report();
    });
  }

  /** Off the way of an update: a mesh with many splits must not delay its own traffic. */
  #announce(): void {
    if (this.#isAnnounced || this.#table === undefined) return;
    this.#isAnnounced = true;
    for (const { host, destination } of splitDestinations(this.#table)) {
      this.#metering.announce(host, destination);
    }
  }

  #flush(): void {
    this.#announce();
    if (this.#series.length > 0) {
      this.#platform.post({ kind: 'series', definitions: this.#series });
      this.#series = [];
    }
    const batch = this.#ring.take();
    if (batch !== undefined) this.#platform.post({ kind: 'access-log', ...batch });
  }
}

/**
 * Upstream connections come from the bind address of the endpoint's family, where it is a specific
 * one: proxies that share a machine are told apart by it.
 */
function fromBindAddresses(bindAddresses: readonly string[]): Bound {
  const normalised = bindAddresses.flatMap((address) => normaliseAddress(address) ?? []);
  const specific = normalised.filter((address) => address !== '0.0.0.0' && address !== '::');
  const localAddresses = new Map(
    // The first of each family counts, so it is set last.
    specific.reverse().map((address) => [addressFamily(address), address]),
  );
  if (localAddresses.size === 0) return (to) => to;
  return (to) => ({ ...to, localAddress: localAddresses.get(addressFamily(to.address)) });
}

type Bound = (to: ConnectOptions) => ConnectOptions;

function boundNetwork(network: Network, fromHere: Bound): Network {
  return {
    listen: (options, events) => network.listen(options, events),
    connect: (to) => network.connect(fromHere(to)),
  };
}

function boundDatagrams(network: DatagramNetwork, fromHere: Bound): DatagramNetwork {
  return {
    ...network,
    connect: (to, events) => network.connect(fromHere(to), events),
  };
}

function boundSecureNetwork(network: SecureNetwork, fromHere: Bound): SecureNetwork {
  return {
    listen: (options, events) => network.listen(options, events),
    context: (terms) => {
      const { accept, connect } = network.context(terms);
      return { accept, connect: (to) => connect(fromHere(to)) };
    },
    toPods: (terms) => {
      const { connect } = network.toPods(terms);
      return { connect: (to) => connect(fromHere(to)) };
    },
  };
}

/** With the stack where there is one: it is the only trace of a fault. */
function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
