// The control thread of a proxy: connection → watch → publisher → workers, with DNS and the admin
// port beside them. It lives until it is told to drain, and ends with everything it opened closed.
// Traffic goes on while the API server is away: nothing here stops the workers but a drain.
import type { ClusterState } from '../api/index.ts';
import { watchCluster, type ClusterWatch, type Connection, type PodScope } from '../kube/index.ts';
import type { Runtime, Timer } from '../lib/clock.ts';
import type { LocalFiles } from '../lib/files.ts';
import type { KeyMaker } from '../lib/keys.ts';
import type { Network } from '../lib/network.ts';
import {
  createSlotMemory,
  defaultSlotCapacity,
  SlotAllocator,
  type Log,
} from '../telemetry/index.ts';
import type { Neighbours } from '../topology/index.ts';
import { createRegistry, startAdminServer, type AdminServer } from '../telemetry/control.ts';
import { adminRoutes } from './admin-routes.ts';
import { AppliedTimes } from './applied-times.ts';
import { Breakers } from './breakers.ts';
import { startDnsServer, type DnsServer, type OpenDatagrams } from './dns-server.ts';
import { startIdentities, type RunningIdentities } from './identities.ts';
import { ownIdentity } from './identity-plan.ts';
import type { TunnelSettings } from './messages.ts';
import { startHealthChecks, type HealthChecks } from './health-checks.ts';
import { followNeighbours } from './neighbours.ts';
import { isOfEndpointsOnly, Publisher } from './publisher.ts';
import { PodNeed } from './pod-need.ts';
import { hasCertificates, hasOtherProxy, readinessOf, type Readiness } from './readiness.ts';
import { readinessSoon } from './readiness-soon.ts';
import type { ProxySettings } from './settings.ts';
import { WatchGap } from './watch-gap.ts';
import { WorkerFleet, type SpawnWorker } from './worker-fleet.ts';

export type ProxyOptions = {
  readonly settings: ProxySettings;
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly keys: KeyMaker;
  readonly files: LocalFiles;
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
  /** Resolves when nothing is in flight any more, at the latest soon after the drain timeout. */
  readonly drain: () => Promise<void>;
  /** Closes everything that is still open, the connection too. */
  readonly close: () => Promise<void>;
};

const everyAddress: readonly string[] = ['0.0.0.0', '::'];
const secondMs = 1_000;

/** Starts all parts; rejects with a Failure when a port of the control thread is taken. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const control = new Control(options);
  try {
    await control.open();
    return control;
  } catch (error) {
    await control.close();
    throw error;
  }
}

class Control implements Proxy {
  readonly #options: ProxyOptions;
  readonly #registry;
  readonly #slots: SlotAllocator;
  readonly #slotMemory = createSlotMemory(defaultSlotCapacity);
  readonly #publisher: Publisher;
  readonly #breakers: Breakers;
  readonly #checks: HealthChecks;
  readonly #fleet: WorkerFleet;
  readonly #watch: ClusterWatch;
  readonly #identities: RunningIdentities | undefined;
  readonly #podGap = new WatchGap();
  readonly #sliceGap = new WatchGap();
  #neighbours: Neighbours | undefined;
  #stopNeighbours: (() => void) | undefined;
  #dns: DnsServer | undefined;
  #admin: readonly AdminServer[] = [];
  #second: Timer | undefined;
  #next: Timer | undefined;
  readonly #podNeed = new PodNeed();
  /** Those of other nodes too, where some calls need them. */
  #knowsItsPods = false;
  #isDraining = false;
  #wasReady = false;
  readonly #startedMs: number;
  readonly #appliedTimes = new AppliedTimes();

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { settings, runtime, log } = options;
    this.#startedMs = runtime.clock.nowMs();
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
      hasTunnels: settings.identity !== undefined,
      onBug: (error) => this.#countBug('the objects could not be compiled', error),
    });
    this.#breakers = new Breakers({
      ...runtime,
      log,
      cellsOf: (key) => this.#slots.breaker(key),
    });
    this.#checks = startHealthChecks({ ...options, slots: this.#slots });
    this.#fleet = this.#startFleet();
    this.#identities = this.#startIdentities();
    this.#watch = watchCluster({
      connection: options.connection,
      runtime,
      log,
      podScope: podScopeOf(settings),
      onChange: (state, seenMs) => this.#publish(state, seenMs),
    });
    this.#stopNeighbours = this.#followNeighbours();
    this.#sampleMetrics();
  }

  get adminPort(): number {
    return this.#admin[0]?.port ?? 0;
  }

  async open(): Promise<void> {
    // Starting workers and watches took long enough for one turn of the loop; whoever finds a port
    // open is answered.
    await this.#nextTurn();
    this.#openDns();
    await this.#nextTurn();
    await this.#openAdmin();
    this.#everySecond();
  }

  readiness(): Readiness {
    const readiness = readinessOf({
      wasReady: this.#wasReady,
      isSynced: this.#watch.isSynced() && (this.#wasReady || this.#knowsItsPods),
      workers: this.#fleet.states(),
      version: this.#publisher.snapshot?.version,
      dns: this.#dns?.listening() ?? { open: 0, wanted: 1 },
      hasIdentity: this.#hasIdentity(),
    });
    this.#wasReady ||= readiness.isReady;
    return readiness;
  }

  async drain(): Promise<void> {
    const { drainDelayMs, drainTimeoutMs } = this.#options.settings;
    this.#isDraining = true;
    this.#options.log.info('draining', { drainDelayMs, drainTimeoutMs });
    await this.#fleet.drain(drainDelayMs, drainTimeoutMs);
  }

  async close(): Promise<void> {
    // First what could set timers and send updates.
    const watchStopped = this.#watch.stop();
    this.#second?.cancel();
    this.#next?.cancel();
    this.#breakers.close();
    this.#checks.close();
    this.#stopNeighbours?.();
    const identitiesStopped = this.#identities?.stop();
    this.#fleet.close();
    this.#dns?.close();
    await Promise.all([watchStopped, identitiesStopped]);
    await Promise.all(this.#admin.map((server) => server.close()));
    await this.#options.connection.close();
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.runtime.timers.after(0, resolve);
    });
  }

  #openDns(): void {
    const { settings, runtime, network, openDatagrams, log } = this.#options;
    const { dnsPort, bindAddresses } = settings;
    this.#dns = startDnsServer({
      addresses: bindAddresses.length > 0 ? bindAddresses : everyAddress,
      port: dnsPort,
      network,
      openDatagrams,
      runtime,
      zone: () => this.#publisher.zone,
      onFailed: ({ transport, address, message }) =>
        log.error('mesh DNS cannot listen', { transport, address, port: dnsPort, error: message }),
    });
  }

  async #openAdmin(): Promise<void> {
    const { settings, version, runtime } = this.#options;
    const routes = adminRoutes({
      version,
      settings,
      publisher: this.#publisher,
      fleet: this.#fleet,
      watch: this.#watch,
      registry: this.#registry,
      identities: this.#identities,
      readinessSoon: () =>
        readinessSoon({
          runtime,
          look: () => this.readiness(),
          wasReady: () => this.#wasReady,
        }),
      isDraining: () => this.#isDraining,
      startDrain: () => this.#options.onDrainAsked(),
    });
    const addresses = settings.bindAddresses.length > 0 ? settings.bindAddresses : ['::'];
    const admin: AdminServer[] = [];
    this.#admin = admin;
    // One after the other: when one cannot be opened, those before it are closed again.
    for (const address of addresses) {
      admin.push(
        await startAdminServer({
          address,
          port: settings.adminPort,
          routes,
          debugFrom: settings.debugFrom,
          onBug: (error) => this.#countBug('admin route threw', error),
        }),
      );
    }
  }

  #publish(state: ClusterState, seenMs: number): void {
    const nowMs = this.#options.runtime.clock.nowMs();
    const before = this.#publisher.snapshot?.version;
    this.#lookAtWatch(nowMs);
    this.#identities?.follow(state);
    const update = this.#publisher.publish(state, nowMs, {
      isAfterGap: this.#podGap.take(),
      isLive: this.#sliceGap.isLive(nowMs),
      knowsAllPods: this.#watch.knowsAllPods(),
      neighbours: this.#neighbours,
    });
    this.#scheduleNext(nowMs);
    this.#followPods(nowMs);
    if (update === undefined) return;
    const sequence = this.#fleet.publish(update);
    const { snapshot, nodePart } = this.#publisher;
    if (snapshot !== undefined) this.#breakers.follow(snapshot);
    if (snapshot !== undefined && nodePart !== undefined) this.#checks.follow(snapshot, nodePart);
    this.#appliedTimes.published(sequence, seenMs);
    const version = this.#publisher.snapshot?.version;
    if (version === before) return;
    const { log } = this.#options;
    const facts = {
      version,
      sequence,
      sections: update.snapshot?.changed.length ?? 0,
      problems: this.#publisher.problems.length,
    };
    // Pods come and go ten times a second in a roll-out; what people change is worth a line.
    if (isOfEndpointsOnly(update)) log.debug('endpoints changed', facts);
    else log.info('configuration changed', facts);
  }

  /** The pods of other nodes are watched while some call needs them. */
  #followPods(nowMs: number): void {
    const { snapshot, peers } = this.#publisher;
    if (snapshot === undefined) return;
    const isNeeded = this.#podNeed.isNeeded(snapshot, peers, nowMs);
    this.#watch.followOtherPods(isNeeded);
    const knowsAllPods = this.#watch.knowsAllPods();
    this.#knowsItsPods = !isNeeded || knowsAllPods;
    // Workers must not take an address for nobody's a moment longer than all pods are known.
    if (peers !== undefined && peers.knowsAllPods !== knowsAllPods) this.#publishAgain();
  }

  /** What is left of a large change, or the end of an address's quarantine: due by itself. */
  #scheduleNext(nowMs: number): void {
    const dueMs = this.#publisher.nextChangeMs;
    this.#next?.cancel();
    this.#next = undefined;
    if (dueMs === undefined) return;
    this.#next = this.#options.runtime.timers.after(Math.max(0, dueMs - nowMs + 1), () =>
      this.#publish(this.#watch.state(), this.#options.runtime.clock.nowMs()),
    );
  }

  #lookAtWatch(nowMs: number): void {
    for (const status of this.#watch.status()) {
      if (status.kind === 'Pod') this.#podGap.note(status, nowMs);
      if (status.kind === 'EndpointSlice') this.#sliceGap.note(status, nowMs);
    }
  }

  /** The same objects once more, when something else is another. */
  #publishAgain(): void {
    if (this.#publisher.snapshot === undefined) return;
    this.#publish(this.#watch.state(), this.#options.runtime.clock.nowMs());
  }

  #startIdentities(): RunningIdentities | undefined {
    const { settings, connection, runtime, log, keys, files } = this.#options;
    const { identity } = settings;
    if (identity === undefined) return undefined;
    return startIdentities({
      ...{ connection, runtime, log, keys, files, settings, identity },
      onChange: (change) => this.#fleet.tell(change),
      onOutcome: (result) => {
        const { meters } = this.#registry;
        meters.add(meters.counter('weft_certificate_requests_total', { result }), 1);
      },
    });
  }

  #followNeighbours(): (() => void) | undefined {
    const { settings, files, runtime } = this.#options;
    if (settings.identity === undefined) return undefined;
    return followNeighbours({
      files,
      timers: runtime.timers,
      isLocalPod: (address) => {
        const binding = this.#publisher.nodePart?.bindings.get(address);
        return binding?.kind === 'workload' && binding.nodeName === settings.nodeName;
      },
      onChange: (neighbours) => {
        this.#neighbours = neighbours;
        this.#publishAgain();
      },
    });
  }

  /** Its certificates, or a reason to serve without (contract §5). */
  #hasIdentity(): boolean {
    const identities = this.#identities;
    if (identities === undefined || this.#wasReady) return true;
    const { settings, runtime } = this.#options;
    return hasCertificates({
      hasOwn: identities.hasOwn(),
      hasAll: identities.hasAll(),
      hasOther: hasOtherProxy(this.#watch.state(), settings),
      mtls: settings.mesh.mtls,
      waitedMs: runtime.clock.nowMs() - this.#startedMs,
    });
  }

  #tunnelSettings(): TunnelSettings | undefined {
    const { settings, version: build } = this.#options;
    const { trustDomain } = settings.mesh;
    const proxyId = ownIdentity(settings.mesh);
    if (settings.identity === undefined || proxyId === undefined) return undefined;
    return { port: settings.identity.tunnelPort, trustDomain, proxyId, build };
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
          usesReusePort: settings.usesReusePort,
          trustedSources: settings.trustedSources,
          accessLog: settings.accessLog,
          testHooks: settings.testHooks,
          limits: settings.limits,
          tunnel: this.#tunnelSettings(),
        },
      }),
      completeIdentities: () => this.#identities?.complete(),
      completeUpdate: () => this.#publisher.complete(),
      events: {
        onSeries: (worker, definitions) => this.#registry.define(worker, definitions),
        onAccessLog: (lines, dropped) => this.#writeAccessLog(lines, dropped),
        onBug: (message, error) => this.#countBug(message, error),
        onHandshakeFailed: (notice) => this.#options.log.warn('tunnel failed', { ...notice }),
        onStarted: (worker, hasDirectSockets) =>
          log.info('worker started', { worker, directSockets: hasDirectSockets }),
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
    for (const tookMs of this.#appliedTimes.applied(sequence, nowMs)) {
      meters.observe(cell, tookMs / 1_000);
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
      const nowMs = this.#options.runtime.clock.nowMs();
      const wasLive = this.#sliceGap.isLive(nowMs - secondMs);
      this.#lookAtWatch(nowMs);
      if (wasLive !== this.#sliceGap.isLive(nowMs)) this.#publishAgain();
      this.#followPods(nowMs);
      this.#everySecond();
    });
  }

  #sampleMetrics(): void {
    const registry = this.#registry;
    // Counters are there from the start: a rate needs a zero to begin at.
    for (const name of ['weft_bugs_total', 'weft_worker_restarts_total'] as const) {
      registry.meters.counter(name, {});
    }
    registry.sample('weft_watch_relists_total', () =>
      this.#watch.status().map(({ kind, relists }) => ({ labels: { kind }, value: relists })),
    );
    registry.sample('weft_worker_direct_sockets', () =>
      this.#fleet.states().map(({ index, hasDirectSockets }) => ({
        labels: { worker: String(index) },
        value: hasDirectSockets ? 1 : 0,
      })),
    );
    registry.sample('weft_endpoints_checked_out', () => this.#checks.samples());
    registry.sample('weft_circuit_state', () => this.#breakers.samples());
    registry.sample('weft_sources_disputed', () => [
      { labels: {}, value: this.#publisher.disputed },
    ]);
    registry.sample('weft_certificate_expiry_timestamp_seconds', () =>
      (this.#identities?.expiries() ?? []).map(({ id, atSeconds }) => ({
        labels: { identity: id },
        value: atSeconds,
      })),
    );
    registry.sample('weft_config_version_info', () => {
      const version = this.#publisher.snapshot?.version;
      return version === undefined ? [] : [{ labels: { version }, value: 1 }];
    });
    registry.sample('weft_config_age_seconds', () => {
      const ages = this.#watch.status().map(({ lastEventAgeMs }) => lastEventAgeMs);
      return [{ labels: {}, value: Math.max(0, ...ages) / 1_000 }];
    });
  }
}

/** With tunnels the own pods suffice, and others are watched only while some call needs them. */
function podScopeOf({ identity, mesh, nodeName }: ProxySettings): PodScope {
  const hasTunnels = identity !== undefined && mesh.mtls !== 'off';
  return hasTunnels ? { kind: 'node', nodeName } : { kind: 'cluster' };
}
