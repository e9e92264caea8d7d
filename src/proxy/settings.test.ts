// The settings of a proxy from flags and from what the machine grants. Syntax of flags is tested
// beside the flag table; here is what needs more than one fact to judge.
import { describe, expect, test } from 'vitest';
import { readFlags, resolveFlags } from '../api/index.ts';
import { slotWorkersMax } from '../telemetry/index.ts';
import {
  identitySettingsOf,
  proxySettingsOf,
  type MachineFacts,
  type ProxySettings,
} from './settings.ts';

const mebibyte = 1024 * 1024;
const machine: MachineFacts = { cpus: 4, memoryLimitBytes: undefined, hasReusePort: true };

type Given = Readonly<Record<string, readonly string[]>>;

function tried(given: Given, facts: Partial<MachineFacts> = {}) {
  const flags = new Map(Object.entries(given));
  const values = resolveFlags('proxy', flags, { NODE_NAME: 'node-1' });
  if ('complaint' in values) return values;
  return proxySettingsOf(values, { ...machine, ...facts });
}

function settings(given: Given, facts: Partial<MachineFacts> = {}): ProxySettings {
  const found = tried(given, facts);
  if ('complaint' in found) throw new Error(found.complaint);
  return found;
}

describe('settings of a proxy', () => {
  test('the defaults are those of the contract', () => {
    expect(settings({})).toMatchObject({
      nodeName: 'node-1',
      bindAddresses: [],
      adminPort: 15_020,
      dnsPort: 15_053,
      debugFrom: 'loopback',
      testHooks: false,
      drainDelayMs: 5_000,
      drainTimeoutMs: 25_000,
      accessLog: 'errors',
      workers: 2,
      workersRefused: undefined,
      limits: {
        headBytesMax: 32 * 1024,
        targetBytesMax: 8 * 1024,
        fieldsMax: 128,
        pipelinedMax: 64,
        streamsMax: 1_000,
        connectionsMax: 16_384,
        requestBodyBytesMax: undefined,
        headTimeoutMs: 10_000,
        keepAliveTimeoutMs: 60_000,
        bodyTimeoutMs: 30_000,
        idleTimeoutMs: 300_000,
        connectTimeoutMs: 5_000,
      },
    });
  });

  test('without a node there is one line that says what to do', () => {
    const found = proxySettingsOf(new Map(), machine);
    expect('complaint' in found ? found.complaint : '').toMatch(
      /^a proxy serves one node: give --node-name, or set NODE_NAME/,
    );
  });

  test.each(['some', 'sample:1/0', 'sample:2/3', 'ALL', 'all '])(
    'the access log "%s" is refused',
    (mode) => {
      expect(tried({ 'access-log': [mode] })).toEqual({
        complaint: `--access-log takes off, denied, errors, all or sample:1/N, not "${mode}"`,
      });
    },
  );

  test.each(['off', 'denied', 'errors', 'all', 'sample:1/1000'])(
    'the access log "%s" is taken',
    (mode) => {
      expect(settings({ 'access-log': [mode] }).accessLog).toBe(mode);
    },
  );

  test('bind addresses are each there once, in one spelling', () => {
    const given = ['127.0.0.2', '::1', '0:0:0:0:0:0:0:1', '127.0.0.2', '::ffff:127.0.0.3'];
    expect(settings({ 'bind-address': given }).bindAddresses).toEqual([
      '127.0.0.2',
      '::1',
      '127.0.0.3',
    ]);
  });
});

describe('workers', () => {
  test('are two, and one where less than two CPUs are granted', () => {
    expect(settings({}, { cpus: 2 }).workers).toBe(2);
    expect(settings({}, { cpus: 1.9 }).workers).toBe(1);
    expect(settings({ workers: ['3'] }, { cpus: 1 }).workers).toBe(3);
  });

  test('are one where Node cannot share a port, and asking for more is told', () => {
    const facts = { hasReusePort: false };
    expect(settings({}, facts)).toMatchObject({ workers: 1, workersRefused: undefined });
    expect(settings({ workers: ['4'] }, facts)).toMatchObject({ workers: 1, workersRefused: 4 });
  });

  test('are at most as many as have counters', () => {
    const many = settings({ workers: ['100'] });
    expect(many).toMatchObject({ workers: slotWorkersMax, workersRefused: 100 });
  });

  test('share ports only when there are several', () => {
    expect(settings({ workers: ['2'] }).usesReusePort).toBe(true);
    expect(settings({ workers: ['1'] }).usesReusePort).toBe(false);
  });
});

describe('the memory budget', () => {
  const perWorker = (given: Given, memoryLimitBytes?: number): number =>
    settings({ workers: ['2'], ...given }, { memoryLimitBytes }).limits.bufferedBytesMax;

  test('is 512 MiB, or 70 % of the limit, shared by the workers', () => {
    expect(perWorker({})).toBe(256 * mebibyte);
    expect(perWorker({}, 200 * mebibyte)).toBe(70 * mebibyte);
  });

  test('is what the flag says', () => {
    expect(perWorker({ 'memory-budget': ['64Mi'] }, 200 * mebibyte)).toBe(32 * mebibyte);
  });
});

describe('identities', () => {
  const flagsOf = (given: Readonly<Record<string, string>>) =>
    readFlags(new Map(Object.entries(given).map(([name, value]) => [name, [value]])));

  test.each([
    [{ 'pod-uid': ['uid'], mtls: ['off'] }, 'off', true],
    [{ mtls: ['off'] }, 'off', false],
    [{ 'pod-uid': ['uid'], mtls: ['permissive'] }, 'permissive', true],
    [{ 'pod-uid': ['uid'], mtls: ['strict'] }, 'strict', true],
    [{ mtls: ['permissive'] }, 'off', false],
  ])('without a pod there is nothing but plain text: %j', (given, mtls, isKept) => {
    const read = settings(given);
    expect(read).toMatchObject({ mesh: { mtls } });
    expect('identity' in read && read.identity !== undefined).toBe(isKept);
  });

  test('without a pod strict is refused', () => {
    const found = tried({ mtls: ['strict'] });
    expect('complaint' in found ? found.complaint : '').toContain('give --pod-uid');
  });

  test('are those of a pod: without one nobody would issue any', () => {
    expect(identitySettingsOf(flagsOf({}))).toBeUndefined();
    expect(identitySettingsOf(flagsOf({ 'pod-uid': 'uid', 'pod-ip': '::ffff:10.1.0.1' }))).toEqual({
      tunnelPort: 15_008,
      podUid: 'uid',
      podAddress: '10.1.0.1',
      stateDirectory: undefined,
    });
  });
});
