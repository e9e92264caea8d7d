// What people have to know of the wiring of the cluster's DNS, as problems of the objects that they
// would edit. Messages begin with what is wrong and end with the lines to add by hand, because that
// is what the reader has to copy. Pure.
import type { Problem, ProblemReason } from '../../api/index.ts';
import { defaultListen, renderBlocks, zonesOfDomain } from '../../dns/index.ts';
import type { MeshDnsWish } from '../../dns/index.ts';
import type { DnsPlace, DnsPlan } from './plan-dns.ts';
import { dnsConfigMaps } from './read-dns.ts';
import type { ConfigMapFacts, ConfigMapId, DnsFacts } from './read-dns.ts';

/** `namespace/name key`, by which places are remembered and told. */
export function placeName({ configMap, key }: Pick<DnsPlace, 'configMap' | 'key'>): string {
  return `${configMap.namespace}/${configMap.name} ${key}`;
}

export type WiringFacts = {
  readonly facts: DnsFacts;
  readonly plan: DnsPlan;
  readonly wish: MeshDnsWish;
  readonly meshNamespace: string;
};

/** Of what stands there now; what happens to our writes is told by whoever writes. */
export function wiringProblems(wiring: WiringFacts): readonly Problem[] {
  const { facts, plan, wish } = wiring;
  const { coredns, kubeDns, nodeLocal } = facts;
  const read = [
    ...unreadableMap(dnsConfigMaps.coredns, coredns),
    ...unreadableMap(dnsConfigMaps.nodeLocal, nodeLocal),
    ...unreadableMap(dnsConfigMaps.kubeDns, kubeDns),
  ];
  const places = plan.places.flatMap(placeProblems);
  switch (plan.provider) {
    case 'openshift':
      return [...read, ...places, ...openshiftProblems(plan, wish)];
    case undefined:
      return [...read, ...places, ...(read.length > 0 ? [] : [noProvider(wiring)])];
    default:
      return [...read, ...places];
  }
}

function problem(id: ConfigMapId, reason: ProblemReason, message: string): Problem {
  return { kind: 'ConfigMap', namespace: id.namespace, name: id.name, reason, message };
}

function unreadableMap(id: ConfigMapId, facts: ConfigMapFacts): readonly Problem[] {
  if (facts.kind !== 'forbidden') return [];
  const message = `the controller may not read this ConfigMap: ${facts.why}`;
  return [problem(id, 'DnsNotWired', message)];
}

function placeProblems(place: DnsPlace): readonly Problem[] {
  const { configMap, obstacles, served, isReloaded, isRemoval, linesByHand } = place;
  const problems: Problem[] = [];
  const why = obstacles.map(({ message }) => message).join('; ');
  if (isRemoval && why !== '') {
    const message = `lines of weft are left in, take them out by hand: ${why}`;
    problems.push(problem(configMap, 'DnsNotWired', message));
  } else if (why !== '') {
    problems.push(problem(configMap, 'DnsNotWired', notWired(why, place)));
  } else if (linesByHand !== '') {
    problems.push(problem(configMap, 'DnsNotWired', notWired('mesh names are missing', place)));
  }
  if (!isReloaded && served.length > 0) {
    const message =
      'this Corefile has no reload: CoreDNS reads it when it is restarted ' +
      '(kubectl -n kube-system rollout restart deployment/coredns), or add the line "reload" first';
    problems.push(problem(configMap, 'DnsNotReloaded', message));
  }
  return problems;
}

/** What is in the way, then what to write there. */
function notWired(why: string, { key, linesByHand, obstacles }: DnsPlace): string {
  if (linesByHand === '') return `${key}: ${why}`;
  const isInTheWay = obstacles.some(({ kind }) => kind === 'taken' || kind === 'edited');
  return `${key}: ${why}; ${isInTheWay ? 'write instead' : 'add'}:\n${linesByHand}`;
}

function openshiftProblems({ places }: DnsPlan, wish: MeshDnsWish): readonly Problem[] {
  const served = new Set(places.flatMap((place) => place.served));
  const missing = wish.domains.filter((one) => !served.has(one) && !wish.withheld.has(one));
  if (missing.length === 0) return [];
  const message =
    "OpenShift's DNS operator owns this ConfigMap; add to spec.servers of " +
    `dns.operator.openshift.io/default:\n${openshiftLines(missing, wish)}`;
  return [problem(dnsConfigMaps.openshift, 'DnsNotWired', message)];
}

/** One entry of `spec.servers` (operator.openshift.io/v1 DNS). */
export function openshiftLines(domains: readonly string[], wish: MeshDnsWish): string {
  const zones = domains.flatMap((domain) => zonesOfDomain(domain, wish.clusterDomain));
  const upstreams = `  forwardPlugin:\n    upstreams: [${wish.address}]\n`;
  return `- name: weft\n  zones: [${zones.join(', ')}]\n${upstreams}`;
}

function noProvider({ wish, meshNamespace }: WiringFacts): Problem {
  const message =
    'no DNS of the cluster was found that weft knows how to edit (CoreDNS, kube-dns in ' +
    `kube-system); make it forward mesh names, as CoreDNS would by:\n${linesFor(wish)}`;
  const object = { kind: 'Service', namespace: meshNamespace, name: 'weft-dns' } as const;
  return { ...object, reason: 'DnsNotWired', message };
}

/** What one would add to a Corefile of which nothing is known. */
export function linesFor({ domains, clusterDomain, address, withheld }: MeshDnsWish): string {
  const open = domains.filter((domain) => !withheld.has(domain));
  const groups = open.map((domain) => zonesOfDomain(domain, clusterDomain));
  return renderBlocks(groups, address, defaultListen);
}

/** A namespace with the name of a mesh domain; `isWired`: the domain is in force all the same. */
export function clashProblem(domain: string, clusterDomain: string, isWired: boolean): Problem {
  const names = `<service>.${domain}.svc.${clusterDomain}`;
  const effect = isWired
    ? `its names (${names}) lead to the mesh; rename it, or choose`
    : `${names} would be mesh names, so mesh domain ${domain} is not wired; rename it, or choose`;
  const message = `this namespace has the name of a mesh domain: ${effect} another --mesh-domain`;
  return { kind: 'Namespace', namespace: '', name: domain, reason: 'MeshDomainTaken', message };
}

/** Somebody undoes what we write. */
export function revertedProblem({ configMap }: DnsPlace): Problem {
  const message =
    'somebody takes the lines of weft out of this ConfigMap again and again (an add-on manager, ' +
    'GitOps?); they are put back ever more slowly: add them at its source, or use coredns-custom';
  return problem(configMap, 'DnsReverted', message);
}

/** The API server did not take what we wrote. */
export function refusedProblem(place: DnsPlace, why: string): Problem {
  const lines = place.ourLines === '' ? '' : `; add:\n${place.ourLines}`;
  const message = `${place.key}: cannot be written: ${why}${lines}`;
  return problem(place.configMap, 'DnsNotWired', message);
}
