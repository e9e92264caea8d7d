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
  const { meshDomains, clusterDomain } = settings;
  const { listeners, addresses, policies } = topology;
  const sections: Section[] = [
    { kind: 'mesh', meshDomains, clusterDomain, listeners, addresses },
    { kind: 'namespaces', defaultPolicy: settings.policy, namespaces: policies },
  ];
  addServices(topology, sections);
  for (const { namespace, name, hostname, ports, rules } of topology.aliases) {
    const aliases = [hostname];
    sections.push({ kind: 'service', namespace, name, hostnames: [], aliases, ports, rules });
  }
  for (const { namespace, serviceAccount, permissions } of topology.permissions) {
    sections.push({ kind: 'permissions', namespace, serviceAccount, permissions });
  }
  return { value: buildSnapshot(sections, previous), problems: [] };
}

const noAliases: readonly string[] = [];

function addServices({ services, splitPorts }: Topology, sections: Section[]): void {
  for (const [key, { namespace, name, isNamed, hostnames, rules, ...rest }] of services) {
    if (isNamed) {
      const ports = splitPorts.get(key) ?? rest.plainPorts;
      const aliases = noAliases;
      sections.push({ kind: 'service', namespace, name, hostnames, aliases, ports, rules });
    }
    const { backends } = rest;
    if (backends.length > 0)
      sections.push({ kind: 'endpoints', namespace, service: name, backends });
  }
}
