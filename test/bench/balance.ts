// The table of docs/performance.md that compares balancing with random choice and strict turns: a
// simulation, hence the same figures on every machine.
import { choosers, compareChoosers } from '../sim/balance-sim.ts';
import type { Trouble } from '../sim/balance-sim.ts';

const troubles: readonly Trouble[] = [
  'none',
  'slow',
  'flapping',
  'refusing',
  'swallowing',
  'tails',
];

/** Lines of the table: p50 and p99 in ms, failed requests. */
export function benchBalance(): Promise<readonly string[]> {
  const lines = [`| endpoints | trouble | ${choosers.join(' | ')} |`, '|---|---|---|---|---|'];
  for (const endpoints of [3, 10, 300]) {
    for (const trouble of troubles) {
      const all = compareChoosers(trouble, endpoints);
      const cells = choosers.map((chooser) => {
        const { p50Ms, p99Ms, errorPercent } = all[chooser];
        return `${p50Ms.toFixed(0)} / ${p99Ms.toFixed(0)} / ${errorPercent.toFixed(2)} %`;
      });
      lines.push(`| ${endpoints} | ${trouble} | ${cells.join(' | ')} |`);
    }
  }
  return Promise.resolve(lines);
}
