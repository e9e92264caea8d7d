// Topology → snapshot: the sections that the workers get. Everything is resolved by now – names,
// defaults, which backend takes part for which port; what is left is to cut it into pieces that
// change apart from each other. Pieces that did not change keep their identity from the topology,
// so that `buildSnapshot` need not even encode them.
import type { MeshSettings } from '../api/index.ts';
import { buildSnapshot, type Section, type Snapshot } from '../snapshot/index.ts';
import type { Built, Topology } from './topology.ts';

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
  const { aliases, services, modes, permissions, splitPorts } = topology;
  const { listeners, addresses, places, placeOf } = topology.mesh;
  const sections: Section[] = [];
  for (const { namespace, name, hostname, ports, rules } of aliases) {
    const names = { hostnames: noNames, aliases: [hostname] };
    sections.push({ kind: 'service', namespace, name, ...names, place: undefined, ports, rules });
  }
  for (const { namespace, name: service, backends } of services.values()) {
    if (backends.length === 0) continue;
    sections.push({ kind: 'endpoints', namespace, service, backends });
  }
  sections.push({ kind: 'mesh', meshDomains, clusterDomain, listeners, addresses, places });
  const defaults = { defaultPolicy: settings.policy, defaultMtls: settings.mtls };
  sections.push({ kind: 'namespaces', ...defaults, namespaces: modes });
  for (const { namespace, serviceAccount, permissions: granted } of permissions) {
    sections.push({ kind: 'permissions', namespace, serviceAccount, permissions: granted });
  }
  for (const [key, { namespace, name, isNamed, hostnames, rules, plainPorts }] of services) {
    if (!isNamed) continue;
    const ports = splitPorts.get(key) ?? plainPorts;
    // One that has HTTP ports only is on `weft-http`, wherever it was before.
    const place = ports.some(({ protocol }) => protocol !== 'http') ? placeOf.get(key) : undefined;
    const names = { hostnames, aliases: noNames, place };
    sections.push({ kind: 'service', namespace, name, ...names, ports, rules });
  }
  return sections;
}

const noNames: readonly string[] = [];
