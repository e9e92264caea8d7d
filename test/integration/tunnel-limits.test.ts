// Limits of a service whose pod is on another node: they hold at the pod's own proxy, for callers
// of all nodes together, and the caller's proxy passes on what that one says.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ServiceRules } from '../../src/snapshot/index.ts';
import { okAnswer, RawUpstream, request } from '../support/dataplane-sockets.ts';
import { serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';

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
