// Whose bytes are whose on lanes (docs/design/0013): many bodies of one turn, on what Node does by
// itself and on what is fastest. What is short enough to share a session, and longer than one
// record, is gathered; where it is gathered must be nobody else's.
import { describe, expect, test } from 'vitest';
import { tlsNetwork } from '../../src/dataplane/index.ts';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { clientPod, otherPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';

const count = 20;
const letterOf = (index: number): string => String.fromCharCode(97 + index);

function bodyOf({ text }: Peer): string {
  const headBytes = text.indexOf('\r\n\r\n');
  return headBytes < 0 ? '' : text.slice(headBytes + 4);
}

/** Which letters came and how often, so that a failure says whose bytes those were. */
function lettersOf(body: string): string {
  const counts = new Map<string, number>();
  for (const letter of body) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return [...counts].map(([letter, times]) => `${letter}${times}`).join(' ');
}

/** Who asked: each asks for a path of its own. */
const indexOf = ({ text }: Peer): number => Number(/^[A-Z]+ \/(\d+) /.exec(text)?.[1]);

describe.each([
  ['the streams of Node', { secureNetwork: tlsNetwork() }],
  ['the fastest network', {}],
] as const)('on %s', (_, options) => {
  /** Half of the clients are of one identity, and half of another. */
  async function clientsOf(mesh: TunnelMesh): Promise<readonly Peer[]> {
    const pods = Array.from({ length: count }, (_one, i) => (i % 2 === 0 ? clientPod : otherPod));
    return Promise.all(pods.map((pod) => mesh.client(pod)));
  }

  async function start(pod: RawUpstream): Promise<TunnelMesh> {
    return TunnelMesh.start({ endpoints: [{ ...pod.endpoint, node: 'node-b' }] }, options);
  }

  test('each caller gets its own answer, whoever is answered at the same time', async () => {
    const pod = await RawUpstream.start(serverPod.address);
    const mesh = await start(pod);
    const bytes = 60_000;
    const clients = await clientsOf(mesh);
    clients.forEach((client, index) => client.send(request(`GET /${index}`)));
    await eventually(() => pod.connections.length === count, 'the pod has all requests');
    await Promise.all(pod.connections.map((peer) => peer.see('\r\n\r\n')));
    for (const peer of pod.connections) peer.send(okAnswer(letterOf(indexOf(peer)).repeat(bytes)));
    const isWhole = (client: Peer): boolean => bodyOf(client).length >= bytes;
    await Promise.all(clients.map((client) => client.until(() => isWhole(client), 'an answer')));
    const got = clients.map((client) => lettersOf(bodyOf(client)));
    mesh.close();
    pod.close();
    expect(got).toEqual(clients.map((_client, index) => `${letterOf(index)}${bytes}`));
    expect([mesh.a.results('client'), mesh.a.bugs, mesh.b.bugs]).toEqual([['ok', 'ok'], [], []]);
  }, 20_000);

  test('each pod gets what its caller sent, whoever sends at the same time', async () => {
    const pod = await RawUpstream.start(serverPod.address);
    const mesh = await start(pod);
    // As much as a session carries of a request of known length.
    const bytes = 40_000;
    const clients = await clientsOf(mesh);
    clients.forEach((client, index) => {
      const head = request(`POST /${index}`, `Content-Length: ${bytes}`);
      client.send(`${head}${letterOf(index).repeat(bytes)}`);
    });
    const isWhole = (peer: Peer): boolean => bodyOf(peer).length >= bytes;
    await eventually(() => pod.connections.length === count, 'the pod has all requests');
    await Promise.all(pod.connections.map((peer) => peer.until(() => isWhole(peer), 'a body')));
    const sent: string[] = [];
    for (const peer of pod.connections) {
      sent[indexOf(peer)] = lettersOf(bodyOf(peer));
      peer.send(okAnswer(bodyOf(peer)));
    }
    await Promise.all(clients.map((client) => client.until(() => isWhole(client), 'an answer')));
    const got = clients.map((client) => lettersOf(bodyOf(client)));
    mesh.close();
    pod.close();
    const own = clients.map((_client, index) => `${letterOf(index)}${bytes}`);
    expect({ sent, got }).toEqual({ sent: own, got: own });
    expect([mesh.a.results('client'), mesh.a.bugs, mesh.b.bugs]).toEqual([['ok', 'ok'], [], []]);
  }, 20_000);
});
