// The command line: commands, flags and help come from the tables in `api`; it holds no rule of its
// own. Exit codes: 0 well, 1 found something, 2 could not run (contract §6). A user's mistake is
// one line on stderr that says what to do.
import { Command, CommanderError, Option } from 'commander';
import { stringify } from 'yaml';
import {
  describeFlag,
  flagTable,
  resolveFlags,
  type FlagProcess,
  type FlagSpec,
  type FlagValues,
} from '../api/index.ts';
import type { Runtime } from '../lib/clock.ts';
import { caCommand } from './ca/ca-command.ts';
import { checkCommand } from './check/check-command.ts';
import { identityCommand } from './identity/identity-command.ts';
import { installCommand } from './install/install-command.ts';
import type { Ask } from './lifecycle/ask.ts';
import { uninstallCommand } from './lifecycle/uninstall-command.ts';
import { upgradeCommand } from './lifecycle/upgrade-command.ts';
import { policyCommand } from './policy/policy-command.ts';

/** What the process around the command line gives it. */
export type CliWiring = {
  readonly version: string;
  /** Tells builds of one version apart. */
  readonly build: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly runtime: Runtime;
  readonly ask: Ask;
  /** Long-running commands; they resolve with the exit code when the process may end. */
  readonly run: { readonly [P in FlagProcess]: (values: FlagValues) => Promise<number> };
};

const summaries: { readonly [P in FlagProcess]: string } = {
  proxy: 'the per-node proxy (DaemonSet): routes, splits and authorises the traffic of its node',
  controller:
    'keeps mesh Services, wires DNS, tells users on their objects (Deployment, one of 2 writes)',
};
const couldNotRun = 2;

type SetExitCode = (code: number) => void;

/** Runs one command line; resolves with the exit code. Never throws for a user's mistake. */
export async function runCli(args: readonly string[], wiring: CliWiring): Promise<number> {
  let exitCode = 0;
  const program = new Command('weft').description(
    'A service mesh for Kubernetes with one proxy per node',
  );
  told(program, wiring, 'weft --help lists the commands');
  program.version(wiring.version, '-V, --version', 'the version of this program');
  const setExitCode: SetExitCode = (code) => {
    exitCode = code;
  };
  for (const name of ['proxy', 'controller'] as const) {
    program.addCommand(commandOf(name, wiring, setExitCode));
  }
  const makers = [
    installCommand,
    checkCommand,
    upgradeCommand,
    uninstallCommand,
    caCommand,
    identityCommand,
    policyCommand,
  ];
  for (const make of makers) {
    const command = make(wiring, setExitCode);
    const { commands } = command;
    const lists = commands.length > 0 ? 'commands' : 'flags';
    told(command, wiring, `weft ${command.name()} --help lists the ${lists}`);
    for (const child of commands) {
      const name = `${command.name()} ${child.name()}`;
      told(child, wiring, `weft ${name} --help lists the flags`, `weft ${name}`);
    }
    program.addCommand(command);
  }
  program.addCommand(versionCommand(wiring));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : couldNotRun;
    throw error;
  }
}

/** Commander's complaints take two lines and more; contract §1 wants one that says what to do. */
function told(
  command: Command,
  wiring: CliWiring,
  hint: string,
  path = command.name() === 'weft' ? 'weft' : `weft ${command.name()}`,
): void {
  command.exitOverride().configureOutput({
    writeOut: wiring.writeOut,
    writeErr: wiring.writeError,
    outputError: (text, write) => {
      const complaint = text
        .trim()
        .replace(/^error: /, '')
        .replace(/\s+/g, ' ');
      write(`${path}: ${complaint} (${hint})\n`);
    },
  });
}

function commandOf(owner: FlagProcess, wiring: CliWiring, setExitCode: SetExitCode): Command {
  const given = new Map<string, readonly string[]>();
  const command = new Command(owner).description(summaries[owner]);
  told(command, wiring, `weft ${owner} --help lists the flags`);
  for (const spec of flagTable) {
    if (!spec.processes.includes(owner)) continue;
    command.addOption(optionOf(spec));
    // Commander keeps the last value only; the event comes for each.
    command.on(`option:${spec.name}`, (value: string | null) => {
      given.set(spec.name, [...(given.get(spec.name) ?? []), value ?? 'true']);
    });
  }
  command.action(async () => {
    const values = resolveFlags(owner, given, wiring.environment);
    if ('complaint' in values) {
      wiring.writeError(`weft ${owner}: ${values.complaint} (weft ${owner} --help)\n`);
      return setExitCode(couldNotRun);
    }
    setExitCode(await wiring.run[owner](values));
  });
  return command;
}

function optionOf(spec: FlagSpec): Option {
  const initial = spec.initial === undefined ? '' : ` (default ${spec.initial})`;
  const { meaning, variables } = describeFlag(spec);
  const text = `${meaning}${initial} [env ${variables.join(', ')}]`;
  return new Option(`--${spec.name}${argumentOf(spec)}`, text);
}

function argumentOf(spec: FlagSpec): string {
  switch (spec.kind) {
    case 'switch':
      return '';
    case 'choice':
      return ` <${(spec.choices ?? []).join('|')}>`;
    case 'texts':
      return ' <text>';
    case 'text':
    case 'count':
    case 'port':
    case 'duration':
    case 'size':
      return ` <${spec.kind}>`;
  }
}

const formats = ['table', 'json', 'yaml'] as const;

function versionCommand(wiring: CliWiring): Command {
  const command = new Command('version').description('the version of this program');
  told(command, wiring, 'weft version --help lists the flags');
  const output = new Option('-o, --output <format>', 'how it is printed');
  command.addOption(output.choices(formats).default('table'));
  command.action((options: { readonly output: (typeof formats)[number] }) => {
    const facts = { version: wiring.version, build: wiring.build };
    switch (options.output) {
      case 'table':
        return wiring.writeOut(`${facts.build}\n`);
      case 'json':
        return wiring.writeOut(`${JSON.stringify(facts)}\n`);
      case 'yaml':
        return wiring.writeOut(stringify(facts));
    }
  });
  return command;
}
