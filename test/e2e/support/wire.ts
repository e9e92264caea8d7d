// What travels between nodes: packets of a node's own link, as the kernel shows them to whoever may
// look (AF_PACKET, through socat, which the kit brings), and packets that are dropped on the way.
// Both need the cluster kit: they are done in the node's network.
import { spawn } from 'node:child_process';
import { kit } from './cluster.ts';

const tunnelPort = '15008';
const bytesMax = 64 * 1024 * 1024;

/** Every byte that leaves or reaches the node while `during` runs, in no order that matters. */
export async function captureOn(node: string, during: () => Promise<void>): Promise<Buffer> {
  const home = process.env['WEFT_CLUSTER_KIT'];
  if (home === undefined) throw new Error('this case needs WEFT_CLUSTER_KIT: it reads packets');
  // It ends by itself: who is killed from here would leave a process in the node.
  const look = ['timeout', '6', 'socat', '-d', '-d', '-u', '-b', '70000', 'INTERFACE:eth0', '-'];
  const child = spawn(`${home}/cluster`, ['exec', node, '--', ...look]);
  const chunks: Buffer[] = [];
  let size = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= bytesMax) chunks.push(chunk);
  });
  const end = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('starting data transfer')) resolve();
    });
    void end.then(() => reject(new Error(`the capture ended before it began: ${said}`)));
  });
  const beganMs = performance.now();
  await during();
  const tookMs = performance.now() - beganMs;
  if (tookMs > 5_000) throw new Error(`${Math.round(tookMs)} ms of calls outlive the capture`);
  await end;
  if (size > bytesMax) throw new Error(`captured ${size} bytes, more than are looked at`);
  return Buffer.concat(chunks);
}

/** What happens to packets for tunnels that the node's pods send to other nodes. */
export type Cut = 'reset' | 'drop';

const targets: Readonly<Record<Cut, readonly string[]>> = {
  reset: ['REJECT', '--reject-with', 'tcp-reset'],
  drop: ['DROP'],
};

function rule(action: '-I' | '-D', node: string, cut: Cut): Promise<string> {
  const match = ['-p', 'tcp', '--dport', tunnelPort, '-j', ...targets[cut]];
  return kit(['exec', node, '--', 'iptables', '-w', '5', action, 'FORWARD', ...match]);
}

export async function whileCut(node: string, cut: Cut, during: () => Promise<void>): Promise<void> {
  await rule('-I', node, cut);
  try {
    await during();
  } finally {
    await rule('-D', node, cut);
  }
}
