// Which port of which mesh Service, and which port of the proxies, each service of the mesh has
// (contract §1 "Listener ports", §2). A pure function of what services want and what was given
// before: what was given stays as long as it is wanted, a service moves only when it gains a port
// that somebody else has where it is, and what nobody wants any more stays for ten minutes, because
// clients cache DNS. Where a service has its place is place-services.ts; here are the numbers.
// Invariant: no proxy port is given to two owners; the same wishes in any order give the same.
import type { Problem } from '../api/index.ts';
import { contentHash } from '../lib/hash.ts';
import { byText } from '../lib/order.ts';
import {
  httpOwner,
  httpServiceName,
  pairOf,
  proxyPorts,
  type GivenPort,
  type GivenPorts,
} from './mesh-services.ts';
import { placeServices, type PlacedPort, type PlacedPorts } from './place-services.ts';
import type { PortWishes, WantedPort } from './topology.ts';

/** How long an address and port outlive their last user (contract §2). */
export const leftKeptMs = 10 * 60_000;

export type AllocationInput = {
  readonly wishes: PortWishes;
  readonly given: GivenPorts;
  /** Since the Unix epoch. */
  readonly nowMs: number;
};

export type Allocation = {
  /** A mesh Service that is not here should not be. Ports are sorted by number and transport. */
  readonly given: GivenPorts;
  readonly problems: readonly Problem[];
  /** When the next port that was left may go (epoch); `undefined` = none waits. */
  readonly nextChangeMs: number | undefined;
};

/** The allocation that fulfils `wishes` and changes least of what was given. */
export function allocatePorts(input: AllocationInput): Allocation {
  const whole = allocate(input, leftKeptMs);
  if (whole.problems.length === 0 || whole.nextChangeMs === undefined) return whole;
  // A port in use is worth more than one that only waits for its end.
  return allocate(input, 0);
}

function allocate({ wishes, given, nowMs }: AllocationInput, keptMs: number): Allocation {
  const isKept = ({ leftMs }: { readonly leftMs: number | undefined }): boolean =>
    leftMs === undefined || nowMs - leftMs < keptMs;
  const placed = placeServices({
    services: wishes.services,
    given: keptPorts(given, { isKept, nowMs }),
    nowMs,
  });
  const stay = keptPlaced(placed.value, isKept);
  const problems = [...placed.problems];
  const http = httpPorts({ wanted: wishes.http, given, placed: stay, nowMs, isKept }, problems);
  const targets = flowTargets(stay, given, problems);
  const result = new Map<string, readonly GivenPort[]>();
  if (http.ports.length > 0) result.set(httpServiceName, http.ports);
  for (const [name, ports] of stay) {
    const complete = ports.flatMap((port): readonly GivenPort[] => {
      const isHttp = port.owner === httpOwner;
      const targetPort = isHttp ? http.targets.get(port.port) : targets.get(flowKey(port));
      return targetPort === undefined ? [] : [{ ...port, targetPort }];
    });
    if (complete.length > 0) result.set(name, complete.sort(byPort));
  }
  return { given: result, problems, nextChangeMs: nextChange(result, keptMs) };
}

type IsKept = (port: { readonly leftMs: number | undefined }) => boolean;

/** Without what has waited long enough. A clock that was set back does not make it wait longer. */
function keptPorts(
  given: GivenPorts,
  { isKept, nowMs }: { readonly isKept: IsKept; readonly nowMs: number },
): GivenPorts {
  const kept = new Map<string, readonly GivenPort[]>();
  for (const [name, ports] of given) {
    const now = ports.filter(isKept).map((port): GivenPort => {
      const isAhead = port.leftMs !== undefined && port.leftMs > nowMs;
      return isAhead ? { ...port, leftMs: nowMs } : port;
    });
    kept.set(name, now);
  }
  return kept;
}

function keptPlaced(placed: PlacedPorts, isKept: IsKept): PlacedPorts {
  return new Map([...placed].map(([name, ports]) => [name, ports.filter(isKept)]));
}

type HttpInput = {
  readonly wanted: readonly WantedPort[];
  readonly given: GivenPorts;
  readonly placed: PlacedPorts;
  readonly nowMs: number;
  readonly isKept: IsKept;
};

type HttpPorts = {
  /** Of `weft-http`. */
  readonly ports: readonly GivenPort[];
  /** The same numbers stand on the other mesh Services for services that also have HTTP ports. */
  readonly targets: ReadonlyMap<number, number>;
};

function httpPorts(input: HttpInput, problems: Problem[]): HttpPorts {
  const wanted = new Map(input.wanted.map((want) => [want.port, want]));
  const left = leftHttpPorts(input, wanted);
  const targets = heldHttpTargets(input.given, new Set([...wanted.keys(), ...left.keys()]));
  const taken = new Set(targets.values());
  for (const want of [...wanted.values()].sort((one, other) => one.port - other.port)) {
    if (targets.has(want.port)) continue;
    const targetPort = freePort(proxyPorts.http, want.port, taken);
    if (targetPort === undefined) {
      problems.push(httpExhausted(want));
      continue;
    }
    taken.add(targetPort);
    targets.set(want.port, targetPort);
  }
  const ports = [...targets].map(([port, targetPort]): GivenPort => {
    const shared = { transport: 'TCP', port, owner: httpOwner, targetPort } as const;
    return { ...shared, leftMs: wanted.has(port) ? undefined : left.get(port) };
  });
  return { ports: ports.sort(byPort), targets };
}

/** HTTP port numbers that nobody wants and that stay for now → since when. */
function leftHttpPorts(
  { given, placed, nowMs, isKept }: HttpInput,
  wanted: ReadonlyMap<number, WantedPort>,
): ReadonlyMap<number, number> {
  const left = new Map<number, number>();
  const elsewhere = [...placed.values()].flat().filter(({ owner }) => owner === httpOwner);
  for (const { port, leftMs } of [...(given.get(httpServiceName) ?? []), ...elsewhere]) {
    if (wanted.has(port)) continue;
    const sinceMs = Math.min(leftMs ?? nowMs, nowMs);
    if (!isKept({ leftMs: sinceMs })) continue;
    left.set(port, Math.max(sinceMs, left.get(port) ?? 0));
  }
  return left;
}

/** Proxy ports that were given to `numbers` already, each to one of them. */
function heldHttpTargets(given: GivenPorts, numbers: ReadonlySet<number>): Map<number, number> {
  const targets = new Map<number, number>();
  const taken = new Set<number>();
  const shared = [...given.values()].flat().filter(({ owner }) => owner === httpOwner);
  for (const { port, targetPort } of shared) {
    if (!numbers.has(port) || targets.has(port) || taken.has(targetPort)) continue;
    targets.set(port, targetPort);
    taken.add(targetPort);
  }
  return targets;
}

/** A service keeps its proxy port when it moves, so the key does not name the mesh Service. */
function flowKey(port: PlacedPort): string {
  return `${pairOf(port)} ${port.owner}`;
}

/** Key → proxy port, of every port that is no HTTP port. */
function flowTargets(
  placed: PlacedPorts,
  given: GivenPorts,
  problems: Problem[],
): ReadonlyMap<string, number> {
  const ports = [...placed.values()].flat().filter(({ owner }) => owner !== httpOwner);
  const targets = new Map<string, number>();
  const taken = { TCP: new Set<number>(), UDP: new Set<number>() };
  const give = (port: PlacedPort, targetPort: number): void => {
    targets.set(flowKey(port), targetPort);
    taken[port.transport].add(targetPort);
  };
  const keys = new Set(ports.map(flowKey));
  for (const held of [...given.values()].flat()) {
    const { targetPort, transport } = held;
    if (held.owner === httpOwner || !keys.has(flowKey(held))) continue;
    if (targets.has(flowKey(held))) continue;
    if (!taken[transport].has(targetPort)) give(held, targetPort);
  }
  for (const port of ports) {
    if (targets.has(flowKey(port)) || port.leftMs !== undefined) continue;
    const start = Number.parseInt(contentHash(flowKey(port)).slice(0, 8), 16);
    const targetPort = freePort(proxyPorts.flow, start, taken[port.transport]);
    if (targetPort === undefined) problems.push(flowExhausted(port));
    else give(port, targetPort);
  }
  return targets;
}

/**
 * The first free port from `start` on: a number that one can guess, and one that was just freed is
 * rarely given to somebody else while kube-proxies still send to it.
 */
function freePort(
  range: { readonly first: number; readonly last: number },
  start: number,
  taken: ReadonlySet<number>,
): number | undefined {
  const count = range.last - range.first + 1;
  for (let tried = 0; tried < count; tried += 1) {
    const candidate = range.first + ((start + tried) % count);
    if (!taken.has(candidate)) return candidate;
  }
  return undefined;
}

function nextChange(given: GivenPorts, keptMs: number): number | undefined {
  const ends = [...given.values()].flat().flatMap(({ leftMs }) => leftMs ?? []);
  return ends.length === 0 ? undefined : ends.reduce((a, b) => Math.min(a, b)) + keptMs;
}

function httpExhausted({ port, namespace, service }: WantedPort): Problem {
  const count = proxyPorts.http.last - proxyPorts.http.first + 1;
  const message =
    `port ${port} gets no listener: all ${count} proxy ports are taken; use a port number that ` +
    'other services of the mesh have';
  return { reason: 'PortsExhausted', kind: 'Service', namespace, name: service, message };
}

function flowExhausted(port: PlacedPort): Problem {
  const [namespace = '', name = ''] = port.owner.split('/');
  const count = proxyPorts.flow.last - proxyPorts.flow.first + 1;
  const message =
    `port ${pairOf(port)} gets no listener: all ${count} proxy ports for ${port.transport} are ` +
    'taken; opt out services that need no mesh name (label weft.dev/mesh: disabled)';
  return { reason: 'PortsExhausted', kind: 'Service', namespace, name, message };
}

function byPort(left: GivenPort, right: GivenPort): number {
  return left.port - right.port || byText(left.transport, right.transport);
}
