// `weft controller` from flags to exit code: settings, log, connection, then the controller until
// a signal. 0 after it gave up leadership, 2 when it could not run, with one line that says what
// to do.
import { readFlags, type FlagValues } from '../api/index.ts';
import { findSource, openConnection } from '../kube/index.ts';
import { Failure } from '../lib/failure.ts';
import type { LaunchPlatform } from '../lib/launch.ts';
import { launchLog } from '../telemetry/control.ts';
import { controllerSettingsOf } from './settings.ts';
import { startController, type Controller } from './start-controller.ts';

/** Runs until a signal; resolves with the exit code. */
export async function launchController(
  values: FlagValues,
  platform: LaunchPlatform,
): Promise<number> {
  const flags = readFlags(values);
  const settings = controllerSettingsOf(values);
  const wish = { level: flags.text('log-level'), format: flags.text('log-format') };
  const log = launchLog(wish, platform).with({ component: 'controller' });
  const signal = platform.untilSignal();
  let controller: Controller;
  try {
    const named = { kubeconfig: flags.text('kubeconfig'), context: flags.text('context') };
    const source = findSource(named, platform.environment);
    const connection = await openConnection(source, platform.runtime);
    controller = await startController({
      ...platform,
      version: platform.build,
      connection,
      settings,
      log,
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // One line, whatever the message quotes.
    platform.writeError(`weft controller: ${error.message.replace(/\s+/g, ' ')}\n`);
    return 2;
  }
  log.info('controller started', { version: platform.build, adminPort: controller.adminPort });
  await signal.raised;
  await controller.stop();
  log.info('controller ended');
  return 0;
}
