// The workers' half of a proxy, and all that a worker loads (second door): takes updates from the
// control thread, compiles the table, hands it to the data plane, and sends back what it counted.
// An update that does not decode leaves the last good table in force (A6).
import {
  startDataplane,
  type Dataplane,
  type DataplaneEvents,
  type IdMakers,
} from '../dataplane/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Network } from '../lib/network.ts';
import { compileTable, withNodePart, type RouteTable } from '../route/index.ts';
import { applyDelta, applyNodePart, type NodePart, type Snapshot } from '../snapshot/index.ts';
import {
  AccessLogRing,
  MeterArena,
  parseAccessLogMode,
  SlotView,
  type SeriesDefinition,
} from '../telemetry/index.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { meteringObserver } from './metering.ts';

export { nodeNetwork } from '../dataplane/index.ts';
export type { FromWorker, ToWorker, WorkerStart } from './messages.ts';

export type WorkerPlatform = {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly ids: IdMakers;
  readonly post: (message: FromWorker) => void;
};

/** How often lines of the access log and new series go to the control thread. */
const reportMs = 100;

/** Starts the worker; the answer takes the control thread's messages. */
export function startWorker(start: WorkerStart, platform: WorkerPlatform) {
  const worker = new Worker(start, platform);
  platform.post({ kind: 'started' });
  return (message: ToWorker): void => worker.receive(message);
}

class Worker {
  readonly #platform: WorkerPlatform;
  readonly #start: WorkerStart;
  readonly #slots: SlotView;
  readonly #ring = new AccessLogRing();
  readonly #dataplane: Dataplane;
  #series: SeriesDefinition[] = [];
  #snapshot: Snapshot | undefined;
  #node: NodePart;
  #table: RouteTable | undefined;
  #sequence = 0;

  constructor(start: WorkerStart, platform: WorkerPlatform) {
    this.#start = start;
    this.#platform = platform;
    this.#slots = new SlotView(start.slots, start);
    this.#node = { nodeName: start.nodeName, bindings: new Map() };
    const meters = new MeterArena(start.meters, (definition) => this.#series.push(definition));
    const { settings } = start;
    this.#dataplane = startDataplane({
      runtime: platform.runtime,
      network: platform.network,
      ids: platform.ids,
      slots: this.#slots,
      limits: settings.limits,
      bindAddresses: settings.bindAddresses,
      localAddress: settings.localAddress,
      reusePort: settings.usesReusePort,
      trustedSources: settings.trustedSources,
      observer: meteringObserver({
        meters,
        ring: this.#ring,
        mode: parseAccessLogMode(settings.accessLog) ?? { kind: 'errors' },
        clock: platform.runtime.clock,
        random: platform.runtime.random,
        onBug: (error) => platform.post({ kind: 'bug', message: String(error) }),
      }),
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
      case 'throw':
        if (this.#start.settings.testHooks) throw new Error('test hook: this worker shall die');
    }
  }

  #update(update: Extract<ToWorker, { kind: 'update' }>): void {
    this.#sequence = update.sequence;
    if (update.slots !== undefined) this.#slots.apply(update.slots);
    if (update.node !== undefined) this.#node = applyNodePart(this.#node, update.node);
    if (update.snapshot !== undefined) {
      const applied = applyDelta(this.#snapshot, update.snapshot);
      if (applied.kind === 'failure') {
        const { sequence } = update;
        this.#platform.post({ kind: 'refused', sequence, message: applied.failure.message });
        return;
      }
      this.#snapshot = applied.snapshot;
    }
    if (this.#snapshot === undefined) return;
    this.#table =
      update.snapshot === undefined && this.#table !== undefined
        ? withNodePart(this.#table, this.#node)
        : compileTable(this.#snapshot.sections, this.#node, this.#table);
    this.#dataplane.publish(this.#table);
    this.#confirm();
  }

  /** Tells what is in force; again when a listener opens or fails later. */
  #confirm(): void {
    const listeners = this.#dataplane.state().listeners;
    this.#platform.post({
      kind: 'applied',
      sequence: this.#sequence,
      version: this.#snapshot?.version ?? '',
      openPorts: listeners.filter((one) => one.isOpen).map((one) => one.targetPort),
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

  #flush(): void {
    if (this.#series.length > 0) {
      this.#platform.post({ kind: 'series', definitions: this.#series });
      this.#series = [];
    }
    const batch = this.#ring.take();
    if (batch !== undefined) this.#platform.post({ kind: 'access-log', ...batch });
  }
}
