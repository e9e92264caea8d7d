// Reads the kernel's neighbour table again and again: often while pods of this node stand in it, so
// that a forged row is seen before it is of much use, rarely where the network is routed and none
// ever does.
import type { Timer, Timers } from '../lib/clock.ts';
import type { LocalFiles } from '../lib/files.ts';
import { readNeighbours, type Neighbours } from '../topology/index.ts';

export type NeighbourOptions = {
  readonly files: LocalFiles;
  readonly timers: Timers;
  /** Whether the address is of a pod of this node. */
  readonly isLocalPod: (address: string) => boolean;
  /** The table is another than before. */
  readonly onChange: (neighbours: Neighbours) => void;
};

const tablePath = '/proc/net/arp';
const bytesMax = 2 * 1024 * 1024;
const oftenMs = 250;
const rarelyMs = 5_000;

/** Begins to read; the answer ends it. */
export function followNeighbours(options: NeighbourOptions): () => void {
  let timer: Timer | undefined;
  let isStopped = false;
  let text = '';
  let neighbours: Neighbours = new Map();
  const look = async (): Promise<void> => {
    // Where there is no such table (no Linux, no IPv4) nothing is disputed by it.
    const read = await options.files.readText(tablePath, bytesMax).catch(() => '');
    if (isStopped) return;
    if (read !== text) {
      text = read;
      neighbours = readNeighbours(read);
      options.onChange(neighbours);
    }
    const hasPods = [...neighbours.keys()].some((address) => options.isLocalPod(address));
    timer = options.timers.after(hasPods ? oftenMs : rarelyMs, () => void look());
  };
  void look();
  return () => {
    isStopped = true;
    timer?.cancel();
  };
}
