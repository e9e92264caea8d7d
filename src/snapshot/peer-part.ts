// Where the other proxies are, as the slices of `weft-peers` say: a proxy's address proves nothing
// but which nodes its certificate may name, and a node's addresses are where a tunnel is dialled.
// It is in no version: slices of proxies change with every roll-out, and no policy with them.

export type PeerPart = {
  /** Address of a proxy → every node that claims it: a second claim adds and never displaces. */
  readonly nodes: ReadonlyMap<string, readonly string[]>;
  /** Node → addresses to dial, best first. */
  readonly dial: ReadonlyMap<string, readonly string[]>;
  /** Nodes that have shown no proxy for so long that plain text may be used where allowed. */
  readonly bare: ReadonlySet<string>;
  /** Nodes whose serving proxy accepts no tunnels, as its pod's ports say: plain text likewise. */
  readonly deaf: ReadonlySet<string>;
  /** Bindings are of the pods of all nodes: an address that has none is no pod's. */
  readonly knowsAllPods: boolean;
};
