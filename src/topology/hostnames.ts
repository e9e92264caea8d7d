// Mesh names of a Service, lower case, the canonical domain first (contract §3). For a domain of
// one label, `D`, the resolver's search list makes `svc.ns.D.svc.<cluster-domain>` of a mesh name
// (`ndots:5`), so that spelling is a name of the service too.
import type { MeshSettings } from '../api/index.ts';

/** All mesh names of `namespace/name`, with what `nameEnds` says. */
export function hostnamesOf(
  service: { readonly namespace: string; readonly name: string },
  ends: readonly string[],
): readonly string[] {
  const stem = `${service.name}.${service.namespace}`;
  return ends.map((end) => stem + end);
}

/** How mesh names end, whosesoever they are. */
export function nameEnds({ meshDomains, clusterDomain }: MeshSettings): readonly string[] {
  const short = meshDomains.filter((domain) => !domain.includes('.'));
  return [
    ...meshDomains.map((domain) => `.${domain}`),
    ...short.map((domain) => `.${domain}.svc.${clusterDomain}`),
  ];
}
