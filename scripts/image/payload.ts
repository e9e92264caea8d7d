// What of ours goes into the image: the two bundles, the custom resource definitions and manifests
// that `weft install` may print, the licence, and a package.json that says that the bundles are
// modules. No node_modules (the bundles hold all), and no source maps unless asked for.
// Invariant: under the limit that the product promises, or there is no image.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileOf, foldersOf } from './base.ts';
import type { Layer } from './oci.ts';
import { layerOf } from './oci.ts';
import type { TarFile } from './tar.ts';
import { sizeOf } from './tar.ts';

export type PayloadOptions = {
  /** Directory of the repository, built. */
  readonly root: string;
  readonly version: string;
  readonly hasSourceMaps: boolean;
};

export type Payload = { readonly layer: Layer; readonly bytes: number };

/** Where it lies in the image. */
export const home = 'app';
/** Without source maps, which are for whoever debugs a build. */
const bytesMax = 3 * 1024 * 1024;

export function payloadOf(options: PayloadOptions): Payload {
  const files = filesOf(options);
  const bytes = files.reduce((total, file) => total + sizeOf(file), 0);
  if (bytes > bytesMax && !options.hasSourceMaps) {
    const names = files.toSorted((a, b) => sizeOf(b) - sizeOf(a)).map(({ path }) => path);
    throw new Error(`the payload has ${bytes} bytes, more than ${bytesMax}: ${names.join(' ')}`);
  }
  const folders = foldersOf(files.map(({ path }) => path));
  return { layer: layerOf([...folders, ...files]), bytes };
}

function filesOf({ root, version, hasSourceMaps }: PayloadOptions): readonly TarFile[] {
  for (const name of ['dist/weft.js', 'dist/worker.js']) {
    if (!existsSync(join(root, name))) throw new Error(`no ${name}: run npm run build first`);
  }
  const bundles = filesIn(root, 'dist', '.js');
  const maps = hasSourceMaps ? filesIn(root, 'dist', '.js.map') : [];
  // Plain YAML only: a chart is for whoever has helm, not for a container.
  const data = ['smi/crds', 'manifests'].flatMap((folder) => filesIn(root, folder, '.yaml'));
  const facts = { name: 'weft', version, type: 'module', license: 'Apache-2.0' };
  return [
    ...[...bundles, ...maps, ...data, 'LICENSE'].map((name) =>
      fileOf(`${home}/${name}`, readFileSync(join(root, name)), 0o644),
    ),
    fileOf(`${home}/package.json`, Buffer.from(`${JSON.stringify(facts)}\n`), 0o644),
  ];
}

function filesIn(root: string, folder: string, ending: string): readonly string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}
