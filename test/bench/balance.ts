// The tables of docs/performance.md that compare balancing with random choice and strict turns, and
// tell what retries of two services in a row add up to: simulations, hence the same figures on
// every machine.
import { choosers, compareChoosers } from '../sim/balance-sim.ts';
import type { Trouble } from '../sim/balance-sim.ts';
import { simulateTiers } from '../sim/retry-tiers-sim.ts';

const troubles: readonly Trouble[] = [
  'none',
  'slow',
  'flapping',
  'refusing',
  'swallowing',
  'tails',
];

/** Lines of the tables: p50 and p99 in ms, failed requests; attempts per request. */
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
  return Promise.resolve([...lines, '', ...tierLines()]);
}

function tierLines(): readonly string[] {
  const rates = [1, 10, 50, 100, 200, 300, 500, 1_000, 3_000];
  const rows = rates.map((requestsPerSecond) => {
    const outage = { requestsPerSecond, retries: 2, downSeconds: 60, seed: 7 };
    const { amplification, atFirst, later } = simulateTiers(outage);
    const cells = [amplification, atFirst, later].map((one) => one.toFixed(2));
    return `| ${requestsPerSecond} | ${cells.join(' | ')} |`;
  });
  return [
    '| requests/s | attempts per request | first 10 s | then |',
    '|---|---|---|---|',
    ...rows,
  ];
}
