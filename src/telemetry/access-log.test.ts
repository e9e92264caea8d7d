// The access log against hostile clients: one line each, that parses; which exchanges get one; what
// a full ring does.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../lib/random.ts';
import {
  AccessLogRing,
  formatAccessLine,
  parseAccessLogMode,
  wantsAccessLine,
} from './access-log.ts';
import type { AccessFacts, AccessRecord } from './access-log.ts';

const record: AccessRecord = {
  timeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  durationMs: 12.34567,
  sourceNamespace: 'shop',
  sourceWorkload: 'Deployment/front',
  sourceAddress: '10.1.2.3',
  destinationNamespace: 'shop',
  destinationService: 'web',
  destinationWorkload: 'Deployment/web',
  endpoint: '10.1.2.4:8080',
  method: 'GET',
  host: 'web.shop.mesh',
  target: '/a/b?token=secret',
  protocol: 'HTTP/1.1',
  status: 200,
  reason: undefined,
  attempts: 1,
  requestBytes: 0,
  responseBytes: 5,
  requestId: 'id-1',
  traceId: undefined,
  auditReason: undefined,
  isDenied: false,
  isCutOff: false,
};

describe('formatAccessLine', () => {
  test('is one JSON object; the query string is not in it', () => {
    const line = formatAccessLine(record);
    expect(line).not.toContain('secret');
    expect(JSON.parse(line)).toMatchObject({
      time: '2026-01-02T03:04:05.678Z',
      source_workload: 'Deployment/front',
      destination_service: 'web',
      path: '/a/b',
      status: 200,
      duration_ms: 12.346,
    });
  });

  test('a would-be denial says what for, and any other line has no such key', () => {
    const line = formatAccessLine({ ...record, auditReason: 'SourceNotAllowed' });
    expect(JSON.parse(line)).toMatchObject({ status: 200, audit_deny: 'SourceNotAllowed' });
    expect(JSON.parse(formatAccessLine(record))).not.toHaveProperty('audit_deny');
  });

  test('whatever bytes a client sends, it stays one line of plain text that parses', () => {
    const random = seededRandom(42);
    const lineEnds = ['\r\n{"forged":1}', '\u2028', '\u2029', '\u0085'];
    const spice = [...lineEnds, '\u001b[2J', '\ud800', '"', '\\'];
    for (let round = 0; round < 2_000; round += 1) {
      let text = '';
      while (random() < 0.8) {
        const chosen = spice[Math.floor(random() * spice.length)] ?? '';
        text += random() < 0.5 ? chosen : String.fromCharCode(Math.floor(random() * 65_536));
      }
      const line = formatAccessLine({ ...record, target: text, host: text, requestId: text });
      expect(line).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/);
      expect(Object.keys(JSON.parse(line) as object)).not.toContain('forged');
    }
  });

  test('a field has at most about 1000 characters', () => {
    const [host, target] = ['h'.repeat(64_000), '/'.repeat(64_000)];
    const line = formatAccessLine({ ...record, host, target });
    expect(line.length).toBeLessThan(3_000);
  });
});

describe('modes', () => {
  const facts = (changes: Partial<AccessFacts>): AccessFacts => ({
    status: 200,
    isDenied: false,
    isCutOff: false,
    ...changes,
  });
  const wants = (text: string, changes: Partial<AccessFacts>, random = 0.5) => {
    const mode = parseAccessLogMode(text);
    return mode && wantsAccessLine(mode, facts(changes), random);
  };

  test.each([
    ['off', { status: 503 }, false],
    ['all', {}, true],
    ['denied', { status: 503 }, false],
    ['denied', { status: 403, isDenied: true }, true],
    ['errors', {}, false],
    ['errors', { status: 404 }, false],
    ['errors', { status: 500 }, true],
    ['errors', { status: 429 }, true],
    ['errors', { status: 403, isDenied: true }, true],
    ['errors', { isCutOff: true }, true],
  ] as const)('%s with %o: %s', (mode, changes, expected) => {
    expect(wants(mode, changes)).toBe(expected);
  });

  test('sample:1/4 takes the lowest quarter', () => {
    expect(wants('sample:1/4', {}, 0.249)).toBe(true);
    expect(wants('sample:1/4', {}, 0.25)).toBe(false);
  });

  const none = ['', 'ALL', 'sample:', 'sample:1/0', 'sample:2/3', 'sample:1/1e9'];
  test.each(none)('%j is none', (text) => {
    expect(parseAccessLogMode(text)).toBeUndefined();
  });
});

test('a full ring drops and counts, and starts afresh when it is emptied', () => {
  const ring = new AccessLogRing(2);
  expect(ring.take()).toBeUndefined();
  for (const line of ['a', 'b', 'c', 'd']) ring.push(line);
  expect(ring.take()).toEqual({ lines: ['a', 'b'], dropped: 2 });
  ring.push('e');
  expect(ring.take()).toEqual({ lines: ['e'], dropped: 0 });
});
