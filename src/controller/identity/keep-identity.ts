// The controller's part of identity, as one: the authority, the trust bundle, the requests, the
// rotation of the root, and what is told of them. It joins them and decides nothing.
import type { ClusterState, MeshSettings, Problem } from '../../api/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Runtime, Timer } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import type { MeterRegistry } from '../../telemetry/control.ts';
import { askVersion } from '../ask-version.ts';
import { AuthorityKeeper } from './authority.ts';
import { authorityName } from './authority-secret.ts';
import { RequestsKeeper } from './keep-requests.ts';
import { RotationKeeper } from './keep-rotation.ts';
import { TrustKeeper } from './keep-trust.ts';

export type IdentityKeeperOptions = {
  /** Its writes are sent only while this replica leads. */
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly registry: MeterRegistry;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  readonly pods: () => ClusterState['pods'];
  /** `problems` says something else than before. */
  readonly onProblems: () => void;
};

const dayMs = 86_400_000;
const firstAlarmMs = 60_000;
const alarmDays = 30;
/** A list takes a second, or a few in a large cluster. */
const unwatchedMs = 30_000;
/** Of 64 digits: enough to tell a handful of roots apart. */
const rootLabelLength = 16;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #authority: AuthorityKeeper;
  readonly #trust: TrustKeeper;
  readonly #requests: RequestsKeeper;
  readonly #rotation: RotationKeeper;
  #alarmTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #unwatched: readonly string[] = [];

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    const { meters } = options.registry;
    this.#trust = new TrustKeeper({ ...options, held: () => this.#authority.held });
    this.#requests = new RequestsKeeper({
      ...options,
      signing: () => this.#authority.signing,
      events: {
        issued: () => meters.add(meters.counter('weft_certificates_issued_total', {}), 1),
        denied: (reason) =>
          meters.add(meters.counter('weft_certificate_denials_total', { reason }), 1),
      },
    });
    this.#authority = new AuthorityKeeper({
      ...options,
      onChange: () => {
        this.#trust.look();
        this.#requests.look();
        this.#rotation.look();
        options.onProblems();
      },
    });
    this.#rotation = new RotationKeeper({
      ...options,
      authority: this.#authority,
      isPublished: () => this.#trust.isPublished(),
      ask: askVersion,
    });
    this.#sampleMetrics(options.registry);
    this.#alarm(firstAlarmMs);
    this.#lookAtWatches();
  }

  /** Leadership was gained. */
  look(): void {
    this.#authority.look();
    this.#trust.look();
    this.#requests.look();
    this.#rotation.look();
  }

  problems(): readonly Problem[] {
    const unwatched = this.#unwatchedProblems();
    return [...this.#authority.problems(), ...this.#rotation.problems(), ...unwatched];
  }

  async stop(): Promise<void> {
    this.#alarmTimer?.cancel();
    this.#watchTimer?.cancel();
    const parts = [this.#requests, this.#rotation, this.#trust, this.#authority];
    await Promise.all(parts.map((part) => part.stop()));
  }

  /**
   * What cannot be listed is told. It is no reason not to be ready: an image that is newer than its
   * RBAC rules would never be rolled out, and all but signing goes on without.
   */
  #lookAtWatches(): void {
    this.#watchTimer = this.#options.runtime.timers.after(unwatchedMs, () => {
      const parts = [
        ['secrets', this.#authority],
        ['configmaps', this.#trust],
        ['certificatesigningrequests', this.#requests],
      ] as const;
      const missing = parts.flatMap(([plural, part]) => (part.isSynced() ? [] : [plural]));
      const isNews = missing.join() !== this.#unwatched.join();
      this.#unwatched = missing;
      if (isNews) this.#options.onProblems();
      if (missing.length > 0) this.#lookAtWatches();
    });
  }

  #unwatchedProblems(): readonly Problem[] {
    if (this.#unwatched.length === 0) return [];
    const { meshNamespace: namespace } = this.#options.settings;
    const message =
      `the controller cannot list ${this.#unwatched.join(', ')}: no certificate is signed ` +
      '(hint: its RBAC rules are older than its image; apply the manifests of this version)';
    const reason = 'IdentityUnwatched';
    return [{ kind: 'Secret', name: authorityName, namespace, reason, message }];
  }

  /** Both replicas tell these: they are what the Secret says. */
  #sampleMetrics(registry: MeterRegistry): void {
    registry.meters.counter('weft_certificates_issued_total', {});
    registry.sample('weft_trust_expiry_timestamp_seconds', () =>
      (this.#authority.held?.roots ?? []).map(({ fingerprint, notAfterMs }) => ({
        labels: { root: fingerprint.slice(0, rootLabelLength) },
        value: Math.floor(notAfterMs / 1_000),
      })),
    );
    registry.sample('weft_trust_phase', () => {
      const phase = this.#authority.held?.phase;
      return phase === undefined ? [] : [{ labels: { phase }, value: 1 }];
    });
  }

  /** Once a day, while there is time to bring another one. */
  #alarm(delayMs: number): void {
    const { runtime, log, isLeading } = this.#options;
    this.#alarmTimer = runtime.timers.after(delayMs, () => {
      this.#alarm(dayMs);
      const notAfterMs = this.#authority.held?.signer.authority.notAfterMs;
      if (notAfterMs === undefined || !isLeading()) return;
      const leftMs = notAfterMs - runtime.clock.wallMs();
      if (leftMs > alarmDays * dayMs) return;
      log.warn('the authority expires soon; bring another one with weft ca', {
        notAfter: new Date(notAfterMs).toISOString(),
        hoursLeft: Math.floor(leftMs / 3_600_000),
      });
    });
  }
}
