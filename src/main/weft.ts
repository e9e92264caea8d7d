// Entry of dist/weft.js: parses the command line and wires what it runs to the real clock, network,
// threads and streams. The only place besides worker.ts where these are made (A12).
import { runCli } from '../cli/index.ts';
import { launchController } from '../controller/index.ts';
import { launchProxy, nodeNetwork } from '../proxy/index.ts';
import { askPerson } from './ask-person.ts';
import { limitHeapGrowth } from './heap-growth.ts';
import { machineFacts } from './machine.ts';
import { openDatagrams } from './node-datagrams.ts';
import { nodeFiles } from './node-files.ts';
import { endProcess, launchPlatform } from './platform.ts';
import { spawnWorker } from './spawn-worker.ts';

limitHeapGrowth();
const platform = launchPlatform();

// Timers of ours hold no process: a command that waits for nothing else must not end half-way.
setInterval(() => undefined, 2 ** 30);

const exitCode = await runCli(process.argv.slice(2), {
  ...platform,
  ask: askPerson,
  run: {
    proxy: (values) =>
      launchProxy(values, {
        ...platform,
        machine: machineFacts(),
        files: nodeFiles,
        network: nodeNetwork(),
        openDatagrams,
        spawnWorker,
      }),
    controller: (values) => launchController(values, platform),
  },
});
endProcess(exitCode);
