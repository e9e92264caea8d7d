// The names of the mesh as DNS sees them, from a snapshot: `<service>.<namespace>.<mesh-domain>`
// for every mesh domain, and the same under `<mesh-domain>.svc.<cluster-domain>` for a domain of
// one label, which is what a resolver with a search list asks for first (contract §2, §3). Host
// aliases are no names here. Immutable; a new snapshot makes a new zone.
import { addressFamily, normaliseAddress } from '../lib/address.ts';
import type { MeshSection, Section, ServiceSection } from '../snapshot/index.ts';

export type MeshZone = {
  /** Lower case; the longest that fits is the zone of a name. */
  readonly apexes: readonly string[];
  /** Mesh name → whether the mesh's HTTP address is its address. */
  readonly services: ReadonlyMap<string, boolean>;
  /** Names that exist because others are below them: `<namespace>.<apex>` and the apexes. */
  readonly inner: ReadonlySet<string>;
  /** Record data, 4 and 16 bytes each. */
  readonly ipv4: readonly Uint8Array[];
  readonly ipv6: readonly Uint8Array[];
};

/** What the zone says of a name; `apex` is where its SOA is. */
export type ZoneAnswer =
  | { readonly kind: 'addresses'; readonly apex: string }
  /** The name exists and has no addresses. */
  | { readonly kind: 'empty'; readonly apex: string }
  | { readonly kind: 'unknown'; readonly apex: string }
  /** A name of somebody else's zone. */
  | { readonly kind: 'foreign' };

/** The zone of sections in any order; without a mesh section every name is foreign. */
export function buildZone(sections: Iterable<Section>): MeshZone {
  const services = new Map<string, boolean>();
  const inner = new Set<string>();
  let mesh: MeshSection | undefined;
  for (const section of sections) {
    if (section.kind === 'mesh') mesh = section;
    else if (section.kind === 'service') addService(section, services, inner);
  }
  const apexes = mesh === undefined ? [] : apexesOf(mesh);
  for (const apex of apexes) inner.add(apex);
  const addresses = (mesh?.addresses ?? []).flatMap((text) => normaliseAddress(text) ?? []);
  return {
    apexes: [...apexes].sort((a, b) => b.length - a.length),
    services,
    inner,
    ipv4: addresses.filter((one) => addressFamily(one) === 'IPv4').map(ipv4Bytes),
    ipv6: addresses.filter((one) => addressFamily(one) === 'IPv6').map(ipv6Bytes),
  };
}

function apexesOf({ meshDomains, clusterDomain }: MeshSection): readonly string[] {
  const domains = meshDomains.map((domain) => domain.toLowerCase());
  const searched = domains
    .filter((domain) => !domain.includes('.'))
    .map((domain) => `${domain}.svc.${clusterDomain.toLowerCase()}`);
  return [...domains, ...searched];
}

function addService(
  section: ServiceSection,
  services: Map<string, boolean>,
  inner: Set<string>,
): void {
  // A service whose ports are all TCP or UDP gets an address of its own with the layer-4 listeners;
  // until then its name exists without an address.
  const hasHttp = section.ports.some(({ protocol }) => protocol === 'http');
  for (const hostname of section.hostnames) {
    services.set(hostname, hasHttp);
    inner.add(hostname.slice(hostname.indexOf('.') + 1));
  }
}

/** What `name` (lower case, no trailing dot) is in `zone`. */
export function lookUp(zone: MeshZone, name: string): ZoneAnswer {
  const apex = zone.apexes.find((one) => name === one || name.endsWith(`.${one}`));
  if (apex === undefined) return { kind: 'foreign' };
  const hasAddress = zone.services.get(name);
  if (hasAddress !== undefined) return { kind: hasAddress ? 'addresses' : 'empty', apex };
  return { kind: zone.inner.has(name) ? 'empty' : 'unknown', apex };
}

function ipv4Bytes(normalised: string): Uint8Array {
  return Uint8Array.from(normalised.split('.'), Number);
}

function ipv6Bytes(normalised: string): Uint8Array {
  const [head = '', tail] = normalised.split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const gap = new Array<number>(8 - before.length - after.length).fill(0);
  const groups = [...before, ...gap, ...after];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(text: string): readonly number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
