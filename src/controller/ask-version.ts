// Asks one proxy which policy versions it has had: `GET /version` on its admin port (contract §5).
// One request, one deadline, a bounded answer; what the answer means is proxy-versions.ts.
import { isIPv6 } from 'node:net';
import { Agent } from '../kube/index.ts';

export type AskVersion = (address: string) => Promise<unknown>;

/** Contract §1: the admin port of a proxy. */
const adminPort = 15_020;
/** A proxy answers from memory; one that is slower is asked again in the next round. */
const deadlineMs = 1_000;
/** 32 versions of 16 digits and the build: below 2 kB. */
const answerBytesMax = 64 * 1024;

const agent = new Agent();

/** Throws what the network throws, and for every answer that is not one. */
export async function askVersion(address: string): Promise<unknown> {
  const host = isIPv6(address) ? `[${address}]` : address;
  const answer = await agent.request({
    method: 'GET',
    origin: `http://${host}:${adminPort}`,
    path: '/version',
    signal: AbortSignal.timeout(deadlineMs),
    // Rounds are rare: a connection that was kept would mostly be dead by the next one.
    reset: true,
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    const data = Buffer.from(chunk as Uint8Array);
    bytes += data.byteLength;
    if (bytes > answerBytesMax) throw new Error('the answer is too long');
    chunks.push(data);
  }
  if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
}
