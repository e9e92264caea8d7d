// Sections → route table. Cannot fail: what does not make sense opens nothing. A piece whose
// section is the one of the previous table (same hash) is used again, so that a change of endpoints
// compiles these endpoints and links the services that name them: no pattern, no order.
import type { NodePart, Section, SectionId, SectionRecord } from '../snapshot/index.ts';
import { compileEndpoints } from './compile-endpoints.ts';
import { compilePermissions } from './compile-permissions.ts';
import { compileShape, linkService } from './compile-service.ts';
import { sharedPatterns } from './match.ts';
import type {
  EndpointsPiece,
  PermissionsPiece,
  Policies,
  RouteTable,
  ServicePiece,
} from './table.ts';

/** `Snapshot.sections`. */
export type SectionRecords = ReadonlyMap<SectionId, SectionRecord>;

/** The table of a snapshot on this node; `previous` only saves work. */
export function compileTable(
  sections: SectionRecords,
  node: NodePart,
  previous?: RouteTable,
): RouteTable {
  const patterns = sharedPatterns();
  const endpoints = new Map<string, EndpointsPiece>();
  const permissions = new Map<string, PermissionsPiece>();
  let mesh: RouteTable['mesh'];
  // Without the section nobody has said what is open, so nothing is.
  let policies: Policies = { byDefault: 'enforce', byNamespace: new Map() };
  for (const { hash, section } of sections.values()) {
    if (section.kind === 'endpoints') {
      const name = `${section.namespace}/${section.service}`;
      const before = previous?.endpoints.get(name);
      endpoints.set(name, before?.hash === hash ? before : compileEndpoints(hash, section));
    } else if (section.kind === 'permissions') {
      const name = `${section.namespace}/${section.serviceAccount}`;
      const before = previous?.permissions.get(name);
      const isSame = before?.hash === hash;
      permissions.set(name, isSame ? before : compilePermissions(hash, section, patterns));
    } else if (section.kind === 'mesh') mesh = section;
    else if (section.kind === 'namespaces') policies = policiesOf(section);
  }
  const services = new Map<SectionId, ServicePiece>();
  for (const [id, { hash, section }] of sections) {
    if (section.kind !== 'service') continue;
    const before = previous?.services.get(id);
    const shape = before?.hash === hash ? before.shape : compileShape(section, patterns);
    services.set(id, linkService({ hash, shape, endpoints, before }));
  }
  return { mesh, node, policies, permissions, endpoints, services, hosts: hostsOf(services) };
}

/** The same table for another node part; cheap. */
export function withNodePart(table: RouteTable, node: NodePart): RouteTable {
  return { ...table, node };
}

function policiesOf(section: Extract<Section, { kind: 'namespaces' }>): Policies {
  const byNamespace = new Map(section.namespaces.map(({ name, policy }) => [name, policy]));
  return { byDefault: section.defaultPolicy, byNamespace };
}

/** A mesh name beats an alias of the same spelling; among aliases the first section's stands. */
function hostsOf(services: ReadonlyMap<SectionId, ServicePiece>): RouteTable['hosts'] {
  const hosts = new Map<string, ServicePiece>();
  for (const piece of services.values()) {
    for (const hostname of piece.shape.hostnames) hosts.set(hostname, piece);
  }
  for (const piece of services.values()) {
    for (const alias of piece.shape.aliases) if (!hosts.has(alias)) hosts.set(alias, piece);
  }
  return hosts;
}
