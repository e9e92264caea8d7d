// From what there is of the cluster's DNS to what has to be written where, for each place. Pure.
// The texts are patched by `dns`; here is decided who provides DNS, and in which of several
// ConfigMaps our blocks stand – in one only, because two blocks for one zone keep CoreDNS from
// starting. Places come in the order in which they have to be written: what takes something out
// comes first.
import {
  corefileListen,
  foreignStubZones,
  hasMeshBlocks,
  importsFile,
  patchCorefile,
  patchStubDomains,
  removeFromCorefile,
} from '../../dns/index.ts';
import type {
  CorefilePatch,
  DnsObstacle,
  MeshDnsWish,
  StubPatch,
  Surroundings,
} from '../../dns/index.ts';
import { dnsConfigMaps } from './read-dns.ts';
import type { ConfigMapFacts, ConfigMapId, DnsFacts } from './read-dns.ts';
import { noteAnnotation, noteOf, renderNote } from './stub-note.ts';

export type DnsProvider = 'coredns' | 'kube-dns' | 'openshift';

/** A change of one ConfigMap; `null` takes a key out. */
export type DnsChange = {
  readonly data: Readonly<Record<string, string | null>>;
  readonly annotations?: Readonly<Record<string, string | null>>;
  /** Of the object that was read; `undefined` when there is none yet. */
  readonly resourceVersion: string | undefined;
};

export type DnsPlace = {
  readonly configMap: ConfigMapId;
  readonly key: string;
  /** Domains that are answered here once the change is made. */
  readonly served: readonly string[];
  readonly obstacles: readonly DnsObstacle[];
  readonly linesByHand: string;
  /** All that is ours there, for who has to write it by hand. */
  readonly ourLines: string;
  readonly isReloaded: boolean;
  /** `undefined`: all is as it should be, or nothing can be done. */
  readonly change: DnsChange | undefined;
  /** Our lines are not wanted here: they stand elsewhere, or stood here for another provider. */
  readonly isRemoval: boolean;
};

export type DnsPlan = {
  readonly provider: DnsProvider | undefined;
  readonly places: readonly DnsPlace[];
};

/** The key of `coredns-custom` (contract §2). */
export const customKey = 'weft.server';
const corefileKey = 'Corefile';
export const stubKey = 'stubDomains';

type Present = Extract<ConfigMapFacts, { readonly kind: 'present' }>;
/** A ConfigMap that is there, with its name. */
type Held = { readonly id: ConfigMapId; readonly facts: Present };

export function planDns(facts: DnsFacts, wish: MeshDnsWish): DnsPlan {
  const coreDns = findCoreDns(facts);
  const isKubeDns = coreDns === undefined && hasKubeDns(facts);
  const main = coreDns === undefined ? [] : planCoreDns(coreDns, facts, wish);
  const kubeDns = planKubeDns(facts, wish, isKubeDns);
  const nodeLocal = planNodeLocal(facts, wish, isKubeDns);
  const openshift =
    facts.openshift.kind === 'present' && coreDns === undefined
      ? [readOnly({ id: dnsConfigMaps.openshift, facts: facts.openshift }, wish)]
      : [];
  const places = [...main, ...kubeDns, ...nodeLocal, ...openshift];
  return {
    provider: providerOf({ hasCoreDns: coreDns !== undefined, isKubeDns, openshift }),
    places: [
      ...places.filter(({ isRemoval }) => isRemoval),
      ...places.filter(({ isRemoval }) => !isRemoval),
    ],
  };
}

function providerOf(found: {
  readonly hasCoreDns: boolean;
  readonly isKubeDns: boolean;
  readonly openshift: readonly DnsPlace[];
}): DnsProvider | undefined {
  if (found.hasCoreDns) return 'coredns';
  if (found.isKubeDns) return 'kube-dns';
  return found.openshift.length > 0 ? 'openshift' : undefined;
}

/** The ConfigMap whose Deployment exists; without that evidence the first that has a Corefile. */
function findCoreDns({ coredns, rke2, deployments }: DnsFacts): Held | undefined {
  const held = [
    ...withCorefile(dnsConfigMaps.coredns, coredns),
    ...withCorefile(dnsConfigMaps.rke2, rke2),
  ];
  const running = held.find(({ id }) => deployments.has(id.name));
  // A Corefile that was left behind when a cluster went over to kube-dns serves nobody.
  if (running === undefined && deployments.has('kube-dns')) return undefined;
  return running ?? held[0];
}

function withCorefile(id: ConfigMapId, facts: ConfigMapFacts): readonly Held[] {
  return facts.kind === 'present' && facts.data.has(corefileKey) ? [{ id, facts }] : [];
}

function hasKubeDns({ kubeDns, deployments }: DnsFacts): boolean {
  return deployments.has('kube-dns') || (kubeDns.kind === 'present' && deployments.size === 0);
}

/** In `coredns-custom` where there is one and the Corefile loads it, else in the Corefile. */
function planCoreDns(main: Held, facts: DnsFacts, wish: MeshDnsWish): readonly DnsPlace[] {
  const corefile = main.facts.data.get(corefileKey) ?? '';
  const custom = facts.custom.kind === 'present' ? facts.custom : undefined;
  const isLoaded = custom !== undefined && importsFile(corefile, 'custom', customKey);
  const own = custom?.data.get(customKey);
  const holds = { corefile: hasMeshBlocks(corefile), custom: hasMeshBlocks(own ?? '') };
  // Where our blocks stand they stay: to move them is to have them twice for a moment.
  const isInCustom = isLoaded && (holds.custom || !holds.corefile);
  const others = custom === undefined || !isLoaded ? [] : otherServers(custom);
  if (custom === undefined || !isInCustom) {
    const inCorefile = corefilePlace(main, corefileKey, patchCorefile(corefile, wish, { others }));
    if (custom === undefined || own === undefined) return [inCorefile];
    return [removalPlace({ id: dnsConfigMaps.custom, facts: custom }, customKey, wish), inCorefile];
  }
  const removal = removeFromCorefile(corefile, wish);
  const listen = corefileListen(corefile, wish.clusterDomain);
  const surroundings: Surroundings = {
    others: [removal.text, ...others],
    ...(listen === undefined ? {} : { listen }),
  };
  const held = { id: dnsConfigMaps.custom, facts: custom };
  const place = corefilePlace(held, customKey, patchCorefile(own ?? '', wish, surroundings));
  return holds.corefile ? [removalPlace(main, corefileKey, wish), place] : [place];
}

/** What else of `coredns-custom` is loaded at the top level, by the convention of all providers. */
function otherServers(custom: Present): readonly string[] {
  const servers = [...custom.data].filter(([key]) => key.endsWith('.server') && key !== customKey);
  return servers.map(([, text]) => text);
}

function corefilePlace({ id, facts }: Held, key: string, patch: CorefilePatch): DnsPlace {
  const { served, obstacles, linesByHand, ourLines, isReloaded } = patch;
  const isChanged = patch.text !== (facts.data.get(key) ?? '');
  const change = isChanged ? textChange(facts, key, patch.text) : undefined;
  const about = { served, obstacles, linesByHand, ourLines, isReloaded };
  return { configMap: id, key, ...about, change, isRemoval: false };
}

function textChange(facts: Present, key: string, text: string): DnsChange {
  // A key that held nothing but our blocks was made by us.
  const isOurs = key === customKey && text === '';
  return { data: { [key]: isOurs ? null : text }, resourceVersion: facts.resourceVersion };
}

function removalPlace(held: Held, key: string, wish: MeshDnsWish): DnsPlace {
  const before = held.facts.data.get(key) ?? '';
  const { text, obstacles } = removeFromCorefile(before, wish);
  const change = text === before ? undefined : textChange(held.facts, key, text);
  const nothing = { served: [], linesByHand: '', ourLines: '', isReloaded: true };
  return { configMap: held.id, key, ...nothing, obstacles, change, isRemoval: true };
}

/** Our lines in ConfigMap kube-dns: wanted where kube-dns answers, taken out elsewhere. */
function planKubeDns(
  { kubeDns }: DnsFacts,
  wish: MeshDnsWish,
  isWanted: boolean,
): readonly DnsPlace[] {
  const held = kubeDns.kind === 'present' ? kubeDns : undefined;
  const note = noteOf(held?.annotations.get(noteAnnotation));
  if (!isWanted && note === undefined) return [];
  if (kubeDns.kind === 'forbidden') return [];
  const text = held?.data.get(stubKey);
  const patch = patchStubDomains(text, note, isWanted ? wish : { ...wish, domains: [] });
  return [stubPlace(held, patch, isWanted)];
}

function stubPlace(held: Present | undefined, patch: StubPatch, isWanted: boolean): DnsPlace {
  const before = held?.data.get(stubKey);
  const noteText = renderNote(patch.note);
  const isChanged =
    patch.text !== before || noteText !== (held?.annotations.get(noteAnnotation) ?? null);
  const change: DnsChange = {
    data: { [stubKey]: patch.text ?? null },
    annotations: { [noteAnnotation]: noteText },
    resourceVersion: held?.resourceVersion,
  };
  const { served, obstacles, linesByHand, ourLines } = patch;
  return {
    configMap: dnsConfigMaps.kubeDns,
    key: stubKey,
    served,
    obstacles,
    linesByHand,
    ourLines,
    // kube-dns looks at its configuration every few seconds.
    isReloaded: true,
    change: isChanged ? change : undefined,
    isRemoval: !isWanted,
  };
}

/**
 * NodeLocal DNSCache never asks the DNS of the cluster for other zones, so it needs the block too;
 * but it turns the stub domains of ConfigMap kube-dns into blocks by itself.
 */
function planNodeLocal(
  { nodeLocal, kubeDns }: DnsFacts,
  wish: MeshDnsWish,
  isKubeDns: boolean,
): readonly DnsPlace[] {
  const [held] = withCorefile(dnsConfigMaps.nodeLocal, nodeLocal);
  if (held === undefined) return [];
  const text = held.facts.data.get(corefileKey) ?? '';
  if (isKubeDns) return hasMeshBlocks(text) ? [removalPlace(held, corefileKey, wish)] : [];
  const stubs = kubeDns.kind === 'present' ? kubeDns : undefined;
  const note = noteOf(stubs?.annotations.get(noteAnnotation));
  const takenZones = foreignStubZones(stubs?.data.get(stubKey), note);
  return [corefilePlace(held, corefileKey, patchCorefile(text, wish, { takenZones }))];
}

/** Whether somebody has wired it by hand; we change nothing there. */
function readOnly(held: Held, wish: MeshDnsWish): DnsPlace {
  const text = held.facts.data.get(corefileKey) ?? '';
  const patch = patchCorefile(text, wish);
  const isAsWished = patch.text === text && patch.obstacles.length === 0;
  return {
    configMap: held.id,
    key: corefileKey,
    served: isAsWished ? patch.served : [],
    obstacles: [],
    linesByHand: '',
    ourLines: patch.ourLines,
    isReloaded: true,
    change: undefined,
    isRemoval: false,
  };
}
