// Topology → snapshot: the sections that the workers get. Everything is resolved by now – names,
// defaults, which backend takes part for which port; what is left is to cut it into pieces that
// change apart from each other. Pieces that did not change keep their identity from the topology,
// so that `buildSnapshot` need not even encode them.
import type { MeshSettings } from '../api/index.ts';
import {
  buildSnapshot,
  type Section,
  type ServicePortSpec,
  type ServiceSection,
  type Snapshot,
} from '../snapshot/index.ts';
import type { Built, HostAlias, MeshService, Topology } from './topology.ts';

/** The snapshot of `topology`; `previous` saves work and never changes the value. */
export function compileSnapshot(
  topology: Topology,
  settings: MeshSettings,
  previous?: Snapshot,
): Built<Snapshot> {
  return { value: buildSnapshot(sectionsOf(topology, settings), previous), problems: [] };
}

/** In the order of their ids, which is the cheapest for `buildSnapshot`. */
function sectionsOf(topology: Topology, settings: MeshSettings): readonly Section[] {
  const { meshDomains, clusterDomain } = settings;
  const { listeners, addresses, places } = topology.mesh;
  const sections: Section[] = topology.aliases.map(aliasSection);
  for (const section of topology.endpoints) sections.push(section);
  sections.push({ kind: 'mesh', meshDomains, clusterDomain, listeners, addresses, places });
  const defaults = { defaultPolicy: settings.policy, defaultMtls: settings.mtls };
  sections.push({ kind: 'namespaces', ...defaults, namespaces: topology.modes });
  for (const section of topology.permissions) sections.push(section);
  for (const [key, service] of topology.services) {
    if (service.isNamed) sections.push(serviceSection(key, service, topology));
  }
  return sections;
}

function aliasSection({ namespace, name, hostname, ports, rules }: HostAlias): ServiceSection {
  const names = { hostnames: noNames, aliases: [hostname] };
  return { kind: 'service', namespace, name, ...names, place: undefined, ports, rules };
}

const noNames: readonly string[] = [];

/** What is the same as before is the same object. */
function serviceSection(
  key: string,
  { section }: MeshService,
  { roots, mesh }: Topology,
): ServiceSection {
  const ports = roots.get(key)?.ports ?? section.ports;
  // One that has HTTP ports only is on `weft-http`, wherever it was before.
  const place = ports.some(isFlow) ? mesh.placeOf.get(key) : undefined;
  if (ports === section.ports && place === undefined) return section;
  const { kind, namespace, name, hostnames, aliases, rules } = section;
  return { kind, namespace, name, hostnames, aliases, place, ports, rules };
}

function isFlow({ protocol }: ServicePortSpec): boolean {
  return protocol !== 'http';
}
