// Copies of requests between nodes: they travel in tunnels of their own under the original's
// identity, are judged where the mirror's pod is and by the mirror's name, and keep their mark.
import { afterEach, describe, expect, test } from 'vitest';
import { slotWidths } from '../../src/telemetry/slots.ts';
import { eventually, request } from '../support/dataplane-sockets.ts';
import { HttpPod } from '../support/mirror-mesh.ts';
import { otherPod, clientPod, serverPod, TunnelMesh } from '../support/tunnel-mesh.ts';
import type { TestPod, WorldOptions } from '../support/tunnel-mesh.ts';

const copyPod: TestPod = { address: '127.0.2.2', account: 't/copy', node: 'node-b' };

let app: HttpPod;
let mirror: HttpPod;
let mesh: TunnelMesh;
let outcomes: string[] = [];

async function start(said: Partial<WorldOptions> = {}): Promise<void> {
  app = await HttpPod.start(serverPod.address);
  mirror = await HttpPod.start(copyPod.address);
  outcomes = [];
  mesh = await TunnelMesh.start(
    {
      endpoints: [{ ...app.endpoint, node: 'node-b' }],
      copies: [{ ...mirror.endpoint, node: 'node-b' }],
      pods: [clientPod, otherPod, serverPod, copyPod],
      rules: { shaping: { mirror: { service: 'copy', percent: 100 } } },
      ...said,
    },
    { observer: { copyEnded: (_, outcome) => outcomes.push(outcome) } },
  );
}

afterEach(async () => {
  for (const peer of mesh.peers) peer.socket.destroy();
  for (const { dataplane } of [mesh.a, mesh.b]) {
    await eventually(() => dataplane.state().exchanges === 0, 'all exchanges ended');
    await eventually(() => dataplane.state().mirrors.copies === 0, 'all copies ended');
    expect(dataplane.state()).toMatchObject({ bufferedBytes: 0, mirrors: { bytes: 0 } });
    expect(dataplane.state().tunnels?.waiting).toBe(0);
  }
  expect([...mesh.a.bugs, ...mesh.b.bugs]).toEqual([]);
  mesh.close();
  app.close();
  mirror.close();
  for (const { dataplane } of [mesh.a, mesh.b]) {
    expect(dataplane.state().tunnels).toMatchObject({ dialled: 0 });
    expect(dataplane.state().deadlines).toBe(0);
  }
});

async function ask(): Promise<string> {
  const client = await mesh.client();
  client.send(`${request('POST /p', 'Content-Length: 5')}hello`);
  return client.see('\r\n\r\nok');
}

describe('a copy to another node', () => {
  test('is what the pod got of the original, with its mark, and is made once', async () => {
    await start();
    expect(await ask()).toContain('200 OK');
    await eventually(() => outcomes.length === 1, 'the copy has ended');
    expect(outcomes).toEqual(['answered']);
    const { 'weft-mirror': mark, ...headers } = mirror.got[0]?.headers ?? {};
    expect(mark).toBe('t/h1');
    expect(headers).toEqual(app.got[0]?.headers);
    expect(mirror.got[0]?.body).toBe('hello');
    expect(mesh.b.dataplane.state().mirrors.upstreamOpen).toBe(0);
    expect([app.got.length, mirror.got.length]).toEqual([1, 1]);
  });

  test('travels in a tunnel that only copies use', async () => {
    await start();
    for (let n = 1; n <= 3; n += 1) {
      await ask();
      await eventually(() => outcomes.length === n, 'the copy has ended');
    }
    expect(mesh.a.dataplane.state().tunnels?.dialled).toBe(2);
    mesh.a.dataplane.close();
    await eventually(() => mesh.b.dataplane.state().connections === 0, 'all are closed');
  });

  test.each([
    ['h1.t.mesh', 'denied'],
    ['copy.t.mesh', 'answered'],
  ])('is judged there by the name of the mirror (allowed: %s)', async (copyHost, outcome) => {
    await start({ policy: 'enforce', allowedPath: '/p', copyHost });
    expect(await ask()).toContain('200 OK');
    await eventually(() => outcomes.length === 1, 'the copy has ended');
    expect(outcomes).toEqual([outcome]);
    expect(mirror.got.length).toBe(outcome === 'denied' ? 0 : 1);
    expect(mirror.got[0]?.headers.host ?? 'h1.t.mesh').toBe('h1.t.mesh');
  });

  test('tells the proxy of the pod nothing of it that others would notice', async () => {
    await start();
    const { address, port } = mirror.endpoint;
    const { slots } = mesh.b;
    slots.apply({ set: [['endpoint', `${address}:${port}`, 2]], freed: [] });
    mirror.answer = (response) => response.socket?.destroy();
    for (let n = 1; n <= 8; n += 1) {
      await ask();
      await eventually(() => outcomes.length === n, 'the copy has ended');
    }
    expect(mirror.got.length).toBeGreaterThan(0);
    const at = 2 * slotWidths.endpoint;
    const cells = slots.cells.endpoint.subarray(at, at + slotWidths.endpoint);
    expect([...cells]).toEqual(Array.from(cells, () => 0));
  });

  test('whose proxy is not there fails, and the original does not', async () => {
    await start({ copies: [{ address: '127.0.9.9', port: 1, node: 'node-c' }] });
    expect(await ask()).toContain('200 OK');
    await eventually(() => outcomes.length === 1, 'the copy has ended');
    expect(outcomes).toEqual(['failed']);
  });
});

test('a pod cannot be told that it gets a copy by a client', async () => {
  await start({ rules: {} });
  const client = await mesh.client();
  client.send(request('GET /', 'weft-mirror: t/other', 'Weft_Mirror: t/other'));
  await client.see('ok');
  expect(Object.keys(app.got[0]?.headers ?? {}).filter((name) => name.startsWith('weft'))).toEqual(
    [],
  );
});
