// Who is calling, proven between nodes: TrafficTargets by service account on the same node and
// across nodes, what headers cannot change, and what travels.
import { beforeAll, describe, expect, test } from 'vitest';
import { outcome } from './support/calls.ts';
import { switchMesh } from './support/mtls.ts';
import { until } from './support/until.ts';
import { askLedger, createVault, deskOn, twoNodes } from './support/vault.ts';

let nodes: Awaited<ReturnType<typeof twoNodes>>;

beforeAll(async () => {
  nodes = await twoNodes();
  await createVault();
  const startedMs = Date.now();
  await switchMesh('permissive');
  console.log(`permissive after ${Date.now() - startedMs} ms`);
}, 300_000);

describe('mutual TLS, permissive', () => {
  test('whom a TrafficTarget allows is served, on the same node and across nodes', async () => {
    for (const node of [nodes.home, nodes.far]) {
      await until(`the teller on ${node} is served`, async () => {
        const answer = await askLedger(deskOn('teller', node));
        console.log(node, outcome(answer));
        return outcome(answer) === '200' ? true : undefined;
      });
      expect(outcome(await askLedger(deskOn('thief', node)))).toBe('403 SourceNotAllowed');
    }
  });
});
