// `traffic: stop` on what is under way: once the table is published, before anything else happens,
// what streams is cut, what no pod has got yet is refused, and an answer that is about to come may
// come; new requests are refused, and served again when the word is gone. TCP has the same in
// tcp-settings.test.ts. How soon it is in force is a number in docs/performance.md.
import { afterEach, describe, expect, test } from 'vitest';
import { connectTo, eventually, request } from '../support/dataplane-sockets.ts';
import type { PodRequest } from '../support/settings-pod.ts';
import { allProtocols, isRefused, isWell, SettingsWorld } from '../support/settings-world.ts';
import type { Protocol } from '../support/settings-world.ts';

const stop = { 'weft.dev/traffic': 'stop' };

let world: SettingsWorld;

afterEach(() => world.end());

async function start(protocol: Protocol): Promise<PodRequest[]> {
  world = await SettingsWorld.start(protocol, { addresses: ['127.0.0.2'] });
  world.settle({});
  const arrived: PodRequest[] = [];
  world.answers((one) => arrived.push(one));
  return arrived;
}

describe.each(allProtocols)('%s', (protocol) => {
  test('new requests are refused, and served again afterwards', async () => {
    await start(protocol);
    world.answers((one) => one.ok());
    expect(isWell(await world.ask())).toBe(true);
    world.settle({ onService: stop });
    expect(isRefused(await world.ask(), 'Stopped')).toBe(true);
    world.settle({});
    expect(isWell(await world.ask())).toBe(true);
  });

  test('the stop of a Namespace stops its services', async () => {
    await start(protocol);
    world.settle({ onNamespace: stop });
    expect(isRefused(await world.ask(), 'Stopped')).toBe(true);
  });

  test('an answer that has begun is cut, at the pod as well', async () => {
    const arrived = await start(protocol);
    const call = world.open();
    await eventually(() => arrived.length === 1, 'it has come');
    arrived[0]?.begin('half of it');
    await call.begun;
    world.settle({ onService: stop });
    const told = await call.reply;
    // A call of gRPC that has begun ends with trailers that say why.
    expect(told.isCut || told.grpcStatus === 14).toBe(true);
    await eventually(() => arrived[0]?.isGone === true, 'the pod is told');
  });

  test('an answer that is about to come may come', async () => {
    const arrived = await start(protocol);
    const call = world.open();
    await eventually(() => arrived.length === 1, 'it has come');
    world.settle({ onService: stop });
    arrived[0]?.ok();
    expect(isWell(await call.reply)).toBe(true);
  });

  test('who waits in line for a place is refused', async () => {
    const arrived = await start(protocol);
    const limit = { 'weft.dev/max-requests': '1' };
    world.settle({ onService: limit });
    const first = world.open();
    await eventually(() => arrived.length === 1, 'it has come');
    const second = world.open();
    await eventually(() => world.harness.dataplane.state().exchanges === 2, 'it waits');
    world.settle({ onService: { ...limit, ...stop } });
    expect(isRefused(await second.reply, 'Stopped')).toBe(true);
    arrived[0]?.ok();
    expect(isWell(await first.reply)).toBe(true);
    expect(arrived.length).toBe(1);
  });
});

test('an upgraded connection is cut', async () => {
  await start('http/1.1');
  const lines = ['Connection: upgrade', 'Upgrade: echo'];
  const peer = await connectTo(world.harness.port);
  peer.send(request('GET /', ...lines));
  await peer.see('101 Switching');
  peer.send('hello');
  await peer.see('hello');
  world.settle({ onService: stop });
  await peer.until(() => peer.isClosed || peer.hasEnded, 'the end');
  peer.socket.destroy();
});
