// The flags by which a command finds the cluster and the mesh in it, and the connection that they
// mean. As kubectl does: the flag, then KUBECONFIG, then ~/.kube/config, then the pod's own
// account.
import { Option, type Command } from 'commander';
import { meshSettingsOf, resolveFlags, type MeshSettings } from '../api/index.ts';
import { findSource, openConnection, type Connection } from '../kube/index.ts';
import { Failure } from '../lib/failure.ts';
import type { Runtime } from '../lib/clock.ts';

export type ClusterOptions = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly meshNamespace: string;
  readonly meshDomain?: readonly string[];
  readonly clusterDomain: string;
  readonly output: Output;
};

export type Output = (typeof outputs)[number];
const outputs = ['table', 'json', 'yaml'] as const;

export type ClusterWiring = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly runtime: Runtime;
  readonly writeError: (text: string) => void;
};

type Environment = ClusterWiring['environment'];

/** `values`: the domains are among the values of the installation already. */
export type Domains = 'flags' | 'values';

export type OptionDefaults = { readonly domains: Domains; readonly output: Output };

export function addClusterOptions(
  command: Command,
  environment: Environment,
  chosen: Domains | OptionDefaults = 'flags',
): Command {
  const { domains, output } =
    typeof chosen === 'string' ? { domains: chosen, output: 'table' as const } : chosen;
  const twin = (name: string, otherwise: string): string => {
    const value = environment[`WEFT_${name}`];
    return value === undefined || value === '' ? otherwise : value;
  };
  const list = (value: string, before: readonly string[] | undefined): readonly string[] => [
    ...(before ?? []),
    value,
  ];
  command
    .option('--kubeconfig <file>', 'the cluster (default KUBECONFIG, then ~/.kube/config)')
    .option('--context <name>', 'the context of that file (default its current one)')
    .option(
      '--mesh-namespace <name>',
      'where the mesh is installed',
      twin('MESH_NAMESPACE', 'weft-system'),
    )
    .addOption(
      new Option('-o, --output <format>', 'how it is printed').choices(outputs).default(output),
    );
  if (domains === 'values') return command;
  const clusterDomain = twin('CLUSTER_DOMAIN', 'cluster.local');
  return command
    .addOption(
      new Option('--mesh-domain <name>', 'a mesh domain, repeatable (default mesh)').argParser(
        list,
      ),
    )
    .option('--cluster-domain <name>', 'domain of the cluster', clusterDomain);
}

/** What the options say of the mesh, read as the controller reads its flags. */
export function settingsOf(options: ClusterOptions): MeshSettings {
  const given = new Map([
    ['mesh-namespace', [options.meshNamespace]],
    ['cluster-domain', [options.clusterDomain]],
    ...(options.meshDomain === undefined ? [] : [['mesh-domain', options.meshDomain] as const]),
  ]);
  const values = resolveFlags('controller', given, {});
  if ('complaint' in values) throw new BadOption(values.complaint);
  return meshSettingsOf(values);
}

/** A value that no flag of this name takes. */
class BadOption extends Failure<'BadOption'> {
  constructor(complaint: string) {
    super(complaint, { reason: 'BadOption', origin: 'downstream', retry: 'never' });
  }
}

/** Runs `work` with a connection; 2 and one line on stderr when the cluster cannot be asked. */
export async function withConnection(
  command: string,
  options: ClusterOptions,
  wiring: ClusterWiring,
  work: (connection: Connection) => Promise<number>,
): Promise<number> {
  let connection: Connection | undefined;
  try {
    const named = { kubeconfig: fileOf(options, wiring.environment), context: options.context };
    connection = await openConnection(findSource(named, wiring.environment), wiring.runtime);
    return await work(connection);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    wiring.writeError(`weft ${command}: ${error.message.replace(/\s+/g, ' ')}\n`);
    return 2;
  } finally {
    await connection?.close();
  }
}

function fileOf(options: ClusterOptions, environment: Environment): string | undefined {
  if (options.kubeconfig !== undefined) return options.kubeconfig;
  // kubectl takes several files here; the first is the one that it writes to.
  const named = environment['KUBECONFIG']?.split(':').find((file) => file !== '');
  if (named !== undefined) return named;
  const isPod = (environment['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  const home = environment['HOME'];
  return isPod || home === undefined ? undefined : `${home}/.kube/config`;
}
