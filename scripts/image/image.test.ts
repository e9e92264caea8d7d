// The image that `npm run image` makes: same bytes for the same input, every digest true, readable
// by the machine's own tar, and told how to run as the Dockerfile tells it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { archiveBase, fileOf, nodeBase } from './base.ts';
import type { Base } from './base.ts';
import { fullName, layerOf } from './oci.ts';
import { payloadOf } from './payload.ts';
import { readTar, writeTar } from './tar.ts';
import { entrypoint, weftImage } from './weft-image.ts';

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'weft-image-'));
  for (const folder of ['dist', 'smi/crds', 'manifests/chart']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  writeFileSync(join(root, 'dist/weft.js'), 'console.log(1)\n');
  writeFileSync(join(root, 'dist/worker.js'), 'console.log(2)\n');
  writeFileSync(join(root, 'dist/weft.js.map'), '{}');
  writeFileSync(join(root, 'dist/worker.js.map'), '{}');
  writeFileSync(join(root, 'smi/crds/a.yaml'), 'a: 1\n');
  writeFileSync(join(root, 'manifests/chart/values.yaml'), 'b: 1\n');
  writeFileSync(join(root, 'LICENSE'), 'free\n');
});

afterAll(() => rmSync(root, { recursive: true }));

const base: Base = {
  architecture: 'amd64',
  layers: [layerOf([fileOf('usr/local/bin/node', Buffer.from('node'), 0o755)])],
  config: {},
};

function archive(options: { readonly hasSourceMaps?: boolean } = {}): Buffer {
  const payload = payloadOf({ root, version: '1.2.3', hasSourceMaps: false, ...options });
  const image = weftImage({ base, payload, tag: 'weft:dev', version: '1.2.3' });
  return Buffer.concat(image.pieces);
}

function filesOf(tar: Buffer): ReadonlyMap<string, Buffer> {
  return new Map(
    readTar(tar).flatMap((entry) =>
      entry.kind === 'file' ? [[entry.path, Buffer.concat(entry.content)] as const] : [],
    ),
  );
}

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

type Pointer = { readonly digest: string; readonly size: number };

function open(tar: Buffer) {
  const files = filesOf(tar);
  const json = (path: string): unknown => JSON.parse(String(files.get(path)));
  const blob = ({ digest }: Pointer) => `blobs/${digest.replace(':', '/')}`;
  const index = json('index.json') as {
    readonly manifests: readonly (Pointer & {
      readonly annotations: Readonly<Record<string, string>>;
    })[];
  };
  const [head] = index.manifests;
  if (head === undefined) throw new Error('the index is empty');
  const manifest = json(blob(head)) as {
    readonly config: Pointer;
    readonly layers: readonly Pointer[];
  };
  const config = json(blob(manifest.config)) as {
    readonly architecture: string;
    readonly config: Readonly<Record<string, unknown>>;
    readonly rootfs: { readonly diff_ids: readonly string[] };
  };
  const payload = files.get(blob(manifest.layers.at(-1) ?? head)) ?? Buffer.alloc(0);
  return { files, json, blob, head, manifest, config, payload };
}

describe('the archive', () => {
  test('has the same bytes for the same input', () => {
    expect(archive().equals(archive())).toBe(true);
  });

  test('refers to everything by its digest and size', () => {
    const { files, blob, head, manifest, config } = open(archive());
    for (const pointer of [head, manifest.config, ...manifest.layers]) {
      const content = files.get(blob(pointer));
      expect(content?.length).toBe(pointer.size);
      expect(sha256(content ?? Buffer.alloc(0))).toBe(pointer.digest);
    }
    expect(config.rootfs.diff_ids).toEqual(manifest.layers.map(({ digest }) => digest));
  });

  test('tells Docker the same as everybody else', () => {
    const { json, blob, head, manifest } = open(archive());
    expect(json('manifest.json')).toEqual([
      {
        Config: blob(manifest.config),
        RepoTags: ['weft:dev'],
        Layers: manifest.layers.map(blob),
      },
    ]);
    expect(head.annotations['io.containerd.image.name']).toBe('docker.io/library/weft:dev');
  });

  test('is read by another tar, owned by nobody in particular', () => {
    const listed = spawnSync('tar', ['tvf', '-', '--utc'], { input: archive(), encoding: 'utf8' });
    expect(listed.status).toBe(0);
    const lines = listed.stdout.trim().split('\n');
    expect(lines.length).toBeGreaterThan(6);
    for (const line of lines) expect(line).toMatch(/ 0\/0 +\d+ 1970-01-01 00:00 /);
  });

  test('holds bundles, definitions and licence, and source maps only when asked', () => {
    const plain = [...filesOf(open(archive()).payload).keys()];
    expect(plain).toEqual([
      'app/LICENSE',
      'app/dist/weft.js',
      'app/dist/worker.js',
      'app/package.json',
      'app/smi/crds/a.yaml',
    ]);
    const mapped = filesOf(open(archive({ hasSourceMaps: true })).payload);
    expect(mapped.has('app/dist/weft.js.map')).toBe(true);
  });

  test('is refused when the payload outgrows its promise, and before a build', () => {
    const other = mkdtempSync(join(tmpdir(), 'weft-image-'));
    try {
      const options = { root: other, version: '1', hasSourceMaps: false };
      expect(() => payloadOf(options)).toThrow('run npm run build first');
      mkdirSync(join(other, 'dist'));
      writeFileSync(join(other, 'dist/weft.js'), Buffer.alloc(3 * 1024 * 1024));
      writeFileSync(join(other, 'dist/worker.js'), '');
      writeFileSync(join(other, 'LICENSE'), '');
      expect(() => payloadOf(options)).toThrow(/more than 3145728: app\/dist\/weft\.js/);
    } finally {
      rmSync(other, { recursive: true });
    }
  });
});

describe('how it runs', () => {
  test('is neither root nor through a shell, with labels', () => {
    const { config } = open(archive());
    expect(config.architecture).toBe('amd64');
    expect(config.config).toMatchObject({
      User: '65532:65532',
      Entrypoint: entrypoint,
      StopSignal: 'SIGTERM',
      Labels: { 'org.opencontainers.image.version': '1.2.3' },
    });
  });

  test('is told by the Dockerfile in the same words', () => {
    const text = readFileSync('Dockerfile', 'utf8');
    const last = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1];
    const { config } = open(archive());
    const { User, WorkingDir, StopSignal, Env, Labels } = config.config;
    expect(JSON.parse(last('ENTRYPOINT') ?? '')).toEqual(entrypoint);
    expect(last('USER')).toBe(User);
    expect(last('STOPSIGNAL')).toBe(StopSignal);
    expect(text).toContain(`WORKDIR ${String(WorkingDir)}\n`);
    for (const one of Env as readonly string[]) expect(text).toContain(one);
    for (const [name, value] of Object.entries(Labels as Readonly<Record<string, string>>)) {
      const said = name.endsWith('.version') ? '${VERSION}' : value;
      expect(text).toContain(`${name}="${said}"`);
    }
    expect(text).toMatch(/^ARG NODE_IMAGE=node:24\./m);
  });

  test('can run our program: it needs no code from strings and no __proto__', () => {
    const flags = entrypoint.filter((word) => word.startsWith('--'));
    const ran = spawnSync(process.execPath, [...flags, 'dist/weft.js', 'version'], {
      encoding: 'utf8',
    });
    expect(ran.stderr).toBe('');
    expect(ran.status).toBe(0);
  });
});

describe('bases', () => {
  test('a Node of this machine comes with its libraries, and nothing else that runs', () => {
    const { layers, architecture } = nodeBase(process.execPath);
    const paths = [...filesOf(Buffer.concat(layers[0]?.blob.pieces ?? [])).keys()];
    expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch);
    expect(paths).toContain('usr/local/bin/node');
    expect(paths).toContain('etc/passwd');
    expect(paths.some((path) => path.includes('libc.so'))).toBe(true);
    expect(paths.filter((path) => /bin\/(?!node$)/.test(path))).toEqual([]);
  });

  test('an archive that we wrote is a base as well, with its layers as they are', () => {
    const file = join(root, 'base.tar');
    writeFileSync(file, archive());
    const { layers, architecture, config } = archiveBase(file);
    expect(architecture).toBe('amd64');
    expect(layers.map(({ diffId }) => diffId)).toEqual(open(archive()).config.rootfs.diff_ids);
    expect(config.User).toBe('65532:65532');
  });

  test('a damaged archive, no archive and no program are told apart', () => {
    const file = join(root, 'broken.tar');
    const bytes = archive();
    bytes[bytes.indexOf('console.log(1)')] = 0x21;
    writeFileSync(file, bytes);
    expect(() => archiveBase(file)).toThrow('is damaged');
    expect(() => archiveBase(join(root, 'LICENSE'))).toThrow('no index.json');
    expect(() => archiveBase(join(root, 'missing'))).toThrow('--base');
    expect(() => nodeBase(join(root, 'LICENSE'))).toThrow('no Linux program');
  });
});

describe('names', () => {
  test.each([
    ['weft', 'docker.io/library/weft:latest'],
    ['weft:dev', 'docker.io/library/weft:dev'],
    ['team/weft:1', 'docker.io/team/weft:1'],
    ['localhost/weft:1', 'localhost/weft:1'],
    ['registry.example:5000/weft', 'registry.example:5000/weft:latest'],
  ])('%s is stored as %s', (tag, stored) => expect(fullName(tag)).toBe(stored));
});

describe('tar', () => {
  const long = `${'directory/'.repeat(15)}file`;

  test('does not depend on the order of the entries, and reads what it wrote', () => {
    const entries = [
      fileOf('b', Buffer.from('two'), 0o600),
      fileOf(long, Buffer.from('three'), 0o755),
      { kind: 'directory', path: 'a', mode: 0o1777 },
      { kind: 'link', path: 'c', target: 'b' },
    ] as const;
    const written = Buffer.concat(writeTar(entries));
    expect(Buffer.concat(writeTar(entries.toReversed())).equals(written)).toBe(true);
    expect(readTar(written)).toEqual(
      entries.toSorted((left, right) => (left.path < right.path ? -1 : 1)),
    );
  });

  test('reads long names as other tools write them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-tar-'));
    const name = 'n'.repeat(180);
    writeFileSync(join(folder, name), 'x');
    for (const format of ['gnu', 'pax']) {
      const made = spawnSync('tar', ['-C', folder, `--format=${format}`, '-cf', '-', name]);
      expect(readTar(made.stdout).map(({ path }) => path)).toEqual([name]);
    }
    rmSync(folder, { recursive: true });
  });

  test('refuses a name twice, a name too long and an archive that is cut off', () => {
    const file = fileOf('a', Buffer.alloc(600), 0o644);
    expect(() => writeTar([file, file])).toThrow('twice');
    expect(() => writeTar([fileOf('n'.repeat(180), Buffer.alloc(0), 0o644)])).toThrow('too long');
    const cut = Buffer.concat(writeTar([file])).subarray(0, 1_000);
    expect(() => readTar(cut)).toThrow('ends within');
  });
});
