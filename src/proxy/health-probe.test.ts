// One active check over real sockets: what passes, what fails, that a pod that hangs costs no more
// than the deadline, and that nothing is left open.
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { testRuntime } from '../../test/support/dataplane-harness.ts';
import { eventually } from '../../test/support/dataplane-sockets.ts';
import { fastestNetwork, nodeNetwork } from '../dataplane/index.ts';
import type { Network } from '../lib/network.ts';
import type { CheckTarget } from './health-plan.ts';
import { probeHealth } from './health-probe.ts';

let server: net.Server | undefined;
let open = 0;
let heads: string[] = [];

afterEach(async () => {
  await eventually(() => open === 0, 'all connections are closed');
  server?.close();
  heads = [];
});

function serve(answer: (socket: net.Socket) => void): Promise<number> {
  return new Promise((done) => {
    server = net.createServer((socket) => {
      open += 1;
      socket.on('close', () => (open -= 1));
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        heads.push(data.toString('latin1'));
        answer(socket);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const at: AddressInfo | string | null | undefined = server?.address();
      done(at !== null && typeof at === 'object' ? at.port : 0);
    });
  });
}

function check(port: number, given: Partial<CheckTarget> = {}, network?: Network) {
  const target: CheckTarget = {
    ...{ id: `127.0.0.1:${port}`, namespace: 't', service: 'h1', address: '127.0.0.1', port },
    ...{ kind: 'http', host: 'h1.t.mesh', rule: { path: '/up?x=1', everyMs: 100 } },
    ...given,
  };
  const { timers } = testRuntime;
  const options = { network: network ?? nodeNetwork(), timers, localAddress: undefined };
  return new Promise<boolean>((done) => void probeHealth(options, target, done));
}

describe('a check', () => {
  test.each([
    [200, true],
    [204, true],
    [302, true],
    [399, true],
    [404, false],
    [500, false],
    [100, false],
  ])('of %i', async (status, hasPassed) => {
    const port = await serve((socket) => socket.write(`HTTP/1.1 ${status} X\r\n\r\nbody`));
    expect(await check(port)).toBe(hasPassed);
    expect(heads[0]).toMatch(/^GET \/up\?x=1 HTTP\/1\.1\r\nhost: h1\.t\.mesh\r\n/);
    expect(heads[0]).toContain('connection: close\r\n');
  });

  test('in pieces, over the sockets that workers use', async () => {
    const port = await serve((socket) => {
      socket.write('HTTP/1.');
      setTimeout(() => socket.write('1 200 OK\r\n'), 20);
    });
    expect(await check(port, {}, (await fastestNetwork()).network)).toBe(true);
  });

  test.each([
    ['is cut', (socket: net.Socket) => void socket.resetAndDestroy()],
    ['ends', (socket: net.Socket) => void socket.end()],
    ['is no HTTP', (socket: net.Socket) => void socket.write('x'.repeat(100))],
    ['hangs', () => undefined],
  ])('that %s fails', async (_, answer) => {
    expect(await check(await serve(answer))).toBe(false);
  });

  test('of a port where nobody listens fails', async () => {
    const port = await serve(() => undefined);
    server?.close();
    expect(await check(port)).toBe(false);
  });

  test('of a pod of HTTP/2 passes when it accepts', async () => {
    const port = await serve(() => undefined);
    expect(await check(port, { kind: 'connect' })).toBe(true);
    expect(heads).toEqual([]);
  });

  test('that is stopped tells nothing', async () => {
    const port = await serve(() => undefined);
    const rule = { path: '/', everyMs: 100 };
    const target = { id: '', namespace: '', service: '', address: '127.0.0.1', port, rule };
    const { timers } = testRuntime;
    let told = 0;
    const options = { network: nodeNetwork(), timers, localAddress: undefined };
    const stop = probeHealth(options, { ...target, kind: 'http', host: 'x' }, () => (told += 1));
    await eventually(() => heads.length === 1, 'it has asked');
    stop();
    stop();
    await eventually(() => open === 0, 'the connection is cut');
    expect(told).toBe(0);
  });
});
