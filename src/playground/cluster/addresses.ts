// Addresses for pods without a network: on Linux every address of 127.0.0.0/8 can be bound and
// dialled from without privilege, so each pod has its own and identity by source address works as
// in a cluster. Where only 127.0.0.1 exists (macOS), pods share it and differ by port.
import { createServer } from 'node:net';
import { assert } from '../../lib/assert.ts';

/** Pods of one node at most: one byte of the address. */
const podsPerNodeMax = 250;

/** Whether an address of this machine can be bound, at any port or at one. */
export function canBind(address: string, port = 0): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, address, () => probe.close(() => resolve(true)));
  });
}

/** Gives addresses to pods, node by node: 127.B.N.2, 127.B.N.3, … for node number N. */
export class PodAddresses {
  readonly isShared: boolean;
  readonly #block: number;
  readonly #taken = new Set<string>();

  /**
   * `block`: second byte of all addresses, so that two playgrounds keep out of each other's way.
   */
  constructor(isShared: boolean, block: number) {
    this.isShared = isShared;
    this.#block = block;
  }

  take(nodeNumber: number): string {
    if (this.isShared) return '127.0.0.1';
    for (let host = 2; host < 2 + podsPerNodeMax; host += 1) {
      const address = `127.${this.#block}.${nodeNumber}.${host}`;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return address;
    }
    assert(false, `more than ${podsPerNodeMax} pods on node ${nodeNumber}`);
  }

  release(address: string): void {
    this.#taken.delete(address);
  }
}
