// When a drain is over, on a clock that the test moves. That answers say close, and that real
// connections end well, is test/integration/dataplane-limits.test.ts.
import { expect, test } from 'vitest';
import { FakeRuntime, settle } from '../../test/kube/support/fake-runtime.ts';
import { Deadlines } from './deadlines.ts';
import { drain } from './drain.ts';

function draining(delayMs: number, timeoutMs: number) {
  const fake = new FakeRuntime();
  const { clock, timers } = fake.runtime;
  const state = {
    inFlight: 0,
    isAccepting: true,
    isOver: false,
    stops: 0,
    onStop: (): void => undefined,
  };
  const steps = {
    inFlight: () => state.inFlight,
    closeIdleConnections: () => undefined,
    stopAccepting: () => {
      state.isAccepting = false;
      state.stops += 1;
      state.onStop();
    },
  };
  void drain(new Deadlines(clock, timers), { delayMs, timeoutMs }, steps).then(() => {
    state.isOver = true;
  });
  const advance = async (ms: number): Promise<void> => {
    await fake.advance(ms);
    await settle();
  };
  return { state, advance };
}

test('it accepts through the delay, though nothing is in flight', async () => {
  const { state, advance } = draining(5_000, 25_000);
  await advance(4_900);
  expect(state).toMatchObject({ isAccepting: true, isOver: false });
  await advance(1_000);
  expect(state).toMatchObject({ isAccepting: false, isOver: true, stops: 1 });
});

test('what came in while it was found quiet ends before it is over', async () => {
  const { state, advance } = draining(0, 25_000);
  state.inFlight = 1;
  await advance(1_000);
  expect(state).toMatchObject({ isAccepting: true, isOver: false });
  // Quiet at one look, and accepted just then: there at the next.
  state.onStop = () => {
    state.inFlight = 1;
  };
  state.inFlight = 0;
  await advance(1_000);
  expect(state).toMatchObject({ isAccepting: false, isOver: false });
  state.inFlight = 0;
  await advance(500);
  expect(state.isOver).toBe(true);
});

test('one that never gets quiet stops accepting a second before its timeout', async () => {
  const { state, advance } = draining(0, 10_000);
  state.inFlight = 3;
  await advance(8_900);
  expect(state.isAccepting).toBe(true);
  await advance(500);
  expect(state).toMatchObject({ isAccepting: false, isOver: false });
  await advance(1_000);
  expect(state).toMatchObject({ isOver: true, stops: 1 });
});

test('a timeout shorter than the delay does not shorten the delay', async () => {
  const { state, advance } = draining(5_000, 1_000);
  await advance(4_900);
  expect(state).toMatchObject({ isAccepting: true, isOver: false });
  await advance(1_000);
  expect(state.isOver).toBe(true);
});
