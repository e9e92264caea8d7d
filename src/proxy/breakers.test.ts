// Circuit breakers from counts to the word of state: when they open, what passes while they are
// half-open, when they close, and that nothing but another expression resets them. Time is the
// test's, for opossum as well.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseBreakerExpression } from '../lib/breaker-expression.ts';
import type { Snapshot } from '../snapshot/index.ts';
import { BreakerCells } from '../telemetry/breaker-cells.ts';
import { createSlotMemory, silentLog } from '../telemetry/index.ts';
import {
  namespaceOf,
  metaOf,
  serviceOf,
  settingsOf,
  stateOf,
} from '../../test/support/builders.ts';
import { compiled } from '../../test/support/core.ts';
import { holds } from './breaker-verdict.ts';
import { Breakers } from './breakers.ts';

const key = 'weft.dev/circuit-breaker';

function snapshotOf(expression: string | undefined, timeout = '1s'): Snapshot {
  const annotations = new Map([['weft.dev/timeout', timeout]]);
  if (expression !== undefined) annotations.set(key, expression);
  const service = serviceOf('shop/web', { meta: metaOf('shop/web', { annotations }) });
  return compiled(stateOf(namespaceOf('shop'), service), settingsOf()).snapshot;
}

let breakers: Breakers;
let cells: BreakerCells;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_790_000_000_000 });
  const memory = createSlotMemory({ split: 2, endpoint: 2, service: 4 });
  const shared = new Int32Array(memory.breakers);
  cells = new BreakerCells(shared, 2);
  breakers = new Breakers({
    clock: { nowMs: () => Date.now(), wallMs: () => Date.now() },
    timers: {
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return { cancel: () => clearTimeout(timer) };
      },
    },
    log: silentLog,
    cellsOf: (name) => (name === 'shop/web' ? cells : undefined),
  });
});

afterEach(() => {
  breakers.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function count(outcomes: number, isNetworkError: boolean, status = isNetworkError ? 502 : 200) {
  for (let n = 0; n < outcomes; n += 1) {
    cells.count({ status, isNetworkError, latencyMs: 5 }, [], Date.now());
  }
}

const networkErrors = 'NetworkErrorRatio() > 0.3';
const value = () => breakers.samples()[0]?.value;

describe('a breaker', () => {
  test('opens within 100 ms once the expression holds for at least 10 requests', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(9, true);
    vi.advanceTimersByTime(1_000);
    expect(cells.state).toBe('closed');
    count(1, true);
    vi.advanceTimersByTime(100);
    expect(cells.state).toBe('open');
    expect(value()).toBe(2);
  });

  test('is open for 10 s, half-open for 10 s, then closed', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(20, true);
    vi.advanceTimersByTime(100);
    vi.advanceTimersByTime(9_900);
    expect(cells.state).toBe('open');
    vi.advanceTimersByTime(200);
    expect([cells.state, value()]).toEqual(['half-open', 1]);
    count(20, false);
    vi.advanceTimersByTime(9_800);
    expect(cells.state).toBe('half-open');
    vi.advanceTimersByTime(300);
    expect([cells.state, value()]).toEqual(['closed', 0]);
  });

  test('opens again when what passes fails', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(20, true);
    vi.advanceTimersByTime(10_200);
    count(10, true);
    vi.advanceTimersByTime(200);
    expect(cells.state).toBe('open');
  });

  test('forgets what is older than 10 s', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(9, true);
    vi.advanceTimersByTime(11_000);
    count(9, true);
    vi.advanceTimersByTime(1_000);
    expect(cells.state).toBe('closed');
  });

  test('outlives every change but that of its expression', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(20, true);
    vi.advanceTimersByTime(100);
    breakers.follow(snapshotOf(networkErrors, '7s'));
    expect(cells.state).toBe('open');
    breakers.follow(snapshotOf('NetworkErrorRatio() > 0.4'));
    vi.advanceTimersByTime(200);
    expect(cells.state).toBe('closed');
  });

  test('is gone with its annotation', () => {
    breakers.follow(snapshotOf(networkErrors));
    count(20, true);
    vi.advanceTimersByTime(100);
    breakers.follow(snapshotOf(undefined));
    expect(cells.state).toBe('closed');
    expect(breakers.samples()).toEqual([]);
  });
});

describe('expressions', () => {
  const ratios = [[500, 600, 0, 600] as const];
  function outcome(text: string): boolean {
    const expression = parseBreakerExpression(text);
    if (expression === undefined) throw new Error('no expression');
    return holds({ expression, ratios, window: cells.window(Date.now()) });
  }

  test.each([
    ['NetworkErrorRatio() > 0.3', false],
    ['NetworkErrorRatio() >= 0.25', true],
    ['ResponseCodeRatio(500, 600, 0, 600) > 0.4', true],
    ['ResponseCodeRatio(500, 600, 0, 600) > 0.5', false],
    ['LatencyAtQuantileMS(50.0) > 50', false],
    ['LatencyAtQuantileMS(90.0) > 50', true],
    ['NetworkErrorRatio() > 0.3 || LatencyAtQuantileMS(90.0) > 50', true],
    ['NetworkErrorRatio() > 0.3 && LatencyAtQuantileMS(90.0) > 50', false],
    ['!(NetworkErrorRatio() > 0.3)', true],
    ['!NetworkErrorRatio() >= 0.25', false],
    ['!NetworkErrorRatio() > 0.3 && LatencyAtQuantileMS(90.0) > 50', true],
    // Nobody counts it: a share of nothing.
    ['ResponseCodeRatio(400, 500, 0, 600) > 0', false],
  ])('%s is %s for 20 requests, 5 cut, 5 with 500, half of them slow', (text, isTrue) => {
    for (let n = 0; n < 20; n += 1) {
      const isNetworkError = n < 5;
      const status = n < 5 ? 502 : n < 10 ? 500 : 200;
      const latencyMs = n % 4 === 0 ? 100 : 10;
      cells.count({ status, isNetworkError, latencyMs }, ratios, Date.now());
    }
    expect(outcome(text)).toBe(isTrue);
  });

  test('latencies are told within a quarter of an octave', () => {
    for (const latencyMs of [1, 7, 100, 3_000]) {
      cells.clearWindow();
      cells.count({ status: 200, isNetworkError: false, latencyMs }, [], Date.now());
      const told = cells.window(Date.now()).latencyAt(0.5);
      expect(told / latencyMs).toBeGreaterThan(0.45);
      expect(told / latencyMs).toBeLessThan(1.19);
    }
  });
});
