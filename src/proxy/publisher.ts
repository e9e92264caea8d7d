// Objects → what the workers are told: topology, snapshot, node part and slots of the live numbers,
// each compared with what was told before, so that only changes travel. Decisions are made by the
// pure modules; here is what is remembered between two of them.
import type { ClusterState, MeshSettings, Problem } from '../api/index.ts';
import { buildZone, type MeshZone } from '../dns/index.ts';
import {
  diffNodePart,
  diffSnapshot,
  type NodePart,
  type NodePartDelta,
  type PeerPart,
  type Snapshot,
  type SnapshotDelta,
} from '../snapshot/index.ts';
import type { SlotAllocator, SlotDelta } from '../telemetry/index.ts';
import {
  bindAddresses,
  bindPeers,
  buildTopology,
  compileSnapshot,
  type AddressBook,
  type Neighbours,
  type PeerBook,
  type Topology,
} from '../topology/index.ts';
import { SlotKeys } from './slot-keys.ts';
import type { WorkerUpdate } from './worker-fleet.ts';

export type PublisherOptions = {
  readonly settings: MeshSettings;
  readonly nodeName: string;
  readonly slots: SlotAllocator;
  /** Workers are told where the other proxies are. */
  readonly hasTunnels?: boolean;
  /** Compiling failed: what was published before stays. */
  readonly onBug: (error: unknown) => void;
};

/** Whose addresses are, and the objects that say so. */
type Bound = Pick<ClusterState, 'pods' | 'nodes'> & { readonly book: AddressBook };

/** Where the other proxies are, and what says so. */
type Peered = Pick<ClusterState, 'endpointSlices' | 'nodes'> & { readonly book: PeerBook };

/** What there is to know besides the objects. */
export type Sight = {
  /** Pods may have come and gone unseen. */
  readonly isAfterGap: boolean;
  /** EndpointSlices are watched. */
  readonly isLive: boolean;
  /** The pods of all nodes are watched. */
  readonly knowsAllPods: boolean;
  /** The kernel's neighbour table; the same object as long as it does not change. */
  readonly neighbours: Neighbours | undefined;
};

const plainSight: Sight = {
  isAfterGap: false,
  isLive: true,
  knowsAllPods: true,
  neighbours: undefined,
};

type NewSnapshot = { readonly delta: SnapshotDelta; readonly slots: SlotDelta };

/**
 * With so many addresses new or gone, as after the first list of a large cluster, objects are
 * compiled in the next turn of the loop: probes and DNS are answered in between.
 */
const manyAddresses = 2_000;

/** Versions that a proxy remembers having had in force (contract §2: `recent`). */
const recentMax = 32;

/** Lives as long as the proxy. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #slotKeys: SlotKeys;
  #topology: Topology | undefined;
  #snapshot: Snapshot | undefined;
  #bound: Bound | undefined;
  #neighbours: Neighbours | undefined;
  #peered: Peered | undefined;
  #zone: MeshZone = buildZone([]);
  #compileProblems: readonly Problem[] = [];
  #recent: readonly string[] = [];
  /** When the state was bound and not compiled. */
  #boundMs: number | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#slotKeys = new SlotKeys(options.slots);
  }

  /**
   * Compiles `state`. The answer is what the workers do not know yet; `undefined` when the change
   * means nothing to them; what is left of a large change is due at `nextChangeMs`. `nowMs` is
   * monotonic.
   */
  publish(state: ClusterState, nowMs: number, sight = plainSight): WorkerUpdate | undefined {
    const node = this.#bind(state, nowMs, sight);
    const peers = this.#bindPeers(state, nowMs, sight);
    this.#boundMs = node !== undefined && isLarge(node) ? nowMs : undefined;
    if (this.#boundMs !== undefined) return { slots: undefined, snapshot: undefined, node, peers };
    const snapshot = this.#compile(state);
    if (snapshot === undefined && node === undefined && peers === undefined) return undefined;
    return { slots: snapshot?.slots, snapshot: snapshot?.delta, node, peers };
  }

  /** Everything, for a worker that has just started. */
  complete(): WorkerUpdate {
    return {
      slots: this.#options.slots.all(),
      snapshot: this.#snapshot && diffSnapshot(undefined, this.#snapshot),
      node: this.#bound && diffNodePart(undefined, this.#bound.book.part),
      peers: this.peers,
    };
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  get nodePart(): NodePart | undefined {
    return this.#bound?.book.part;
  }

  get peers(): PeerPart | undefined {
    return this.#peered?.book.part;
  }

  /** How many addresses are nobody's because something contradicts them. */
  get disputed(): number {
    return this.#bound?.book.disputed ?? 0;
  }

  get zone(): MeshZone {
    return this.#zone;
  }

  get problems(): readonly Problem[] {
    return [...this.#compileProblems, ...(this.#bound?.book.problems ?? [])];
  }

  get policyVersion(): string {
    return this.#topology?.policyVersion ?? '';
  }

  /** The last policy versions, newest first. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** When to publish again although nothing changes: work is left, or a quarantine ends. */
  get nextChangeMs(): number | undefined {
    if (this.#boundMs !== undefined) return this.#boundMs;
    const dueMs = [this.#bound?.book.nextChangeMs, this.#peered?.book.nextChangeMs];
    const known = dueMs.filter((one) => one !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** Whose addresses are; `undefined` when that is what it was. */
  #bind(
    { pods, nodes }: ClusterState,
    nowMs: number,
    { isAfterGap, neighbours }: Sight,
  ): NodePartDelta | undefined {
    const held = this.#bound;
    const dueMs = held?.book.nextChangeMs ?? Number.POSITIVE_INFINITY;
    // A state hands out the same map while nothing of its kind changes: most changes are about
    // services and policy, and there are 10 000 pods to look at.
    const isSameWorld = held?.pods === pods && held.nodes === nodes;
    const isSameSight = !isAfterGap && neighbours === this.#neighbours;
    if (isSameWorld && isSameSight && nowMs < dueMs) return undefined;
    this.#neighbours = neighbours;
    const { nodeName } = this.#options;
    const objects = { nodeName, pods: pods.values(), nodes: nodes.values() };
    const input = { ...objects, isAfterGap, ...(neighbours && { neighbours }) };
    const book = bindAddresses(held?.book, input, nowMs);
    this.#bound = { book, pods, nodes };
    const delta = diffNodePart(held?.book.part, book.part);
    const isSame = delta.set.length === 0 && delta.removed.length === 0 && !delta.isComplete;
    return isSame ? undefined : delta;
  }

  /** Where the proxies are; `undefined` when that is what it was. */
  #bindPeers(
    { endpointSlices, nodes }: ClusterState,
    nowMs: number,
    { isLive, knowsAllPods }: Sight,
  ): PeerPart | undefined {
    if (this.#options.hasTunnels !== true) return undefined;
    const held = this.#peered;
    const isSameWorld = held?.endpointSlices === endpointSlices && held.nodes === nodes;
    const isDue = nowMs >= (held?.book.nextChangeMs ?? Number.POSITIVE_INFINITY);
    const { book: before } = held ?? {};
    const isSameSight =
      before?.isLive === isLive && before.part.knowsAllPods === knowsAllPods;
    if (isSameWorld && isSameSight && !isDue) return undefined;
    const { meshNamespace } = this.#options.settings;
    const objects = { slices: endpointSlices.values(), nodes: nodes.keys() };
    const input = { meshNamespace, ...objects, isLive, knowsAllPods };
    const book = bindPeers(held?.book, input, nowMs);
    this.#peered = { book, endpointSlices, nodes };
    return book.part === held?.book.part ? undefined : book.part;
  }

  /** The new snapshot; `undefined` when its version is the one in force, or it cannot be had. */
  #compile(state: ClusterState): NewSnapshot | undefined {
    const { settings } = this.#options;
    try {
      const built = buildTopology(state, settings, this.#topology);
      const compiled = compileSnapshot(built.value, settings, this.#snapshot);
      const zone = this.#zoneOf(compiled.value);
      this.#topology = built.value;
      this.#remember(built.value.policyVersion);
      this.#compileProblems = [...state.problems, ...built.problems, ...compiled.problems];
      return this.#replaceSnapshot(compiled.value, zone);
    } catch (error) {
      // A fault of ours that some object has brought to light: traffic goes on as it was (A6), and
      // addresses go on to be told, because an old one could be somebody else's by now.
      this.#options.onBug(error);
      return undefined;
    }
  }

  #zoneOf(snapshot: Snapshot): MeshZone {
    const isSame = snapshot.version === this.#snapshot?.version;
    return isSame ? this.#zone : buildZone(sectionsOf(snapshot));
  }

  #replaceSnapshot(snapshot: Snapshot, zone: MeshZone): NewSnapshot | undefined {
    const before = this.#snapshot;
    if (before?.version === snapshot.version) return undefined;
    const delta = diffSnapshot(before, snapshot);
    const slots = this.#slotKeys.follow(snapshot);
    this.#snapshot = snapshot;
    this.#zone = zone;
    return { delta, slots };
  }

  #remember(policyVersion: string): void {
    if (this.#recent[0] === policyVersion) return;
    this.#recent = [policyVersion, ...this.#recent].slice(0, recentMax);
  }
}

function sectionsOf(snapshot: Snapshot) {
  return [...snapshot.sections.values()].map((record) => record.section);
}

/** Pods came or went, or became ready, and nothing that people have written changed. */
export function isOfEndpointsOnly({ snapshot }: WorkerUpdate): boolean {
  if (snapshot === undefined) return false;
  const ids = [...snapshot.changed.map(({ id }) => id), ...snapshot.removed];
  return ids.every((id) => id.startsWith('endpoints/'));
}

function isLarge({ set, removed }: NodePartDelta): boolean {
  return set.length + removed.length >= manyAddresses;
}
