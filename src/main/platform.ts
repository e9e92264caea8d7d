// The one implementation of what long-running commands are given: streams, signals and time
// (A12).
import type { EndSignal, LaunchPlatform } from '../lib/launch.ts';
import { realRuntime } from './runtime.ts';
import { buildVersion } from './version.ts';

export function launchPlatform(): LaunchPlatform {
  return {
    environment: process.env,
    runtime: realRuntime,
    version: buildVersion,
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
  const onSignal = (): void => {
    count += 1;
    // Whoever asks twice does not want to wait for the drain: 128 + SIGINT, as shells say.
    if (count > 1) process.exit(130);
    raise();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return { raised, raise };
}
