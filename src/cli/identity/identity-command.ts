// `weft identity`: the roots, the phase of a rotation, and the certificates of each node. Exit 0
// all well, 1 something has expired or does not answer, 2 could not ask.
import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';
import { identityRecord, identityTable, isIdentityWell } from './identity-facts.ts';
import type { IdentityFacts } from './identity-facts.ts';
import { readIdentity } from './read-identity.ts';

export type IdentityWiring = ClusterWiring & { readonly writeOut: (text: string) => void };

export function identityCommand(
  wiring: IdentityWiring,
  setExitCode: (code: number) => void,
): Command {
  return addClusterOptions(new Command('identity'), wiring.environment, 'values')
    .description('roots, rotation and certificates, node by node')
    .action(async (options: ClusterOptions) => {
      const run = async (connection: Connection): Promise<number> => {
        const facts = await readIdentity(connection, options.meshNamespace);
        const nowMs = wiring.runtime.clock.wallMs();
        wiring.writeOut(printed(facts, nowMs, options.output));
        return isIdentityWell(facts, nowMs) ? 0 : 1;
      };
      setExitCode(await withConnection('identity', options, wiring, run));
    });
}

function printed(facts: IdentityFacts, nowMs: number, output: ClusterOptions['output']): string {
  switch (output) {
    case 'table':
      return identityTable(facts, nowMs);
    case 'json':
      return `${JSON.stringify(identityRecord(facts), null, 2)}\n`;
    case 'yaml':
      return stringify(identityRecord(facts));
  }
}
