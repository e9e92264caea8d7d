// Laws of the allocation: it is stable, moves as little as it can, gives no port twice, and all of
// it is in the mesh Services.
import { describe, expect, test } from 'vitest';
import { seededRandom, shuffled } from '../lib/random.ts';
import { allocatePorts, leftKeptMs, type Allocation } from './allocate-ports.ts';
import { homesOf, type GivenPort, type GivenPorts } from './mesh-services.ts';
import { placePortsMax, placesMax } from './limits.ts';
import type { PortWishes, WantedPlace } from './topology.ts';

/** `shop/db: tcp 5432, udp 53` and the like, as a table. */
type Wanted = Readonly<Record<string, readonly string[]>>;

function wishesOf(wanted: Wanted): PortWishes {
  const services = Object.entries(wanted).map(([key, ports]): WantedPlace => {
    const [namespace = '', name = ''] = key.split('/');
    return { namespace, name, ports: ports.map(portFrom) };
  });
  const http = new Map<number, PortWishes['http'][number]>();
  for (const { namespace, name, ports } of services) {
    for (const { port, protocol } of ports) {
      if (protocol !== 'http' || http.has(port)) continue;
      http.set(port, { port, namespace, service: name });
    }
  }
  const needsPlace = ({ ports }: WantedPlace) => ports.some(({ protocol }) => protocol !== 'http');
  return { http: [...http.values()], services: services.filter(needsPlace) };
}

function portFrom(text: string): WantedPlace['ports'][number] {
  const [protocol, port] = text.split(' ');
  // Test input.
  return { protocol: protocol as 'http' | 'tcp' | 'udp', port: Number(port) };
}

function allocate(wanted: Wanted, from?: Allocation, nowMs = 1_000): Allocation {
  return allocatePorts({ wishes: wishesOf(wanted), given: from?.given ?? new Map(), nowMs });
}

/** `weft-l4-0: TCP/5432 shop/db, …`; what was left in brackets. */
function told({ given }: { readonly given: GivenPorts }): readonly string[] {
  return [...given].map(([name, ports]) => `${name}: ${ports.map(toldPort).join(', ')}`);
}

function toldPort({ transport, port, owner, leftMs }: GivenPort): string {
  const text = `${transport}/${port}${owner === 'http' ? '' : ` ${owner}`}`;
  return leftMs === undefined ? text : `(${text})`;
}

const targetOf = ({ given }: Allocation, name: string, port: number) =>
  given.get(name)?.find((one) => one.port === port)?.targetPort;

describe('HTTP ports', () => {
  test('have one proxy port for each number, which one can guess', () => {
    const { given, problems } = allocate({ 'shop/web': ['http 80'], 'shop/api': ['http 8080'] });
    expect(given.get('weft-http')?.map(({ port, targetPort }) => [port, targetPort])).toEqual([
      [80, 15_180],
      [8080, 15_980],
    ]);
    expect([...given.keys()]).toEqual(['weft-http']);
    expect(problems).toEqual([]);
  });

  test('keep it while others come and go', () => {
    const first = allocate({ 'shop/a': ['http 80', 'http 980'] });
    const second = allocate({ 'shop/a': ['http 980'], 'shop/b': ['http 1880'] }, first);
    expect(targetOf(second, 'weft-http', 980)).toBe(targetOf(first, 'weft-http', 980));
    expect(told(second)).toEqual(['weft-http: (TCP/80), TCP/980, TCP/1880']);
  });

  test('outlive their last user by ten minutes, and say when to look again', () => {
    const first = allocate({ 'shop/a': ['http 80', 'http 81'] }, undefined, 1_000);
    const left = allocate({ 'shop/a': ['http 80'] }, first, 2_000);
    expect(left.nextChangeMs).toBe(2_000 + leftKeptMs);
    const waiting = allocate({ 'shop/a': ['http 80'] }, left, 1_999 + leftKeptMs);
    expect(told(waiting)).toEqual(['weft-http: TCP/80, (TCP/81)']);
    const gone = allocate({ 'shop/a': ['http 80'] }, waiting, 2_000 + leftKeptMs);
    expect(told(gone)).toEqual(['weft-http: TCP/80']);
    expect(gone.nextChangeMs).toBeUndefined();
  });

  test('that are wanted again start a new life', () => {
    const first = allocate({ 'shop/a': ['http 80'] });
    const back = allocate({ 'shop/a': ['http 80'] }, allocate({}, first, 2_000), 3_000);
    expect(back.given).toEqual(first.given);
    expect(back.nextChangeMs).toBeUndefined();
  });

  test('when they run out, those in use come first, and who gets none is told', () => {
    const all = Array.from({ length: 900 }, (_, index) => `http ${index + 1}`);
    const full = allocate({ 'shop/a': all });
    expect(full.problems).toEqual([]);
    const more = allocate({ 'shop/a': all.slice(1), 'shop/b': ['http 5000'] }, full, 2_000);
    expect(more.problems).toEqual([]);
    expect(targetOf(more, 'weft-http', 5_000)).toBe(targetOf(full, 'weft-http', 1));
    const tooMany = allocate({ 'shop/a': all, 'shop/b': ['http 5000'] }, full, 2_000);
    expect(tooMany.problems).toMatchObject([{ reason: 'PortsExhausted', name: 'b' }]);
    expect(tooMany.given).toEqual(full.given);
  });
});

describe('places', () => {
  test('are the lowest on which all pairs are free', () => {
    const allocation = allocate({
      'a/db': ['tcp 5432'],
      'b/db': ['tcp 5432', 'tcp 9000'],
      'c/db': ['tcp 9000'],
      'd/dns': ['udp 53', 'tcp 53'],
      'e/dns': ['udp 53'],
    });
    expect(told(allocation)).toEqual([
      'weft-l4-0: TCP/53 d/dns, UDP/53 d/dns, TCP/5432 a/db, TCP/9000 c/db',
      'weft-l4-1: UDP/53 e/dns, TCP/5432 b/db, TCP/9000 b/db',
    ]);
  });

  test('share HTTP ports, with the proxy ports of weft-http', () => {
    const allocation = allocate({
      'a/db': ['tcp 5432', 'http 80'],
      'b/db': ['tcp 3306', 'http 80'],
      'c/odd': ['tcp 80'],
    });
    expect(told(allocation)).toEqual([
      'weft-http: TCP/80',
      'weft-l4-0: TCP/80, TCP/3306 b/db, TCP/5432 a/db',
      'weft-l4-1: TCP/80 c/odd',
    ]);
    expect(targetOf(allocation, 'weft-l4-0', 80)).toBe(targetOf(allocation, 'weft-http', 80));
  });

  test('a service that gains a free pair stays where it is', () => {
    const first = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 1'] });
    const second = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 1', 'tcp 2'] }, first);
    expect(told(second)).toEqual(['weft-l4-0: TCP/1 a/db', 'weft-l4-1: TCP/1 b/db, TCP/2 b/db']);
  });

  test('one that gains a taken pair moves, keeps its proxy ports, and nobody else moves', () => {
    const first = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 2'] });
    const second = allocate({ 'a/db': ['tcp 1', 'tcp 2'], 'b/db': ['tcp 2'] }, first);
    expect(told(second)).toEqual([
      'weft-l4-0: (TCP/1 a/db), TCP/2 b/db',
      'weft-l4-1: TCP/1 a/db, TCP/2 a/db',
    ]);
    expect(targetOf(second, 'weft-l4-1', 1)).toBe(targetOf(first, 'weft-l4-0', 1));
    expect(homesOf(second.given).get('a/db')).toBe('weft-l4-1');
    // Having lost the pair again it does not move back.
    const third = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 2'] }, second, 2_000);
    expect(homesOf(third.given).get('a/db')).toBe('weft-l4-1');
    const later = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 2'] }, third, 2_000 + leftKeptMs);
    expect(told(later)).toEqual(['weft-l4-0: TCP/2 b/db', 'weft-l4-1: TCP/1 a/db']);
  });

  test('a pair that was left belongs to nobody else for ten minutes', () => {
    const first = allocate({ 'a/db': ['tcp 1'] });
    const second = allocate({ 'b/db': ['tcp 1'] }, first, 2_000);
    expect(told(second)).toEqual(['weft-l4-0: (TCP/1 a/db)', 'weft-l4-1: TCP/1 b/db']);
    const later = allocate({ 'b/db': ['tcp 1'], 'c/db': ['tcp 1'] }, second, 2_000 + leftKeptMs);
    expect(told(later)).toEqual(['weft-l4-0: TCP/1 c/db', 'weft-l4-1: TCP/1 b/db']);
  });

  test('a service that is deleted and created again has the same place and ports', () => {
    const wanted = { 'a/db': ['tcp 1'], 'b/db': ['tcp 1'], 'c/db': ['tcp 1', 'udp 1'] };
    const first = allocate(wanted);
    const without = allocate({ 'a/db': ['tcp 1'] }, first, 2_000);
    expect(allocate(wanted, without, 3_000).given).toEqual(first.given);
  });

  test('and it comes back to its own place when a lower one is free by then', () => {
    const first = allocate({ 'a/db': ['tcp 1'], 'b/db': ['tcp 1'] });
    const gone = allocate({}, first, 2_000);
    const back = allocate({ 'b/db': ['tcp 1'] }, gone, 3_000);
    expect(homesOf(back.given).get('b/db')).toBe('weft-l4-1');
  });

  test('a port that changes protocol', () => {
    const tcp = allocate({ 'a/db': ['tcp 1', 'tcp 2'] });
    const udp = allocate({ 'a/db': ['udp 1', 'tcp 2'] }, tcp, 2_000);
    expect(told(udp)).toEqual(['weft-l4-0: (TCP/1 a/db), UDP/1 a/db, TCP/2 a/db']);
    const http = allocate({ 'a/db': ['http 1', 'tcp 2'] }, tcp, 2_000);
    expect(told(http)).toEqual(['weft-http: TCP/1', 'weft-l4-0: TCP/1, TCP/2 a/db']);
    const allHttp = allocate({ 'a/db': ['http 1', 'http 2'] }, tcp, 2_000);
    expect(told(allHttp)).toEqual([
      'weft-http: TCP/1, TCP/2',
      'weft-l4-0: (TCP/1 a/db), (TCP/2 a/db)',
    ]);
    const back = allocate({ 'a/db': ['tcp 1', 'tcp 2'] }, allHttp, 3_000);
    expect(told(back)).toEqual([
      'weft-http: (TCP/1), (TCP/2)',
      'weft-l4-0: TCP/1 a/db, TCP/2 a/db',
    ]);
    expect(back.given.get('weft-l4-0')).toEqual(tcp.given.get('weft-l4-0'));
  });

  test('an HTTP port on a place is left when the last service that shared it is gone', () => {
    const both = allocate({ 'a/db': ['tcp 1', 'http 80'], 'b/db': ['tcp 2', 'http 80'] });
    const one = allocate({ 'a/db': ['tcp 1', 'http 80'] }, both, 2_000);
    expect(told(one)).toContain('weft-l4-0: TCP/1 a/db, (TCP/2 b/db), TCP/80');
    const none = allocate({ 'a/db': ['tcp 1'] }, one, 3_000);
    expect(told(none)).toEqual([
      'weft-http: (TCP/80)',
      'weft-l4-0: TCP/1 a/db, (TCP/2 b/db), (TCP/80)',
    ]);
    expect(told(allocate({ 'a/db': ['tcp 1'] }, none, 3_000 + leftKeptMs))).toEqual([
      'weft-l4-0: TCP/1 a/db',
    ]);
  });

  test('a mesh Service that is full takes nobody more', () => {
    const ports = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => `tcp ${from + index}`);
    const allocation = allocate({
      'a/a': ports(1, 500),
      'a/b': ports(501, 499),
      'a/c': ports(2_000, 2),
      'a/d': ports(3_000, 1),
    });
    expect(allocation.given.get('weft-l4-0')).toHaveLength(placePortsMax);
    expect(homesOf(allocation.given)).toEqual(
      new Map([
        ['a/a', 'weft-l4-0'],
        ['a/b', 'weft-l4-0'],
        ['a/d', 'weft-l4-0'],
        ['a/c', 'weft-l4-1'],
      ]),
    );
  });

  test('who finds no place is told, and a service that could not move keeps what it has', () => {
    const owners = Array.from({ length: placesMax }, (_, index) => `n/s${1_000 + index}`);
    const wanted = Object.fromEntries(owners.map((owner) => [owner, ['tcp 1']]));
    const full = allocate({ ...wanted, 'z/z': ['tcp 2'] });
    expect(full.problems).toEqual([]);
    const late = allocate({ ...wanted, 'a/late': ['tcp 1'], 'z/z': ['tcp 2', 'tcp 1'] }, full);
    expect(late.problems.map(({ reason, namespace, name }) => [reason, namespace, name])).toEqual([
      ['PortsExhausted', 'z', 'z'],
      ['PortsExhausted', 'a', 'late'],
    ]);
    expect(late.given).toEqual(full.given);
  });

  test('when proxy ports run out, the port that gets none is told and the others stay', () => {
    // 20 services of 500 ports take all 10 000; the ports of one lie on a place of their own.
    const services = Array.from({ length: 20 }, (_, index) => `n/s${index}`);
    const ports = Array.from({ length: 500 }, (_, index) => `udp ${index + 1}`);
    const wanted = Object.fromEntries(services.map((key) => [key, ports]));
    const full = allocate(wanted);
    expect(full.problems).toEqual([]);
    const more = allocate({ ...wanted, 'o/one': ['udp 9', 'tcp 9'] }, full, 2_000);
    expect(more.problems).toMatchObject([{ reason: 'PortsExhausted', name: 'one' }]);
    expect(more.problems[0]?.message).toContain('UDP/9');
    expect(told(more).join('\n')).toContain('TCP/9 o/one');
    const { 'n/s0': _, ...fewer } = wanted;
    // A port in use is worth more than one that only waits for its end.
    expect(allocate({ ...fewer, 'o/one': ['udp 9'] }, full, 2_000).problems).toEqual([]);
  });
});

describe('laws', () => {
  const textOf = ({ given }: Allocation): string => JSON.stringify([...given]);

  /** 60 services over few ports, so that pairs collide. */
  function randomWanted(random: () => number): Wanted {
    const wanted: Record<string, readonly string[]> = {};
    for (let index = 0; index < 60; index += 1) {
      if (random() < 0.2) continue;
      const ports = new Set<string>();
      const taken = new Set<string>();
      for (let tries = 0; tries < 1 + random() * 3; tries += 1) {
        const protocol = ['http', 'tcp', 'udp'][Math.floor(random() * 3)] ?? 'tcp';
        const port = 1 + Math.floor(random() * 12);
        const pair = `${protocol === 'udp' ? 'udp' : 'tcp'} ${port}`;
        if (!taken.has(pair)) ports.add(`${protocol} ${port}`);
        taken.add(pair);
      }
      wanted[`n${index % 7}/s${index}`] = [...ports];
    }
    return wanted;
  }

  /** What is wrong with an allocation; one `expect` for all, since they are slow. */
  function faultsOf(wanted: Wanted, { given }: Allocation): readonly string[] {
    const faults: string[] = [];
    const owners = new Map<string, string>();
    for (const [name, ports] of given) {
      const pairs = new Set(ports.map(({ transport, port }) => `${transport}/${port}`));
      if (pairs.size !== ports.length) faults.push(`${name} has a pair twice`);
      for (const { transport, port, owner, targetPort } of ports) {
        const who = owner === 'http' ? `http ${port}` : `${owner} ${port}`;
        const key = `${transport} ${targetPort}`;
        if ((owners.get(key) ?? who) !== who) faults.push(`${key} is of ${who} and others`);
        owners.set(key, who);
      }
    }
    const homes = homesOf(given);
    for (const { namespace, name, ports } of wishesOf(wanted).services) {
      const home = homes.get(`${namespace}/${name}`) ?? 'nowhere';
      const there = new Set(given.get(home)?.map(toldPort));
      for (const { port, protocol } of ports) {
        const owner = protocol === 'http' ? '' : ` ${namespace}/${name}`;
        const text = `${protocol === 'udp' ? 'UDP' : 'TCP'}/${port}${owner}`;
        if (!there.has(text)) faults.push(`${text} is not on ${home}`);
      }
    }
    return faults;
  }

  test.each(Array.from({ length: 12 }, (_, seed) => [seed]))('hold for seed %i', (seed) => {
    const random = seededRandom(seed);
    let allocation: Allocation | undefined;
    let before: Wanted = {};
    for (let step = 0; step < 12; step += 1) {
      const nowMs = 1_000 + step * 200_000;
      const wanted = randomWanted(random);
      const next = allocate(wanted, allocation, nowMs);
      expect(faultsOf(wanted, next)).toEqual([]);
      // Settles at once, in any order, and again from what it says itself.
      expect(textOf(allocate(wanted, next, nowMs))).toBe(textOf(next));
      const turned = Object.fromEntries(shuffled(Object.entries(wanted), random));
      expect(textOf(allocate(turned, allocation, nowMs))).toBe(textOf(next));
      if (allocation !== undefined) {
        expect(needlessMoves({ before, wanted, from: allocation, to: next })).toEqual([]);
      }
      [allocation, before] = [next, wanted];
    }
  });

  type Step = {
    readonly before: Wanted;
    readonly wanted: Wanted;
    readonly from: Allocation;
    readonly to: Allocation;
  };

  /** Who moved without having gained a pair that was taken where it was. */
  function needlessMoves({ before, wanted, from, to }: Step): readonly string[] {
    const [old, now] = [homesOf(from.given), homesOf(to.given)];
    return [...old].flatMap(([owner, home]) => {
      const held = new Set(before[owner]);
      const isWanted = wanted[owner]?.some((port) => !port.startsWith('http')) === true;
      if (!isWanted || now.get(owner) === home) return [];
      const gained = (wanted[owner] ?? []).filter((port) => !held.has(port));
      const taken = to.given.get(home)?.filter((port) => port.owner !== owner) ?? [];
      const isTaken = gained.some((text) => taken.some(({ port }) => text.endsWith(` ${port}`)));
      return isTaken ? [] : [`${owner} moved from ${home}`];
    });
  }
});
