// `weft ca rotate` and `weft ca use`: another root for the mesh, its own or an operator's. Both lay
// down a wish that the controller carries out step by step; `weft identity` shows how far it is.
// Exit 0 asked for, 1 refused with the reasons, 2 could not run.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { askRotation } from '../../controller/index.ts';
import type { AskRotationOptions, RotationOutcome } from '../../controller/index.ts';
import { isTrustDomain } from '../../identity/index.ts';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';

export type CaWiring = ClusterWiring & { readonly writeOut: (text: string) => void };
type SetExitCode = (code: number) => void;

type UseOptions = ClusterOptions & {
  readonly cert: string;
  readonly key: string;
  readonly trustDomain: string;
};
type Proposal = NonNullable<AskRotationOptions['proposal']>;

const couldNotRun = 2;
/** A chain of five certificates has a tenth of this. */
const fileBytesMax = 262_144;

export function caCommand(wiring: CaWiring, setExitCode: SetExitCode): Command {
  return new Command('ca')
    .description('the authority that signs identities')
    .addCommand(rotateCommand(wiring, setExitCode))
    .addCommand(useCommand(wiring, setExitCode));
}

function rotateCommand(wiring: CaWiring, setExitCode: SetExitCode): Command {
  return addClusterOptions(new Command('rotate'), wiring.environment, 'values')
    .description(
      'replaces the root by a new one of the mesh: first every proxy trusts it, then it signs, ' +
        'then the old one goes; no connection is cut',
    )
    .action(async (options: ClusterOptions) => {
      const run = (connection: Connection) => ask({ connection, options, wiring });
      setExitCode(await withConnection('ca rotate', options, wiring, run));
    });
}

function useCommand(wiring: CaWiring, setExitCode: SetExitCode): Command {
  return addClusterOptions(new Command('use'), wiring.environment, 'values')
    .description(
      'signs with an authority of yours: at once before the first start of the mesh, by a ' +
        'rotation after it',
    )
    .requiredOption('--cert <file>', 'PEM: the signing certificate, its issuers, the root last')
    .requiredOption('--key <file>', 'PEM: its private key, on P-256, not encrypted')
    .requiredOption('--trust-domain <name>', 'of the identities; as --trust-domain of the mesh')
    .action(async (options: UseOptions) => {
      const proposal = readProposal(options);
      if (proposal.kind === 'complaint') {
        wiring.writeError(`weft ca use: ${proposal.complaint}\n`);
        return setExitCode(couldNotRun);
      }
      const run = (connection: Connection) => ask({ connection, options, wiring, proposal });
      setExitCode(await withConnection('ca use', options, wiring, run));
    });
}

function readProposal(
  options: UseOptions,
): ({ readonly kind: 'proposal' } & Proposal) | { readonly kind: 'complaint'; complaint: string } {
  const { cert, key, trustDomain } = options;
  if (!isTrustDomain(trustDomain)) {
    const how = 'write lower case, such as example.org';
    const complaint = `--trust-domain ${trustDomain} is none: ${how}`;
    return { kind: 'complaint', complaint };
  }
  const certificatePem = readText(cert);
  const keyPem = readText(key);
  if (certificatePem === undefined || keyPem === undefined) {
    const file = certificatePem === undefined ? cert : key;
    return { kind: 'complaint', complaint: `cannot read ${file}: is it there, and a PEM file?` };
  }
  return { kind: 'proposal', certificatePem, keyPem, trustDomain };
}

function readText(file: string): string | undefined {
  try {
    const bytes = readFileSync(file);
    return bytes.length > fileBytesMax ? undefined : bytes.toString('utf8');
  } catch {
    // Whatever is wrong with it, the line that names it says what to do.
    return undefined;
  }
}

type AskInput = {
  readonly connection: Connection;
  readonly options: ClusterOptions;
  readonly wiring: CaWiring;
  readonly proposal?: Proposal;
};

async function ask({ connection, options, wiring, proposal }: AskInput): Promise<number> {
  const { runtime } = wiring;
  const { meshNamespace } = options;
  const outcome = await askRotation({
    connection,
    runtime,
    meshNamespace,
    ...(proposal === undefined ? {} : { proposal }),
  });
  wiring.writeOut(printed(outcome, options.output));
  return outcome.kind === 'refused' ? 1 : 0;
}

function printed(outcome: RotationOutcome, output: ClusterOptions['output']): string {
  if (output === 'json') return `${JSON.stringify(outcome, null, 2)}\n`;
  if (output === 'yaml') return stringify(outcome);
  switch (outcome.kind) {
    case 'asked':
      return 'asked: the controller rotates the root; weft identity shows how far it is\n';
    case 'made':
      return 'made: the controller signs with it from its first start\n';
    case 'refused':
      return outcome.reasons.map((reason) => `refused: ${reason}\n`).join('');
  }
}
