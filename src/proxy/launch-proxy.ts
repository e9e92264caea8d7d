// `weft proxy` from flags to exit code: settings, log, connection, then the proxy until it is asked
// to drain. 0 after a drain, 2 when it could not run, with one line that says what to do.
import { flagsNotBuilt, readFlags, type FlagReader, type FlagValues } from '../api/index.ts';
import { findSource, openConnection, type Connection } from '../kube/index.ts';
import { Failure } from '../lib/failure.ts';
import type { LocalFiles } from '../lib/files.ts';
import type { LaunchPlatform } from '../lib/launch.ts';
import type { Network } from '../lib/network.ts';
import { launchLog } from '../telemetry/control.ts';
import type { Log } from '../telemetry/index.ts';
import type { OpenDatagrams } from './dns-server.ts';
import { proxySettingsOf, type MachineFacts, type ProxySettings } from './settings.ts';
import { startProxy, type Proxy } from './start-proxy.ts';
import type { SpawnWorker } from './worker-fleet.ts';

export type ProxyPlatform = LaunchPlatform & {
  readonly machine: MachineFacts;
  readonly files: LocalFiles;
  readonly network: Network;
  readonly openDatagrams: OpenDatagrams;
  readonly spawnWorker: SpawnWorker;
};

/** Runs until a signal; resolves with the exit code. */
export async function launchProxy(values: FlagValues, platform: ProxyPlatform): Promise<number> {
  const flags = readFlags(values);
  const settings = proxySettingsOf(values, platform.machine);
  if ('complaint' in settings) return refuse(platform, settings.complaint);
  const wish = { level: flags.text('log-level'), format: flags.text('log-format') };
  const log = launchLog(wish, platform).with({ component: 'proxy', node: settings.nodeName });
  warnOfSettings(settings, platform.machine, log);
  const idle = flagsNotBuilt(values);
  if (idle.length > 0) log.warn('flags that are not built yet: without effect', { flags: idle });
  const signal = platform.untilSignal();
  let proxy: Proxy;
  try {
    const connection = await connect(flags, platform);
    proxy = await startProxy({
      ...platform,
      version: platform.build,
      settings,
      connection,
      log,
      writeAccessLog: platform.writeOut,
      onDrainAsked: signal.raise,
    });
  } catch (error) {
    if (error instanceof Failure) return refuse(platform, error.message);
    throw error;
  }
  log.info('proxy started', { version: platform.build, adminPort: proxy.adminPort });
  if (settings.identity === undefined && flags.text('mtls') !== 'off') {
    const hint = 'give --pod-uid, or set POD_UID (from metadata.uid)';
    log.warn('no certificates, so no tunnels to other nodes: only a pod gets any', { hint });
  }
  await signal.raised;
  await proxy.drain();
  await proxy.close();
  log.info('proxy ended');
  return 0;
}

function connect(flags: FlagReader, platform: ProxyPlatform): Promise<Connection> {
  const named = { kubeconfig: flags.text('kubeconfig'), context: flags.text('context') };
  return openConnection(findSource(named, platform.environment), platform.runtime);
}

function warnOfSettings(settings: ProxySettings, machine: MachineFacts, log: Log): void {
  if (settings.workersRefused !== undefined) {
    log.warn('fewer workers than asked for', {
      asked: settings.workersRefused,
      workers: settings.workers,
      why: machine.hasReusePort
        ? 'more cannot share their counters'
        : 'this Node cannot share a port among workers (22.12 on Linux can)',
    });
  }
}

/** One line, whatever the message quotes (a parser of YAML draws pictures). */
function refuse(platform: LaunchPlatform, complaint: string): number {
  platform.writeError(`weft proxy: ${complaint.replace(/\s+/g, ' ')}\n`);
  return 2;
}
