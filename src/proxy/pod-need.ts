// Whether a proxy has to know the pods of other nodes, too. Where tunnels lead everywhere it has
// not: the proxy over there knows its own. A call without a tunnel is judged here at the pod that
// it is for, so that one has to be known; and an address is nobody's of ours only if it is no
// pod's. The need ends some time after its reason: lists of ten thousand pods are not read for
// every roll-out.
import type { PeerPart, SectionId, SectionRecord, Snapshot } from '../snapshot/index.ts';

/** Nodes come and go without a proxy while a DaemonSet is replaced. */
const lingerMs = 10 * 60_000;

type Seen = { readonly record: SectionRecord; readonly isNeedy: boolean };

/** Lives as long as the proxy. */
export class PodNeed {
  #snapshot: Snapshot | undefined;
  #seen = new Map<SectionId, Seen>();
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

  /** Sections that did not change keep their record, and are not looked through again. */
  #read(snapshot: Snapshot | undefined): void {
    const seen = new Map<SectionId, Seen>();
    this.#hasNeedySection = false;
    for (const [id, record] of snapshot?.sections ?? []) {
      const before = this.#seen.get(id);
      const isNeedy = before?.record === record ? before.isNeedy : isNeedySection(record);
      seen.set(id, { record, isNeedy });
      this.#hasNeedySection ||= isNeedy;
    }
    this.#seen = seen;
    this.#snapshot = snapshot;
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
