// Where the demo's processes live: loopback addresses for two nodes and a block for their pods,
// chosen so that several demos on one machine keep out of each other's way.
import { createServer, type Server } from 'node:net';
import { canBind } from '../cluster/addresses.ts';

/** A node and the address that its proxy binds. */
export type NodePlace = { readonly name: string; readonly address: string };

/** Everything in the demo that has an address. */
export type Places = {
  readonly nodes: readonly NodePlace[];
  readonly addressBlock: number;
  /**
   * Only 127.0.0.1 can be bound (macOS): one node, pods differ by port, nobody's address says who
   * it is.
   */
  readonly isAddressShared: boolean;
};

/** The proxies' default. */
export const adminPort = 15020;
/** On one address the controllers' would meet the proxies'. */
const sharedControllerPort = 15021;
/** The proxies' default. */
export const dnsPort = 15053;
/** Only listened on, to mark the address as taken. */
const reservationPort = 15_019;
/** Demos at once on one machine. */
const blocksMax = 50;

/** The places of a machine that has only 127.0.0.1. */
const oneAddress: Places = {
  nodes: [{ name: 'node-1', address: '127.0.0.1' }],
  addressBlock: 1,
  isAddressShared: true,
};

/** Where a controller listens. */
export type ControllerPlace = { readonly address: string; readonly adminPort: number };

/** The place of controller number `index`, from 0: behind the nodes' addresses. */
export function controllerPlace(places: Places, index: number): ControllerPlace {
  const [first] = places.nodes;
  if (places.isAddressShared || first === undefined) {
    return { address: '127.0.0.1', adminPort: sharedControllerPort + index };
  }
  const [network = '127', block = '0', subnet = '0', host = '2'] = first.address.split('.');
  const last = Number(host) + places.nodes.length + index;
  return { address: [network, block, subnet, last].join('.'), adminPort };
}

export type Reservation = {
  readonly places: Places;
  /** Lets others have the addresses; idempotent. */
  readonly release: () => void;
};

/** Addresses of our own, held until they are released: two demos may start at the same moment. */
export async function reservePlaces(wish: 'any' | 'one-address'): Promise<Reservation> {
  if (wish === 'one-address' || !(await canBind('127.0.0.2'))) {
    const held = await hold('127.0.0.1');
    if (held !== undefined) return { places: oneAddress, release: () => void held.close() };
    throw new Error('another demo has the only loopback address (hint: end it first)');
  }
  for (let block = 0; block < blocksMax; block += 1) {
    const nodes = [1, 2].map((number) => ({
      name: `node-${number}`,
      address: `127.0.${block}.${number + 1}`,
    }));
    const held = await hold(nodes[0]?.address ?? '');
    if (held === undefined) continue;
    const free = await Promise.all(nodes.map((node) => isFree(node.address)));
    const places = { nodes, addressBlock: block + 1, isAddressShared: false };
    if (free.every(Boolean)) return { places, release: () => void held.close() };
    held.close();
  }
  throw new Error(
    `port ${adminPort} is taken on all addresses from 127.0.0.2 on (hint: end other demos)`,
  );
}

/** A listener that says that an address is taken; `undefined` when it already is. */
function hold(address: string): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const holder = createServer((socket) => socket.destroy());
    holder.once('error', () => resolve(undefined));
    holder.listen(reservationPort, address, () => resolve(holder));
  });
}

async function isFree(address: string): Promise<boolean> {
  return canBind(address, adminPort);
}
