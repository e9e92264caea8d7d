// The reflectors against a real kube-apiserver: they end up with what the server holds, whatever
// happens to the server or to the way there.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resourcePath } from '../../src/kube/index.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { serviceManifest, splitDefinition, splitManifest } from './support/objects.ts';
import { until } from './support/until.ts';
import type { WatchedPlane } from './support/watched-plane.ts';
import { startWatchedPlane } from './support/watched-plane.ts';

const core = { group: '', version: 'v1' };
const services = resourcePath({ ...core, plural: 'services', namespace: 'default' });
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const splitsOf = (version: string): string =>
  `/apis/split.smi-spec.io/${version}/namespaces/default/trafficsplits`;

type ListedService = {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly spec: { readonly ports: readonly { readonly port: number }[] };
};

/** `name uid port` of all services, as the server lists them. */
async function listed(world: WatchedPlane): Promise<readonly string[]> {
  const list = (await world.direct.get('/api/v1/services')) as {
    readonly items: readonly ListedService[];
  };
  return list.items
    .map((item) => `${item.metadata.name} ${item.metadata.uid} ${item.spec.ports[0]?.port}`)
    .sort();
}

function mirrored(world: WatchedPlane): readonly string[] {
  return [...world.watch.state().services.values()]
    .map((service) => `${service.meta.name} ${service.meta.uid} ${service.ports[0]?.port}`)
    .sort();
}

async function untilEqual(world: WatchedPlane): Promise<number> {
  const started = Date.now();
  // Listed anew each time: the server makes Services of its own (default/kubernetes) when it likes.
  await until('the mirror is equal', async () => {
    const wanted = await listed(world);
    return mirrored(world).join() === wanted.join();
  });
  return Date.now() - started;
}

function relists(world: WatchedPlane): number {
  return world.watch.status().find((status) => status.kind === 'Service')?.relists ?? -1;
}

async function churn(world: WatchedPlane, seed: number, steps: number): Promise<void> {
  const random = seededRandom(seed);
  for (let step = 0; step < steps; step += 1) {
    const name = `svc-${Math.floor(random() * 12)}`;
    const path = `${services}/${name}`;
    const port = 1 + Math.floor(random() * 60_000);
    const isThere = (await listed(world)).some((line) => line.startsWith(`${name} `));
    if (!isThere) await world.direct.create(services, serviceManifest(name, port));
    else if (random() < 0.4) await world.direct.remove(path);
    else {
      const body = { spec: { ports: [{ name: 'http', port, protocol: 'TCP' }] } };
      await world.direct.patch(path, { kind: 'merge', body });
    }
    if (random() < 0.15) world.link.cut();
  }
}

for (const way of ['streamed lists', 'paged lists'] as const) {
  describe(`a mirror with ${way}`, () => {
    let world: WatchedPlane;

    beforeAll(async () => {
      const serverFlags = way === 'paged lists' ? ['--feature-gates=WatchList=false'] : [];
      world = await startWatchedPlane({ serverFlags });
      await until('synced', () => world.watch.isSynced());
    });

    afterAll(async () => {
      await world.stop();
    });

    test('follows what is created, changed and removed', async () => {
      await world.direct.create(services, serviceManifest('web', 80));
      await untilEqual(world);
      const body = { spec: { ports: [{ name: 'http', port: 8080 }] } };
      await world.direct.patch(`${services}/web`, { kind: 'merge', body });
      await untilEqual(world);
      await world.direct.remove(`${services}/web`);
      await untilEqual(world);
      expect(relists(world)).toBe(0);
    });

    test('converges under churn and cut connections without listing again', async () => {
      await churn(world, 11, 120);
      await untilEqual(world);
      expect(relists(world)).toBe(0);
    });

    test('lists again when its version was compacted, and forgets what was deleted', async () => {
      world.link.setOpen(false);
      await churn(world, 12, 20);
      await world.plane.compact();
      await world.plane.restart();
      const before = relists(world);
      world.link.setOpen(true);
      await untilEqual(world);
      expect(relists(world)).toBe(before + 1);
    });

    test('catches up when the server comes back', async () => {
      await world.plane.kill();
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      await world.plane.start();
      await world.direct.create(services, serviceManifest(`after-${way.split(' ')[0]}`, 80));
      const tookMs = await untilEqual(world);
      console.log(`${way}: caught up ${tookMs} ms after the server was ready again`);
    });

    test('picks a definition up when it appears, in the version that is served', async () => {
      await world.direct.create(definitions, splitDefinition(['v1alpha2']));
      await until('the server serves the kind', async () => {
        const web = splitManifest('v1alpha2', 'web');
        return world.direct.create(splitsOf('v1alpha2'), web).then(
          () => true,
          () => false,
        );
      });
      const started = Date.now();
      await until('the split is there', () => world.watch.state().trafficSplits.size === 1);
      console.log(`${way}: a new kind was picked up after ${Date.now() - started} ms`);
    });

    test('moves on when its version of a definition is not served any more', async () => {
      const path = `${definitions}/trafficsplits.split.smi-spec.io`;
      const both = splitDefinition(['v1alpha2', 'v1alpha4']);
      await world.direct.apply(path, both, { force: true });
      const { spec } = splitDefinition(['v1alpha2', 'v1alpha4']) as {
        readonly spec: { readonly versions: readonly object[] };
      };
      const versions = spec.versions.map((version, at) => ({ ...version, served: at === 1 }));
      await world.direct.patch(path, { kind: 'merge', body: { spec: { versions } } });
      await until('the server serves v1alpha4', async () => {
        const other = splitManifest('v1alpha4', 'other');
        return world.direct.create(splitsOf('v1alpha4'), other).then(
          () => true,
          () => false,
        );
      });
      await until('both splits are there', () => world.watch.state().trafficSplits.size === 2);
    });

    test('is empty and goes on when a definition is removed', async () => {
      await world.direct.remove(`${definitions}/trafficsplits.split.smi-spec.io`);
      await until('no split is left', () => world.watch.state().trafficSplits.size === 0);
      await world.direct.create(services, serviceManifest('still-there', 80));
      await untilEqual(world);
    });

    test('notices that the server lost its history', async () => {
      for (let at = 0; at < 40; at += 1) {
        const body = { metadata: { annotations: { 'weft.dev/timeout': `${at}s` } } };
        await world.direct.patch(`${services}/still-there`, { kind: 'merge', body });
      }
      await untilEqual(world);
      await world.plane.wipe();
      await untilEqual(world);
    });
  });
}
