// Problems in the log: each once when it comes and once when it goes, and never
// a flood.
import { describe, expect, test } from 'vitest';
import type { Problem } from '../api/index.ts';
import { createLog } from '../telemetry/control.ts';
import { silentLog } from '../telemetry/index.ts';
import { ProblemLog } from './problem-log.ts';

const problem = (name: string, message = 'fix it'): Problem => ({
  reason: 'BackendMissing',
  kind: 'TrafficSplit',
  namespace: 'shop',
  name,
  message,
});

function fixture() {
  const lines: string[] = [];
  const tell = (message: string, fields?: Readonly<Record<string, unknown>>) =>
    void lines.push(`${message}: ${String(fields?.['name'] ?? fields?.['unsaid'])}`);
  const log = new ProblemLog({ ...silentLog, warn: tell, info: tell });
  const note = (...problems: Problem[]) => {
    log.note(problems);
    return lines.splice(0);
  };
  return { note };
}

describe('ProblemLog', () => {
  test('a problem is told when it appears and when it is gone, and not in between', () => {
    const { note } = fixture();
    expect(note(problem('a'))).toEqual(['problem: a']);
    expect(note(problem('a'), problem('b'))).toEqual(['problem: b']);
    expect(note(problem('b'), problem('a'))).toEqual([]);
    expect(note(problem('b'))).toEqual(['problem is gone: a']);
    expect(note(problem('a'), problem('b'))).toEqual(['problem: a']);
  });

  test('the line says what is wrong, beside its own message', () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const log = createLog({ level: 'info', format: 'json', destination });
    new ProblemLog(log).note([problem('a', 'give one backend a weight')]);
    expect(lines[0]?.match(/"message":/g)).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      message: 'problem',
      problem: 'give one backend a weight',
      name: 'a',
    });
  });

  test('a cluster that is wrong everywhere does not flood the log', () => {
    const { note } = fixture();
    const many = Array.from({ length: 500 }, (_, index) => problem(`p${index}`));
    const lines = note(...many);
    expect(lines).toHaveLength(51);
    expect(lines.at(-1)).toBe('more problems changed; see /debug/problems: 450');
  });
});
