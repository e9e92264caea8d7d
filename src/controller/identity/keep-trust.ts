// Keeps ConfigMap `weft-trust`, which tells proxies whose certificates to believe: it says what
// follows from the authority and nothing else, and whoever edits it finds it back. While the
// authority is missing or faulty it is left as it is: a bundle that lacks a root in use would cut
// connections.
import type { MeshSettings } from '../../api/index.ts';
import { kubeReason, resourcePath, startReflector, startWorkQueue } from '../../kube/index.ts';
import type { Connection, Reflector, WorkQueue } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type { Log } from '../../telemetry/index.ts';
import { RawMirror } from '../raw-mirror.ts';
import { textAt, valueAt } from '../raw-object.ts';
import { WriteBudget } from '../write-budget.ts';
import { trustManifest } from './authority-manifest.ts';
import type { TrustManifest } from './authority-manifest.ts';
import { trustName } from './authority-secret.ts';
import type { HeldAuthority } from './authority-secret.ts';

export type TrustKeeperOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  readonly held: () => HeldAuthority | undefined;
};

type Again = { readonly againAfterMs: number } | undefined;

/** Our view is older than the server's: the watch brings the newer one. */
const conflictRestMs = 500;

export class TrustKeeper {
  readonly #options: TrustKeeperOptions;
  readonly #mirror: RawMirror;
  readonly #reflector: Reflector;
  readonly #queue: WorkQueue;
  readonly #budget = new WriteBudget();

  constructor(options: TrustKeeperOptions) {
    this.#options = options;
    this.#mirror = new RawMirror({ seen: () => undefined, changed: () => this.look() });
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 1,
      reconcile: () => this.#reconcile(),
    });
    this.#reflector = startReflector<unknown>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind: 'ConfigMap' }),
      resource: { group: '', plural: 'configmaps', versions: ['v1'] },
      namespace: options.settings.meshNamespace,
      selector: { fieldSelector: `metadata.name=${trustName}` },
      parse: (input) => ({ value: input, problems: [] }),
      sink: this.#mirror.sink(),
      onSynced: () => this.look(),
    });
  }

  /** The authority, or leadership, may be another. */
  look(): void {
    this.#queue.add(trustName);
  }

  isSynced(): boolean {
    return this.#reflector.status().isSynced;
  }

  /** Whether what is published is what the authority says. */
  isPublished(): boolean {
    const wanted = this.#wanted();
    return wanted !== undefined && isAsWanted(this.#mirror.get(trustName), wanted);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#reflector.stop(), this.#queue.stop()]);
  }

  #wanted(): TrustManifest | undefined {
    const held = this.#options.held();
    const { meshNamespace: namespace, trustDomain } = this.#options.settings;
    return held === undefined ? undefined : trustManifest({ namespace, trustDomain, held });
  }

  async #reconcile(): Promise<Again> {
    const { isLeading, runtime } = this.#options;
    const wanted = this.#wanted();
    if (!isLeading() || !this.isSynced() || wanted === undefined) return undefined;
    const actual = this.#mirror.get(trustName);
    if (isAsWanted(actual, wanted)) return undefined;
    const waitMs = this.#budget.take(runtime.clock.nowMs());
    if (waitMs > 0) return { againAfterMs: waitMs };
    try {
      this.#mirror.see(await this.#write(wanted, actual));
      return undefined;
    } catch (error) {
      const reason = kubeReason(error);
      const isBehind = reason === 'Conflict' || reason === 'AlreadyExists' || reason === 'NotFound';
      if (isBehind) return { againAfterMs: conflictRestMs };
      throw error;
    }
  }

  async #write(wanted: TrustManifest, actual: unknown): Promise<unknown> {
    const { connection, log, held } = this.#options;
    const { namespace, name } = wanted.metadata;
    const collection = { group: '', version: 'v1', plural: 'configmaps', namespace };
    const answer =
      actual === undefined
        ? await connection.create(resourcePath(collection), wanted)
        : await connection.update(resourcePath({ ...collection, name }), over(actual, wanted));
    const authority = held();
    log.info('trust changed', {
      phase: authority?.phase,
      roots: authority?.roots.map(({ fingerprint }) => fingerprint),
    });
    return answer;
  }
}

function isAsWanted(actual: unknown, wanted: TrustManifest): boolean {
  const { labels, annotations } = wanted.metadata;
  const data = valueAt(actual, 'data');
  const isSameMap = (place: string, map: Readonly<Record<string, string>>): boolean =>
    Object.entries(map).every(([key, value]) => textAt(actual, 'metadata', place, key) === value);
  return (
    JSON.stringify(data) === JSON.stringify(wanted.data) &&
    isSameMap('labels', labels) &&
    isSameMap('annotations', annotations)
  );
}

/** `wanted`, with the version that it replaces and what others have noted on the object. */
function over(actual: unknown, wanted: TrustManifest): unknown {
  const noted = (place: string): object => {
    const found = valueAt(actual, 'metadata', place);
    return typeof found === 'object' && found !== null ? found : {};
  };
  const { metadata } = wanted;
  return {
    ...wanted,
    metadata: {
      ...metadata,
      resourceVersion: textAt(actual, 'metadata', 'resourceVersion'),
      labels: { ...noted('labels'), ...metadata.labels },
      annotations: { ...noted('annotations'), ...metadata.annotations },
    },
  };
}
