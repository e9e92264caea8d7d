// Keeps Service `weft-http` as it should be: watches that one object as it is (edits of fields that
// `api` does not parse must be seen too) and, on the leader alone, writes when it differs. What it
// should be is decided in mesh-service.ts; nothing here is.
// Invariant: each write names the version that it was decided on, so that a leader that was deposed
// without noticing it fails instead of fighting.
import type { MeshSettings, Problem, Service } from '../api/index.ts';
import { parsers } from '../api/index.ts';
import { kubeReason, resourcePath, startReflector, startWorkQueue } from '../kube/index.ts';
import type { Connection, Replacement, Sink, WorkQueue } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import { httpServiceName } from '../topology/index.ts';
import type { WantedPort } from '../topology/index.ts';
import {
  allPortsPatch,
  desiredMeshService,
  foreignPortsPatch,
  isAsDesired,
  meshServiceManifest,
} from './mesh-service.ts';
import type { Manifest, PatchStep, UnusedPorts } from './mesh-service.ts';
import { textAt } from './raw-object.ts';

export type KeepOptions = {
  readonly connection: Connection;
  readonly settings: MeshSettings;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly isLeading: () => boolean;
};

export type MeshServiceKeeper = {
  /** HTTP ports that the mesh wants now; call it again whenever they may have changed. */
  readonly want: (ports: readonly WantedPort[]) => void;
  /** Look again: leadership was gained. */
  readonly look: () => void;
  readonly isSynced: () => boolean;
  readonly problems: () => readonly Problem[];
  readonly stop: () => Promise<void>;
};

/** The one key of the queue. */
const key = httpServiceName;
/** Our view is older than the server's: the watch brings the newer one, most often before this. */
const conflictRestMs = 500;

export function keepMeshService(options: KeepOptions): MeshServiceKeeper {
  const keeper = new Keeper(options);
  const reflector = startReflector<unknown>({
    connection: options.connection,
    runtime: options.runtime,
    log: options.log,
    resource: { group: '', plural: 'services', versions: ['v1'] },
    selector: {
      fieldSelector: `metadata.namespace=${options.settings.meshNamespace},metadata.name=${key}`,
    },
    // The object as it is: what of it is ours is compared field by field.
    parse: (input) => ({ value: input, problems: [] }),
    sink: keeper.sink(),
    onSynced: () => keeper.synced(),
  });
  return {
    want: (ports) => keeper.want(ports),
    look: () => keeper.look(),
    isSynced: () => reflector.status().isSynced,
    problems: () => keeper.problems,
    stop: async () => {
      await Promise.all([reflector.stop(), keeper.stop()]);
    },
  };
}

class Keeper {
  problems: readonly Problem[] = [];
  readonly #options: KeepOptions;
  readonly #path: string;
  readonly #queue: WorkQueue;
  /** As the API server last told it, by watch or as the answer to a write. */
  #actual: unknown;
  /** What it last was, for the ports it comes back with when somebody deletes it. */
  #remembered: Service | undefined;
  #wanted: readonly WantedPort[] | undefined;
  #unused: UnusedPorts = new Map();
  #isSynced = false;

  constructor(options: KeepOptions) {
    this.#options = options;
    this.#path = resourcePath({
      group: '',
      version: 'v1',
      plural: 'services',
      namespace: options.settings.meshNamespace,
      name: key,
    });
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 1,
      reconcile: () => this.#reconcile(),
    });
  }

  want(ports: readonly WantedPort[]): void {
    this.#wanted = ports;
    this.look();
  }

  look(): void {
    this.#queue.add(key);
  }

  synced(): void {
    this.#isSynced = true;
    this.look();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** The reflector tells of one object at most. */
  sink(): Sink<unknown> {
    const forget = (uid: string): void => {
      // A late deletion of a predecessor does not take its successor away.
      if (uid !== '' && textAt(this.#actual, 'metadata', 'uid') !== uid) return;
      this.#actual = undefined;
      this.look();
    };
    return {
      put: (_key, { value }) => this.#see(value),
      remove: (_key, uid) => forget(uid),
      replace: () => this.#replacement(),
    };
  }

  #replacement(): Replacement<unknown> {
    let seen: unknown;
    return {
      put: (_key, { value }) => {
        seen = value;
      },
      remove: () => {
        seen = undefined;
      },
      commit: () => {
        if (seen === undefined) this.#actual = undefined;
        this.#see(seen);
      },
    };
  }

  /** The watch may lag behind the answers to our own writes: the newer version counts. */
  #see(value: unknown): void {
    if (value === undefined || isOlder(value, this.#actual)) return this.look();
    this.#actual = value;
    this.#remembered = parsers.Service(value).value ?? this.#remembered;
    this.look();
  }

  /** Followers decide as well, so that the next leader knows how long ports have gone unused. */
  async #reconcile(): Promise<{ readonly againAfterMs: number } | undefined> {
    if (this.#wanted === undefined || !this.#isSynced) return undefined;
    const desired = desiredMeshService({
      wanted: this.#wanted,
      existing: this.#remembered,
      unused: this.#unused,
      nowMs: this.#options.runtime.clock.nowMs(),
    });
    this.#unused = desired.unused;
    this.problems = desired.problems;
    const { againAfterMs } = desired;
    const again = againAfterMs === undefined ? undefined : { againAfterMs };
    if (desired.ports.length === 0) return again;
    const manifest = meshServiceManifest(this.#options.settings, desired.ports);
    if (!this.#mayWrite(manifest)) return again;
    try {
      await this.#write(manifest);
      return again;
    } catch (error) {
      if (kubeReason(error) === 'Conflict') return { againAfterMs: conflictRestMs };
      throw error;
    }
  }

  #mayWrite(manifest: unknown): boolean {
    return this.#options.isLeading() && !isAsDesired(this.#actual, manifest);
  }

  async #write(manifest: Manifest): Promise<void> {
    await this.#apply(manifest);
    const steps = foreignPortsPatch(this.#actual, manifest);
    if (steps.length > 0) await this.#patch(steps);
    if (this.#mayWrite(manifest)) {
      this.#options.log.warn('mesh Service is not taken as it was applied', { service: key });
    }
  }

  async #apply(manifest: Manifest): Promise<void> {
    const actual = this.#actual;
    const resourceVersion = textAt(actual, 'metadata', 'resourceVersion');
    const object = withVersion(manifest, resourceVersion);
    try {
      const answer = await this.#options.connection.apply(this.#path, object, { force: true });
      this.#options.log.info('mesh Service applied', { service: key, was: resourceVersion ?? '' });
      this.#see(answer);
    } catch (error) {
      if (kubeReason(error) !== 'Invalid' || actual === undefined) throw error;
      await this.#patch(allPortsPatch(actual, manifest));
      // What else differs is applied in the next round.
      this.look();
    }
  }

  async #patch(steps: readonly PatchStep[]): Promise<void> {
    if (!this.#options.isLeading()) return;
    const patch = { kind: 'json', body: steps } as const;
    this.#see(await this.#options.connection.patch(this.#path, patch));
    this.#options.log.info('foreign ports removed from the mesh Service', { service: key });
  }
}

function withVersion(manifest: Manifest, resourceVersion: string | undefined): Manifest {
  if (resourceVersion === undefined) return manifest;
  return { ...manifest, metadata: { ...manifest.metadata, resourceVersion } };
}

/** Resource versions of one object are decimal numbers that grow (KEP-5504). */
function isOlder(left: unknown, right: unknown): boolean {
  if (textAt(left, 'metadata', 'uid') !== textAt(right, 'metadata', 'uid')) return false;
  const [a, b] = [left, right].map((one) => textAt(one, 'metadata', 'resourceVersion') ?? '');
  if (a === undefined || b === undefined || !/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return BigInt(a) < BigInt(b);
}
