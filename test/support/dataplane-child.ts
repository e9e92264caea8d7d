// A process that is a data plane and nothing else, so that its memory can be measured: started by
// dataplane-process.ts with the harness' options as JSON. It answers each line on stdin with one
// line of JSON; `mark` collects garbage and begins new peaks. It ends when stdin does.
import { createInterface } from 'node:readline';
import { startHarness } from './dataplane-harness.ts';
import type { HarnessOptions } from './dataplane-harness.ts';

// Written by dataplane-process.ts, which has the type.
const options = JSON.parse(process.argv[2] ?? '{}') as HarnessOptions;
const harness = await startHarness(options);
const { dataplane, port, bugs } = harness;
const peak = { rssBytes: 0, bufferedBytes: 0, connections: 0 };

function look(): void {
  const { bufferedBytes, connections } = dataplane.state();
  peak.rssBytes = Math.max(peak.rssBytes, process.memoryUsage.rss());
  peak.bufferedBytes = Math.max(peak.bufferedBytes, bufferedBytes);
  peak.connections = Math.max(peak.connections, connections);
}

function collect(): void {
  globalThis.gc?.();
  globalThis.gc?.();
}

function tell(): void {
  look();
  const { listeners: _, ...state } = dataplane.state();
  const { heapUsed, external } = process.memoryUsage();
  const now = { rssBytes: process.memoryUsage.rss(), heapBytes: heapUsed + external };
  process.stdout.write(`${JSON.stringify({ port, state, now, peak, bugs: bugs.length })}\n`);
}

// Looking costs what a hundred requests do: who measures CPU does without.
if (process.argv[3] !== 'unwatched') setInterval(look, 5).unref();
tell();
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'mark') {
    collect();
    peak.rssBytes = 0;
    peak.bufferedBytes = 0;
    peak.connections = 0;
  }
  tell();
}).on('close', () => {
  dataplane.close();
  process.exit(0);
});
