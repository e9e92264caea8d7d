// `weft policy networkpolicies -n NS`: the NetworkPolicies that turn *advisory* into *enforced*,
// for `| kubectl apply -f -`, and what those that are there mean to the mesh. Reads only. Exit 0
// printed, 1 printed and one that is there keeps the mesh out or leaves a way past it, 2 could not
// run.
import { Command } from 'commander';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';
import { planPolicies } from './network-policies.ts';
import { isFinding, planJson, planTable, planYaml } from './policy-text.ts';
import { readPolicyView } from './read-policy-view.ts';

export type PolicyWiring = ClusterWiring & { readonly writeOut: (text: string) => void };

type PolicyOptions = ClusterOptions & { readonly namespace: string };

const couldNotRun = 2;

export function policyCommand(wiring: PolicyWiring, setExitCode: (code: number) => void): Command {
  const command = new Command('networkpolicies')
    .description(
      'the NetworkPolicies that keep calls from going past the mesh: weft policy ' +
        'networkpolicies -n shop | kubectl apply -f -',
    )
    .requiredOption('-n, --namespace <name>', 'namespace whose policy is to bind everybody');
  addClusterOptions(command, wiring.environment, { domains: 'values', output: 'yaml' }).action(
    async (options: PolicyOptions) => {
      const run = (connection: Connection) => print(connection, options, wiring);
      setExitCode(await withConnection('policy networkpolicies', options, wiring, run));
    },
  );
  return new Command('policy')
    .description('who may call whom, where the mesh alone cannot say so')
    .addCommand(command);
}

async function print(
  connection: Connection,
  { meshNamespace, namespace, output }: PolicyOptions,
  wiring: PolicyWiring,
): Promise<number> {
  const view = await readPolicyView(connection, meshNamespace);
  if (!view.namespaces.has(namespace)) {
    wiring.writeError(`weft policy networkpolicies: there is no namespace ${namespace}\n`);
    return couldNotRun;
  }
  const plan = planPolicies(view, namespace);
  const render = { table: planTable, json: planJson, yaml: planYaml }[output];
  wiring.writeOut(render(plan));
  return isFinding(plan) ? 1 : 0;
}
