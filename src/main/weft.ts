// Entry of dist/weft.js: parses the command line and wires what it runs to the real clock, network,
// threads and streams. The only place besides worker.ts where these are made (A12).
import { runCli } from '../cli/index.ts';
import { runController } from './run-controller.ts';
import { runProxy } from './run-proxy.ts';
import { buildVersion } from './version.ts';

const exitCode = await runCli(process.argv.slice(2), {
  version: buildVersion,
  environment: process.env,
  writeOut: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
  run: { proxy: runProxy, controller: runController },
});
process.exit(exitCode);
