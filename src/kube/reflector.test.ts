// The reflector against an API server in memory, on a clock that the test moves: every way in which
// a list or a watch may end, and that the mirror holds afterwards what the server holds.
import { describe, expect, test } from 'vitest';
import { FakeRuntime } from '../../test/kube/support/fake-runtime.ts';
import { expectedOf, mirrorColors, thingPath } from '../../test/kube/support/color-mirror.ts';
import { MemoryServer } from '../../test/kube/support/memory-server.ts';

function world() {
  const fake = new FakeRuntime(7);
  const server = new MemoryServer(thingPath);
  server.put('a', 'red');
  server.put('b', 'blue');
  return { fake, server };
}

async function mirrored() {
  const { fake, server } = world();
  const mirror = mirrorColors(server, fake);
  await fake.advance(0);
  expect(mirror.reflector.status().isSynced).toBe(true);
  expect(mirror.held).toEqual(expectedOf(server));
  return { fake, server, mirror };
}

function watchesOf(server: MemoryServer): readonly string[] {
  return server.requests.filter((request) => request.includes('watch=true'));
}

describe('the first list', () => {
  test('is streamed where the server grants it', async () => {
    const { server, mirror } = await mirrored();
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toContain('sendInitialEvents=true');
    expect(server.requests[0]).toContain('resourceVersionMatch=NotOlderThan');
    expect(server.requests[0]).toContain('allowWatchBookmarks=true');
    await mirror.reflector.stop();
  });

  test('asks for one namespace alone where a Role allows no more', async () => {
    const fake = new FakeRuntime(7);
    const path = '/apis/test.dev/v1/namespaces/home/things';
    const server = new MemoryServer(path);
    server.put('a', 'red');
    const mirror = mirrorColors(server, fake, { namespace: 'home' });
    await fake.advance(0);
    expect(mirror.held.size).toBe(1);
    expect(server.requests[0]).toContain(`GET ${path}?`);
    await mirror.reflector.stop();
  });

  test('is read in pages of 500 without a resource version elsewhere', async () => {
    const { fake, server } = world();
    server.streamsLists = false;
    for (let at = 0; at < 1_200; at += 1) server.put(`thing-${at}`, 'green');
    const mirror = mirrorColors(server, fake);
    await fake.advance(1_000);
    expect(mirror.held).toEqual(expectedOf(server));
    const lists = server.requests.filter((request) => !request.includes('watch=true'));
    expect(lists).toEqual([
      `GET ${thingPath}?limit=500`,
      `GET ${thingPath}?limit=500&continue=500`,
      `GET ${thingPath}?limit=500&continue=1000`,
    ]);
    expect(server.requests.at(-1)).toContain(`resourceVersion=${server.version}`);
    await mirror.reflector.stop();
  });

  test('is read in pages where the server ignores the wish for a streamed one', async () => {
    const { fake, server } = world();
    // No bookmark ends the events: the stream of a server that does not know WatchList.
    const original = server.transport.send;
    const mute = { status: 200, retryAfterMs: undefined };
    Object.assign(server.transport, {
      send: (request: Parameters<typeof original>[0]) =>
        request.target.includes('sendInitialEvents')
          ? Promise.resolve({ ...mute, body: silentUntil(request.signal) })
          : original(request),
    });
    const mirror = mirrorColors(server, fake);
    await fake.advance(9_000);
    expect(mirror.reflector.status().isSynced).toBe(false);
    await fake.advance(2_000);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('waits for a server that is not there yet', async () => {
    const { fake, server } = world();
    server.isDown = true;
    const mirror = mirrorColors(server, fake);
    await fake.advance(60_000);
    expect(mirror.reflector.status().isSynced).toBe(false);
    server.isDown = false;
    await fake.advance(30_000);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('takes part of nothing when it is cut before its end', async () => {
    const { fake, server, mirror } = await mirrored();
    server.compact();
    server.remove('b');
    server.compact();
    server.closeWatches('reset');
    server.isMute = true;
    await fake.advance(150);
    expect(mirror.commits()).toBe(1);
    await mirror.reflector.stop();
  });
});

describe('a watch', () => {
  test('follows changes, deletions and re-creations', async () => {
    const { fake, server, mirror } = await mirrored();
    server.put('a', 'green');
    server.remove('b');
    server.put('b', 'white');
    server.put('c', 'black');
    await fake.advance(0);
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.commits()).toBe(1);
    await mirror.reflector.stop();
  });

  test('asks for 290 s, give or take a tenth', async () => {
    const { fake, server, mirror } = await mirrored();
    for (let round = 0; round < 30; round += 1) {
      await fake.advance(20_000);
      server.closeWatches('end');
    }
    await fake.advance(1_000);
    const asked = watchesOf(server).map((request) =>
      Number(new URL(request.slice(4), 'https://x').searchParams.get('timeoutSeconds')),
    );
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(261);
    expect(Math.max(...asked)).toBeLessThanOrEqual(319);
    expect(new Set(asked).size).toBeGreaterThan(10);
    await mirror.reflector.stop();
  });

  test('resumes at the last event without a list when it ends as asked', async () => {
    const { fake, server, mirror } = await mirrored();
    await fake.advance(30_000);
    server.put('a', 'green');
    await fake.advance(10_000);
    server.closeWatches('end');
    await fake.advance(0);
    expect(server.requests).toHaveLength(2);
    expect(server.requests[1]).toContain(`resourceVersion=${server.version}`);
    expect(mirror.reflector.status().relists).toBe(0);
    await mirror.reflector.stop();
  });

  test('loses nothing when it is cut in the middle of a line', async () => {
    const { fake, server, mirror } = await mirrored();
    server.sendBytes('{"type":"MODIFIED","object":{"metadata":{"name":"a","resour');
    server.closeWatches('reset');
    server.put('a', 'yellow');
    await fake.advance(1_000);
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.commits()).toBe(1);
    await mirror.reflector.stop();
  });

  test('lists again on 410 as status, and forgets what was deleted meanwhile', async () => {
    const { fake, server, mirror } = await mirrored();
    await fake.advance(20_000);
    server.isDown = true;
    server.closeWatches('reset');
    server.remove('a');
    server.put('d', 'grey');
    server.compact();
    await fake.advance(1_000);
    server.isDown = false;
    await fake.advance(5_000);
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.reflector.status().relists).toBe(1);
    await mirror.reflector.stop();
  });

  test('lists again at once on 410 as an event', async () => {
    const { fake, server, mirror } = await mirrored();
    await fake.advance(20_000);
    server.isMute = true;
    server.remove('a');
    server.isMute = false;
    server.errorEvent(410, 'Expired');
    await fake.advance(0);
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.reflector.status().relists).toBe(1);
    await mirror.reflector.stop();
  });

  test('backs off when every list is followed by 410', async () => {
    const { fake, server, mirror } = await mirrored();
    for (let round = 0; round < 600; round += 1) {
      await fake.advance(100);
      server.errorEvent(410, 'Expired');
    }
    expect(mirror.reflector.status().relists).toBeLessThan(15);
    await mirror.reflector.stop();
  });

  test('takes other ERROR events for a failure and resumes', async () => {
    const { fake, server, mirror } = await mirrored();
    server.errorEvent(500, 'InternalError');
    await fake.advance(0);
    server.put('a', 'pink');
    await fake.advance(1_000);
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.reflector.status().relists).toBe(0);
    await mirror.reflector.stop();
  });

  test('takes a repeated ADDED for the state that it is', async () => {
    const { fake, server, mirror } = await mirrored();
    const object = server.objects.get('b');
    server.sendLine({ type: 'ADDED', object });
    server.sendLine({ type: 'ADDED', object });
    await fake.advance(0);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('survives lines that are no events', async () => {
    const { fake, server, mirror } = await mirrored();
    const nothings = ['garbage', '[]', 'null', '{"type":"ADDED"}', '{"type":"ADDED","object":7}'];
    for (const line of nothings) {
      server.sendBytes(`${line}\n`);
      await fake.advance(31_000);
      server.put('a', `after ${line}`);
      await fake.advance(0);
      expect(mirror.held).toEqual(expectedOf(server));
    }
    await mirror.reflector.stop();
  });

  test('refuses an event without end', async () => {
    const { fake, server, mirror } = await mirrored();
    for (let piece = 0; piece < 5; piece += 1) server.sendBytes('x'.repeat(1024 * 1024));
    await fake.advance(1_000);
    server.put('a', 'after');
    await fake.advance(31_000);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('that is closed again and again at one version counts as 410', async () => {
    const { fake, server, mirror } = await mirrored();
    server.isMute = true;
    server.remove('a');
    for (let round = 0; round < 8; round += 1) {
      server.closeWatches('end');
      await fake.advance(31_000);
    }
    expect(mirror.held).toEqual(expectedOf(server));
    expect(mirror.reflector.status().relists).toBeGreaterThan(0);
    await mirror.reflector.stop();
  });

  test('lives as long as bookmarks come', async () => {
    const { fake, server, mirror } = await mirrored();
    for (let minute = 0; minute < 30; minute += 1) {
      await fake.advance(60_000);
      server.bookmark();
    }
    expect(server.requests).toHaveLength(1);
    expect(mirror.reflector.status().lastEventAgeMs).toBeLessThanOrEqual(60_000);
    await mirror.reflector.stop();
  });

  test('whose first bookmark comes after two minutes is left alone', async () => {
    const { fake, server, mirror } = await mirrored();
    await fake.advance(125_000);
    server.bookmark();
    await fake.advance(60_000);
    expect(server.requests).toHaveLength(1);
    await mirror.reflector.stop();
  });

  test('that is silent for 200 s is given up', async () => {
    const { fake, server, mirror } = await mirrored();
    server.isMute = true;
    server.put('a', 'unheard');
    await fake.advance(199_000);
    server.isMute = false;
    expect(mirror.held).not.toEqual(expectedOf(server));
    await fake.advance(3_000);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('notices that the history of the server went back', async () => {
    const { fake, server, mirror } = await mirrored();
    for (let at = 0; at < 50; at += 1) server.put('a', `shade ${at}`);
    await fake.advance(20_000);
    server.restore(20, new Map([['z', 'old']]));
    await fake.advance(5_000);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });
});

describe('patience', () => {
  test('honours Retry-After of a 429', async () => {
    const { fake, server, mirror } = await mirrored();
    server.refuse({ status: 429, retryAfterMs: 20_000 });
    server.closeWatches('reset');
    await fake.advance(15_000);
    const before = server.requests.length;
    await fake.advance(4_000);
    expect(server.requests.length).toBe(before);
    await fake.advance(6_000);
    expect(server.requests.length).toBeGreaterThan(before);
    server.put('a', 'late');
    await fake.advance(0);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('asks a server that fails less and less often, and never gives up', async () => {
    const { fake, server, mirror } = await mirrored();
    server.refuse(...Array.from({ length: 100_000 }, () => ({ status: 500 })));
    server.closeWatches('reset');
    await fake.advance(10 * 60_000);
    const inTenMinutes = server.requests.length;
    expect(inTenMinutes).toBeLessThan(70);
    await fake.advance(10 * 60_000);
    expect(server.requests.length).toBeGreaterThan(inTenMinutes + 15);
    await mirror.reflector.stop();
  });

  test('is over at once when anybody reaches the server again', async () => {
    const { fake, server } = world();
    const one = mirrorColors(server, fake);
    await fake.advance(0);
    server.isDown = true;
    server.closeWatches('reset');
    await fake.advance(60_000);
    server.isDown = false;
    await fake.advance(30_000);
    expect(one.reflector.status().isConnected).toBe(true);
    await one.reflector.stop();
  });
});

describe('a kind that does not exist', () => {
  test('is empty, counts as synced and is picked up within seconds', async () => {
    const { fake, server } = world();
    server.isServed = false;
    const mirror = mirrorColors(server, fake);
    await fake.advance(60_000);
    expect(mirror.reflector.status().isSynced).toBe(true);
    expect(server.requests.length).toBeLessThan(35);
    server.isServed = true;
    await fake.advance(3_500);
    expect(mirror.held).toEqual(expectedOf(server));
    await mirror.reflector.stop();
  });

  test('is emptied when it goes away', async () => {
    const { fake, server, mirror } = await mirrored();
    server.isServed = false;
    server.closeWatches('end');
    await fake.advance(1_000);
    expect(mirror.held.size).toBe(0);
    await mirror.reflector.stop();
  });
});

describe('stopping', () => {
  test('leaves no timer and no stream, whatever is going on', async () => {
    for (const trouble of ['none', 'down', 'absent'] as const) {
      const { fake, server, mirror } = await mirrored();
      if (trouble === 'down') server.isDown = true;
      if (trouble === 'absent') server.isServed = false;
      if (trouble !== 'none') server.closeWatches('reset');
      await fake.advance(700);
      await mirror.reflector.stop();
      expect({ trouble, timers: fake.timerCount, streams: server.openWatches }).toEqual({
        trouble,
        timers: 0,
        streams: 0,
      });
    }
  });
});

async function* silentUntil(signal: AbortSignal): AsyncIterable<Uint8Array> {
  await new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
  });
  yield new Uint8Array();
}
