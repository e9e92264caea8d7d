// Objects → what the workers are told: topology, snapshot, node part and slots of the live numbers,
// each compared with what was told before, so that only changes travel. Decisions are made by the
// pure modules; here is what is remembered between two of them.
import type { ClusterState, MeshSettings, Problem } from '../api/index.ts';
import { buildZone, type MeshZone } from '../dns/index.ts';
import {
  diffNodePart,
  diffSnapshot,
  type NodePart,
  type Snapshot,
  type SnapshotDelta,
} from '../snapshot/index.ts';
import type { SlotAllocator, SlotDelta } from '../telemetry/index.ts';
import {
  bindAddresses,
  buildTopology,
  compileSnapshot,
  type AddressBook,
  type Topology,
} from '../topology/index.ts';
import { SlotKeys } from './slot-keys.ts';
import type { WorkerUpdate } from './worker-fleet.ts';

export type PublisherOptions = {
  readonly settings: MeshSettings;
  readonly nodeName: string;
  readonly slots: SlotAllocator;
};

/** Versions that a proxy remembers having had in force (contract §2: `recent`). */
const recentMax = 32;

/** Lives as long as the proxy. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #slotKeys: SlotKeys;
  #topology: Topology | undefined;
  #snapshot: Snapshot | undefined;
  #addresses: AddressBook | undefined;
  #zone: MeshZone = buildZone([]);
  #problems: readonly Problem[] = [];
  #recent: readonly string[] = [];

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#slotKeys = new SlotKeys(options.slots);
  }

  /**
   * Compiles `state`. The answer is what the workers do not know yet; `undefined` when the change
   * means nothing to them. `nowMs` is monotonic.
   */
  publish(state: ClusterState, nowMs: number): WorkerUpdate | undefined {
    const { settings } = this.#options;
    const built = buildTopology(state, settings, this.#topology);
    const compiled = compileSnapshot(built.value, settings, this.#snapshot);
    const bound = this.#bind(state, nowMs);
    this.#topology = built.value;
    this.#remember(built.value.policyVersion);
    this.#problems = [
      ...state.problems,
      ...built.problems,
      ...compiled.problems,
      ...bound.book.problems,
    ];
    const snapshot = this.#replaceSnapshot(compiled.value);
    if (snapshot === undefined && bound.delta === undefined) return undefined;
    return { slots: snapshot?.slots, snapshot: snapshot?.delta, node: bound.delta };
  }

  /** Everything, for a worker that has just started. */
  complete(): WorkerUpdate {
    return {
      slots: this.#options.slots.all(),
      snapshot: this.#snapshot && diffSnapshot(undefined, this.#snapshot),
      node: this.#addresses && diffNodePart(undefined, this.#addresses.part),
    };
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  get nodePart(): NodePart | undefined {
    return this.#addresses?.part;
  }

  get zone(): MeshZone {
    return this.#zone;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  get policyVersion(): string {
    return this.#topology?.policyVersion ?? '';
  }

  /** The last policy versions, newest first. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** When to publish again although nothing changes: an address leaves its quarantine. */
  get nextChangeMs(): number | undefined {
    return this.#addresses?.nextChangeMs;
  }

  #bind(state: ClusterState, nowMs: number) {
    const input = {
      nodeName: this.#options.nodeName,
      pods: state.pods.values(),
      nodes: state.nodes.values(),
    };
    const before = this.#addresses;
    const book = bindAddresses(before, input, nowMs);
    this.#addresses = book;
    const delta = diffNodePart(before?.part, book.part);
    const isSame = delta.set.length === 0 && delta.removed.length === 0 && !delta.isComplete;
    return { book, delta: isSame ? undefined : delta };
  }

  #replaceSnapshot(
    snapshot: Snapshot,
  ): { readonly delta: SnapshotDelta; readonly slots: SlotDelta } | undefined {
    const before = this.#snapshot;
    if (before?.version === snapshot.version) return undefined;
    this.#snapshot = snapshot;
    this.#zone = buildZone(sectionsOf(snapshot));
    return { delta: diffSnapshot(before, snapshot), slots: this.#slotKeys.follow(snapshot) };
  }

  #remember(policyVersion: string): void {
    if (this.#recent[0] === policyVersion) return;
    this.#recent = [policyVersion, ...this.#recent].slice(0, recentMax);
  }
}

function sectionsOf(snapshot: Snapshot) {
  return [...snapshot.sections.values()].map((record) => record.section);
}
