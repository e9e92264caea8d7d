// On which `weft-l4-<k>` each service with a TCP or UDP port has its place (contract §2): the
// lowest k on which all its (protocol, port) pairs are free; its HTTP ports may be shared there,
// since Host names them. A service moves only when it gains a pair that somebody else has where it
// is; what it leaves stays taken until the clients that cached its address have forgotten it.
// A mesh Service that is full (placePortsMax) counts as taken.
// Invariant: on one mesh Service a pair has one owner.
import type { Problem } from '../api/index.ts';
import { byText } from '../lib/order.ts';
import { placePortsMax, placesMax } from './limits.ts';
import {
  formerHomesOf,
  homesOf,
  httpOwner,
  httpServiceName,
  pairOf,
  placeName,
  type GivenPort,
  type GivenPorts,
} from './mesh-services.ts';
import type { WantedPlace } from './topology.ts';

/** A port that has its place but perhaps no proxy port yet. */
export type PlacedPort = Omit<GivenPort, 'targetPort'>;

/** Name of a mesh Service → its ports; those of `weft-http` are not here. */
export type PlacedPorts = ReadonlyMap<string, readonly PlacedPort[]>;

export type PlaceInput = {
  readonly services: readonly WantedPlace[];
  /** Without what has waited long enough since it was left. */
  readonly given: GivenPorts;
  readonly nowMs: number;
};

type Placing = {
  /** Pair → port, by mesh Service. */
  readonly places: Map<string, Map<string, PlacedPort>>;
  readonly nowMs: number;
  readonly problems: Problem[];
};

type Wish = { readonly owner: string; readonly ports: readonly PlacedPort[] };

/** The places of all services, and of what was left; `problems` name those that got none. */
export function placeServices(input: PlaceInput): {
  readonly value: PlacedPorts;
  readonly problems: readonly Problem[];
} {
  const placing: Placing = { places: new Map(), nowMs: input.nowMs, problems: [] };
  for (const [name, ports] of input.given) {
    if (name === httpServiceName) continue;
    placing.places.set(name, new Map(ports.map((port) => [pairOf(port), withoutTarget(port)])));
  }
  const wishes = input.services.map(wishOf).sort((left, right) => byText(left.owner, right.owner));
  const homes = homesOf(input.given);
  leaveUnwanted(placing, wishes, homes);
  // A service that is created again gets back the address that it had.
  const former = formerHomesOf(input.given);
  const before = (wish: Wish) => homes.get(wish.owner) ?? former.get(wish.owner);
  const others = wishes.filter((wish) => !staysAtHome(placing, wish, before(wish)));
  // Those that were there before choose first.
  const movers = others.filter(({ owner }) => homes.has(owner));
  const newcomers = others.filter(({ owner }) => !homes.has(owner));
  for (const wish of [...movers, ...newcomers]) settle(placing, wish, homes.get(wish.owner));
  leaveUnsharedHttp(placing, wishes);
  return { value: sorted(placing.places), problems: placing.problems };
}

function withoutTarget({ transport, port, owner, leftMs }: GivenPort): PlacedPort {
  return { transport, port, owner, leftMs };
}

function wishOf({ namespace, name, ports }: WantedPlace): Wish {
  const owner = `${namespace}/${name}`;
  return {
    owner,
    ports: ports.map(({ port, protocol }) => ({
      transport: protocol === 'udp' ? 'UDP' : 'TCP',
      port,
      owner: protocol === 'http' ? httpOwner : owner,
      leftMs: undefined,
    })),
  };
}

/** Marks what its owner does not want any more, or not there. */
function leaveUnwanted(
  { places, nowMs }: Placing,
  wishes: readonly Wish[],
  homes: ReadonlyMap<string, string>,
): void {
  const wanted = new Set<string>();
  for (const { owner, ports } of wishes) {
    for (const port of ports) if (port.owner === owner) wanted.add(`${owner} ${pairOf(port)}`);
  }
  for (const [name, ports] of places) {
    for (const [pair, port] of ports) {
      if (port.owner === httpOwner || port.leftMs !== undefined) continue;
      const isAtHome = homes.get(port.owner) === name;
      if (isAtHome && wanted.has(`${port.owner} ${pair}`)) continue;
      ports.set(pair, { ...port, leftMs: nowMs });
    }
  }
}

/** Takes what the service gained where it is, when that can be had there. */
function staysAtHome(placing: Placing, wish: Wish, home: string | undefined): boolean {
  if (home === undefined || !fits(placing.places.get(home), wish)) return false;
  take(placing, wish, home);
  return true;
}

/** Whether each pair is free, shared HTTP, or the service's own. */
function fits(ports: ReadonlyMap<string, PlacedPort> | undefined, wish: Wish): boolean {
  if (ports === undefined) return true;
  let added = 0;
  for (const port of wish.ports) {
    const held = ports.get(pairOf(port));
    if (held === undefined) added += 1;
    else if (held.owner !== port.owner && held.owner !== wish.owner) return false;
  }
  return added === 0 || ports.size + added <= placePortsMax;
}

function take({ places }: Placing, { ports }: Wish, name: string): void {
  const place = places.get(name) ?? new Map<string, PlacedPort>();
  places.set(name, place);
  for (const port of ports) place.set(pairOf(port), port);
}

/** Finds the lowest place; where there is none, the service keeps what it has. */
function settle(placing: Placing, wish: Wish, home: string | undefined): void {
  for (let index = 0; index < placesMax; index += 1) {
    const name = placeName(index);
    if (!fits(placing.places.get(name), wish)) continue;
    if (home !== undefined) leave(placing, wish.owner, home);
    take(placing, wish, name);
    return;
  }
  placing.problems.push(noPlace(wish));
}

function leave({ places, nowMs }: Placing, owner: string, home: string): void {
  const ports = places.get(home);
  for (const [pair, port] of ports ?? []) {
    if (port.owner !== owner || port.leftMs !== undefined) continue;
    ports?.set(pair, { ...port, leftMs: nowMs });
  }
}

/** HTTP ports on a place belong to nobody: they are left when the last one that shared is gone. */
function leaveUnsharedHttp({ places, nowMs }: Placing, wishes: readonly Wish[]): void {
  const shared = sharedHttp(places, wishes);
  for (const [name, ports] of places) {
    for (const [pair, port] of ports) {
      if (port.owner !== httpOwner) continue;
      const leftMs = shared.has(`${name} ${pair}`) ? undefined : (port.leftMs ?? nowMs);
      if (leftMs !== port.leftMs) ports.set(pair, { ...port, leftMs });
    }
  }
}

function sharedHttp(places: Placing['places'], wishes: readonly Wish[]): ReadonlySet<string> {
  const homes = new Map<string, string>();
  for (const [name, ports] of places) {
    for (const { owner, leftMs } of ports.values()) {
      if (leftMs === undefined) homes.set(owner, name);
    }
  }
  const shared = new Set<string>();
  for (const { owner, ports } of wishes) {
    for (const port of ports) {
      if (port.owner === httpOwner) shared.add(`${homes.get(owner) ?? ''} ${pairOf(port)}`);
    }
  }
  return shared;
}

function sorted(places: Placing['places']): PlacedPorts {
  const names = Array.from({ length: placesMax }, (_, index) => placeName(index));
  return new Map(
    names.flatMap((name) => {
      const ports = places.get(name);
      return ports === undefined || ports.size === 0 ? [] : [[name, [...ports.values()]] as const];
    }),
  );
}

function noPlace({ owner, ports }: Wish): Problem {
  const [namespace = '', name = ''] = owner.split('/');
  const own = ports.filter((port) => port.owner === owner).map(pairOf);
  const some = own.slice(0, 8).join(', ') + (own.length > 8 ? ', …' : '');
  const message =
    `has no place for ${some}: ${placesMax} mesh Services have them all taken; use other port ` +
    'numbers, or opt out services that need no mesh name (label weft.dev/mesh: disabled)';
  return { reason: 'PortsExhausted', kind: 'Service', namespace, name, message };
}
