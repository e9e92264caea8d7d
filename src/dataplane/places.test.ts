// Places by counting: never more than allowed over two workers that share their cells, served in
// order, and a place that another worker gives back wakes who waits.
import { describe, expect, test } from 'vitest';
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

const endpoint = endpointAt('10.0.0.1');
const other = endpointAt('10.0.0.2');
const third = endpointAt('10.0.0.3');

function backendOf(name: string, ...endpoints: Endpoint[]): Wish['backend'] {
  return { id: name as BackendId, endpoints };
}

const single = backendOf('t/single:80', endpoint);

function worlds(max: number, count = 2) {
  const memory = createSlotMemory({ split: 2, endpoint: 4, service: 2 });
  const allocator = new SlotAllocator(memory, seededRandom(1));
  const ids = [endpoint, other, third].map(({ id }) => id);
  const delta = allocator.change(
    ids.map((id) => ['endpoint', id] as const),
    [],
  );
  const time = { ms: 1_000 };
  const bugs: unknown[] = [];
  const served = { now: 0, most: 0, order: [] as number[], refused: 0 };
  const workers = Array.from({ length: count }, (_, index) => {
    const slots = new SlotView(memory, { index, count });
    slots.apply(delta);
    const clock = { nowMs: () => time.ms, wallMs: () => time.ms };
    const own = { hasSpare: () => false, giveUp: () => false, endpointIds: () => [] };
    const bugFound = (error: unknown): void => void bugs.push(error);
    return { slots, places: new Places({ slots, clock, own: [own], bugFound }) };
  });
  return { allocator, time, bugs, served, workers, max };
}

type World = ReturnType<typeof worlds>;

class Guest implements Waiting {
  ticket: Ticket | undefined;
  pausedMs: number | undefined;
  readonly #world: World;
  readonly #worker: World['workers'][number];
  readonly #number: number;
  readonly #backend: Wish['backend'];
  #cell: number | undefined;
  /** Where it is served, or asked last. */
  at = endpoint;

  constructor(world: World, worker: number, number: number, backend = single) {
    this.#backend = backend;
    const found = world.workers[worker];
    if (found === undefined) throw new Error('no such worker');
    this.#world = world;
    this.#worker = found;
    this.#number = number;
  }

  pause(ms: number): void {
    this.pausedMs = ms;
  }

  resume(): void {
    const { served, max } = this.#world;
    const { places, slots } = this.#worker;
    const { endpoints } = this.#backend;
    const hasRoom = ({ id }: Endpoint): boolean =>
      slots.inFlight(slots.offset('endpoint', id)) < max;
    this.at = endpoints.find(hasRoom) ?? endpoints[0] ?? endpoint;
    const answer = places.take(this, this.at.id, {
      backend: this.#backend,
      requestsMax: max,
      connectionsMax: Infinity,
      spare: undefined,
    });
    if (answer === 'full') served.refused += 1;
    if (answer !== 'placed') return;
    this.#cell = this.ticket?.takeCell();
    served.now += 1;
    served.most = Math.max(served.most, served.now);
    served.order.push(this.#number);
  }

  get isServed(): boolean {
    return this.#cell !== undefined;
  }

  end(): void {
    if (this.#cell === undefined) return;
    this.#world.served.now -= 1;
    this.#worker.slots.countDown(this.#cell);
    this.#cell = undefined;
    this.#worker.places.freed(this.at.id);
  }
}

/** Until what was told to other workers, and what was put off to the end of a turn, has run. */
const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

test('never more than allowed, and everybody is served', async () => {
  const world = worlds(4);
  const random = seededRandom(5);
  const guests: Guest[] = [];
  for (let step = 0; step < 2_000; step += 1) {
    if (guests.length < 400 && random() < 0.5) {
      const guest = new Guest(world, Math.floor(random() * 2), guests.length);
      guests.push(guest);
      guest.resume();
    } else {
      const busy = guests.filter((one) => one.isServed);
      busy[Math.floor(random() * busy.length)]?.end();
      if (step % 7 === 0) await settled();
    }
    expect(world.served.now).toBeLessThanOrEqual(4);
  }
  while (guests.some((one) => one.isServed)) {
    for (const guest of guests) guest.end();
    await settled();
    await settled();
  }
  expect(world.served.most).toBe(4);
  expect(world.served.order.length).toBe(guests.length);
  expect(world.workers.map(({ places }) => places.waiting)).toEqual([0, 0]);
  expect(world.bugs).toEqual([]);
});

describe('in line', () => {
  test('first come, first served', async () => {
    const world = worlds(1);
    const guests = [0, 1, 2, 3].map((number) => new Guest(world, 0, number));
    for (const guest of guests) guest.resume();
    for (const guest of guests) {
      await settled();
      guest.end();
    }
    expect(world.served.order).toEqual([0, 1, 2, 3]);
  });

  test('a place that another worker gives back wakes who waits', async () => {
    const world = worlds(1);
    const [first, second] = [new Guest(world, 0, 0), new Guest(world, 1, 1)];
    first.resume();
    second.resume();
    expect(second.pausedMs).toBe(975);
    first.end();
    for (let turns = 0; turns < 1_000 && !second.isServed; turns += 1) await settled();
    expect(second.isServed).toBe(true);
  });

  test('a second at most, and so many at most', () => {
    const world = worlds(1);
    new Guest(world, 0, 0).resume();
    const patient = new Guest(world, 0, 1);
    patient.resume();
    world.time.ms += 975;
    patient.resume();
    expect(world.served.refused).toBe(1);
    for (let number = 2; number < 1_026; number += 1) new Guest(world, 0, number).resume();
    expect(world.served.refused).toBe(1);
    new Guest(world, 0, 1_026).resume();
    expect(world.served.refused).toBe(2);
  });

  test('who is woken and goes elsewhere leaves the place to the next', async () => {
    const world = worlds(1, 1);
    const [busy, fickle, patient] = [0, 1, 2].map((number) => new Guest(world, 0, number));
    busy?.resume();
    fickle?.resume();
    patient?.resume();
    if (fickle !== undefined) fickle.resume = () => undefined;
    busy?.end();
    await settled();
    expect(world.served.order).toEqual([0, 2]);
  });

  test('a request that has had a place may wait for its next one as long', async () => {
    const world = worlds(1);
    const [first, retried, other] = [
      new Guest(world, 0, 0),
      new Guest(world, 0, 1),
      new Guest(world, 0, 2),
    ];
    first.resume();
    retried.resume();
    first.end();
    await settled();
    world.time.ms += 5_000;
    retried.end();
    other.resume();
    retried.resume();
    expect(world.served).toMatchObject({ order: [0, 1, 2], refused: 0 });
    expect(retried.pausedMs).toBe(975);
  });

  test('a place that is given back and told by nobody is found', async () => {
    const world = worlds(1, 1);
    const slots = world.workers[0]?.slots;
    if (slots === undefined) throw new Error('no such worker');
    const unlimited = slots.countUp(slots.offset('endpoint', endpoint.id));
    const guest = new Guest(world, 0, 0);
    guest.resume();
    slots.countDown(unlimited);
    while (!guest.isServed) await settled();
    expect(world.served.order).toEqual([0]);
  });

  test('a place that another worker gives back just before the line is seen is had', async () => {
    const world = worlds(1);
    const [first, second] = [new Guest(world, 0, 0), new Guest(world, 1, 1)];
    first.resume();
    const slots = world.workers[1]?.slots;
    if (slots === undefined) throw new Error('no such worker');
    const inFlight = slots.inFlight.bind(slots);
    let looks = 0;
    slots.inFlight = (offset) => {
      const found = inFlight(offset);
      looks += 1;
      // The second has chosen where to ask, finds no place, and steps back.
      if (looks === 3) first.end();
      return found;
    };
    second.resume();
    expect(second.isServed).toBe(false);
    await settled();
    expect(second.isServed).toBe(true);
  });
});

describe('for any endpoint', () => {
  const both = backendOf('t/both:80', endpoint, other);

  /** Guests at worker 0 who have all places of both endpoints. */
  function crowd(world: World): readonly [Guest, Guest] {
    const guests = [new Guest(world, 0, 0, both), new Guest(world, 0, 1, both)] as const;
    for (const guest of guests) guest.resume();
    expect(guests.map(({ at }) => at)).toEqual([endpoint, other]);
    return guests;
  }

  async function served(guest: Guest): Promise<void> {
    while (!guest.isServed) await settled();
  }

  test('whichever is free first is had, in the order of coming', async () => {
    const world = worlds(1, 1);
    const [first, second] = crowd(world);
    const waiting = [2, 3].map((number) => new Guest(world, 0, number, both));
    for (const guest of waiting) guest.resume();
    second.end();
    await Promise.resolve();
    first.end();
    await Promise.resolve();
    expect(waiting.map(({ at }) => at)).toEqual([other, endpoint]);
    expect(world.served).toMatchObject({ order: [0, 1, 2, 3], most: 2 });
  });

  test('and so at another worker', async () => {
    const world = worlds(1);
    const [, second] = crowd(world);
    const waiting = new Guest(world, 1, 2, both);
    waiting.resume();
    second.end();
    // Long before it would look by itself.
    for (let turns = 0; turns < 20; turns += 1) await settled();
    expect(waiting.isServed).toBe(true);
    expect(waiting.at).toBe(other);
  });

  test("who may go to one endpoint only stands in nobody else's way", async () => {
    const world = worlds(1, 1);
    const [, second] = crowd(world);
    // As whoever came by tunnel: of the same backend.
    const one = backendOf('t/both:80', endpoint);
    const bound = [2, 3, 4, 5, 6].map((number) => new Guest(world, 0, number, one));
    for (const guest of bound) guest.resume();
    const free = new Guest(world, 0, 7, both);
    free.resume();
    second.end();
    await Promise.resolve();
    expect(free.at).toBe(other);
    expect(free.isServed).toBe(true);
  });

  test('of two lines for one endpoint the one that has waited longer goes first', async () => {
    const world = worlds(1, 1);
    const shared = backendOf('t/shared:80', other, third);
    const [first, second] = crowd(world);
    new Guest(world, 0, 2, shared).resume();
    const late = new Guest(world, 0, 3, both);
    const early = new Guest(world, 0, 4, shared);
    // The line of both is there first.
    const hasty = new Guest(world, 0, 5, both);
    hasty.resume();
    world.workers[0]?.places.leave(hasty);
    early.resume();
    world.time.ms += 1;
    late.resume();
    second.end();
    await Promise.resolve();
    expect([early.isServed, late.isServed]).toEqual([true, false]);
    first.end();
    await served(late);
  });

  test('a place that nobody wants keeps nobody from the next one', async () => {
    const world = worlds(1, 1);
    const [, second] = crowd(world);
    const fickle = new Guest(world, 0, 2, both);
    const patient = new Guest(world, 0, 3, both);
    fickle.resume();
    patient.resume();
    // It goes back in line: what is free was tried before, say.
    const resume = fickle.resume.bind(fickle);
    fickle.resume = () => {
      const places = world.workers[0]?.places;
      const wish = { backend: both, requestsMax: 1, connectionsMax: Infinity, spare: undefined };
      places?.take(fickle, endpoint.id, wish);
    };
    second.end();
    await Promise.resolve();
    expect(patient.isServed).toBe(true);
    fickle.resume = resume;
    patient.end();
    await served(fickle);
  });

  test("who waits has the places of a worker that dies, and its line is nobody's", async () => {
    const world = worlds(1);
    for (const number of [0, 1, 2]) new Guest(world, 1, number, both).resume();
    const waiting = [3, 4].map((number) => new Guest(world, 0, number, both));
    for (const guest of waiting) guest.resume();
    const slots = world.workers[0]?.slots;
    const at = slots?.offset('endpoint', other.id) ?? 0;
    expect(slots?.isAwaitedElsewhere(at, 'place')).toBe(true);
    world.workers[1]?.places.close();
    world.allocator.forgetWorker(1);
    expect(slots?.isAwaitedElsewhere(at, 'place')).toBe(false);
    for (const guest of waiting) await served(guest);
  });
});
