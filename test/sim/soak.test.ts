// The soak, short: a few thousand exchanges in a process of their own end with nothing left; and
// with a leak planted the same run fails and names it, so that a clean run means something. The
// long version is `npm run soak`.
import { describe, expect, test } from 'vitest';
import { runScript } from '../support/script-child.ts';

const limitMs = 120_000;

function soak(...args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return runScript({ file: 'scripts/soak.ts', args, limitMs });
}

describe('soak', { timeout: limitMs + 10_000 }, () => {
  test.each([
    ['direct', []],
    ['plain', ['--plain']],
  ])('5 000 mixed exchanges leave nothing behind on %s sockets', async (kind, flags) => {
    const { code, output } = await soak('--exchanges', '5000', '--seed', '7', ...flags);
    expect(output).toContain(`sockets: ${kind}`);
    expect(output).toContain('soak: nothing leaked');
    expect(code, output).toBe(0);
  });

  test.each([
    ['leak', 'a socket that is not destroyed', /FAULT open sockets: \d+, not 0/],
    ['timer', 'a timer that is not cancelled', /FAULT Timeout: \d+ more than before/],
    ['listener', 'a listener that is not removed', /FAULT .*listeners for one event .*: \d+/],
  ])('planted %s is found: %s', async (plant, _, fault) => {
    const { code, output } = await soak('--exchanges', '1000', '--plant', plant);
    expect(output).toMatch(fault);
    expect(code, output).toBe(1);
  });
});
