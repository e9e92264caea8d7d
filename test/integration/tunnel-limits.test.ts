// Limits of a service whose pod is on another node: they hold at the pod's own proxy, for callers
// of all nodes together, and the caller's proxy passes on what that one says.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endpointCells } from '../../src/dataplane/endpoint-cells.ts';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { CountingPod, type PodHabits } from '../support/counting-pod.ts';
import { eventually, okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import type { Peer } from '../support/dataplane-sockets.ts';
import { otherPod, clientPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';

let pod: RawUpstream;
let mesh: TunnelMesh;
let arrived: number;

beforeEach(async () => {
  arrived = 0;
  pod = await RawUpstream.start(serverPod.address);
  pod.answer = (peer) => {
    arrived += 1;
    peer.send(okAnswer('hello'));
  };
});

afterEach(() => {
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  pod.close();
});

async function start(rules: Partial<ServiceRules>): Promise<void> {
  mesh = await TunnelMesh.start({ endpoints: [{ ...pod.endpoint, node: 'node-b' }], rules });
}

test('a rate limit is counted once, where the pod is, and says when to ask again', async () => {
  await start({ shaping: { rateLimit: { average: 0.1, burst: 2 } } });
  const client = await mesh.client();
  for (const status of ['200', '200', '429']) {
    client.clear();
    client.send(request('GET /'));
    await client.see(`HTTP/1.1 ${status} `);
    await client.see('\r\n\r\n');
  }
  expect(client.text).toMatch(/retry-after: (?:9|10)\r\n/);
  expect(client.text).toContain('weft-reason: RateLimited\r\n');
  expect(client.text).not.toContain('weft-tunnel');
  expect(arrived).toBe(2);
  expect(mesh.a.exchanges.map(({ facts }) => facts.reason)).toEqual([
    undefined,
    undefined,
    'RateLimited',
  ]);
});

/** A pod that counts, and limits that count at its own proxy. */
async function startCounted(habits: PodHabits, shaping: ServiceRules['shaping']) {
  const counted = await CountingPod.start(serverPod.address, habits);
  const { address, port } = counted.endpoint;
  const endpoints = [{ address, port, node: 'node-b' }];
  mesh = await TunnelMesh.start({ endpoints, rules: { shaping } });
  const slot = ['endpoint', `${address}:${port}`, 1] as const;
  for (const node of [mesh.a, mesh.b]) node.slots.apply({ set: [slot], freed: [] });
  return counted;
}

async function ask(client: Peer): Promise<string> {
  client.clear();
  client.send(request('GET /'));
  await client.until(() => /\r\n\r\n(?:ok|[^]*\n)$/.test(client.text), 'an answer');
  return client.text;
}

test('max-connections holds at the pod for callers of another node', async () => {
  const counted = await startCounted({ serviceMs: 1 }, { maxConnections: 2 });
  const callers = [clientPod, otherPod].flatMap((pod) => Array.from({ length: 6 }, () => pod));
  const seen = await Promise.all(callers.map(async (from) => {
    const client = await mesh.client(from);
    const texts: string[] = [];
    for (let n = 0; n < 10; n += 1) texts.push(await ask(client));
    return texts;
  }));
  expect(seen.flat().filter((text) => !text.startsWith('HTTP/1.1 200 '))).toEqual([]);
  expect(counted.connections.most).toBe(2);
  expect(counted.requests).toMatchObject({ most: 2, total: 120 });
  counted.close();
});

test('who finds no connection within a second is told so by his own proxy', async () => {
  const counted = await startCounted({}, { maxConnections: 1 });
  const served = (await mesh.client()).send(request('GET /'));
  await eventually(() => counted.requests.now === 1, 'it is served');
  const refused = await ask(await mesh.client());
  expect(refused).toMatch(/^HTTP\/1\.1 503 [^]*weft-reason: Overloaded\r\n/);
  expect(refused).not.toContain('weft-tunnel');
  counted.answerAll();
  await served.see('ok');
  expect(counted.connections.most).toBe(1);
  counted.close();
});

// Why, and what it would take to refuse at once: docs/design/0008, open issues.
test('a pod that fails its active checks is asked for other nodes all the same', async () => {
  const counted = await startCounted({ serviceMs: 0 }, { maxConnections: 9 });
  const { address, port } = counted.endpoint;
  const at = mesh.b.slots.offset('endpoint', `${address}:${port}`);
  Atomics.store(mesh.b.slots.cells.endpoint, at + endpointCells.checkedOut, 1);
  expect(await ask(await mesh.client())).toMatch(/^HTTP\/1\.1 200 /);
  counted.close();
});
