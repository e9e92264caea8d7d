// What one node alone knows, and no version covers: which address is which workload. Sources are
// known only on their own node (architecture §4), so `isLocal` is the licence to use a binding as a
// source; that a pod is on a node (`nodeName`) serves those who call it: its own node's proxy may
// be asked for it in a tunnel, and one without a tunnel authorises at the chosen pod.

export type Workload = {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** `Deployment/web`. */
  readonly workload: string;
  readonly podName: string;
  readonly podUid: string;
};

export type AddressBinding =
  /**
   * `isLocal`: good for a source – a pod of this node, and the address has not just changed hands.
   * As a destination the pod is known either way, since the API server says where it is: it is on
   * `nodeName`, also while its address is in quarantine.
   */
  | {
      readonly kind: 'workload';
      readonly isLocal: boolean;
      readonly nodeName: string;
      readonly workload: Workload;
    }
  /** Two live claims, or none right after an old pod: nobody's. */
  | { readonly kind: 'disputed' }
  /**
   * A node's address (also of hostNetwork pods): never a workload, never external. `hostPods`: the
   * live pods in the network of this very node, `namespace/name`, sorted; destinations of tunnels,
   * never sources, because nobody can tell one from another by an address.
   */
  | { readonly kind: 'infrastructure'; readonly hostPods?: readonly string[] };

export type NodePart = {
  readonly nodeName: string;
  /** Normalised address (`::ffff:` stripped, lower case) → whose it is. */
  readonly bindings: ReadonlyMap<string, AddressBinding>;
};

/** The change of the node part that a worker applies. */
export type NodePartDelta = {
  readonly nodeName: string;
  /** `true`: `set` is complete and replaces everything. */
  readonly isComplete: boolean;
  readonly set: readonly (readonly [address: string, binding: AddressBinding])[];
  readonly removed: readonly string[];
};
