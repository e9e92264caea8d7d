// Where the other proxies are: the slices of `weft-peers` → the peer part. An address may be
// claimed by several nodes, and then its certificate may name any of them: a second claim adds and
// never displaces, so that a forged or late entry takes no proxy away. A node counts as without a
// proxy only after it has shown none for a while that we have really watched; whether a tunnel
// failed is no input, because that would let whoever drops packets turn mutual TLS off. That a
// proxy accepts tunnels its pod declares by a named port, which the EndpointSlice controller
// copies: pods without it stand in slices of their own. So builds without tunnels are told apart.
import type { EndpointSlice, SliceEndpoint } from '../api/index.ts';
import { byText } from '../lib/order.ts';
import type { PeerPart } from '../snapshot/index.ts';


/**
 * The headless Service of the proxies, in the mesh namespace, and its port, which leads to the
 * container port of the same name. That is named as what is spoken there, so that what a next
 * release speaks can be seen as well.
 */
export const peersService = { name: 'weft-peers', portName: 'weft-h1' } as const;

/** How long a node shows no proxy, in slices that are watched, before plain text may be used. */
const bareAfterMs = 30_000;

export type PeerInput = {
  readonly meshNamespace: string;
  /** Those of other Services are ignored. */
  readonly slices: Iterable<EndpointSlice>;
  /** Names of the cluster's nodes: only a node that exists can be bare. */
  readonly nodes: Iterable<string>;
  /** The slices are watched. Whoever binds has to do so at each change of this. */
  readonly isLive: boolean;
  /** The pods of all nodes are watched. */
  readonly knowsAllPods: boolean;
};

export type PeerBook = {
  readonly part: PeerPart;
  /** When to bind again although no slice changed: the next node becomes bare. */
  readonly nextChangeMs: number | undefined;
  /** `node address` → in which look it appeared: the last to appear is dialled first. */
  readonly appeared: ReadonlyMap<string, number>;
  /** Node → since when it shows no proxy. */
  readonly unseenMs: ReadonlyMap<string, number>;
  /** Number of this look. */
  readonly look: number;
  readonly isLive: boolean;
};

type Entry = {
  readonly node: string;
  readonly address: string;
  readonly endpoint: SliceEndpoint;
  /** Its pod declares the port for tunnels. */
  readonly accepts: boolean;
};

/** The peers of this moment, given what was known before. The part is the same object if equal. */
export function bindPeers(
  previous: PeerBook | undefined,
  input: PeerInput,
  nowMs: number,
): PeerBook {
  const entries = entriesOf(input);
  const look = (previous?.look ?? 0) + 1;
  const appeared = new Map<string, number>();
  for (const entry of entries) {
    const key = keyOf(entry);
    appeared.set(key, previous?.appeared.get(key) ?? look);
  }
  const shown = new Set(entries.map(({ node }) => node));
  const unseenMs = unseenOf(previous, input, shown, nowMs);
  const bare = new Set<string>();
  let nextChangeMs: number | undefined;
  for (const [node, sinceMs] of unseenMs) {
    const dueMs = sinceMs + bareAfterMs;
    // While nothing can be watched nobody becomes bare, and who is bare stays so.
    if (previous?.part.bare.has(node) === true || (input.isLive && dueMs <= nowMs)) bare.add(node);
    else if (input.isLive) nextChangeMs = Math.min(dueMs, nextChangeMs ?? dueMs);
  }
  const dial = dialOf(entries, appeared);
  const { knowsAllPods } = input;
  const part = { nodes: nodesOf(entries), dial, bare, deaf: deafOf(entries), knowsAllPods };
  const isSame = previous !== undefined && isSamePart(previous.part, part);
  const kept = isSame ? previous.part : part;
  return { part: kept, nextChangeMs, appeared, unseenMs, look, isLive: input.isLive };
}

function entriesOf({ meshNamespace, slices }: PeerInput): readonly Entry[] {
  const entries: Entry[] = [];
  for (const { meta, serviceName, isManaged, endpoints, ports } of slices) {
    // Whoever may write slices in the mesh namespace without being their controller proves nothing.
    if (serviceName !== peersService.name || meta.namespace !== meshNamespace) continue;
    if (!isManaged) continue;
    const accepts = ports.some(({ name }) => name === peersService.portName);
    for (const endpoint of endpoints) {
      const node = endpoint.nodeName;
      if (node === undefined || node === '') continue;
      for (const address of endpoint.addresses) entries.push({ node, address, endpoint, accepts });
    }
  }
  return entries;
}

function keyOf({ node, address }: Entry): string {
  return `${node} ${address}`;
}

/** Since when each node that exists shows no proxy; begins anew when the watch does. */
function unseenOf(
  previous: PeerBook | undefined,
  { nodes, isLive }: PeerInput,
  shown: ReadonlySet<string>,
  nowMs: number,
): ReadonlyMap<string, number> {
  const unseen = new Map<string, number>();
  const counts = isLive && previous?.isLive === true;
  for (const node of nodes) {
    if (shown.has(node)) continue;
    unseen.set(node, counts ? (previous.unseenMs.get(node) ?? nowMs) : nowMs);
  }
  return unseen;
}

function nodesOf(entries: readonly Entry[]): PeerPart['nodes'] {
  const nodes = new Map<string, readonly string[]>();
  for (const { node, address } of entries) {
    const others = nodes.get(address) ?? [];
    if (!others.includes(node)) nodes.set(address, [...others, node].sort(byText));
  }
  return nodes;
}

function dialOf(
  entries: readonly Entry[],
  appeared: ReadonlyMap<string, number>,
): PeerPart['dial'] {
  const byNode = new Map<string, Map<string, number>>();
  for (const entry of entries) {
    const { node, address } = entry;
    const rank = dialRankOf(entry);
    if (rank === undefined) continue;
    const addresses = byNode.get(node) ?? new Map<string, number>();
    byNode.set(node, addresses);
    // A pod that stands in two slices for a moment is as good as the better of them says.
    addresses.set(address, Math.min(rank, addresses.get(address) ?? rank));
  }
  const dial = new Map<string, readonly string[]>();
  for (const [node, addresses] of byNode) {
    const at = (address: string): number => appeared.get(`${node} ${address}`) ?? 0;
    const sorted = [...addresses].sort(
      ([a, rankOfA], [b, rankOfB]) => rankOfA - rankOfB || at(b) - at(a) || byText(a, b),
    );
    dial.set(
      node,
      sorted.map(([address]) => address),
    );
  }
  return dial;
}

/** One that accepts no tunnels comes last: where plain text may not be, it is all that there is. */
function dialRankOf({ endpoint, accepts }: Entry): number | undefined {
  const rank = rankOf(endpoint);
  return rank === undefined || accepts ? rank : rank + ranks;
}

/** Nodes where the best proxy accepts no tunnels: an older build, before or after an upgrade. */
function deafOf(entries: readonly Entry[]): ReadonlySet<string> {
  const best = new Map<string, { rank: number; accepts: boolean }>();
  for (const { node, endpoint, accepts } of entries) {
    const rank = rankOf(endpoint);
    if (rank === undefined) continue;
    const other = best.get(node);
    const isBetter = other === undefined || rank < other.rank;
    if (isBetter || (rank === other.rank && accepts)) best.set(node, { rank, accepts });
  }
  return new Set([...best].flatMap(([node, { accepts }]) => (accepts ? [] : [node])));
}

const ranks = 3;

/** Lower is better; one that does not serve yet is not dialled. */
function rankOf({ isServing, isTerminating }: SliceEndpoint): number | undefined {
  if (isServing) return isTerminating ? 1 : 0;
  return isTerminating ? 2 : undefined;
}

function isSamePart(left: PeerPart, right: PeerPart): boolean {
  return (
    isSameMap(left.nodes, right.nodes) &&
    isSameMap(left.dial, right.dial) &&
    isSameSet(left.bare, right.bare) &&
    isSameSet(left.deaf, right.deaf) &&
    left.knowsAllPods === right.knowsAllPods
  );
}

function isSameSet(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((one) => right.has(one));
}

function isSameMap(
  left: ReadonlyMap<string, readonly string[]>,
  right: ReadonlyMap<string, readonly string[]>,
): boolean {
  if (left.size !== right.size) return false;
  for (const [key, values] of left) {
    const others = right.get(key);
    if (others?.length !== values.length) return false;
    if (values.some((value, index) => value !== others[index])) return false;
  }
  return true;
}
