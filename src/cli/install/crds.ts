// The CustomResourceDefinitions of SMI, as data that is part of the program: `weft install` needs
// no file beside it. smi/crds.json is generated from smi/crds (`npm run manifests`).
import definitions from '../../../smi/crds.json' with { type: 'json' };
import type { JsonMap } from './json.ts';
import type { Manifest } from './manifest.ts';

export function smiDefinitions(): readonly Manifest[] {
  return definitions.map(({ apiVersion, kind, metadata, spec }) => {
    const body: JsonMap = { spec: jsonOf(spec) };
    return { apiVersion, kind, metadata, labels: metadata.labels, body, remarks: [] };
  });
}

/** The union of five literal types is JSON, but too wide for the compiler to see it. */
function jsonOf(spec: unknown): JsonMap {
  return spec as JsonMap;
}
