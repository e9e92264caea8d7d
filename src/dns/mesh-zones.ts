// The DNS zones of a mesh domain: the domain, and for a domain of one label also what a resolver
// with a search list asks for first (`ndots:5`): `D.svc.<cluster-domain>`. Without the second a
// namespace called `D` could answer for every mesh name (contract §2).

/** Lower case, without a trailing dot; the domain itself comes first. */
export function zonesOfDomain(domain: string, clusterDomain: string): readonly string[] {
  const zone = normaliseZone(domain);
  return isOneLabel(zone) ? [zone, `${zone}.svc.${normaliseZone(clusterDomain)}`] : [zone];
}

/** Whether a namespace of the domain's name can get in the way of its names. */
export function isOneLabel(domain: string): boolean {
  return !normaliseZone(domain).includes('.');
}

export function normaliseZone(zone: string): string {
  return zone.toLowerCase().replace(/\.$/, '');
}
