// Lines that never empty while the endpoints of their backend change: who waits goes by those there
// are now, and other workers see it.
import { expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import type { Endpoint } from '../route/index.ts';
// As a brand constructor does.
import type { BackendId } from '../snapshot/index.ts';
import { createSlotMemory, SlotAllocator, SlotView } from '../telemetry/index.ts';
import { Places, type Ticket, type Waiting, type Wish } from './places.ts';

function endpointAt(address: string): Endpoint {
  const id = `${address}:80`;
  return { id, namespace: 't', address, port: 80, nodeName: '', podName: '' };
}

const [stays, goes, comes] = [
  endpointAt('10.0.0.1'),
  endpointAt('10.0.0.2'),
  endpointAt('10.0.0.3'),
];

function backendOf(...endpoints: Endpoint[]): Wish['backend'] {
  return { id: 't/s:80' as BackendId, endpoints };
}

/** Two workers; what the second is asked to give up is kept in `asked`, and nothing is closed. */
function twoWorkers(...endpoints: Endpoint[]) {
  const memory = createSlotMemory({ split: 2, endpoint: 5, service: 2 });
  const allocator = new SlotAllocator(memory, seededRandom(1));
  const asked: string[] = [];
  const clock = { nowMs: () => 1_000, wallMs: () => 1_000 };
  const views = [0, 1].map((index) => new SlotView(memory, { index, count: 2 }));
  const placesOf = (slots: SlotView, index: number): Places => {
    const giveUp = (id: string): boolean => index === 1 && asked.push(id) > 0;
    const own = { hasSpare: () => false, giveUp, endpointIds: () => [stays.id] };
    const bugFound = (error: unknown): void => {
      throw error;
    };
    return new Places({ slots, clock, own: [own], bugFound });
  };
  const change = (taken: readonly Endpoint[], left: readonly Endpoint[]): void => {
    const keysOf = (ones: readonly Endpoint[]) => ones.map(({ id }) => ['endpoint', id] as const);
    const delta = allocator.change(keysOf(taken), keysOf(left));
    for (const view of views) view.apply(delta);
  };
  change(endpoints, []);
  const [here, elsewhere] = views;
  if (here === undefined || elsewhere === undefined) throw new Error('no workers');
  const places = views.map(placesOf);
  /** The second worker has a connection to it; its cell. */
  const connect = ({ id }: Endpoint): number =>
    elsewhere.countUp(elsewhere.connectionsAt(elsewhere.offset('endpoint', id)));
  /** One waits at the first worker, where it asks for `stays` whenever it is woken. */
  const enter = (backend: Wish['backend']): Waiting & { said: string } => {
    const wish = { backend, requestsMax: Infinity, connectionsMax: 1, spare: undefined };
    const guest = {
      ticket: undefined as Ticket | undefined,
      said: '',
      pause: () => undefined,
      resume: () => {
        guest.said = places[0]?.take(guest, stays.id, wish) ?? '';
      },
    };
    guest.resume();
    expect(guest.said).toBe('waits');
    return guest;
  };
  const close = (): void => {
    for (const one of places) one.close();
  };
  return { here, elsewhere, first: places[0], asked, change, connect, enter, close };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setImmediate(done));
}

test('idle connections of other workers are had in a line that outlives an endpoint', async () => {
  const world = twoWorkers(stays, goes, comes);
  const { here, elsewhere, asked } = world;
  const cells = [stays, goes, comes].map((one) => world.connect(one));
  const older = world.enter(backendOf(stays, goes, comes));
  await until(() => asked.length > 0);
  const gone = here.offset('endpoint', goes.id);
  expect(elsewhere.isAwaitedElsewhere(gone, 'connection')).toBe(true);

  elsewhere.countDown(cells[1] ?? 0);
  world.change([], [goes]);
  world.enter(backendOf(stays, comes));
  world.first?.leave(older);
  asked.length = 0;
  await until(() => asked.length > 1);
  expect(asked[0]).toBe(stays.id);
  expect(elsewhere.isAwaitedElsewhere(gone, 'place')).toBe(false);
  expect(elsewhere.isAwaitedElsewhere(gone, 'connection')).toBe(false);
  world.close();
});

test('others see that an endpoint is waited for which got its slot after the line', async () => {
  const world = twoWorkers(stays);
  world.connect(stays);
  world.enter(backendOf(stays, comes));
  world.change([comes], []);
  world.connect(comes);
  const offset = world.here.offset('endpoint', comes.id);
  await until(() => world.elsewhere.isAwaitedElsewhere(offset, 'connection'));
  expect(world.elsewhere.isAwaitedElsewhere(offset, 'place')).toBe(true);
  world.close();
});

test('who waits by a newer table does not lack connections of endpoints of an older one', () => {
  const world = twoWorkers(stays, goes, comes);
  for (const one of [stays, goes, comes]) world.connect(one);
  const older = world.enter(backendOf(stays, goes));
  world.enter(backendOf(stays, comes));
  const lacking = (): boolean[] =>
    [stays, goes, comes].map(({ id }) =>
      world.elsewhere.isAwaitedElsewhere(world.here.offset('endpoint', id), 'connection'),
    );
  expect(lacking()).toEqual([true, true, false]);
  world.first?.leave(older);
  expect(lacking()).toEqual([true, false, true]);
  world.close();
});
