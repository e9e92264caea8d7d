// The law of the reflector, from one seed: whatever happens to the server and to the streams, when
// the faults stop the mirror holds what the server holds, within a bound – no deletion is missed,
// no predecessor stays. A failure names its seed; WEFT_SEEDS=3000 tries more of them.
import { describe, expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { expectedOf, mirrorColors, thingPath } from '../../test/kube/support/color-mirror.ts';
import { MemoryServer } from '../../test/kube/support/memory-server.ts';
import type { Random } from '../lib/clock.ts';
import { seededRandom } from '../lib/random.ts';

type World = { readonly server: MemoryServer; readonly fake: FakeRuntime; readonly random: Random };

const names = ['a', 'b', 'c', 'd', 'e', 'constructor', '__proto__'];

function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

const changes: readonly ((world: World) => void)[] = [
  ({ server, random }) => server.put(pick(names, random), String(random())),
  ({ server, random }) => server.put(pick(names, random), String(random())),
  ({ server, random }) => server.remove(pick(names, random)),
  ({ server, random }) => {
    // Deleted and created anew: the same name, another uid.
    const name = pick(names, random);
    server.remove(name);
    server.put(name, String(random()));
  },
  ({ server }) => server.bookmark(),
];

const faults: readonly ((world: World) => void)[] = [
  ({ server }) => server.closeWatches('end'),
  ({ server }) => server.closeWatches('reset'),
  ({ server }) => {
    server.sendBytes('{"type":"ADDED","object":{"metadata":{"na');
    server.closeWatches('reset');
  },
  ({ server }) => {
    server.bookmark();
    server.closeWatches('end');
  },
  ({ server }) => server.compact(),
  ({ server }) => server.errorEvent(410, 'Expired'),
  ({ server }) => server.errorEvent(500, 'InternalError'),
  ({ server, random }) => server.refuse({ status: pick([429, 500, 503, 410, 403], random) }),
  ({ server }) => server.refuse({ status: 429, retryAfterMs: 3_000 }),
  ({ server }) => {
    server.isDown = !server.isDown;
    if (server.isDown) server.closeWatches('reset');
  },
  ({ server }) => {
    server.isServed = !server.isServed;
    if (!server.isServed) server.closeWatches('end');
  },
  ({ server }) => {
    server.streamsLists = !server.streamsLists;
  },
  ({ server, random }) => {
    // Once more what was said already, and a deletion of somebody who is long gone.
    const object = server.objects.get(pick(names, random));
    if (object === undefined) return;
    server.sendLine({ type: 'ADDED', object });
    const metadata = { ...object.metadata, uid: 'uid-of-a-predecessor' };
    server.sendLine({ type: 'DELETED', object: { ...object, metadata } });
  },
  ({ server, random }) => {
    // A restored history that overtakes the lost one unseen cannot be told from it by anybody.
    const isFirst = server.version > 1_000;
    if (isFirst && random() < 0.2) server.restore(50, new Map([['z', String(random())]]));
  },
];

async function live(seed: number): Promise<World & ReturnType<typeof mirrorColors>> {
  const random = seededRandom(seed);
  const world = { server: new MemoryServer(thingPath), fake: new FakeRuntime(seed + 1), random };
  world.server.streamsLists = random() < 0.5;
  const mirror = mirrorColors(world.server, world.fake);
  for (let step = 0; step < 120; step += 1) {
    pick(random() < 0.6 ? changes : faults, random)(world);
    const pauseMs = pick([0, 0, 1, 200, 3_000, 30_000], random);
    if (pauseMs > 0) await world.fake.advance(pauseMs);
    else if (random() < 0.5) await settle();
  }
  return { ...world, ...mirror };
}

describe('a mirror', () => {
  test('holds what the server holds once the faults stop, for every seed', async () => {
    const seeds = Number(process.env['WEFT_SEEDS'] ?? '60');
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { server, fake, held, reflector } = await live(seed);
      server.heal();
      await fake.advance(150_000);
      expect({ seed, held }).toEqual({ seed, held: expectedOf(server) });
      await reflector.stop();
      expect({ seed, timers: fake.timerCount, open: server.openWatches }).toEqual({
        seed,
        timers: 0,
        open: 0,
      });
    }
  });
});
