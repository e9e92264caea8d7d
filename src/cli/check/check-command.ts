// `weft check`, `weft check --pre`, `weft check --removed`: reads the cluster, lets the pure files
// conclude, prints. Exit 0 all well, 1 something failed, 2 could not ask (contract §6).
import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Connection } from '../../kube/index.ts';
import {
  addClusterOptions,
  settingsOf,
  withConnection,
  type ClusterOptions,
  type ClusterWiring,
} from '../cluster-options.ts';
import { installed } from '../install/install-objects.ts';
import { objectOf } from '../install/manifest.ts';
import { initialValues } from '../install/read-values.ts';
import { exitCodeOf, findingsTable, type Finding } from './finding.ts';
import { applyRights, grantAnything, grantedRights, podNeeds } from './install-needs.ts';
import { meshFindings, proxyNodes } from './mesh-facts.ts';
import { preFindings } from './pre-facts.ts';
import { probeFindings } from './probe-facts.ts';
import { runProbe } from './probe.ts';
import { readPreFacts } from './read-cluster.ts';
import { readDns } from './read-dns.ts';
import { readEnforcement } from './read-enforcement.ts';
import { readLimits } from './read-limits.ts';
import { readMeshFacts } from './read-mesh.ts';
import { readPorts } from './read-ports.ts';
import { readRemains, remainsFindings } from './remains.ts';

export type CheckWiring = ClusterWiring & {
  readonly version: string;
  readonly build: string;
  readonly writeOut: (text: string) => void;
};

type CheckOptions = ClusterOptions & {
  readonly pre?: true;
  readonly removed?: true;
  readonly probe: boolean;
  readonly image?: string;
};

const adminPort = 15020;

export function checkCommand(wiring: CheckWiring, setExitCode: (code: number) => void): Command {
  return addClusterOptions(new Command('check'), wiring.environment)
    .description('looks whether the mesh is well on each node, or could be installed')
    .option('--pre', 'before the installation: does the cluster have what weft needs?')
    .option('--removed', 'after weft uninstall: is anything left?')
    .option('--no-probe', 'start no pods; then nothing is measured from where workloads are')
    .option(
      '--image <name>',
      'image of the probe (default: that of the proxies; before, weft:VERSION)',
    )
    .action(async (options: CheckOptions) => {
      const run = (connection: Connection) => check(connection, options, wiring);
      setExitCode(await withConnection('check', options, wiring, run));
    });
}

async function check(
  connection: Connection,
  options: CheckOptions,
  wiring: CheckWiring,
): Promise<number> {
  const findings =
    options.removed === true
      ? remainsFindings(await readRemains(connection, options.meshNamespace))
      : options.pre === true
        ? await checkCluster(connection, options, wiring)
        : await checkMesh(connection, options, wiring);
  wiring.writeOut(printed(findings, options.output));
  return exitCodeOf(findings);
}

async function checkCluster(
  connection: Connection,
  options: CheckOptions,
  wiring: CheckWiring,
): Promise<readonly Finding[]> {
  const settings = settingsOf(options);
  const { meshDomains } = settings;
  const dns = await readDns(connection, settings);
  const objects = installed(initialValues(), options.meshNamespace, wiring.version).map(objectOf);
  const facts = await readPreFacts(connection, {
    meshNamespace: options.meshNamespace,
    meshDomains,
    rights: applyRights(objects),
    granted: grantedRights(objects),
    grantAnything,
    dns: dns.facts,
  });
  const nodes = facts.nodes.flatMap((node) =>
    node.isReady && node.proxyObstacle === undefined ? [node.name] : [],
  );
  const nothing = { meshDomain: undefined, image: undefined };
  const probed = await probe({ connection, options, wiring, nodes, ...nothing });
  const limits = {
    meshNamespace: options.meshNamespace,
    pods: podNeeds(objects, proxyNodes(facts.nodes).length),
    ...(await readLimits(connection, options.meshNamespace)),
  };
  const ports = await readPorts(connection, settings);
  return [...preFindings({ ...facts, limits }), ...ports, ...probed];
}

async function checkMesh(
  connection: Connection,
  options: CheckOptions,
  wiring: CheckWiring,
): Promise<readonly Finding[]> {
  const settings = settingsOf(options);
  const { meshDomains } = settings;
  const dns = await readDns(connection, settings);
  const facts = await readMeshFacts(connection, {
    meshNamespace: options.meshNamespace,
    build: wiring.build,
    adminPort,
    dns: dns.findings,
    clock: wiring.runtime.clock,
  });
  if (!facts.isInstalled) return meshFindings(facts);
  const enforcement = await readEnforcement(connection, options.meshNamespace);
  const findings = [...meshFindings(facts), ...enforcement];
  const { image } = facts;
  const nodes = proxyNodes(facts.nodes);
  const [meshDomain] = meshDomains;
  const probed = await probe({ connection, options, wiring, nodes, meshDomain, image });
  return [...findings, ...probed];
}

type ProbeInput = {
  readonly connection: Connection;
  readonly options: CheckOptions;
  readonly wiring: CheckWiring;
  readonly nodes: readonly string[];
  readonly meshDomain: string | undefined;
  /** Of an installed mesh. */
  readonly image: string | undefined;
};

async function probe(input: ProbeInput): Promise<readonly Finding[]> {
  const { connection, options, wiring, nodes, meshDomain, image } = input;
  if (!options.probe || nodes.length === 0) return [];
  const facts = await runProbe({
    connection,
    runtime: wiring.runtime,
    image: options.image ?? image ?? `weft:${wiring.version}`,
    nodes,
    meshDomain,
    onProgress: (line) => wiring.writeError(`${line}\n`),
  });
  return probeFindings(facts);
}

function printed(findings: readonly Finding[], output: ClusterOptions['output']): string {
  switch (output) {
    case 'table':
      return findingsTable(findings);
    case 'json':
      return `${JSON.stringify({ items: findings }, null, 2)}\n`;
    case 'yaml':
      return stringify({ items: findings });
  }
}
