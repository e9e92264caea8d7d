// `weft controller`: watches the cluster, keeps the mesh Services while it leads, and tells every
// problem it sees. Traffic never depends on it. Both replicas watch and are ready; one writes.
import type { ClusterState, Problem } from '../api/index.ts';
import { campaign, watchCluster } from '../kube/index.ts';
import type { Campaign, ClusterWatch, Connection } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { KeyMaker } from '../lib/keys.ts';
import { createRegistry, startAdminServer } from '../telemetry/control.ts';
import type { AdminServer, MeterRegistry } from '../telemetry/control.ts';
import type { Log } from '../telemetry/index.ts';
import type { Snapshot } from '../snapshot/index.ts';
import { buildTopology, compileSnapshot, sortedProblems } from '../topology/index.ts';
import type { Topology } from '../topology/index.ts';
import { adminRoutes } from './admin-routes.ts';
import { keepDns, type DnsKeeper } from './dns/keep-dns.ts';
import { IdentityKeeper } from './identity/keep-identity.ts';
import { keepMeshServices } from './keep-mesh-services.ts';
import type { MeshServicesKeeper } from './keep-mesh-services.ts';
import { ObjectStatusKeeper } from './keep-object-status.ts';
import { ProblemLog } from './problem-log.ts';
import type { ControllerSettings } from './settings.ts';

export type ControllerOptions = {
  readonly connection: Connection;
  readonly settings: ControllerSettings;
  readonly runtime: Runtime;
  readonly keys: KeyMaker;
  readonly log: Log;
  /** Of this build. */
  readonly version: string;
  /** `process.versions.node`. */
  readonly nodeVersion: string;
};

export type Controller = {
  /** Of the first bind address. */
  readonly adminPort: number;
  readonly isLeading: () => boolean;
  /** Everything that mesh Services and conditions are made of was listed once. */
  readonly isSynced: () => boolean;
  /** Gives up leadership, so that the other replica need not wait, and closes everything. */
  readonly stop: () => Promise<void>;
};

const leaseName = 'weft-controller';
/** Versions that are remembered (contract §2: `recent`). */
const recentMax = 32;

/** Starts all parts; rejects with a Failure when the admin port is taken. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const controller = new RunningController(options);
  try {
    await controller.open();
    return controller;
  } catch (error) {
    await controller.stop();
    throw error;
  }
}

class RunningController implements Controller {
  readonly #options: ControllerOptions;
  readonly #registry: MeterRegistry;
  readonly #problemLog: ProblemLog;
  readonly #keeper: MeshServicesKeeper;
  readonly #objectStatus: ObjectStatusKeeper;
  readonly #dns: DnsKeeper;
  readonly #identity: IdentityKeeper;
  readonly #watch: ClusterWatch;
  readonly #campaign: Campaign;
  #topology: Topology | undefined;
  #snapshot: Snapshot | undefined;
  #recent: readonly string[] = [];
  #objectProblems: readonly Problem[] = [];
  #admin: readonly AdminServer[] = [];

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { connection, runtime, log, settings } = options;
    const { version, nodeVersion } = options;
    const { clock } = runtime;
    this.#registry = createRegistry({ clock, component: 'controller', version, nodeVersion });
    this.#problemLog = new ProblemLog(log);
    const isLeading = (): boolean => this.isLeading();
    // A leader that was stopped in the midst of a write sends nothing when it wakes up.
    const writer = connection.onlyWhile(isLeading);
    const identity = identityOf(options);
    const onProblems = (): void => this.#tellProblems();
    const shared = { connection: writer, runtime, log, settings: settings.mesh, isLeading };
    this.#keeper = keepMeshServices({ ...shared, dnsPort: settings.dnsPort, onProblems });
    this.#objectStatus = new ObjectStatusKeeper({ ...shared, instance: identity });
    this.#dns = keepDns({ ...shared, onProblems });
    this.#watch = watchCluster({
      connection,
      runtime,
      log,
      // As proxies do for now: some problems are about the pods behind a Service.
      podScope: { kind: 'cluster' },
      onChange: (state) => this.#build(state),
    });
    this.#identity = new IdentityKeeper({
      ...shared,
      keys: options.keys,
      registry: this.#registry,
      pods: () => this.#watch.state().pods,
      onProblems,
    });
    this.#campaign = campaign({
      connection,
      runtime,
      log,
      namespace: settings.mesh.meshNamespace,
      name: leaseName,
      identity,
      onLead: () => {
        this.#tellProblems();
        this.#keeper.look();
        this.#dns.look();
        this.#objectStatus.lead();
        this.#identity.look();
      },
      onFollow: () => this.#objectStatus.follow(),
    });
    this.#sampleMetrics();
  }

  get adminPort(): number {
    return this.#admin[0]?.port ?? 0;
  }

  isLeading(): boolean {
    return this.#campaign.isLeading();
  }

  isSynced(): boolean {
    // Not the identity: what it cannot watch it tells as a problem.
    const parts = [this.#watch, this.#keeper, this.#objectStatus];
    return parts.every((part) => part.isSynced());
  }

  async open(): Promise<void> {
    const { settings, version } = this.#options;
    const routes = adminRoutes({
      build: version,
      registry: this.#registry,
      isSynced: () => this.isSynced(),
      isLeading: () => this.isLeading(),
      version: () => ({
        version: this.#snapshot?.version ?? '',
        policyVersion: this.#topology?.policyVersion ?? '',
        recent: this.#recent,
      }),
      problems: () => this.#problems(),
      watchStatus: () => this.#watch.status(),
    });
    const addresses = settings.bindAddresses.length > 0 ? settings.bindAddresses : ['::'];
    const admin: AdminServer[] = [];
    this.#admin = admin;
    for (const address of addresses) {
      admin.push(
        await startAdminServer({
          address,
          port: settings.adminPort,
          routes,
          debugFrom: settings.debugFrom,
          onBug: (error) => this.#countBug(error),
        }),
      );
    }
  }

  async stop(): Promise<void> {
    const writers = [this.#keeper, this.#objectStatus, this.#dns, this.#identity];
    await Promise.all(writers.map((part) => part.stop()));
    // Only after the last write may the other replica begin.
    await Promise.all([
      this.#campaign.stop(),
      this.#watch.stop(),
      ...this.#admin.map((server) => server.close()),
    ]);
  }

  #build(state: ClusterState): void {
    const settings = this.#options.settings.mesh;
    const built = buildTopology(state, settings, this.#topology);
    this.#topology = built.value;
    // What the proxies compile too: `weft proxies` will compare the versions.
    this.#snapshot = compileSnapshot(built.value, settings, this.#snapshot).value;
    const { policyVersion } = built.value;
    if (this.#recent[0] !== policyVersion) {
      this.#recent = [policyVersion, ...this.#recent].slice(0, recentMax);
    }
    this.#objectProblems = built.problems;
    this.#objectStatus.want({ state, policyVersion });
    this.#tellProblems();
    this.#keeper.want(built.value.wishes);
    this.#dns.want(state);
  }

  #problems(): readonly Problem[] {
    return sortedProblems([...this.#ownProblems(), ...this.#objectStatus.problems()]);
  }

  /** Without those that only whoever tells them knows. */
  #ownProblems(): readonly Problem[] {
    const keepers = [this.#keeper, this.#dns, this.#identity];
    const kept = keepers.flatMap((part) => part.problems());
    return sortedProblems([...this.#objectProblems, ...kept]);
  }

  /** By the leader alone: two replicas would tell everything twice. */
  #tellProblems(): void {
    this.#objectStatus.tell(this.#ownProblems());
    if (this.isLeading()) this.#problemLog.note(this.#problems());
  }

  #countBug(error: unknown): void {
    const { meters } = this.#registry;
    meters.add(meters.counter('weft_bugs_total', {}), 1);
    this.#options.log.error('admin route threw', { error });
  }

  #sampleMetrics(): void {
    const registry = this.#registry;
    registry.meters.counter('weft_bugs_total', {});
    registry.sample('weft_leader', () => [{ labels: {}, value: this.isLeading() ? 1 : 0 }]);
    registry.sample('weft_config_age_seconds', () => {
      const ages = this.#watch.status().map(({ lastEventAgeMs }) => lastEventAgeMs);
      return [{ labels: {}, value: Math.max(0, ...ages) / 1_000 }];
    });
    registry.sample('weft_watch_relists_total', () =>
      this.#watch.status().map(({ kind, relists }) => ({ labels: { kind }, value: relists })),
    );
    registry.sample('weft_problems', () => countProblems(this.#problems()));
  }
}

/** Unique per process: a container that restarts in its pod is another holder. */
function identityOf({ settings, runtime }: ControllerOptions): string {
  const suffix = Math.floor(runtime.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');
  return `${settings.podName ?? 'weft-controller'}_${suffix}`;
}

function countProblems(problems: readonly Problem[]) {
  const counts = new Map<string, { kind: string; reason: string; count: number }>();
  for (const { kind, reason } of problems) {
    const key = `${kind}/${reason}`;
    const held = counts.get(key) ?? { kind, reason, count: 0 };
    held.count += 1;
    counts.set(key, held);
  }
  return [...counts.values()].map(({ kind, reason, count }) => ({
    labels: { kind, reason },
    value: count,
  }));
}
