// Places by counting: never more than allowed over two workers that share their cells, served in
// order, and a place that another worker gives back wakes who waits.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import type { Endpoint } from '../route/index.ts';
import { createSlotMemory, SlotView } from '../telemetry/index.ts';
import { Places, type Ticket, type Waiting } from './places.ts';

const endpoint: Endpoint = {
  id: '10.0.0.1:80',
  namespace: 't',
  address: '10.0.0.1',
  port: 80,
  nodeName: '',
  podName: '',
};

function worlds(max: number, count = 2) {
  const memory = createSlotMemory({ split: 2, endpoint: 4, service: 2 });
  const time = { ms: 1_000 };
  const bugs: unknown[] = [];
  const served = { now: 0, most: 0, order: [] as number[], refused: 0 };
  const workers = Array.from({ length: count }, (_, index) => {
    const slots = new SlotView(memory, { index, count });
    slots.apply({ set: [['endpoint', endpoint.id, 1]], freed: [] });
    const clock = { nowMs: () => time.ms, wallMs: () => time.ms };
    const own = { hasSpare: () => false, giveUp: () => false, endpointIds: () => [] };
    const bugFound = (error: unknown): void => void bugs.push(error);
    return { slots, places: new Places({ slots, clock, own: [own], bugFound }) };
  });
  return { time, bugs, served, workers, max };
}

type World = ReturnType<typeof worlds>;

class Guest implements Waiting {
  ticket: Ticket | undefined;
  pausedMs: number | undefined;
  readonly #world: World;
  readonly #worker: World['workers'][number];
  readonly #number: number;
  #cell: number | undefined;

  constructor(world: World, worker: number, number: number) {
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
    const answer = this.#worker.places.take(this, endpoint.id, {
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
    this.#worker.places.freed(endpoint.id);
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
      // The second finds no place, and steps back.
      if (looks === 2) first.end();
      return found;
    };
    second.resume();
    expect(second.isServed).toBe(false);
    await settled();
    expect(second.isServed).toBe(true);
  });
});
