// `weft uninstall`: shows its list, asks, removes. `--dry-run` only shows; `--yes` does not ask.
// Exit 0 when all is gone, 1 when something stays or the answer was no, 2 when it could not run.
import { Command } from 'commander';
import { stringify } from 'yaml';
import { findDnsTraces, unwireDns, type DnsTrace } from '../../controller/index.ts';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  settingsOf,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';
import { isYes, type Ask } from './ask.ts';
import { planUninstall, runUninstall, type UninstallPlan, type UnwiredPlace } from './uninstall.ts';

export type UninstallWiring = ClusterWiring & {
  readonly writeOut: (text: string) => void;
  readonly ask: Ask;
};

type UninstallOptions = ClusterOptions & {
  readonly yes?: true;
  readonly dryRun?: true;
  readonly crds?: true;
};

const question = 'Remove all of this? [y/N] ';

export function uninstallCommand(
  wiring: UninstallWiring,
  setExitCode: (code: number) => void,
): Command {
  return addClusterOptions(new Command('uninstall'), wiring.environment)
    .description('removes the mesh: lists what it found, asks, removes')
    .option('--yes', 'does not ask')
    .option('--dry-run', 'only lists')
    .option('--crds', 'removes our CRDs of SMI too, and with them the objects of all users')
    .action(async (options: UninstallOptions) => {
      const run = (connection: Connection) => uninstall(connection, options, wiring);
      setExitCode(await withConnection('uninstall', options, wiring, run));
    });
}

async function uninstall(
  connection: Connection,
  options: UninstallOptions,
  wiring: UninstallWiring,
): Promise<number> {
  const plan = await planUninstall(connection, options.meshNamespace, options.crds === true);
  const cleaning = { connection, settings: settingsOf(options) };
  const traces = await findDnsTraces(cleaning);
  const places = traces.map(placeOf);
  wiring.writeOut(listOf(plan, places, options.output));
  if (options.output === 'table') wiring.writeError(foreignText(plan));
  if (plan.removals.length + plan.requests.length + places.length === 0) return 0;
  if (plan.obstacle !== undefined) {
    wiring.writeError(`weft uninstall: nothing was removed: ${plan.obstacle}\n`);
    return 2;
  }
  if (options.dryRun === true) return 0;
  if (options.yes !== true && !(await isYes('uninstall', question, wiring))) return 1;
  const left = await runUninstall({
    connection,
    runtime: wiring.runtime,
    plan,
    unwireDns: async () => (await unwireDns(cleaning)).map(unwiredOf),
    onProgress: (line) => wiring.writeError(`${line}\n`),
  });
  if (left.length === 0) {
    wiring.writeError('all is gone; weft check --removed looks again\n');
    return 0;
  }
  wiring.writeError(`still there: ${left.join(', ')} (kubectl describe shows what holds it)\n`);
  return 1;
}

function unwiredOf({ namespace, configMap, key, leftBecause }: DnsTrace): UnwiredPlace {
  return { what: `our lines in ConfigMap ${namespace}/${configMap} ${key}`, leftBecause };
}

function placeOf(trace: DnsTrace): string {
  const { what, leftBecause } = unwiredOf(trace);
  return leftBecause === undefined ? what : `${what} (cannot be taken out: ${leftBecause})`;
}

/** Named, because `--crds` could be taken to mean them. */
function foreignText({ foreign }: UninstallPlan): string {
  const lines = foreign.map((what) => `leaves ${what}: weft did not install it\n`);
  return lines.join('');
}

function listOf(
  { removals, requests, foreign }: UninstallPlan,
  places: readonly string[],
  output: ClusterOptions['output'],
): string {
  const items = [...places, ...removals.map(({ what }) => what), ...requests];
  const record = { items, foreign };
  if (output === 'json') return `${JSON.stringify(record, null, 2)}\n`;
  if (output === 'yaml') return stringify(record);
  if (items.length === 0) return 'nothing of the mesh was found\n';
  return `${items.map((item) => `- ${item}`).join('\n')}\n`;
}
