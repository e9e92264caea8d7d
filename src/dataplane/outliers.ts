// Ejection of single endpoints that fail (contract §3 `outlier-detection`): 7 failures in a row,
// or less than 0.8 successes of at least 5 attempts in 10 s, or a refused connection. Out for
// 1 s, twice as long each time up to 60 s, plus up to half of it by chance; then exactly one
// request finds out. State is of the endpoint, not of a route, in cells that all workers share;
// nothing is probed that no caller asked for.
import type { Random } from '../lib/clock.ts';
import { cellAge, endpointCells, windowSeconds, windowWidth } from './endpoint-cells.ts';

const consecutiveMax = 7;
const attemptsMin = 5;
const successMin = 0.8;
const backoffBaseMs = 1_000;
const backoffMaxMs = 60_000;
/** Who was in for so long starts with the shortest back-off again. */
const forgivenMs = 60_000;
/** A probe that has not ended by then is nobody's; the next request is one. */
const probeMs = 5_000;

const stateIn = 0;
const stateOut = 1;
const stateProbed = 2;

/** An endpoint's cells, and now. */
export type OutlierPlace = {
  readonly cells: Int32Array;
  readonly offset: number;
  readonly now: number;
};

/** How an attempt failed. `soft`: it counts in the ratio only (429). `refused`: nobody is there. */
export type Fault = 'soft' | 'hard' | 'refused';

/** Active checks of it fail (`health-check`), as the proxy of its own node says. */
export function isCheckedOut(cells: Int32Array, offset: number): boolean {
  return Atomics.load(cells, offset + endpointCells.checkedOut) !== 0;
}

/** Neither simply in nor forgotten: out, or about to be tried again. */
export function isOut(cells: Int32Array, offset: number): boolean {
  if (isCheckedOut(cells, offset)) return true;
  return Atomics.load(cells, offset + endpointCells.ejection) !== stateIn;
}

/** Whether it may not be asked now: out, or its one probe is under way. */
export function isEjected(place: OutlierPlace): boolean {
  const { cells, offset, now } = place;
  if (isCheckedOut(cells, offset)) return true;
  if (Atomics.load(cells, offset + endpointCells.ejection) === stateIn) return false;
  return cellAge(now, Atomics.load(cells, offset + endpointCells.ejectedUntil)) < 0;
}

/** Out, and its time is over: the next request should find out. */
export function isProbeDue(place: OutlierPlace): boolean {
  const { cells, offset } = place;
  return Atomics.load(cells, offset + endpointCells.ejection) !== stateIn && !isEjected(place);
}

/** Takes the one probe; false: another request has it. */
export function takeProbe({ cells, offset, now }: OutlierPlace): boolean {
  const at = offset + endpointCells.ejectedUntil;
  const until = Atomics.load(cells, at);
  if (cellAge(now, until) < 0) return false;
  const isMine = Atomics.compareExchange(cells, at, until, (now + probeMs) | 0) === until;
  if (isMine) Atomics.store(cells, offset + endpointCells.ejection, stateProbed);
  return isMine;
}

/** An answer that is no failure: whoever was out is in again. */
export function noteSuccess(place: OutlierPlace): void {
  const { cells, offset, now } = place;
  const at = offset + endpointCells.consecutive;
  if (Atomics.load(cells, at) !== 0) Atomics.store(cells, at, 0);
  countInWindow(place, 0);
  if (Atomics.load(cells, offset + endpointCells.ejection) === stateIn) return;
  Atomics.store(cells, offset + endpointCells.ejectedUntil, now);
  clearWindow(place);
  Atomics.store(cells, offset + endpointCells.ejection, stateIn);
}

/** True: this failure has put the endpoint out. */
export function noteFailure(place: OutlierPlace, fault: Fault, random: Random): boolean {
  const { cells, offset } = place;
  countInWindow(place, 1);
  const state = Atomics.load(cells, offset + endpointCells.ejection);
  const inARow =
    fault === 'soft' ? 0 : Atomics.add(cells, offset + endpointCells.consecutive, 1) + 1;
  // What was under way when it was put out says nothing new.
  if (state === stateOut) return false;
  const isBad = fault === 'refused' || inARow >= consecutiveMax || hasPoorWindow(place);
  if (state === stateIn && !isBad) return false;
  const at = offset + endpointCells.ejection;
  if (Atomics.compareExchange(cells, at, state, stateOut) !== state) return false;
  putOut(place, state === stateProbed, random);
  return true;
}

function putOut({ cells, offset, now }: OutlierPlace, isAgain: boolean, random: Random): void {
  const lastAt = offset + endpointCells.ejectedUntil;
  const countAt = offset + endpointCells.ejections;
  const sinceMs = cellAge(now, Atomics.load(cells, lastAt));
  const isForgiven = !isAgain && (sinceMs < 0 || sinceMs > forgivenMs);
  const ejections = isForgiven ? 0 : Atomics.load(cells, countAt);
  const baseMs = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(ejections, 6));
  const outMs = Math.round(baseMs * (1 + random() / 2));
  Atomics.store(cells, countAt, ejections + 1);
  Atomics.store(cells, lastAt, (now + outMs) | 0);
}

function countInWindow({ cells, offset, now }: OutlierPlace, failures: 0 | 1): void {
  const second = Math.floor(now / 1_000);
  const index = ((second % windowSeconds) + windowSeconds) % windowSeconds;
  const at = offset + endpointCells.window + index * windowWidth;
  const stamp = Atomics.load(cells, at);
  if (stamp !== second && Atomics.compareExchange(cells, at, stamp, second) === stamp) {
    Atomics.store(cells, at + 1, 0);
    Atomics.store(cells, at + 2, 0);
  }
  if (failures > 0) Atomics.add(cells, at + 1, 1);
  Atomics.add(cells, at + 2, 1);
}

/** Whether some attempt has gone well in the last `ageMs`, or up to a second before. */
export function hasSucceededWithin({ cells, offset, now }: OutlierPlace, ageMs: number): boolean {
  const seconds = Math.floor(now / 1_000) - Math.floor((now - ageMs) / 1_000);
  for (let index = 0; index < windowSeconds; index += 1) {
    const at = offset + endpointCells.window + index * windowWidth;
    const age = Math.floor(now / 1_000) - Atomics.load(cells, at);
    if (age < 0 || age > seconds) continue;
    if (Atomics.load(cells, at + 2) > Atomics.load(cells, at + 1)) return true;
  }
  return false;
}

function hasPoorWindow({ cells, offset, now }: OutlierPlace): boolean {
  const second = Math.floor(now / 1_000);
  let failures = 0;
  let attempts = 0;
  for (let index = 0; index < windowSeconds; index += 1) {
    const at = offset + endpointCells.window + index * windowWidth;
    const age = second - Atomics.load(cells, at);
    if (age < 0 || age >= windowSeconds) continue;
    failures += Atomics.load(cells, at + 1);
    attempts += Atomics.load(cells, at + 2);
  }
  return attempts >= attemptsMin && (attempts - failures) / attempts < successMin;
}

function clearWindow({ cells, offset }: OutlierPlace): void {
  for (let index = 0; index < windowSeconds; index += 1) {
    const at = offset + endpointCells.window + index * windowWidth;
    Atomics.store(cells, at + 1, 0);
    Atomics.store(cells, at + 2, 0);
  }
}
