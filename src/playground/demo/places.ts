// Where the demo's processes live: loopback addresses for two nodes and a block for their pods,
// chosen so that several demos on one machine keep out of each other's way.
import { createServer } from 'node:net';
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
/** Not the proxies': on one address they would meet. */
export const controllerAdminPort = 15021;
/** The proxies' default. */
export const dnsPort = 15053;
/** Demos at once on one machine. */
const blocksMax = 50;

/** The places of a machine that has only 127.0.0.1. */
export const oneAddress: Places = {
  nodes: [{ name: 'node-1', address: '127.0.0.1' }],
  addressBlock: 1,
  isAddressShared: true,
};

/** Addresses that nobody's proxy uses now. */
export async function findPlaces(): Promise<Places> {
  if (!(await canBind('127.0.0.2'))) return oneAddress;
  for (let block = 0; block < blocksMax; block += 1) {
    const nodes = [1, 2].map((number) => ({
      name: `node-${number}`,
      address: `127.0.${block}.${number + 1}`,
    }));
    const free = await Promise.all(nodes.map((node) => isFree(node.address)));
    if (free.every(Boolean)) return { nodes, addressBlock: block + 1, isAddressShared: false };
  }
  throw new Error(
    `port ${adminPort} is taken on every address from 127.0.0.2 on (hint: end other demos)`,
  );
}

function isFree(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(adminPort, address, () => probe.close(() => resolve(true)));
  });
}
