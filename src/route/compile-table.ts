// Sections → route table. Cannot fail: what does not make sense opens nothing. What the previous
// table made of sections that are still the same is used again, so that a change of endpoints
// compiles these endpoints and links the services that name them: no pattern, no order. The outcome
// is always the one that would be compiled from nothing.
import type { NodePart, PeerPart, SectionId, SectionRecord } from '../snapshot/index.ts';
import { compileEndpoints } from './compile-endpoints.ts';
import { compilePermissions } from './compile-permissions.ts';
import { compileService, linkService } from './compile-service.ts';
import { sharedPatterns } from './match.ts';
import { localSources } from './source.ts';
import type {
  EndpointsPiece,
  Policies,
  RouteTable,
  SectionRecords,
  ServicePiece,
} from './table.ts';

/** The table of a snapshot on this node; `previous` only saves work. */
export function compileTable(
  sections: SectionRecords,
  node: NodePart,
  previous?: RouteTable,
): RouteTable {
  const changes = changesSince(previous?.sections, sections);
  const patterns = sharedPatterns();
  const endpoints = withChanges(previous?.endpoints, changes, ({ section }) =>
    section.kind === 'endpoints' ? compileEndpoints(section) : undefined,
  );
  const permissions = withChanges(previous?.permissions, changes, ({ section }) =>
    section.kind === 'permissions' ? compilePermissions(section, patterns) : undefined,
  );
  const compiled = withChanges(previous?.services, changes, ({ section }) =>
    section.kind === 'service' ? compileService(section, patterns, endpoints) : undefined,
  );
  const hosts = compiled === previous?.services ? previous.hosts : hostsOf(compiled);
  const services = relinked(compiled, endpoints, changes);
  const mesh = meshOf(sections);
  const isSame = previous?.sections.get(namespacesId) === sections.get(namespacesId);
  // The same object as long as nobody's modes change: who asks again asks by its identity.
  const policies = isSame && previous !== undefined ? previous.policies : policiesOf(sections);
  const sources = localSources(node, previous);
  const places = previous?.places ?? new WeakMap();
  const objects = { services, endpoints, permissions };
  const { peers } = previous ?? { peers: undefined };
  return { sections, node, sources, places, mesh, policies, peers, hosts, ...objects };
}

/** The same table for another node part; cheap. */
export function withNodePart(table: RouteTable, node: NodePart): RouteTable {
  return { ...table, node, sources: localSources(node, table) };
}

/** The same table with the proxies of other nodes as they are now; cheap. */
export function withPeers(table: RouteTable, peers: PeerPart): RouteTable {
  return { ...table, peers };
}

type Changes = {
  /** New or with another content. */
  readonly changed: ReadonlyMap<SectionId, SectionRecord>;
  readonly removed: readonly SectionId[];
};

function changesSince(previous: SectionRecords | undefined, sections: SectionRecords): Changes {
  const changed = new Map<SectionId, SectionRecord>();
  let kept = 0;
  for (const [id, record] of sections) {
    const before = previous?.get(id);
    if (before !== undefined) kept += 1;
    if (before !== record && before?.text !== record.text) changed.set(id, record);
  }
  const isAnyGone = previous !== undefined && kept < previous.size;
  const removed = isAnyGone ? [...previous.keys()].filter((id) => !sections.has(id)) : [];
  return { changed, removed };
}

/** The pieces of one kind; the very same map when no section of this kind changed. */
function withChanges<Piece>(
  before: ReadonlyMap<SectionId, Piece> | undefined,
  { changed, removed }: Changes,
  compile: (record: SectionRecord) => Piece | undefined,
): ReadonlyMap<SectionId, Piece> {
  let next: Map<SectionId, Piece> | undefined;
  for (const [id, record] of changed) {
    const piece = compile(record);
    if (piece === undefined) continue;
    next ??= new Map(before);
    next.set(id, piece);
  }
  for (const id of removed) {
    if (before?.has(id) !== true) continue;
    next ??= new Map(before);
    next.delete(id);
  }
  return next ?? before ?? new Map();
}

/** Services that did not change themselves get the backends of sections that did. */
function relinked(
  services: RouteTable['services'],
  endpoints: ReadonlyMap<SectionId, EndpointsPiece>,
  { changed, removed }: Changes,
): RouteTable['services'] {
  const touched = new Set(removed);
  for (const [id, { section }] of changed) if (section.kind === 'endpoints') touched.add(id);
  if (touched.size === 0) return services;
  const next = new Map<SectionId, ServicePiece>(services);
  for (const [id, piece] of services) {
    const isTouched = piece.shape.refs.some((ref) => touched.has(ref.section));
    if (isTouched && !changed.has(id)) next.set(id, linkService(piece.shape, endpoints));
  }
  return next;
}

function meshOf(sections: SectionRecords): RouteTable['mesh'] {
  const section = sections.get(meshId)?.section;
  return section?.kind === 'mesh' ? section : undefined;
}

/** Without the section nobody has said what is open, so nothing is, and nothing goes plain. */
function policiesOf(sections: SectionRecords): Policies {
  const section = sections.get(namespacesId)?.section;
  if (section?.kind !== 'namespaces') return closedPolicies;
  const { namespaces } = section;
  return {
    byDefault: section.defaultPolicy,
    byNamespace: new Map(namespaces.map(({ name, policy }) => [name, policy])),
    mtlsByDefault: section.defaultMtls,
    mtlsByNamespace: new Map(namespaces.map(({ name, mtls }) => [name, mtls])),
  };
}

const closedPolicies: Policies = {
  byDefault: 'enforce',
  byNamespace: new Map(),
  mtlsByDefault: 'strict',
  mtlsByNamespace: new Map(),
};

/** Sections of which there is one; their ids are their kinds. */
const meshId = 'mesh' as SectionId;
const namespacesId = 'namespaces' as SectionId;

/**
 * A mesh name beats an alias of the same spelling. Two claims of one kind should not be (the
 * compiler of snapshots settles them); if they are, the smaller id stands, in whatever order.
 */
function hostsOf(services: RouteTable['services']): RouteTable['hosts'] {
  const names = claimsOf(services, ({ shape }) => shape.hostnames);
  const aliases = claimsOf(services, ({ shape }) => shape.aliases);
  for (const [alias, id] of aliases) if (!names.has(alias)) names.set(alias, id);
  return names;
}

function claimsOf(
  services: RouteTable['services'],
  claimed: (piece: ServicePiece) => readonly string[],
): Map<string, SectionId> {
  const claims = new Map<string, SectionId>();
  for (const [id, piece] of services) {
    for (const hostname of claimed(piece)) {
      const other = claims.get(hostname);
      if (other === undefined || id < other) claims.set(hostname, id);
    }
  }
  return claims;
}
