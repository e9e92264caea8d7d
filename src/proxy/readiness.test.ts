// When a proxy may get traffic. Each thing that it can wait for is named; what happens to a ready
// one takes it out only when it serves nothing any more.
import { describe, expect, test } from 'vitest';
import { hasCertificates, hasOtherProxy, readinessOf, type ReadinessFacts } from './readiness.ts';
import { entryOf, settingsOf, sliceOf, stateOf } from '../../test/support/builders.ts';
import type { EndpointSlice, SliceEndpoint } from '../api/index.ts';
import type { WorkerState } from './worker-fleet.ts';

function worker(given: Partial<WorkerState> = {}): WorkerState {
  return {
    index: 0,
    isRunning: true,
    hasDirectSockets: true,
    restarts: 0,
    version: 'v1',
    isSettled: true,
    openPorts: [15_100, 15_101],
    openingPorts: [],
    failedPorts: [],
    ...given,
  };
}

function waitsFor(given: Partial<ReadinessFacts>): readonly string[] {
  const { isReady, waitsFor: waits } = readinessOf({
    isSynced: true,
    workers: [worker()],
    version: 'v1',
    dns: { open: 2, wanted: 2 },
    hasIdentity: true,
    wasReady: false,
    ...given,
  });
  expect(isReady).toBe(waits.length === 0);
  return waits;
}

const failed = (port: number) => ({ port, message: 'in use' });
const aWorker = 'a worker with a snapshot and its listeners';

describe('certificates', () => {
  const settings = {
    nodeName: 'node-1',
    mesh: settingsOf(),
    identity: {
      tunnelPort: 15_008,
      podUid: 'uid',
      podAddress: '10.1.0.1',
      stateDirectory: undefined,
    },
  };
  const sees = (endpoint: SliceEndpoint, given: Partial<EndpointSlice> = {}): boolean => {
    const slice = sliceOf('weft-system/weft-peers', { endpoints: [endpoint], ...given });
    return hasOtherProxy(stateOf(slice), settings);
  };

  test('are waited for before the first time, and not missed later', () => {
    expect(waitsFor({ hasIdentity: false })).toEqual(['certificates']);
    expect(waitsFor({ hasIdentity: false, wasReady: true })).toEqual([]);
  });

  const lacking = { hasOwn: false, hasAll: false, hasOther: true } as const;
  const none = { ...lacking, mtls: 'strict', waitedMs: 0 } as const;

  test('of its node’s pods are waited for a while, its own for good', () => {
    expect(hasCertificates({ ...none, waitedMs: 60_000 })).toBe(false);
    expect(hasCertificates({ ...none, hasOwn: true })).toBe(false);
    expect(hasCertificates({ ...none, hasOwn: true, hasAll: true })).toBe(true);
    expect(hasCertificates({ ...none, hasOwn: true, waitedMs: 10_000 })).toBe(true);
  });

  test('are waited for a while where mutual TLS is off: others may be in another mode', () => {
    expect(hasCertificates({ ...none, mtls: 'off' })).toBe(false);
    expect(hasCertificates({ ...none, mtls: 'off', waitedMs: 10_000 })).toBe(true);
  });

  test('are not waited for where nobody else serves', () => {
    expect(hasCertificates({ ...none, hasOther: false })).toBe(true);
  });

  test('are waited for only while another proxy of the node serves', () => {
    expect(sees(entryOf('10.1.0.2'))).toBe(true);
    expect(sees(entryOf('10.1.0.1'))).toBe(false);
    expect(sees(entryOf('10.1.0.2', { isServing: false }))).toBe(false);
    expect(sees(entryOf('10.1.0.2', { nodeName: 'node-2' }))).toBe(false);
    expect(sees(entryOf('10.1.0.2'), { isManaged: false })).toBe(false);
  });
});

describe('a proxy that was never ready', () => {
  test('is ready when it knows the cluster, serves and answers names', () => {
    expect(waitsFor({})).toEqual([]);
  });

  test('waits for the first lists and the first snapshot', () => {
    expect(waitsFor({ isSynced: false, version: undefined, workers: [] })).toEqual([
      'the first list of every kind from the API server',
      'the first snapshot',
    ]);
  });

  test.each([
    ['is not running', { isRunning: false }],
    ['has no snapshot', { version: '' }],
    ['is opening its listeners', { isSettled: false, openPorts: [], openingPorts: [15_100] }],
  ])('waits while its only worker %s', (_, given) => {
    expect(waitsFor({ workers: [worker(given)] })).toEqual([aWorker]);
  });

  test('needs one worker that serves, not all', () => {
    expect(waitsFor({ workers: [worker({ isRunning: false }), worker({ index: 1 })] })).toEqual([]);
  });

  test('waits for ports that are taken, and names them', () => {
    const taken = worker({ failedPorts: [failed(15_101), failed(15_100)], openPorts: [] });
    expect(waitsFor({ workers: [taken, taken] })).toEqual([
      'listener port 15100',
      'listener port 15101',
    ]);
  });

  test('a mesh without services needs no listener', () => {
    expect(waitsFor({ workers: [worker({ openPorts: [] })] })).toEqual([]);
  });

  test('waits for every DNS socket that the machine can have', () => {
    expect(waitsFor({ dns: { open: 1, wanted: 2 } })).toEqual(['the DNS port']);
    expect(waitsFor({ dns: { open: 2, wanted: 2 } })).toEqual([]);
  });
});

describe('a proxy that was ready', () => {
  const wasReady = true;

  test('goes on while one port of several has failed', () => {
    const workers = [worker({ openPorts: [15_100], failedPorts: [failed(15_101)] })];
    expect(waitsFor({ wasReady, workers })).toEqual([]);
    expect(waitsFor({ wasReady: false, workers })).toEqual(['listener port 15101']);
  });

  test('goes on with one DNS socket, not with none', () => {
    expect(waitsFor({ wasReady, dns: { open: 1, wanted: 4 } })).toEqual([]);
    expect(waitsFor({ wasReady, dns: { open: 0, wanted: 4 } })).toEqual(['the DNS port']);
  });

  test('is not ready while nothing serves', () => {
    expect(waitsFor({ wasReady, workers: [worker({ isRunning: false })] })).toEqual([aWorker]);
    const none = worker({ openPorts: [], failedPorts: [failed(15_100)] });
    expect(waitsFor({ wasReady, workers: [none] })).toEqual(['listener port 15100']);
  });
});
