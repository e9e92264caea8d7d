// What `weft check` tells of the cluster's DNS, before and after installation: who provides it,
// where mesh names are wired or would be, and what is missing. It looks with the same eyes as the
// keeper (plan-dns.ts) and changes nothing.
import type { MeshSettings, Problem } from '../../api/index.ts';
import { isOneLabel } from '../../dns/index.ts';
import type { MeshDnsWish } from '../../dns/index.ts';
import { kubeReason, resourcePath } from '../../kube/index.ts';
import type { Connection } from '../../kube/index.ts';
import { listAt, textAt } from '../raw-object.ts';
import { clashProblem, linesFor, openshiftLines, wiringProblems } from './dns-problems.ts';
import { dnsServiceName } from './keep-dns.ts';
import { planDns } from './plan-dns.ts';
import type { DnsPlace, DnsProvider } from './plan-dns.ts';
import { readDnsFacts } from './read-dns.ts';

export type DnsPlaceReport = {
  readonly namespace: string;
  readonly configMap: string;
  readonly key: string;
  /** `due`: the controller would write it now, or will at the next look. */
  readonly state: 'wired' | 'due' | 'left';
  /** Mesh domains that are answered here, or will be. */
  readonly served: readonly string[];
};

export type DnsReport = {
  /** `undefined`: nobody that we know. */
  readonly provider: DnsProvider | undefined;
  /** ClusterIP of Service `weft-dns`; `undefined` before it is there. */
  readonly address: string | undefined;
  /** Every domain is answered wherever the provider reads. */
  readonly isWired: boolean;
  readonly places: readonly DnsPlaceReport[];
  /** Mesh domains whose name a namespace has. */
  readonly clashes: readonly string[];
  readonly problems: readonly Problem[];
  /** What to add by hand where the controller cannot; empty when it can, or all is wired. */
  readonly linesByHand: string;
};

/** Stands for the address before there is one. */
const addressToCome = '<ClusterIP of Service weft-dns>';

export async function inspectDns(
  connection: Connection,
  settings: MeshSettings,
): Promise<DnsReport> {
  const { meshDomains, clusterDomain, meshNamespace } = settings;
  const [facts, address, clashes] = await Promise.all([
    readDnsFacts(connection),
    readAddress(connection, meshNamespace),
    readClashes(connection, meshDomains),
  ]);
  const wish: MeshDnsWish = {
    domains: meshDomains,
    clusterDomain,
    address: address ?? addressToCome,
    withheld: new Set(clashes),
  };
  const plan = planDns(facts, wish);
  const places = plan.places.filter(({ isRemoval }) => !isRemoval);
  const isWired = places.length > 0 && places.every((place) => isAllWired(place, meshDomains));
  const served = new Set(places.flatMap((place) => place.served));
  const clashing = clashes.map((domain) => clashProblem(domain, clusterDomain, served.has(domain)));
  return {
    provider: plan.provider,
    address,
    isWired,
    places: places.map(reportOf),
    clashes,
    problems: [...wiringProblems({ facts, plan, wish, meshNamespace }), ...clashing],
    linesByHand: isWired ? '' : linesByHand(plan.provider, places, wish),
  };
}

function isAllWired({ change, served }: DnsPlace, domains: readonly string[]): boolean {
  return change === undefined && domains.every((domain) => served.includes(domain));
}

function reportOf(place: DnsPlace): DnsPlaceReport {
  const { configMap, key, served, change } = place;
  const settled = served.length > 0 ? 'wired' : 'left';
  const state = change === undefined ? settled : 'due';
  return { namespace: configMap.namespace, configMap: configMap.name, key, state, served };
}

function linesByHand(
  provider: DnsProvider | undefined,
  places: readonly DnsPlace[],
  wish: MeshDnsWish,
): string {
  switch (provider) {
    case 'openshift':
      return openshiftLines(wish.domains, wish);
    case undefined:
      return linesFor(wish);
    default:
      return places.map((place) => place.linesByHand).find((lines) => lines !== '') ?? '';
  }
}

async function readAddress(
  connection: Connection,
  namespace: string,
): Promise<string | undefined> {
  const path = { group: '', version: 'v1', plural: 'services', namespace, name: dnsServiceName };
  const service = await orUndefined(connection.get(resourcePath(path)));
  const [address = textAt(service, 'spec', 'clusterIP')] = listAt(service, 'spec', 'clusterIPs');
  return typeof address === 'string' && /^[\d.]+$|:/.test(address) ? address : undefined;
}

async function readClashes(
  connection: Connection,
  domains: readonly string[],
): Promise<readonly string[]> {
  const candidates = domains.filter(isOneLabel);
  const found = await Promise.all(
    candidates.map(async (name) => {
      const path = resourcePath({ group: '', version: 'v1', plural: 'namespaces', name });
      return (await orUndefined(connection.get(path))) === undefined ? [] : [name];
    }),
  );
  return found.flat();
}

async function orUndefined(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (kubeReason(error) === 'NotFound') return undefined;
    throw error;
  }
}
