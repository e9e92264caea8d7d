// Whether a proxy has to know the pods of other nodes, too. Where tunnels lead everywhere it has
// not: the proxy over there knows its own. A call without a tunnel is judged here at the pod that
// it is for, so that one has to be known; and an address is nobody's of ours only if it is no
// pod's. The need ends some time after its reason: lists of ten thousand pods are not read for
// every roll-out.
import type { PeerPart, SectionRecord, Snapshot } from '../snapshot/index.ts';

/** Nodes come and go without a proxy while a DaemonSet is replaced. */
const lingerMs = 10 * 60_000;

/** Lives as long as the proxy. */
export class PodNeed {
  #snapshot: Snapshot | undefined;
  /** Sections that did not change keep their record, and are not looked through again. */
  readonly #needy = new WeakMap<SectionRecord, boolean>();
  #hasNeedySection = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** `nowMs` is monotonic; to be asked at each change, and now and then. */
  isNeeded(
    snapshot: Snapshot | undefined,
    peers: PeerPart | undefined,
    nowMs: number,
  ): boolean {
    if (snapshot !== this.#snapshot) this.#read(snapshot);
    const hasPlainNode = peers !== undefined && peers.bare.size + peers.deaf.size > 0;
    if (hasPlainNode || this.#hasNeedySection) this.#lastMs = nowMs;
    return nowMs - this.#lastMs < lingerMs;
  }

  #read(snapshot: Snapshot | undefined): void {
    const records = [...(snapshot?.sections.values() ?? [])];
    this.#hasNeedySection = records.some((record) => this.#isNeedy(record));
    this.#snapshot = snapshot;
  }

  #isNeedy(record: SectionRecord): boolean {
    const isNeedy = this.#needy.get(record) ?? isNeedySection(record);
    this.#needy.set(record, isNeedy);
    return isNeedy;
  }
}

/** It speaks of endpoints of no proven node, or of calls that are plain by decision. */
function isNeedySection({ section }: SectionRecord): boolean {
  switch (section.kind) {
    case 'endpoints':
      return section.backends.some(({ endpoints }) =>
        endpoints.some(({ nodeName }) => nodeName === ''),
      );
    case 'namespaces':
      return (
        section.defaultMtls === 'off' || section.namespaces.some(({ mtls }) => mtls === 'off')
      );
    default:
      return false;
  }
}
