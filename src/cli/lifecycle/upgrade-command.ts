// `weft upgrade`: shows what would change, asks, applies. It takes the flags of `weft install`:
// what was given there is given here. Exit 0 when the cluster is as wanted, 1 when it is not
// (`--dry-run` with changes, or the answer was no), 2 when it could not run.
import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';
import { addValueOptions, type ValueOptions } from '../install/install-command.ts';
import type { JsonMap } from '../install/json.ts';
import { objectOf } from '../install/manifest.ts';
import type { Ask } from './ask.ts';
import { isYes } from './ask.ts';
import { applyChanges, changesText, planUpgrade, type ObjectChange } from './upgrade.ts';

export type UpgradeWiring = ClusterWiring & {
  readonly version: string;
  readonly writeOut: (text: string) => void;
  readonly ask: Ask;
};

type UpgradeOptions = ClusterOptions &
  ValueOptions & { readonly yes?: true; readonly dryRun?: true };

export function upgradeCommand(
  wiring: UpgradeWiring,
  setExitCode: (code: number) => void,
): Command {
  const command = new Command('upgrade').description(
    'brings an installation to this version: shows what would change, asks, applies',
  );
  const readManifests = addValueOptions(command);
  addClusterOptions(command, wiring.environment, 'values')
    .option('--yes', 'does not ask')
    .option('--dry-run', 'only shows what would change');
  command.action(async (options: UpgradeOptions) => {
    const read = readManifests(options, options.meshNamespace, wiring.version);
    if (read.kind === 'complaint') {
      wiring.writeError(`weft upgrade: ${read.complaint} (weft upgrade --help)\n`);
      return setExitCode(2);
    }
    const wanted = read.manifests.map(objectOf);
    const run = (connection: Connection) => upgrade(connection, { wanted, options, wiring });
    setExitCode(await withConnection('upgrade', options, wiring, run));
  });
  return command;
}

type Upgrade = {
  readonly wanted: readonly JsonMap[];
  readonly options: UpgradeOptions;
  readonly wiring: UpgradeWiring;
};

async function upgrade(
  connection: Connection,
  { wanted, options, wiring }: Upgrade,
): Promise<number> {
  const changes = await planUpgrade(connection, wanted);
  wiring.writeOut(printed(changes, options.output));
  if (changes.length === 0) return 0;
  if (options.dryRun === true) return 1;
  if (options.yes !== true && !(await isYes('upgrade', 'Apply this? [y/N] ', wiring))) return 1;
  await applyChanges(connection, changes, (line) => wiring.writeError(`${line}\n`));
  const rollout = `kubectl -n ${options.meshNamespace} rollout status daemonset/weft-proxy`;
  wiring.writeError(`applied; ${rollout} waits for the proxies, weft check looks at them\n`);
  return 0;
}

function printed(changes: readonly ObjectChange[], output: ClusterOptions['output']): string {
  const items = changes.map(({ what, kind, changes: fields }) => ({ what, kind, changes: fields }));
  if (output === 'json') return `${JSON.stringify({ items }, null, 2)}\n`;
  if (output === 'yaml') return stringify({ items });
  return changesText(changes);
}
