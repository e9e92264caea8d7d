// What an image of ours stands on: either this machine's Node with the shared libraries that the
// loader says it needs – no shell, no package tools –, or a given OCI archive (a distroless Node,
// say), whose layers are taken as they are. Everything the run time reads besides is made here:
// two accounts, where names are looked up, and an empty /tmp.
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import type { Layer, RunSettings } from './oci.ts';
import { blobOf, layerOf } from './oci.ts';
import type { Bytes, TarEntry } from './tar.ts';
import { readTar } from './tar.ts';

export type Base = {
  readonly architecture: string;
  readonly layers: readonly Layer[];
  readonly config: RunSettings;
};

/** The account of every container of ours; the number that distroless images call `nonroot`. */
export const runUser = 65_532;

export function nodeBase(path: string): Base {
  const node = readOr(path, 'give a Node binary with --node');
  const architecture = architectureOf(node, path);
  const libraries = librariesOf(path);
  const files = [
    fileOf('usr/local/bin/node', node, 0o755),
    ...libraries.map((name) => fileOf(name.slice(1), readFileSync(realpathSync(name)), 0o755)),
    textFile('etc/passwd', accounts),
    textFile('etc/group', `root:x:0:\nweft:x:${runUser}:\n`),
    textFile('etc/nsswitch.conf', 'hosts: files dns\n'),
  ];
  const tmp: TarEntry = { kind: 'directory', path: 'tmp', mode: 0o1777 };
  const layers = [layerOf([...foldersOf(files.map(({ path: name }) => name)), tmp, ...files])];
  return { architecture, layers, config: {} };
}

const accounts =
  'root:x:0:0:root:/:/sbin/nologin\n' + `weft:x:${runUser}:${runUser}:weft:/:/sbin/nologin\n`;

/** The directories above these paths, so that their modes do not depend on who unpacks. */
export function foldersOf(paths: readonly string[]): readonly TarEntry[] {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let cut = path.indexOf('/'); cut > 0; cut = path.indexOf('/', cut + 1)) {
      folders.add(path.slice(0, cut));
    }
  }
  return [...folders].map((path) => ({ kind: 'directory', path, mode: 0o755 }));
}

export function fileOf(path: string, content: Bytes, mode: number) {
  return { kind: 'file', path, mode, content: [content] } as const;
}

function textFile(path: string, text: string) {
  return fileOf(path, Buffer.from(text), 0o644);
}

/** `e_machine` of the ELF header: an image says what it runs on. */
const machines: ReadonlyMap<number, string> = new Map([
  [0x3e, 'amd64'],
  [0xb7, 'arm64'],
  [0x16, 's390x'],
  [0x15, 'ppc64le'],
]);

function architectureOf(program: Buffer, path: string): string {
  const isElf = program.length > 20 && program.toString('latin1', 1, 4) === 'ELF';
  const found = isElf ? machines.get(program.readUInt16LE(18)) : undefined;
  if (found === undefined) throw new Error(`${path} is no Linux program for a 64-bit machine`);
  return found;
}

/** Paths that the loader would map, the loader itself among them; each as the loader names it. */
function librariesOf(path: string): readonly string[] {
  const told = spawnSync('ldd', [path], { encoding: 'utf8', timeout: 20_000 });
  const text = `${told.stdout}${told.stderr}`;
  if (/not a dynamic executable|statically linked/.test(text) && told.error === undefined) {
    // Of another machine, ldd says the same: that cannot be told from a static program here.
    if (spawnSync(path, ['--version'], { timeout: 20_000 }).status === 0) return [];
  }
  const missing = /^\s*(\S+) => not found/m.exec(text)?.[1];
  if (told.status !== 0 || missing !== undefined) {
    const why = missing === undefined ? 'ldd cannot read it' : `${missing} is not installed here`;
    throw new Error(`${path}: ${why}; take a base image with --base instead`);
  }
  return [...text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].flatMap(([, name]) => name ?? []);
}

/** The image of an OCI archive (`skopeo copy … oci-archive:`, `docker buildx … type=oci`). */
export function archiveBase(path: string): Base {
  const files = new Map<string, Bytes>();
  for (const entry of readTar(readOr(path, 'give an OCI archive with --base'))) {
    const [content] = entry.kind === 'file' ? entry.content : [];
    if (content !== undefined) files.set(entry.path, content);
  }
  const read = (name: string): Bytes => {
    const content = files.get(name);
    if (content !== undefined) return content;
    throw new Error(`${path} is no OCI archive of one image: it has no ${name}`);
  };
  const blob = (digest: string): Bytes => checked(digest, read(blobPathOf(digest)), path);
  const json = (bytes: Bytes): unknown => JSON.parse(Buffer.from(bytes).toString('utf8'));
  // The shapes are those of image-spec 1.1; what is not there shows as a missing blob.
  const index = json(read('index.json')) as { readonly manifests: readonly Descriptor[] };
  const manifest = json(blob(index.manifests[0]?.digest ?? '')) as Manifest;
  if (manifest.config === undefined) {
    throw new Error(`${path} holds several images: take the one of your platform out of it`);
  }
  const config = json(blob(manifest.config.digest)) as ImageConfig;
  const layers = (manifest.layers ?? []).map(({ digest, mediaType = '' }, at) => ({
    blob: blobOf([blob(digest)]),
    mediaType,
    diffId: config.rootfs.diff_ids[at] ?? digest,
  }));
  return { architecture: config.architecture, layers, config: config.config ?? {} };
}

type Descriptor = { readonly digest: string; readonly mediaType?: string };
type Manifest = { readonly config?: Descriptor; readonly layers?: readonly Descriptor[] };
type ImageConfig = {
  readonly architecture: string;
  readonly config?: RunSettings;
  readonly rootfs: { readonly diff_ids: readonly string[] };
};

function blobPathOf(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function checked(digest: string, content: Bytes, path: string): Bytes {
  const found = blobOf([content]).digest;
  if (found !== digest) throw new Error(`${path} is damaged: ${digest} is in fact ${found}`);
  return content;
}

function readOr(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`cannot read ${path}: ${what}`, { cause: error });
  }
}
