// `weft install`: prints the manifests of an installation, for `| kubectl apply -f -`. It talks to
// no cluster and writes no file; the same values give the same bytes.
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { installed } from './install-objects.ts';
import type { Json, JsonMap } from './json.ts';
import { objectOf, type Manifest } from './manifest.ts';
import { layerAt, readAssignment, readText, readValues } from './read-values.ts';
import { renderYaml } from './render-yaml.ts';

export type InstallWiring = {
  readonly version: string;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
};

export type ValueOptions = {
  readonly values?: string;
  readonly set?: readonly string[];
} & { readonly [flag: string]: unknown };

type InstallOptions = ValueOptions & {
  readonly namespace: string;
  readonly output: 'yaml' | 'json';
};

type Shortcut = {
  readonly option: Option;
  readonly path: readonly string[];
  /** From the text of the flag to the value. */
  readonly read: (given: readonly string[]) => Json;
};

const last = (given: readonly string[]): Json => given.at(-1) ?? '';
const yaml = (given: readonly string[]): Json => readText(given.at(-1) ?? '');

/** Flags for what is set most often; everything else is `--set`. */
function shortcuts(): readonly Shortcut[] {
  const at = (
    flags: string,
    doc: string,
    path: string,
    read: Shortcut['read'] = last,
  ): Shortcut => ({
    option: new Option(flags, `${doc} (value ${path})`),
    path: path.split('.'),
    read,
  });
  return [
    at('--image <name>', 'registry and name of the image', 'image.repository'),
    at('--tag <tag>', 'its tag; the version of this program by default', 'image.tag'),
    at('--pull-policy <policy>', 'Always, IfNotPresent or Never', 'image.pullPolicy'),
    at('--mesh-domain <domain>', 'suffix of mesh names; repeatable', 'mesh.domains', (all) => all),
    at('--cluster-domain <domain>', 'DNS domain of the cluster', 'mesh.clusterDomain'),
    at('--policy <policy>', 'off, audit or enforce', 'mesh.policy'),
    at('--mtls <mode>', 'off, permissive or strict', 'mesh.mtls'),
    at('--trust-domain <domain>', 'of the SPIFFE ids', 'mesh.trustDomain'),
    at('--adopt <which>', 'all or labelled', 'mesh.adopt'),
    at('--workers <count>', 'threads that carry traffic', 'proxy.workers', yaml),
    at('--max-surge <share>', 'nodes replaced at once: 10% or a count', 'proxy.maxSurge', yaml),
    at('--replicas <count>', 'of the controller', 'controller.replicas', yaml),
    at('--proxy-resources <yaml>', 'requests and limits', 'proxy.resources', yaml),
    at('--controller-resources <yaml>', 'requests and limits', 'controller.resources', yaml),
    at('--tolerations <yaml>', 'of the proxies; every taint by default', 'proxy.tolerations', yaml),
  ];
}

export function installCommand(
  wiring: InstallWiring,
  setExitCode: (code: number) => void,
): Command {
  const command = new Command('install').description(
    'prints the manifests of an installation: weft install | kubectl apply -f -',
  );
  command.option('-n, --namespace <name>', 'namespace of the mesh', 'weft-system');
  const readManifests = addValueOptions(command);
  const output = new Option('-o, --output <format>', 'how it is printed');
  command.addOption(output.choices(['yaml', 'json']).default('yaml'));
  command.action((options: InstallOptions) => {
    const read = readManifests(options, options.namespace, wiring.version);
    if (read.kind === 'complaint') {
      wiring.writeError(`weft install: ${read.complaint} (weft install --help)\n`);
      return setExitCode(2);
    }
    const { manifests } = read;
    wiring.writeOut(options.output === 'json' ? renderList(manifests) : renderYaml(manifests));
  });
  return command;
}

export type ReadManifests = (
  options: ValueOptions,
  namespace: string,
  version: string,
) =>
  | { readonly kind: 'complaint'; readonly complaint: string }
  | { readonly kind: 'read'; readonly manifests: readonly Manifest[] };

/** Adds the flags that say what is installed; the answer reads them. */
export function addValueOptions(command: Command): ReadManifests {
  const given = new Map<string, readonly string[]>();
  const rows = shortcuts();
  for (const { option } of rows) {
    command.addOption(option);
    command.on(`option:${option.name()}`, (value: string) => {
      given.set(option.name(), [...(given.get(option.name()) ?? []), value]);
    });
  }
  command.option('--no-crds', 'leave out the CustomResourceDefinitions of SMI');
  command.option(
    '--no-admission-policy',
    'leave out the ValidatingAdmissionPolicies weft-settings, weft-requests and weft-pods',
  );
  command.option('-f, --values <file>', 'file of values, as the chart takes it');
  const set = new Option('--set <path=value>', 'any value of the chart; repeatable');
  command.addOption(set.argParser((text, before: readonly string[] = []) => [...before, text]));
  return (options, namespace, version) =>
    readOptions({ options, flags: layersOf(options, rows, given), namespace, version });
}

/** In rising order: what is written later on this list wins. */
function layersOf(
  options: ValueOptions,
  rows: readonly Shortcut[],
  given: ReadonlyMap<string, readonly string[]>,
): readonly Json[] {
  const flags = rows.flatMap(({ option, path, read }) => {
    const texts = given.get(option.name());
    return texts === undefined ? [] : [layerAt(path, read(texts))];
  });
  if (options['crds'] === false) flags.push(layerAt(['crds', 'install'], false));
  if (options['admissionPolicy'] === false) {
    flags.push(layerAt(['admissionPolicy', 'enabled'], false));
  }
  return flags;
}

type GivenOptions = {
  readonly options: ValueOptions;
  readonly flags: readonly Json[];
  readonly namespace: string;
  readonly version: string;
};

function readOptions(input: GivenOptions): ReturnType<ReadManifests> {
  const { options, flags, namespace, version } = input;
  const layers: Json[] = [];
  const refuse = (complaint: string) => ({ kind: 'complaint', complaint }) as const;
  if (!/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)) {
    return refuse(`${namespace} is no name of a namespace`);
  }
  if (options.values !== undefined) {
    try {
      layers.push(readText(readFileSync(options.values, 'utf8')));
    } catch {
      return refuse(`${options.values} cannot be read`);
    }
  }
  for (const text of options.set ?? []) {
    const layer = readAssignment(text);
    if (layer === undefined) return refuse(`--set takes path=value, not ${text}`);
    layers.push(layer);
  }
  const reading = readValues([...layers, ...flags]);
  if (reading.kind === 'complaint') return refuse(reading.complaint);
  return { kind: 'read', manifests: installed(reading.values, namespace, version) };
}

/** kubectl reads a List as it reads a stream of documents; `items` as everywhere (contract §6). */
function renderList(manifests: readonly Manifest[]): string {
  const list: JsonMap = { apiVersion: 'v1', kind: 'List', items: manifests.map(objectOf) };
  return `${JSON.stringify(list, null, 2)}\n`;
}
