// The one implementation of what long-running commands are given: streams, signals and time
// (A12).
import { constants } from 'node:os';
import type { EndSignal, LaunchPlatform } from '../lib/launch.ts';
import { nodeKeys } from './node-keys.ts';
import { realRuntime } from './runtime.ts';
import { buildName, buildVersion } from './version.ts';

export function launchPlatform(): LaunchPlatform {
  // Whoever reads our output may leave first (`weft proxy | head`): that is no reason to die.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  return {
    environment: process.env,
    runtime: realRuntime,
    keys: nodeKeys,
    version: buildVersion,
    build: buildName(),
    nodeVersion: process.versions.node,
    writeOut: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    isErrorTerminal: process.stderr.isTTY,
    untilSignal,
  };
}

function untilSignal(): EndSignal {
  let raise = (): void => undefined;
  const raised = new Promise<void>((resolve) => {
    raise = resolve;
  });
  let count = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    count += 1;
    // Whoever asks twice does not want to wait for the drain: 128 + its number, as shells say.
    if (count > 1) process.exit(128 + constants.signals[name]);
    raise();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return { raised, raise };
}

/** A reader that is stuck shall not keep a process from ending. */
const unreadMaxMs = 5_000;

/**
 * Ends when all that was written has been taken: `process.exit` alone cuts what is in a full pipe
 * (`weft install | kubectl apply -f -` lost what came after 64 KiB).
 */
export function endProcess(exitCode: number): void {
  const end = (): never => process.exit(exitCode);
  setTimeout(end, unreadMaxMs);
  let open = 2;
  for (const stream of [process.stdout, process.stderr]) {
    stream.write('', () => {
      open -= 1;
      if (open === 0) end();
    });
  }
}
