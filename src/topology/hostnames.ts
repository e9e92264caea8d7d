// Mesh names of a Service, lower case, the canonical domain first (contract §3). For a domain of
// one label, `D`, the resolver's search list makes `svc.ns.D.svc.<cluster-domain>` of a mesh name
// (`ndots:5`), so that spelling is a name of the service too.
import type { MeshSettings } from '../api/index.ts';

/** All mesh names of `namespace/name`. */
export function hostnamesOf(
  service: { readonly namespace: string; readonly name: string },
  settings: MeshSettings,
): readonly string[] {
  const stem = `${service.name}.${service.namespace}`;
  const names = settings.meshDomains.map((domain) => `${stem}.${domain}`);
  for (const domain of settings.meshDomains) {
    if (!domain.includes('.')) names.push(`${stem}.${domain}.svc.${settings.clusterDomain}`);
  }
  return names;
}
