// The command line: commands, flags and help come from the tables in `api`; it holds no rule of its
// own. Exit codes: 0 well, 1 found something, 2 could not run (contract §6).
import { Command, CommanderError, Option } from 'commander';
import { flagTable, resolveFlags, type FlagProcess, type FlagValues } from '../api/index.ts';
import { environmentName } from '../api/index.ts';

/** What the process around the command line gives it. */
export type CliWiring = {
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Long-running commands; they resolve with the exit code when the process may end. */
  readonly run: { readonly [P in FlagProcess]: (values: FlagValues) => Promise<number> };
};

const summaries: { readonly [P in FlagProcess]: string } = {
  proxy: 'the per-node proxy (DaemonSet): routes, splits and authorises the traffic of its node',
  controller: 'keeps the mesh Services (Deployment, 2 replicas, leader-elected writes)',
};

/** Runs one command line; resolves with the exit code. Never throws for a user's mistake. */
export async function runCli(args: readonly string[], wiring: CliWiring): Promise<number> {
  let exitCode = 0;
  const program = new Command('weft')
    .description('A service mesh for Kubernetes with one proxy per node')
    .configureOutput({ writeOut: wiring.writeOut, writeErr: wiring.writeError })
    .showHelpAfterError('(weft --help lists the commands)')
    .exitOverride();
  for (const name of ['proxy', 'controller'] as const) {
    const command = commandOf(name, wiring, (code) => {
      exitCode = code;
    });
    program.addCommand(command);
  }
  program.addCommand(versionCommand(wiring));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

function commandOf(
  owner: FlagProcess,
  wiring: CliWiring,
  setExitCode: (code: number) => void,
): Command {
  const given = new Map<string, readonly string[]>();
  const command = new Command(owner).description(summaries[owner]).exitOverride();
  command.configureOutput({ writeOut: wiring.writeOut, writeErr: wiring.writeError });
  command.showHelpAfterError(`(weft ${owner} --help lists the flags)`);
  for (const option of optionsOf(owner)) {
    command.addOption(option);
    command.on(`option:${option.long?.slice(2) ?? ''}`, (value: string | null) => {
      const name = option.long?.slice(2) ?? '';
      given.set(name, [...(given.get(name) ?? []), value ?? 'true']);
    });
  }
  command.action(async () => {
    const values = resolveFlags(owner, given, wiring.environment);
    if ('complaint' in values) {
      wiring.writeError(`weft ${owner}: ${values.complaint} (weft ${owner} --help)\n`);
      return setExitCode(2);
    }
    setExitCode(await wiring.run[owner](values));
  });
  return command;
}

function optionsOf(owner: FlagProcess): Option[] {
  return flagTable
    .filter((spec) => spec.processes.includes(owner))
    .map((spec) => {
      const initial = spec.initial === undefined ? '' : ` (default ${spec.initial})`;
      const argument =
        spec.kind === 'switch' ? '' : ` <${spec.kind === 'texts' ? 'text' : spec.kind}>`;
      return new Option(
        `--${spec.name}${argument}`,
        `${spec.doc}${initial} [env ${environmentName(spec.name)}]`,
      );
    });
}

function versionCommand(wiring: CliWiring): Command {
  return new Command('version')
    .description('the version of this program')
    .option('-o, --output <format>', 'table or json', 'table')
    .action((options: { output: string }) => {
      const text =
        options.output === 'json' ? JSON.stringify({ version: wiring.version }) : wiring.version;
      wiring.writeOut(`${text}\n`);
    });
}
