// The controller's part of identity, as one: the authority, the trust bundle, the requests. It joins
// them and decides nothing.
import type { ClusterState, MeshSettings, Problem } from '../../api/index.ts';
import type { Connection } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import type { MeterRegistry } from '../../telemetry/control.ts';
import { AuthorityKeeper } from './authority.ts';
import { RequestsKeeper } from './keep-requests.ts';
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

export class IdentityKeeper {
  readonly #authority: AuthorityKeeper;
  readonly #trust: TrustKeeper;
  readonly #requests: RequestsKeeper;

  constructor(options: IdentityKeeperOptions) {
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
        options.onProblems();
      },
    });
  }

  /** Leadership was gained. */
  look(): void {
    this.#authority.look();
    this.#trust.look();
    this.#requests.look();
  }

  isSynced(): boolean {
    const parts = [this.#authority, this.#trust, this.#requests];
    return parts.every((part) => part.isSynced());
  }

  problems(): readonly Problem[] {
    return this.#authority.problems();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#requests.stop(), this.#trust.stop(), this.#authority.stop()]);
  }
}
