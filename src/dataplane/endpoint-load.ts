// What is known of endpoints now, from the cells that all workers share, and who takes an attempt:
// by latency and load unless the service says otherwise, never one that is ejected while half of
// them are not. One view serves a worker: who picks says what it has tried, so that no closure is
// made per request.
import type { Clock, Random } from '../lib/clock.ts';
import { pickEndpoint } from '../route/index.ts';
import type { Backend, Endpoint, LoadView, RequestHead, VirtualHost } from '../route/index.ts';
import type { BalancerRule, ShapingRules } from '../snapshot/index.ts';
import type { SlotView } from '../telemetry/index.ts';
import { pickByKey, pickInTurn } from './balance.ts';
import { balanceKey } from './balance-key.ts';
import { cellAge, cellTime, endpointCells } from './endpoint-cells.ts';
import { decayedUs, ewmaLoad, sampled, slowStartFactor } from './latency.ts';
import { hasSucceededWithin, isCheckedOut, isEjected, isOut, isProbeDue } from './outliers.ts';
import { noteFailure, noteSuccess, takeProbe } from './outliers.ts';
import type { Fault, OutlierPlace } from './outliers.ts';
import type { OwnConnections } from './places.ts';
import { noneTried } from './retries.ts';

/** Who asks for an endpoint; a flow has no head, and is balanced by load. */
export type Asker = {
  readonly host: VirtualHost | undefined;
  readonly request: RequestHead;
  readonly remoteAddress: string;
  /** Where one that is open already would do; absent: only a new one will. */
  readonly spare?: OwnConnections | undefined;
};

/** What a flow says of itself to a balancer that asks for fields: nothing. */
export const noHead: RequestHead = {
  servicePort: 0,
  hostname: '',
  method: '',
  path: '',
  fieldValues: () => [],
};

/** Less is no time in which an endpoint would have had to answer anybody. */
const callerPatienceMs = 100;
/** Above so many endpoints the count of ejected ones may be a little old. */
const countAlwaysMax = 8;
const countAgeMs = 100;

/** What a backend's endpoints are found by: their slots, looked up once. */
type KnownBackend = {
  readonly endpoints: readonly Endpoint[];
  readonly offsets: readonly number[];
  /** Endpoints that are not simply in, and those of them that may not be asked now. */
  out: number;
  ejected: number;
  /** Of the latter, those whose active checks fail. */
  checkedOut: number;
  countedAt: number;
};

export class EndpointLoads implements LoadView {
  readonly #slots: SlotView;
  readonly #clock: Clock;
  /** Endpoint ids that the exchange which picks now does not want again. */
  #tried: ReadonlySet<string> = noneTried;
  /** All serve. */
  #keepsOutliers = false;
  /** Only active checks put endpoints of this service out. */
  #trustsChecksAlone = false;
  /** Nor is anybody wanted who is on probation. */
  #wantsSound = false;
  /** Some endpoint of the backend is out, or its probe is due. */
  #areSomeOut = false;
  /** Who has so many in flight is passed over while another has fewer. */
  #inFlightMax = Infinity;
  /** The same of connections, unless one of them has room. */
  #connectionsMax = Infinity;
  #spare: OwnConnections | undefined;
  #found: Endpoint | undefined;
  /** Was picked last, and its probe is due: the attempt that follows is one. */
  #probed: Endpoint | undefined;
  /** The backend that is picked from, and the place in it of the endpoint that was looked at. */
  #looked: KnownBackend | undefined;
  #next = -1;
  #kind: BalancerRule['kind'] | 'ewma' = 'ewma';
  readonly #place: { cells: Int32Array; offset: number; now: number };
  readonly #turns = new WeakMap<Backend, { next: number }>();
  readonly #known = new WeakMap<Backend, KnownBackend>();

  constructor(slots: SlotView, clock: Clock) {
    this.#slots = slots;
    this.#clock = clock;
    this.#place = { cells: slots.cells.endpoint, offset: 0, now: 0 };
  }

  readonly load = (endpoint: Endpoint): number => {
    const place = this.#at(endpoint);
    const inFlight = this.#slots.inFlight(place.offset);
    if (this.#kind === 'hash') return inFlight;
    if (this.#areSomeOut && isProbeDue(place)) return 0;
    const { cells, offset, now } = place;
    // Plain reads: what another worker writes at this moment counts for the next request.
    const ageMs = cellAge(now, cells[offset + endpointCells.born] ?? 0);
    const estimateUs = cells[offset + endpointCells.estimate] ?? 0;
    if (this.#kind !== 'ewma') {
      return estimateUs === 0 ? inFlight : (inFlight + 1) * slowStartFactor(ageMs) - 1;
    }
    const sampleAgeMs = cellAge(now, cells[offset + endpointCells.sampled] ?? 0);
    return ewmaLoad({ estimateUs, sampleAgeMs, ageMs, inFlight });
  };

  readonly isExcluded = (endpoint: Endpoint): boolean => {
    if (this.#tried.size > 0 && this.#tried.has(endpoint.id)) return true;
    if (this.#inFlightMax !== Infinity) {
      if (this.#slots.inFlight(this.#at(endpoint).offset) >= this.#inFlightMax) return true;
    }
    if (this.#connectionsMax !== Infinity && this.#isConnectedFully(endpoint)) return true;
    if (!this.#areSomeOut || this.#keepsOutliers) return false;
    const place = this.#at(endpoint);
    if (this.#wantsSound) return isOut(place.cells, place.offset);
    const { cells, offset } = place;
    return this.#trustsChecksAlone ? isCheckedOut(cells, offset) : isEjected(place);
  };

  /** The endpoint for an attempt; those tried already only when there is no other. */
  pick(
    backend: Backend,
    tried: ReadonlySet<string>,
    random: Random,
    asker?: Asker,
  ): Endpoint | undefined {
    const shaping = asker?.host?.rules.shaping;
    this.#place.now = cellTime(this.#clock.wallMs());
    this.#lookAtEjected(backend, shaping?.keepsOutliers === true);
    let picked = this.#pickFor(backend, tried, random, asker);
    if (picked === undefined && this.#areSomeOut && !this.#keepsOutliers) {
      // The count is a little old: all have been put out since.
      this.#keepsOutliers = true;
      picked = this.#pickFor(backend, tried, random, asker);
    }
    this.#probed = undefined;
    const isAnyServing = this.#keepsOutliers || this.#trustsChecksAlone;
    if (picked === undefined || !this.#areSomeOut || isAnyServing) return picked;
    if (isProbeDue(this.#at(picked))) this.#probed = picked;
    return picked;
  }

  /** Whether an attempt could go to another endpoint than this one and those tried before. */
  hasOther(backend: Backend, tried: ReadonlySet<string>, endpoint: Endpoint | undefined): boolean {
    return this.#hasSuch(backend, tried, (one) => one.id !== endpoint?.id);
  }

  /** The same of one that is neither out nor has failed anybody since it last answered well. */
  hasWellOne(backend: Backend, tried: ReadonlySet<string>): boolean {
    return this.#hasSuch(backend, tried, (one) => {
      const { cells, offset } = this.#at(one);
      return !isOut(cells, offset) && Atomics.load(cells, offset + endpointCells.consecutive) === 0;
    });
  }

  #hasSuch(
    backend: Backend,
    tried: ReadonlySet<string>,
    isSuch: (endpoint: Endpoint) => boolean,
  ): boolean {
    this.#place.now = cellTime(this.#clock.wallMs());
    this.#lookAtEjected(backend, false);
    this.#tried = tried;
    this.#forgetLimits();
    this.#found = undefined;
    this.#next = -1;
    return backend.endpoints.some((one) => !this.isExcluded(one) && isSuch(one));
  }

  /**
   * The endpoint for a second attempt beside one at `first`: another one that is neither out nor
   * on probation, nor busier. Undefined: there is none.
   */
  pickBeside(
    backend: Backend,
    first: Endpoint,
    tried: ReadonlySet<string>,
    { asker, random }: { readonly asker: Asker; readonly random: Random },
  ): Endpoint | undefined {
    this.#place.now = cellTime(this.#clock.wallMs());
    this.#lookAtEjected(backend, false);
    this.#tried = new Set(tried).add(first.id);
    this.#keepsOutliers = false;
    this.#limitBy(asker.host?.rules.shaping ?? {}, backend, asker);
    this.#found = undefined;
    this.#next = -1;
    const inFlight = this.#slots.inFlight(this.#at(first).offset);
    this.#inFlightMax = Math.min(this.#inFlightMax, inFlight + 1);
    this.#wantsSound = true;
    const picked = this.#pickOnce(backend, random, undefined, undefined);
    this.#wantsSound = false;
    this.#probed = undefined;
    return picked;
  }

  /**
   * An attempt begins: counts it in flight, unless it has a place there already; the cell has to be
   * counted down again. Only now is the probe taken that the pick has found due: a call that is
   * denied or limited in between finds out nothing.
   */
  countUp(endpoint: Endpoint, place?: number): number {
    if (endpoint === this.#probed) {
      this.#probed = undefined;
      // Where another worker was faster by a moment, both find out.
      takeProbe(this.#placeNow(endpoint));
    }
    return place ?? this.#slots.countUp(this.#slots.offset('endpoint', endpoint.id));
  }

  /** Takes the cell, not the endpoint: the key may have lost its slot meanwhile. */
  countDown(cell: number): void {
    this.#slots.countDown(cell);
  }

  /** The head of an answer came after `latencyMs`, or it would have taken at least that long. */
  measured(endpoint: Endpoint, latencyMs: number): void {
    const { cells, offset, now } = this.#placeNow(endpoint);
    // Slot 0 is nobody's.
    if (offset === 0) return;
    const estimateUs = Atomics.load(cells, offset + endpointCells.estimate);
    if (estimateUs === 0) Atomics.store(cells, offset + endpointCells.born, now);
    const sampledAt = offset + endpointCells.sampled;
    const ageMs = Math.max(0, cellAge(now, Atomics.load(cells, sampledAt)));
    const next = sampled(estimateUs, ageMs, latencyMs * 1_000);
    // A sample that another worker takes at the same moment may be lost: the next one counts.
    Atomics.store(cells, offset + endpointCells.estimate, next);
    Atomics.store(cells, sampledAt, now);
  }

  /** What was waited for in vain counts only where it says more than is known. */
  waitedFor(endpoint: Endpoint, latencyMs: number): void {
    const { cells, offset, now } = this.#placeNow(endpoint);
    const estimateUs = Atomics.load(cells, offset + endpointCells.estimate);
    const ageMs = cellAge(now, Atomics.load(cells, offset + endpointCells.sampled));
    if (latencyMs * 1_000 > decayedUs(estimateUs, ageMs)) this.measured(endpoint, latencyMs);
  }

  /**
   * A caller's own deadline has passed after `waitedMs`, which says little; but an endpoint that
   * has answered nobody well meanwhile may be one that swallows requests. True: it is ejected.
   */
  expired(endpoint: Endpoint, waitedMs: number, random: Random): boolean {
    if (waitedMs < callerPatienceMs) return false;
    const place = this.#placeNow(endpoint);
    if (place.offset === 0 || hasSucceededWithin(place, waitedMs)) return false;
    return noteFailure(place, 'soft', random);
  }

  succeeded(endpoint: Endpoint): void {
    const place = this.#placeNow(endpoint);
    if (place.offset !== 0) noteSuccess(place);
  }

  /** It answers: whoever was out is in again, though how the answer ends is not known yet. */
  recovered(endpoint: Endpoint): void {
    const place = this.#placeNow(endpoint);
    if (place.offset !== 0 && isOut(place.cells, place.offset)) noteSuccess(place);
  }

  /** True: the endpoint is ejected by this. */
  failed(endpoint: Endpoint, fault: Fault, random: Random): boolean {
    const place = this.#placeNow(endpoint);
    return place.offset !== 0 && noteFailure(place, fault, random);
  }

  #pickFor(
    backend: Backend,
    tried: ReadonlySet<string>,
    random: Random,
    asker: Asker | undefined,
  ): Endpoint | undefined {
    const shaping = asker?.host?.rules.shaping;
    this.#tried = tried;
    if (shaping === undefined) this.#forgetLimits();
    else this.#limitBy(shaping, backend, asker);
    let picked = this.#pickOnce(backend, random, shaping?.balancer, asker);
    const isLimited = this.#inFlightMax !== Infinity || this.#connectionsMax !== Infinity;
    if (picked === undefined && isLimited) {
      // All are full: wait at one of them.
      this.#forgetLimits();
      picked = this.#pickOnce(backend, random, shaping?.balancer, asker);
    }
    if (picked === undefined && tried.size > 0) return this.#pickAgain(backend, random);
    return picked;
  }

  #forgetLimits(): void {
    this.#inFlightMax = Infinity;
    this.#connectionsMax = Infinity;
  }

  #limitBy(shaping: ShapingRules, { scheme }: Backend, asker: Asker | undefined): void {
    const { maxRequests = Infinity, maxConnections = Infinity } = shaping;
    const isHttp2 = scheme === 'h2c';
    // Where many requests share a connection, as many as there are connections are no hindrance.
    this.#inFlightMax = isHttp2 ? maxRequests : Math.min(maxRequests, maxConnections);
    this.#connectionsMax = maxConnections;
    this.#spare = asker?.spare;
  }

  #isConnectedFully(endpoint: Endpoint): boolean {
    const { offset } = this.#at(endpoint);
    const open = this.#slots.inFlight(this.#slots.connectionsAt(offset));
    if (open < this.#connectionsMax) return false;
    const isWanted = this.#slots.isAwaitedElsewhere(offset, 'connection');
    return this.#spare?.hasSpare(endpoint.id, isWanted) !== true;
  }

  #pickOnce(
    backend: Backend,
    random: Random,
    rule: BalancerRule | undefined,
    asker: Asker | undefined,
  ): Endpoint | undefined {
    this.#kind = rule?.kind ?? 'ewma';
    this.#next = -1;
    this.#found = undefined;
    if (rule?.kind === 'round-robin') {
      return pickInTurn(backend, this, this.#turnOf(backend, random));
    }
    const key = rule?.kind === 'hash' && asker !== undefined ? balanceKey(rule, asker) : undefined;
    if (key !== undefined) return pickByKey(backend, this, key);
    // A request without what is hashed goes by load.
    if (rule?.kind === 'hash') this.#kind = 'ewma';
    return pickEndpoint(backend, this, random);
  }

  #pickAgain(backend: Backend, random: Random): Endpoint | undefined {
    this.#tried = noneTried;
    this.#kind = 'ewma';
    this.#next = -1;
    return pickEndpoint(backend, this, random);
  }

  /** Each worker takes turns of its own, which are as even together. */
  #turnOf(backend: Backend, random: Random): number {
    let turn = this.#turns.get(backend);
    if (turn === undefined) {
      turn = { next: Math.floor(random() * backend.endpoints.length) };
      this.#turns.set(backend, turn);
    }
    turn.next += 1;
    return turn.next;
  }

  /** When most fail, those that do are as good as the others: all serve. */
  #lookAtEjected(backend: Backend, keepsOutliers: boolean): void {
    const { length } = backend.endpoints;
    let known = this.#known.get(backend);
    if (known === undefined) known = this.#know(backend);
    const ageMs = cellAge(this.#place.now, known.countedAt);
    if (length <= countAlwaysMax || ageMs < 0 || ageMs >= countAgeMs) this.#count(known);
    this.#looked = known;
    this.#areSomeOut = known.out > 0;
    const out = keepsOutliers ? known.checkedOut : known.ejected;
    this.#trustsChecksAlone = keepsOutliers;
    this.#keepsOutliers = out * 2 > length;
  }

  #know(backend: Backend): KnownBackend {
    const { now } = this.#place;
    const offsets = backend.endpoints.map(({ id }) => this.#slots.offset('endpoint', id));
    const { endpoints } = backend;
    const none = { out: 0, ejected: 0, checkedOut: 0 };
    const known = { endpoints, offsets, ...none, countedAt: now - countAgeMs };
    // Slot 0 is nobody's: an endpoint may get its own later.
    if (!offsets.includes(0)) this.#known.set(backend, known);
    return known;
  }

  #count(known: KnownBackend): void {
    const { cells, now } = this.#place;
    known.out = 0;
    known.ejected = 0;
    known.checkedOut = 0;
    known.countedAt = now;
    for (const offset of known.offsets) {
      if (!isOut(cells, offset)) continue;
      this.#place.offset = offset;
      known.out += 1;
      if (isEjected(this.#place)) known.ejected += 1;
      if (isCheckedOut(cells, offset)) known.checkedOut += 1;
    }
  }

  #at(endpoint: Endpoint): OutlierPlace {
    if (endpoint === this.#found) return this.#place;
    this.#found = endpoint;
    this.#place.offset = this.#offsetOf(endpoint);
    return this.#place;
  }

  /** Where all are looked at one after the other, the next one's slot is known already. */
  #offsetOf(endpoint: Endpoint): number {
    const looked = this.#looked;
    if (looked !== undefined) {
      this.#next += 1;
      const known = looked.endpoints[this.#next] === endpoint ? looked.offsets[this.#next] : 0;
      if (known !== undefined && known !== 0) return known;
    }
    return this.#slots.offset('endpoint', endpoint.id);
  }

  #placeNow(endpoint: Endpoint): OutlierPlace {
    this.#place.now = cellTime(this.#clock.wallMs());
    this.#found = undefined;
    this.#looked = undefined;
    return this.#at(endpoint);
  }
}
