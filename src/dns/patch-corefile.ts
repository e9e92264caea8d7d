// Corefile text in, Corefile text with our blocks out, and back to the byte. The blocks stand
// between two markers in front of everything else, so that taking them out never depends on how the
// rest ends. What cannot be read, or holds something of somebody else where our blocks should be,
// is left exactly as it is, and an obstacle says why.
// Two blocks for one zone keep CoreDNS from starting: a zone that is served already is never added.
import type { Corefile, ServerBlock, Unreadable } from './corefile.ts';
import { readCorefile, readKey } from './corefile.ts';
import {
  blocksHash,
  defaultListen,
  findRegion,
  forwardsTo,
  isInside,
  renderBlocks,
  renderRegion,
  servesZone,
} from './mesh-block.ts';
import type { FoundRegion, Listen, Region } from './mesh-block.ts';
import { normaliseZone, zonesOfDomain } from './mesh-zones.ts';

export type MeshDnsWish = {
  readonly domains: readonly string[];
  readonly clusterDomain: string;
  /** Of mesh DNS, as `forward` takes it. */
  readonly address: string;
  /** Domains that are not begun with; where they are served by our blocks already they stay. */
  readonly withheld: ReadonlySet<string>;
};

export type Surroundings = {
  /** Where the blocks have to listen; else it is read from the text itself. */
  readonly listen?: Listen;
  /** Texts that the same server loads as well. */
  readonly others?: readonly string[];
  /** Zones that it serves from elsewhere. */
  readonly takenZones?: readonly string[];
};

/** Why something was left alone. */
export type DnsObstacle = {
  readonly kind: 'unreadable' | 'damaged' | 'edited' | 'taken' | 'no-root';
  /** What is there, and where; a sentence without full stop. */
  readonly message: string;
};

export type CorefilePatch = {
  /** The input itself when there is nothing to change. */
  readonly text: string;
  /** Domains that are answered once the text is in force, by our blocks or by somebody's own. */
  readonly served: readonly string[];
  readonly obstacles: readonly DnsObstacle[];
  /** What one would add by hand for the domains that are not served; empty when all are. */
  readonly linesByHand: string;
  /** Our blocks as they should be, without markers. */
  readonly ourLines: string;
  /** Something reloads the file when it changes, as far as one can see. */
  readonly isReloaded: boolean;
};

export function patchCorefile(
  text: string,
  wish: MeshDnsWish,
  surroundings: Surroundings = {},
): CorefilePatch {
  const corefile = readCorefile(text);
  if (corefile.kind === 'unreadable') return leave({ text, wish }, unreadable(corefile));
  const others = (surroundings.others ?? []).flatMap(readOther);
  const isReloaded = [corefile, ...others].some(reloads);
  const foreignFiles = others.flatMap(({ blocks }) => blocks);
  const listen = surroundings.listen ?? listenOf(corefile, wish.clusterDomain, text);
  if (listen === undefined) {
    const message = 'no server block answers for "." or the cluster domain';
    return leave({ text, wish, isReloaded }, { kind: 'no-root', message });
  }
  const found = findRegion(corefile);
  const all = [...corefile.blocks, ...foreignFiles];
  const left = { text, wish, isReloaded, listen, blocks: all };
  if (found.kind === 'damaged') return leave(left, damaged(found));
  const region = found.kind === 'found' ? found.region : undefined;
  const isOurBlock = (block: ServerBlock) => region !== undefined && isInside(region, block);
  const plan = planZones(wish, {
    listen,
    foreign: all.filter((block) => foreignFiles.includes(block) || !isOurBlock(block)),
    ours: corefile.blocks.filter(isOurBlock),
    takenZones: new Set((surroundings.takenZones ?? []).map(normaliseZone)),
  });
  const outcome = write({ text, corefile, region, plan, wish, listen });
  if (typeof outcome !== 'string') return leave(left, outcome, plan.obstacles);
  return {
    text: outcome,
    served: plan.served,
    obstacles: plan.obstacles,
    linesByHand: byHand(missingOf(wish, plan.served), wish, listen),
    ourLines: renderBlocks(plan.groups, wish.address, listen),
    isReloaded,
  };
}

/** Where the DNS of the cluster answers; `undefined` when the text does not tell. */
export function corefileListen(text: string, clusterDomain: string): Listen | undefined {
  const corefile = readCorefile(text);
  return corefile.kind === 'unreadable' ? undefined : listenOf(corefile, clusterDomain, text);
}

function listenOf(corefile: Corefile, clusterDomain: string, text: string): Listen | undefined {
  const zones = ['.', normaliseZone(clusterDomain), '__pillar__dns__domain__'];
  for (const zone of zones) {
    const isServing = (key: string) => readKey(key)?.zone === zone;
    const block = corefile.blocks.find(({ keys }) => keys.some(isServing));
    if (block === undefined) continue;
    const keys = block.keys.flatMap((key) => readKey(key) ?? []);
    const ports = keys.filter((key) => key.zone === zone).map(({ port }) => port);
    const binds = block.directives
      .filter(({ name }) => name === 'bind')
      .map(({ start, end }) => text.slice(start, end).replaceAll('\r', ''));
    return { ports: [...new Set(ports)], binds };
  }
  return undefined;
}

function readOther(text: string): readonly Corefile[] {
  const corefile = readCorefile(text);
  return corefile.kind === 'read' ? [corefile] : [];
}

type Served = {
  readonly listen: Listen;
  /** Blocks outside our markers. */
  readonly foreign: readonly ServerBlock[];
  /** Blocks between our markers. */
  readonly ours: readonly ServerBlock[];
  readonly takenZones: ReadonlySet<string>;
};

type ZonePlan = {
  /** What our blocks have to serve, one group per domain. */
  readonly groups: readonly (readonly string[])[];
  readonly served: readonly string[];
  readonly obstacles: readonly DnsObstacle[];
  /** The blocks between the markers do all that, whatever else is in them. */
  readonly isDoneByOurs: boolean;
};

function planZones(wish: MeshDnsWish, served: Served): ZonePlan {
  const groups: (readonly string[])[] = [];
  const domains: string[] = [];
  const obstacles: DnsObstacle[] = [];
  for (const domain of wish.domains) {
    const zones = zonesOfDomain(domain, wish.clusterDomain);
    const isBegun = zones.some((zone) => serving(served.ours, zone, served).length > 0);
    if (wish.withheld.has(domain) && !isBegun) continue;
    const taken = zones.flatMap((zone) => takenBy(zone, wish, served));
    obstacles.push(...taken);
    if (taken.length > 0) continue;
    domains.push(domain);
    const open = zones.filter((zone) => serving(served.foreign, zone, served).length === 0);
    if (open.length > 0) groups.push(open);
  }
  const isDoneByOurs = groups.flat().every((zone) => {
    const [block, ...more] = serving(served.ours, zone, served);
    return block !== undefined && more.length === 0 && forwardsTo(block, wish.address);
  });
  return { groups, served: domains, obstacles, isDoneByOurs };
}

function serving(blocks: readonly ServerBlock[], zone: string, { listen }: Served) {
  return blocks.filter((block) => servesZone(block, zone, listen));
}

/** Somebody else's block for the zone that leads elsewhere. */
function takenBy(zone: string, wish: MeshDnsWish, served: Served): readonly DnsObstacle[] {
  if (served.takenZones.has(zone)) {
    const message = `zone ${zone} is a stub domain of ConfigMap kube-dns already`;
    return [{ kind: 'taken', message }];
  }
  return serving(served.foreign, zone, served)
    .filter((block) => !forwardsTo(block, wish.address))
    .map(({ line, endLine }) => ({
      kind: 'taken',
      message: `zone ${zone} is served by another block already (lines ${line}-${endLine})`,
    }));
}

type Change = {
  readonly text: string;
  readonly corefile: Corefile;
  readonly region: Region | undefined;
  readonly plan: ZonePlan;
  readonly wish: MeshDnsWish;
  readonly listen: Listen;
};

/** The new text, or what forbids to write it. */
function write(change: Change): string | DnsObstacle {
  const { text, region, plan, wish, listen } = change;
  const blocks = renderBlocks(plan.groups, wish.address, listen);
  if (region === undefined) return blocks === '' ? text : insert(text, renderRegion(blocks));
  if (blocks !== '' && region.hash === blocksHash(blocks)) return text;
  if (!region.isUnedited) {
    // Edited, but it does what it should: whoever added a `log` may keep it.
    if (blocks !== '' && plan.isDoneByOurs) return text;
    if (!isOurs(region, change.corefile, wish)) return edited(region);
  }
  const replacement = blocks === '' ? '' : withLineEnds(renderRegion(blocks), text);
  return text.slice(0, region.start) + replacement + text.slice(region.end);
}

/** In front of everything, behind a byte order mark (which is one at the very front only). */
function insert(text: string, region: string): string {
  const at = text.startsWith('\ufeff') ? 1 : 0;
  return text.slice(0, at) + withLineEnds(region, text) + text.slice(at);
}

/** With the line ends of the text's first line. */
function withLineEnds(region: string, text: string): string {
  return /^[^\n]*\r\n/.test(text) ? region.replaceAll('\n', '\r\n') : region;
}

/** Between the markers stand blocks for zones of the mesh alone. */
function isOurs(
  region: Region,
  corefile: Corefile,
  wish: Pick<MeshDnsWish, 'domains' | 'clusterDomain'>,
): boolean {
  const zones = new Set(wish.domains.flatMap((one) => zonesOfDomain(one, wish.clusterDomain)));
  const blocks = corefile.blocks.filter((block) => isInside(region, block));
  const keys = blocks.flatMap((block) => block.keys);
  const isForeign = (key: string): boolean => !zones.has(readKey(key)?.zone ?? '');
  const holdsOther = corefile.otherPlaces.some((start) => isInside(region, { start }));
  return !holdsOther && !keys.some(isForeign);
}

type Left = {
  readonly text: string;
  readonly wish: MeshDnsWish;
  readonly isReloaded?: boolean;
  readonly listen?: Listen;
  /** All that are in force as the text stands. */
  readonly blocks?: readonly ServerBlock[];
};

/** The text as it is; it may do what it should all the same. */
function leave(
  { text, wish, isReloaded = true, listen = defaultListen, blocks = [] }: Left,
  obstacle: DnsObstacle,
  before: readonly DnsObstacle[] = [],
): CorefilePatch {
  const isServed = (zone: string): boolean =>
    blocks.some((block) => servesZone(block, zone, listen) && forwardsTo(block, wish.address));
  const served = wish.domains.filter((domain) =>
    zonesOfDomain(domain, wish.clusterDomain).every(isServed),
  );
  const linesByHand = byHand(missingOf(wish, served), wish, listen, isServed);
  const obstacles = [...before, obstacle];
  return { text, served, obstacles, linesByHand, ourLines: linesByHand, isReloaded };
}

function missingOf(wish: MeshDnsWish, served: readonly string[]): readonly string[] {
  return wish.domains.filter((one) => !served.includes(one) && !wish.withheld.has(one));
}

/** Blocks for the domains, without zones that are served: a second block would stop CoreDNS. */
function byHand(
  domains: readonly string[],
  { clusterDomain, address }: MeshDnsWish,
  listen: Listen,
  isServed: (zone: string) => boolean = () => false,
): string {
  const groups = domains
    .map((domain) => zonesOfDomain(domain, clusterDomain).filter((zone) => !isServed(zone)))
    .filter((zones) => zones.length > 0);
  return renderBlocks(groups, address, listen);
}

/** `reload` in one block is enough for the whole file; a file that is imported may hold it. */
function reloads({ blocks, imports, snippetDirectives }: Corefile): boolean {
  const names = new Set(blocks.flatMap(({ directives }) => directives.map(({ name }) => name)));
  const isOutOfSight = names.has('import') || imports.length > 0;
  return names.has('reload') || snippetDirectives.has('reload') || isOutOfSight;
}

function unreadable({ line, why }: Unreadable): DnsObstacle {
  return { kind: 'unreadable', message: `the Corefile cannot be read: ${why} (line ${line})` };
}

function damaged({ lines }: Extract<FoundRegion, { readonly kind: 'damaged' }>): DnsObstacle {
  const message = `the markers of weft are damaged (lines ${lines.join(', ')})`;
  return { kind: 'damaged', message };
}

function edited({ line, endLine }: Region): DnsObstacle {
  const lines = `lines ${line}-${endLine}`;
  const message = `something of somebody else stands between the markers (${lines})`;
  return { kind: 'edited', message };
}

export type CorefileRemoval = {
  readonly text: string;
  /** What still has to be taken out by hand. */
  readonly obstacles: readonly DnsObstacle[];
};

/** The text as it was before; an edited region goes only if it is about mesh domains alone. */
export function removeFromCorefile(
  text: string,
  mesh: Pick<MeshDnsWish, 'domains' | 'clusterDomain'>,
): CorefileRemoval {
  const corefile = readCorefile(text);
  const found = findRegion(corefile);
  if (found.kind === 'none') return { text, obstacles: [] };
  if (found.kind === 'damaged') return { text, obstacles: [damaged(found)] };
  const { region } = found;
  const isRemovable =
    region.isUnedited || (corefile.kind === 'read' && isOurs(region, corefile, mesh));
  if (!isRemovable) return { text, obstacles: [edited(region)] };
  return { text: text.slice(0, region.start) + text.slice(region.end), obstacles: [] };
}

/** Whether there are markers of ours, in whatever state. */
export function hasMeshBlocks(text: string): boolean {
  return findRegion(readCorefile(text)).kind !== 'none';
}

/** Whether an `import` at the top level takes in `file` of a directory of this name. */
export function importsFile(text: string, directory: string, file: string): boolean {
  const corefile = readCorefile(text);
  if (corefile.kind === 'unreadable') return false;
  return corefile.imports.some((pattern) => {
    const steps = pattern.split('/');
    const glob = steps.pop() ?? '';
    return steps.at(-1) === directory && matchesGlob(glob, file);
  });
}

/** `*` is the only sign of a glob that such imports have. */
function matchesGlob(glob: string, name: string): boolean {
  const [head = '', ...tails] = glob.split('*');
  const last = tails.pop();
  if (last === undefined) return head === name;
  let at = head.length;
  for (const tail of tails) {
    const found = name.indexOf(tail, at);
    if (found < 0) return false;
    at = found + tail.length;
  }
  return name.startsWith(head) && name.length - last.length >= at && name.endsWith(last);
}
