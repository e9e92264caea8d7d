// Writes one object of the mesh namespace: server-side apply, what apply cannot take out by a
// patch, a deletion when it should not be there. It knows what was written and how often, and
// decides nothing about what should be.
import { kubeReason, resourcePath } from '../kube/index.ts';
import type { Connection } from '../kube/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import {
  allPortsPatch,
  clusterIpsOf,
  fingerprint,
  foreignPartsPatch,
  isAsDesired,
  withAddresses,
  type Manifest,
  type PatchStep,
} from './mesh-service.ts';
import type { RawMirror } from './raw-mirror.ts';
import { textAt } from './raw-object.ts';
import { WriteBudget } from './write-budget.ts';

export type MeshWriterOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly isLeading: () => boolean;
  readonly mirrorOf: (kind: Manifest['kind']) => RawMirror;
};

/**
 * An API server tells that a Service is gone a moment before it gives the address free: a refusal
 * of the former address means that somebody has it only when it lasts.
 */
const addressFreedMs = 8_000;
const addressRestMs = 400;

/** Lives as long as the keeper. */
export class MeshWriter {
  readonly #options: MeshWriterOptions;
  readonly #budgets = new Map<string, WriteBudget>();
  /** Name → what the server made of which manifest, when that differs: not to be tried for ever. */
  readonly #taken = new Map<string, string>();
  /** Name → since when its former address is refused. */
  readonly #refusedMs = new Map<string, number>();

  constructor(options: MeshWriterOptions) {
    this.#options = options;
  }

  /** Makes the object as `manifest` says; the answer is when to come back, if it has to wait. */
  async write(
    manifest: Manifest,
    formerIps: readonly string[],
  ): Promise<{ readonly againAfterMs: number } | undefined> {
    const { name } = manifest.metadata;
    if (this.#isDone(manifest)) return undefined;
    const waitMs = this.#budgetOf(name).take(this.#options.runtime.clock.nowMs());
    if (waitMs > 0) return { againAfterMs: waitMs };
    let answer = await this.#apply(manifest, formerIps);
    if (answer === 'later') return { againAfterMs: addressRestMs };
    const steps = foreignPartsPatch(answer, manifest);
    if (steps.length > 0) answer = await this.#patch(manifest, steps);
    if (!isAsDesired(answer, manifest)) {
      this.#options.log.warn('mesh object is not taken as it was applied', { object: name });
      this.#taken.set(name, takenAs(manifest, answer));
    }
    return undefined;
  }

  /** Removes the very object that was seen. */
  async remove(actual: unknown): Promise<void> {
    const name = textAt(actual, 'metadata', 'name') ?? '';
    const uid = textAt(actual, 'metadata', 'uid');
    const resourceVersion = textAt(actual, 'metadata', 'resourceVersion');
    const path = this.#pathOf('Service', textAt(actual, 'metadata', 'namespace') ?? '', name);
    try {
      await this.#options.connection.remove(path, { preconditions: { uid, resourceVersion } });
      this.#options.log.info('mesh Service removed', { object: name });
    } catch (error) {
      // Somebody was faster.
      if (kubeReason(error) !== 'NotFound') throw error;
    }
  }

  #isDone(manifest: Manifest): boolean {
    const actual = this.#actual(manifest);
    if (isAsDesired(actual, manifest)) return true;
    return this.#taken.get(manifest.metadata.name) === takenAs(manifest, actual);
  }

  #actual({ kind, metadata }: Manifest): unknown {
    return this.#options.mirrorOf(kind).get(metadata.name);
  }

  #budgetOf(name: string): WriteBudget {
    const budget = this.#budgets.get(name) ?? new WriteBudget();
    this.#budgets.set(name, budget);
    return budget;
  }

  /** What the server made of it; `later`: its former address may be free in a moment. */
  async #apply(manifest: Manifest, formerIps: readonly string[]): Promise<unknown> {
    const actual = this.#actual(manifest);
    const hasAddress = clusterIpsOf(actual).length > 0;
    const asked = hasAddress ? manifest : withAddresses(manifest, formerIps);
    try {
      return await this.#send(asked, actual);
    } catch (error) {
      if (kubeReason(error) !== 'Invalid') throw error;
      if (asked !== manifest && this.#mayBeFreed(manifest.metadata.name)) return 'later';
      // Somebody else has the address by now, or foreign ports stand under names of ours.
      if (asked !== manifest) return this.#send(manifest, actual);
      if (actual === undefined || manifest.kind !== 'Service') throw error;
      return this.#patch(manifest, allPortsPatch(actual, manifest));
    }
  }

  #mayBeFreed(name: string): boolean {
    const nowMs = this.#options.runtime.clock.nowMs();
    const sinceMs = this.#refusedMs.get(name) ?? nowMs;
    this.#refusedMs.set(name, sinceMs);
    return nowMs - sinceMs < addressFreedMs;
  }

  async #send(manifest: Manifest, actual: unknown): Promise<unknown> {
    const { kind, metadata } = manifest;
    const { name, namespace } = metadata;
    const resourceVersion = textAt(actual, 'metadata', 'resourceVersion');
    const object =
      resourceVersion === undefined
        ? manifest
        : { ...manifest, metadata: { ...metadata, resourceVersion } };
    const path = this.#pathOf(kind, namespace, name);
    const answer = await this.#options.connection.apply(path, object, { force: true });
    this.#refusedMs.delete(name);
    this.#options.log.info('mesh object applied', { object: name, was: resourceVersion ?? '' });
    this.#options.mirrorOf(kind).see(answer);
    return answer;
  }

  async #patch({ kind, metadata }: Manifest, steps: readonly PatchStep[]): Promise<unknown> {
    const { name, namespace } = metadata;
    const path = this.#pathOf(kind, namespace, name);
    const patch = { kind: 'json', body: steps } as const;
    if (!this.#options.isLeading()) return this.#options.mirrorOf(kind).get(name);
    const answer = await this.#options.connection.patch(path, patch);
    this.#options.mirrorOf(kind).see(answer);
    this.#options.log.info('foreign parts removed from a mesh object', { object: name });
    return answer;
  }

  #pathOf(kind: Manifest['kind'], namespace: string, name: string): string {
    const plural = kind === 'Service' ? 'services' : 'configmaps';
    return resourcePath({ group: '', version: 'v1', plural, namespace, name });
  }
}

function takenAs(manifest: Manifest, actual: unknown): string {
  return `${fingerprint(manifest)}\n${fingerprint(actual)}`;
}
