// The log as operators and log shippers get it: whole lines that parse, whatever
// is in the fields.
import { describe, expect, test } from 'vitest';
import { Failure } from '../lib/failure.ts';
import { createLog } from './pino-log.ts';
import type { LogOptions } from './pino-log.ts';

function fixture(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const log = createLog({ level: 'info', format: 'json', destination, ...options });
  const objects = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, objects };
}

describe('createLog', () => {
  test('a line is one JSON object: constant message, facts as fields', () => {
    const { log, lines, objects } = fixture({ fields: { component: 'proxy' } });
    log.with({ node: 'n1' }).warn('watch is stale', { kind: 'Pod', ageMs: 6000 });
    expect(objects()).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
        level: 'warn',
        component: 'proxy',
        node: 'n1',
        kind: 'Pod',
        ageMs: 6000,
        message: 'watch is stale',
      },
    ]);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
  });

  test('a field cannot displace what the line itself says', () => {
    const { log, lines, objects } = fixture();
    log.with({ time: 'noon' }).warn('problem', { message: 'add a weight', level: 'info' });
    expect(lines[0]?.match(/"(message|time|level)":/g)).toHaveLength(3);
    expect(objects()[0]).toMatchObject({ message: 'problem', message_: 'add a weight' });
  });

  test('lines below the level are not written', () => {
    const { log, lines } = fixture({ level: 'warn' });
    log.debug('a');
    log.info('b');
    log.error('c');
    expect(lines).toHaveLength(1);
  });

  test('a failure is told by its reason and message, a bug with its stack', () => {
    const { log, objects } = fixture();
    const failure = new Failure('list pods failed', {
      reason: 'Listed',
      origin: 'upstream',
      retry: 'never',
      cause: new Error('ECONNREFUSED'),
    });
    log.error('failed', { error: failure });
    log.error('bug', { error: new TypeError('x is undefined') });
    const [first, second] = objects();
    expect(first?.error).toEqual({
      reason: 'Listed',
      message: 'list pods failed',
      cause: 'ECONNREFUSED',
    });
    expect(second?.error).toMatchObject({ type: 'TypeError', message: 'x is undefined' });
    expect((second?.error as { stack: string }).stack).toContain('pino-log.test');
  });

  test.each(['json', 'pretty'] as const)('%s: hostile text stays one plain line', (format) => {
    const { log, lines } = fixture({ format });
    const name = 'a\r\n{"forged":1}\u001b[2J\u2028\u0085';
    log.info('object refused', { name, long: 'x'.repeat(9000) });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*\n$/);
    expect(lines[0]?.length).toBeLessThan(1_500);
  });

  test('pretty shows time, level, message and facts', () => {
    const { log, lines } = fixture({ format: 'pretty' });
    log.info('listening', { port: 15_020, address: '::' });
    const said = lines[0]?.replace(/^\d\d:\d\d:\d\d\.\d{3} /, '');
    expect(said).toBe('INFO  listening  port=15020  address=::\n');
  });
});
