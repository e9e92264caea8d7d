// The names of the mesh as DNS sees them, from a snapshot: `<service>.<namespace>.<mesh-domain>`
// for every mesh domain, and the same under `<mesh-domain>.svc.<cluster-domain>` for a domain of
// one label, which is what a resolver with a search list asks for first (contract §2, §3). Host
// aliases are no names here. Immutable; a new snapshot makes a new zone.
import { addressFamily, normaliseAddress } from '../lib/address.ts';
import { zonesOfDomain } from './mesh-zones.ts';
import type { MeshSection, Section, ServiceSection } from '../snapshot/index.ts';

export type MeshZone = {
  /** Lower case; the longest that fits is the zone of a name. */
  readonly apexes: readonly string[];
  /** Mesh name → addresses of the mesh Service that stands for it; many names share one value. */
  readonly services: ReadonlyMap<string, ZoneAddresses>;
  /** Names that exist because others are below them: `<namespace>.<apex>` and the apexes. */
  readonly inner: ReadonlySet<string>;
};

/** Record data, 4 and 16 bytes each. */
export type ZoneAddresses = {
  readonly ipv4: readonly Uint8Array[];
  readonly ipv6: readonly Uint8Array[];
};

/** What the zone says of a name; `apex` is where its SOA is. */
export type ZoneAnswer =
  | { readonly kind: 'addresses'; readonly apex: string; readonly addresses: ZoneAddresses }
  /** The name exists and has no addresses. */
  | { readonly kind: 'empty'; readonly apex: string }
  | { readonly kind: 'unknown'; readonly apex: string }
  /** A name of somebody else's zone. */
  | { readonly kind: 'foreign' };

/** The zone of sections in any order; without a mesh section every name is foreign. */
export function buildZone(sections: Iterable<Section>): MeshZone {
  const named: ServiceSection[] = [];
  let mesh: MeshSection | undefined;
  for (const section of sections) {
    if (section.kind === 'mesh') mesh = section;
    else if (section.kind === 'service') named.push(section);
  }
  const apexes = mesh === undefined ? [] : apexesOf(mesh);
  const inner = new Set(apexes);
  const services = new Map<string, ZoneAddresses>();
  const book = addressBook(mesh);
  for (const section of named) {
    const addresses = addressesOf(section, book);
    for (const hostname of section.hostnames) {
      services.set(hostname, addresses);
      inner.add(hostname.slice(hostname.indexOf('.') + 1));
    }
  }
  return { apexes: [...apexes].sort((a, b) => b.length - a.length), services, inner };
}

type AddressBook = {
  readonly http: ZoneAddresses;
  /** Name of a mesh Service → its addresses. */
  readonly places: ReadonlyMap<string, ZoneAddresses>;
};

const nowhere: ZoneAddresses = { ipv4: [], ipv6: [] };

function addressBook(mesh: MeshSection | undefined): AddressBook {
  const places = mesh?.places.map(({ name, addresses }) => [name, dataOf(addresses)] as const);
  return { http: dataOf(mesh?.addresses ?? []), places: new Map(places) };
}

/**
 * A service with TCP or UDP ports has the address of its place. Until it has one its name exists
 * without an address, unless its HTTP ports can be reached where all HTTP ports are.
 */
function addressesOf({ place, ports }: ServiceSection, book: AddressBook): ZoneAddresses {
  const own = place === undefined ? undefined : book.places.get(place);
  if (own !== undefined) return own;
  return ports.some(({ protocol }) => protocol === 'http') ? book.http : nowhere;
}

function dataOf(texts: readonly string[]): ZoneAddresses {
  const addresses = texts.flatMap((text) => normaliseAddress(text) ?? []);
  return {
    ipv4: addresses.filter((one) => addressFamily(one) === 'IPv4').map(ipv4Bytes),
    ipv6: addresses.filter((one) => addressFamily(one) === 'IPv6').map(ipv6Bytes),
  };
}

function apexesOf({ meshDomains, clusterDomain }: MeshSection): readonly string[] {
  return meshDomains.flatMap((domain) => zonesOfDomain(domain, clusterDomain));
}

/** What `name` (lower case, no trailing dot) is in `zone`. */
export function lookUp(zone: MeshZone, name: string): ZoneAnswer {
  const apex = zone.apexes.find((one) => name === one || name.endsWith(`.${one}`));
  if (apex === undefined) return { kind: 'foreign' };
  const addresses = zone.services.get(name);
  if (addresses !== undefined) return { kind: 'addresses', apex, addresses };
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
