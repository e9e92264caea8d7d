// The control thread of a proxy: connection → watch → publisher → workers, with DNS and the admin
// port beside them. It lives until it is told to drain, and ends with everything it opened closed.
// Traffic goes on while the API server is away: nothing here stops the workers but a drain.
import type { ClusterState } from '../api/index.ts';
import { watchCluster, type ClusterWatch, type Connection } from '../kube/index.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { Network } from '../lib/network.ts';
import {
  createSlotMemory,
  defaultSlotCapacity,
  SlotAllocator,
  type Log,
} from '../telemetry/index.ts';
import { createRegistry, startAdminServer, type AdminServer } from '../telemetry/control.ts';
import { adminRoutes } from './admin-routes.ts';
import { startDnsServer, type DnsServer, type OpenDatagrams } from './dns-server.ts';
import { Publisher } from './publisher.ts';
import { readinessOf, type Readiness } from './readiness.ts';
import type { ProxySettings } from './settings.ts';
import { WorkerFleet, type SpawnWorker, type WorkerUpdate } from './worker-fleet.ts';

export type ProxyOptions = {
  readonly settings: ProxySettings;
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly network: Network;
  readonly openDatagrams: OpenDatagrams;
  readonly spawnWorker: SpawnWorker;
  readonly log: Log;
  readonly version: string;
  readonly nodeVersion: string;
  /** Takes complete lines of the access log. */
  readonly writeAccessLog: (text: string) => void;
  /** `POST /debug/drain`: as if SIGTERM had come. */
  readonly onDrainAsked: () => void;
};

export type Proxy = {
  readonly readiness: () => Readiness;
  readonly adminPort: number;
  /** Resolves when nothing is in flight any more, at the latest after the drain timeout. */
  readonly drain: () => Promise<void>;
  /** Closes everything that is still open. */
  readonly close: () => Promise<void>;
};

const everyAddress: readonly string[] = ['0.0.0.0', '::'];
const secondMs = 1_000;

/** Starts all parts; rejects with a Failure when a port of the control thread is taken. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const control = new Control(options);
  await control.open();
  return control;
}

class Control implements Proxy {
  readonly #options: ProxyOptions;
  readonly #registry;
  readonly #slots: SlotAllocator;
  readonly #slotMemory = createSlotMemory(defaultSlotCapacity);
  readonly #publisher: Publisher;
  readonly #fleet: WorkerFleet;
  readonly #watch: ClusterWatch;
  #dns: DnsServer | undefined;
  #admin: readonly AdminServer[] = [];
  #second: Timer | undefined;
  #quarantine: Timer | undefined;
  #isDraining = false;
  /** Monotonic ms of the publication that the workers have not all confirmed: by sequence. */
  readonly #published = new Map<number, number>();

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { settings, runtime, log } = options;
    this.#registry = createRegistry({
      clock: runtime.clock,
      component: 'proxy',
      version: options.version,
      nodeVersion: options.nodeVersion,
    });
    this.#slots = new SlotAllocator(this.#slotMemory, runtime.random);
    this.#publisher = new Publisher({
      settings: settings.mesh,
      nodeName: settings.nodeName,
      slots: this.#slots,
    });
    this.#fleet = this.#startFleet();
    this.#watch = watchCluster({
      connection: options.connection,
      runtime,
      log,
      // Until calls between nodes go through tunnels, the source's proxy authorises at the chosen
      // pod, wherever that is: it has to know all pods.
      podScope: { kind: 'cluster' },
      onChange: (state) => this.#publish(state),
    });
    this.#sampleMetrics();
  }

  get adminPort(): number {
    return this.#admin[0]?.port ?? 0;
  }

  async open(): Promise<void> {
    const { settings, runtime, network, openDatagrams, log } = this.#options;
    const addresses = settings.bindAddresses.length > 0 ? settings.bindAddresses : everyAddress;
    this.#dns = startDnsServer({
      addresses,
      port: settings.dnsPort,
      network,
      openDatagrams,
      runtime,
      zone: () => this.#publisher.zone,
      onFailed: (transport, error) =>
        log.error('mesh DNS cannot listen', {
          transport,
          port: settings.dnsPort,
          error: error.message,
        }),
    });
    const routes = adminRoutes({
      version: this.#options.version,
      settings,
      publisher: this.#publisher,
      fleet: this.#fleet,
      watch: this.#watch,
      registry: this.#registry,
      readiness: () => this.readiness(),
      isDraining: () => this.#isDraining,
      startDrain: () => this.#options.onDrainAsked(),
    });
    const adminAddresses = settings.bindAddresses.length > 0 ? settings.bindAddresses : ['::'];
    this.#admin = await Promise.all(
      adminAddresses.map((address) =>
        startAdminServer({
          address,
          port: settings.adminPort,
          routes,
          debugFrom: settings.debugFrom,
          onBug: (error) => this.#countBug('admin route threw', error),
        }),
      ),
    );
    this.#everySecond();
  }

  readiness(): Readiness {
    return readinessOf({
      isSynced: this.#watch.isSynced(),
      workers: this.#fleet.states(),
      version: this.#publisher.snapshot?.version,
      dns: this.#dns?.listening() ?? { open: 0, wanted: 1 },
    });
  }

  async drain(): Promise<void> {
    const { drainDelayMs, drainTimeoutMs } = this.#options.settings;
    this.#isDraining = true;
    this.#options.log.info('draining', { drainDelayMs, drainTimeoutMs });
    await this.#fleet.drain(drainDelayMs, drainTimeoutMs);
  }

  async close(): Promise<void> {
    this.#second?.cancel();
    this.#quarantine?.cancel();
    this.#fleet.close();
    this.#dns?.close();
    await this.#watch.stop();
    await Promise.all(this.#admin.map((server) => server.close()));
    await this.#options.connection.close();
  }

  #publish(state: ClusterState): void {
    const nowMs = this.#options.runtime.clock.nowMs();
    const before = this.#publisher.snapshot?.version;
    const update = this.#publisher.publish(state, nowMs);
    this.#scheduleQuarantine(nowMs);
    if (update === undefined) return;
    const sequence = this.#send(update, nowMs);
    const version = this.#publisher.snapshot?.version;
    if (version === before) return;
    this.#options.log.info('configuration changed', {
      version,
      sequence,
      sections: update.snapshot?.changed.length ?? 0,
      problems: this.#publisher.problems.length,
    });
  }

  #send(update: WorkerUpdate, startedMs: number): number {
    const sequence = this.#fleet.publish(update);
    this.#published.set(sequence, startedMs);
    return sequence;
  }

  /** An address that leaves its quarantine is a change without an event. */
  #scheduleQuarantine(nowMs: number): void {
    const dueMs = this.#publisher.nextChangeMs;
    this.#quarantine?.cancel();
    if (dueMs === undefined) return;
    this.#quarantine = this.#options.runtime.timers.after(dueMs - nowMs + 1, () =>
      this.#publish(this.#watch.state()),
    );
  }

  #startFleet(): WorkerFleet {
    const { settings, runtime, spawnWorker, log } = this.#options;
    return new WorkerFleet({
      count: settings.workers,
      runtime,
      spawn: spawnWorker,
      startOf: (index) => ({
        index,
        count: settings.workers,
        nodeName: settings.nodeName,
        slots: this.#slotMemory,
        meters: this.#registry.openArena(index),
        settings: {
          bindAddresses: settings.bindAddresses.length > 0 ? settings.bindAddresses : everyAddress,
          localAddress: settings.bindAddresses[0],
          usesReusePort: settings.usesReusePort,
          trustedSources: settings.trustedSources,
          accessLog: settings.accessLog,
          testHooks: settings.testHooks,
          limits: settings.limits,
        },
      }),
      completeUpdate: () => this.#publisher.complete(),
      events: {
        onSeries: (worker, definitions) => this.#registry.define(worker, definitions),
        onAccessLog: (lines, dropped) => this.#writeAccessLog(lines, dropped),
        onBug: (message, error) => this.#countBug(message, error),
        onRestart: (worker) => {
          this.#slots.forgetWorker(worker);
          const { meters } = this.#registry;
          meters.add(meters.counter('weft_worker_restarts_total', {}), 1);
          log.warn('worker replaced', { worker });
        },
        onApplied: (sequence) => this.#noteApplied(sequence),
      },
    });
  }

  #noteApplied(sequence: number): void {
    const { meters } = this.#registry;
    const nowMs = this.#options.runtime.clock.nowMs();
    const cell = meters.histogram('weft_config_applied_seconds', {});
    for (const [published, startedMs] of this.#published) {
      if (published > sequence) continue;
      this.#published.delete(published);
      meters.observe(cell, (nowMs - startedMs) / 1_000);
    }
  }

  #writeAccessLog(lines: readonly string[], dropped: number): void {
    if (lines.length > 0) this.#options.writeAccessLog(`${lines.join('\n')}\n`);
    if (dropped === 0) return;
    const { meters } = this.#registry;
    meters.add(meters.counter('weft_access_log_dropped_total', {}), dropped);
  }

  #countBug(message: string, error: unknown): void {
    const { meters } = this.#registry;
    meters.add(meters.counter('weft_bugs_total', {}), 1);
    const text = error instanceof Error ? (error.stack ?? error.message) : error;
    this.#options.log.error('fault of weft itself', { what: message, error: text });
  }

  #everySecond(): void {
    this.#second = this.#options.runtime.timers.after(secondMs, () => {
      this.#slots.tick();
      this.#everySecond();
    });
  }

  #sampleMetrics(): void {
    const registry = this.#registry;
    registry.sample('weft_config_version_info', () => {
      const version = this.#publisher.snapshot?.version;
      return version === undefined ? [] : [{ labels: { version }, value: 1 }];
    });
    registry.sample('weft_config_age_seconds', () => {
      const ages = this.#watch.status().map((one) => one.lastEventAgeMs ?? 0);
      return [{ labels: {}, value: Math.max(0, ...ages) / 1_000 }];
    });
    registry.sample('weft_problems', () => {
      const counts = new Map<string, { kind: string; reason: string; value: number }>();
      for (const { kind, reason } of this.#publisher.problems) {
        const key = `${kind}/${reason}`;
        const held = counts.get(key) ?? { kind, reason, value: 0 };
        counts.set(key, { ...held, value: held.value + 1 });
      }
      return [...counts.values()].map(({ kind, reason, value }) => ({
        labels: { kind, reason },
        value,
      }));
    });
  }
}
