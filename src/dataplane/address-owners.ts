// Which of this node's addresses have another pod than before. Who a caller is, is asked anew for
// each request; but a connection that the old pod opened is nobody's once a new one has its
// address, so whoever is told of a change closes it. An address without a pod in between is
// remembered.
import type { NodePart } from '../snapshot/index.ts';

/** Addresses without a pod that are remembered besides those that have one. */
const absentMax = 1_024;

export class AddressOwners {
  readonly #uids = new Map<string, string>();
  #node: NodePart | undefined;

  /** Takes the bindings over; the addresses whose pod is another one now. */
  take(node: NodePart): ReadonlySet<string> {
    const changed = new Set<string>();
    if (node === this.#node) return changed;
    this.#node = node;
    let present = 0;
    for (const [address, binding] of node.bindings) {
      if (binding.kind !== 'workload' || binding.nodeName !== node.nodeName) continue;
      present += 1;
      const { podUid } = binding.workload;
      const before = this.#uids.get(address);
      if (before === podUid) continue;
      if (before !== undefined) changed.add(address);
      this.#uids.set(address, podUid);
    }
    if (this.#uids.size > present + absentMax) this.#forgetAbsent(node);
    return changed;
  }

  #forgetAbsent({ bindings }: NodePart): void {
    for (const address of [...this.#uids.keys()]) {
      if (bindings.get(address)?.kind !== 'workload') this.#uids.delete(address);
    }
  }
}
