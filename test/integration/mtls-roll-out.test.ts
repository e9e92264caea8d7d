// Another `--mtls` comes to one node after the other, so that for a while proxies in two modes call
// each other. Each state on the way is one test's: the production programs, certificates that the
// controller signed, calls both ways at each step, and not one that fails.
// What a proxy of an older build is – one whose pod declares no port for tunnels – is in
// tunnel-downgrade.test.ts and bind-peers.test.ts.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PlaygroundMesh, type Answer } from '../support/playground-mesh.ts';
import type { PodServer } from '../../src/playground/cluster/pod-server.ts';
import { until } from '../kube/support/until.ts';

const nodes = [1, 2] as const;
const callsEach = 10;

let mesh: PlaygroundMesh;
let callers: ReadonlyMap<number, PodServer>;

beforeAll(async () => {
  mesh = await PlaygroundMesh.start();
  await mesh.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  for (const account of ['one', 'two']) {
    const metadata = { name: account, namespace: 'shop' };
    await mesh.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  }
  const one = await mesh.startPod({ name: 'one', node: 1, account: 'one' });
  const two = await mesh.startPod({ name: 'two', node: 2, account: 'two' });
  callers = new Map([
    [1, one],
    [2, two],
  ]);
  await mesh.serve('shop', 'one', 'one');
  await mesh.serve('shop', 'two', 'two');
  await mesh.startProxies('--mtls', 'off');
  await until('every proxy has its certificates', async () => {
    const pages = await Promise.all(nodes.map((node) => mesh.admin(node, '/debug/identities')));
    return pages.every(({ body }) => (body.match(/"valid"/g) ?? []).length === 2);
  });
}, 60_000);

afterAll(() => mesh.stop());

/** A call of the pod on `node` to the one on the other. */
function callFrom(node: number): Promise<Answer> {
  const from = callers.get(node);
  if (from === undefined) throw new Error(`no pod on node ${node}`);
  return mesh.call({ from, host: node === 1 ? 'two.shop.mesh' : 'one.shop.mesh' });
}

/** What does not answer as it should, of calls both ways. */
async function failures(): Promise<readonly string[]> {
  const failed: string[] = [];
  for (let round = 0; round < callsEach; round += 1) {
    for (const node of nodes) {
      const { status, reason } = await callFrom(node);
      if (status !== 200) failed.push(`node ${node}: ${status} ${reason ?? ''}`);
    }
  }
  return failed;
}

async function restart(node: number, mode: string): Promise<void> {
  const former = mesh.childOf(`proxy ${node}`);
  former.process.kill('SIGTERM');
  await former.ended;
  await mesh.startProxy(node, '--mtls', mode);
  await mesh.ready(node);
  // Who has no successor that waits for it does not wait for certificates; these calls do not test
  // how long a first one waits.
  await until('it has its certificates', async () => {
    const { body } = await mesh.admin(node, '/debug/identities');
    return (body.match(/"valid"/g) ?? []).length === 2;
  });
  // A successor with an address of its own would serve before the old one goes; this one has the
  // same, so that others have to see it come back.
  await until('the others have seen it', async () => {
    const answers = await Promise.all(nodes.map((from) => callFrom(from)));
    return answers.every(({ status }) => status === 200);
  });
}

/** How many calls node 1 has made, and how many of them in plain text to the other node. */
async function counted(): Promise<{ readonly calls: number; readonly plain: number }> {
  const { body } = await mesh.admin(1, '/metrics');
  const sum = (series: RegExp): number =>
    [...body.matchAll(series)].reduce((total, [, value]) => total + Number(value), 0);
  return {
    calls: sum(/^weft_http_requests_total{[^}]*} (\d+)/gm),
    plain: sum(/^weft_plain_requests_total{[^}]*reason="mtls_off"[^}]*} (\d+)/gm),
  };
}

/** How many of a round of calls of node 1 went in plain text; all of them have to succeed. */
async function plainOfRound(): Promise<number> {
  const before = await counted();
  expect(await failures()).toEqual([]);
  let after = before;
  // Workers are asked for their numbers now and then.
  await until('they are counted', async () => {
    after = await counted();
    return after.calls - before.calls >= callsEach;
  });
  return after.plain - before.plain;
}

describe('a roll-out of --mtls loses no call', () => {
  test.each([
    ['off', 'permissive'],
    ['permissive', 'strict'],
    ['strict', 'permissive'],
    ['permissive', 'off'],
  ])('from %s to %s', async (_, to) => {
    expect(await failures()).toEqual([]);
    await restart(2, to);
    expect(await failures()).toEqual([]);
    await restart(1, to);
    await until('it is in force', async () => {
      return (await plainOfRound()) === (to === 'off' ? callsEach : 0);
    });
  }, 60_000);
});

describe('an annotation of the namespace loses no call', () => {
  test.each(['permissive', 'strict', 'off'])('%s', async (mode) => {
    const metadata = { name: 'shop', annotations: { 'weft.dev/mtls': mode } };
    await mesh.apply({ apiVersion: 'v1', kind: 'Namespace', metadata });
    expect(await failures()).toEqual([]);
    await until('it is in force', async () => {
      return (await plainOfRound()) === (mode === 'off' ? callsEach : 0);
    });
  }, 60_000);
});
