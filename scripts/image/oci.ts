// An image as one archive that both conventions can read: an OCI image layout (`oci-layout`,
// `index.json`, `blobs/`; image-spec 1.1) with the `manifest.json` of a Docker archive beside it,
// as `docker save` writes it. So `ctr images import`, `docker load`, `podman load`, `skopeo` and
// `kind load` take it. Nothing here knows what is in the image.
// Invariant: the same input gives the same bytes; every reference is by sha256.
import { createHash } from 'node:crypto';
import type { Bytes, TarEntry } from './tar.ts';
import { writeTar } from './tar.ts';

/** Bytes in pieces with their digest (`sha256:…`). */
export type Blob = {
  readonly digest: string;
  readonly size: number;
  readonly pieces: readonly Bytes[];
};

export type Layer = {
  readonly blob: Blob;
  readonly mediaType: string;
  /** Digest of the tar itself; the same as the blob's unless that is compressed. */
  readonly diffId: string;
};

/** What a container is started with; the names are those of the image specification. */
export type RunSettings = {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
};

export type Image = {
  /** As a user says it: `weft:dev`, `registry.example/weft:1.0`. */
  readonly tag: string;
  /** As Go calls it: amd64, arm64. */
  readonly architecture: string;
  readonly layers: readonly Layer[];
  readonly config: RunSettings;
};

/** Nothing in the archive may tell when it was made. */
const created = '1970-01-01T00:00:00Z';
const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

export function blobOf(pieces: readonly Bytes[]): Blob {
  const hash = createHash('sha256');
  let size = 0;
  for (const piece of pieces) {
    hash.update(piece);
    size += piece.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size, pieces };
}

/** A layer that is not compressed: what gzip writes differs between versions of zlib. */
export function layerOf(entries: readonly TarEntry[]): Layer {
  const blob = blobOf(writeTar(entries));
  return { blob, mediaType: mediaTypes.layer, diffId: blob.digest };
}

export type Archive = { readonly pieces: readonly Bytes[]; readonly manifestDigest: string };

export function imageArchive(image: Image): Archive {
  const config = jsonBlob({
    architecture: image.architecture,
    os: 'linux',
    created,
    config: image.config,
    rootfs: { type: 'layers', diff_ids: image.layers.map(({ diffId }) => diffId) },
    history: image.layers.map(() => ({ created, created_by: 'weft image' })),
  });
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptor(mediaTypes.config, config),
    layers: image.layers.map(({ blob, mediaType }) => descriptor(mediaType, blob)),
  });
  const blobs = new Map(
    [config, manifest, ...image.layers.map(({ blob }) => blob)].map((one) => [one.digest, one]),
  );
  const folders: readonly TarEntry[] = ['blobs', 'blobs/sha256'].map((path) => ({
    kind: 'directory',
    path,
    mode: 0o755,
  }));
  const pieces = writeTar([
    ...folders,
    ...documentsOf(image, config, manifest),
    ...[...blobs.values()].map((blob) => fileOf(blobPath(blob), blob.pieces)),
  ]);
  return { pieces, manifestDigest: manifest.digest };
}

function documentsOf(image: Image, config: Blob, manifest: Blob): readonly TarEntry[] {
  const name = fullName(image.tag);
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [
      {
        ...descriptor(mediaTypes.manifest, manifest),
        platform: { architecture: image.architecture, os: 'linux' },
        annotations: {
          'io.containerd.image.name': name,
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
        },
      },
    ],
  };
  const docker = [
    {
      Config: blobPath(config),
      RepoTags: [image.tag],
      Layers: image.layers.map(({ blob }) => blobPath(blob)),
    },
  ];
  return [
    jsonFile('oci-layout', { imageLayoutVersion: '1.0.0' }),
    jsonFile('index.json', index),
    jsonFile('manifest.json', docker),
  ];
}

function jsonBlob(value: unknown): Blob {
  return blobOf([Buffer.from(JSON.stringify(value))]);
}

function jsonFile(path: string, value: unknown): TarEntry {
  return fileOf(path, [Buffer.from(JSON.stringify(value))]);
}

function fileOf(path: string, content: readonly Bytes[]): TarEntry {
  return { kind: 'file', path, mode: 0o644, content };
}

function descriptor(mediaType: string, { digest, size }: Blob) {
  return { mediaType, digest, size };
}

function blobPath({ digest }: Blob): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** As container runtimes store it: `weft:dev` is `docker.io/library/weft:dev`. */
export function fullName(tag: string): string {
  const [first = '', ...rest] = tag.split('/');
  const isTagged = /:[\w][\w.-]*$/.test(rest.at(-1) ?? first);
  const tagged = isTagged ? tag : `${tag}:latest`;
  if (rest.length === 0) return `docker.io/library/${tagged}`;
  const isRegistry = first.includes('.') || first.includes(':') || first === 'localhost';
  return isRegistry ? tagged : `docker.io/${tagged}`;
}
