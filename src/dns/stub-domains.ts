// `stubDomains` of kube-dns – a JSON object from zone to name servers, as text in a ConfigMap –
// with our zones put in, and back to the byte. JSON has no comments, so which entries are ours is
// kept beside it as a `StubNote`; an entry of ours that somebody changed is not ours any more.
import { insertMembers, readMembers, removeMember } from './json-members.ts';
import type { JsonMember } from './json-members.ts';
import { normaliseZone, zonesOfDomain } from './mesh-zones.ts';
import type { DnsObstacle, MeshDnsWish } from './patch-corefile.ts';

/** What has to be remembered to take our entries out again. */
export type StubNote = {
  /** Zone → address, as we wrote them. */
  readonly entries: ReadonlyMap<string, string>;
  /** Set when there was no JSON object: the text before us; `null` = the key did not exist. */
  readonly before: string | null | undefined;
};

export type StubPatch = {
  /** `undefined`: the key is not there. */
  readonly text: string | undefined;
  /** `undefined`: nothing of ours is in the text. */
  readonly note: StubNote | undefined;
  /** Domains that are answered once the text is in force. */
  readonly served: readonly string[];
  readonly obstacles: readonly DnsObstacle[];
  readonly linesByHand: string;
  /** Our entries as they should be, as an object of their own. */
  readonly ourLines: string;
};

export function patchStubDomains(
  text: string | undefined,
  note: StubNote | undefined,
  wish: MeshDnsWish,
): StubPatch {
  const original = removeStubDomains(text, note);
  const isBlank = (original ?? '').trim() === '';
  const members = isBlank ? [] : readMembers(original ?? '');
  if (original !== undefined && members === undefined) {
    const message = 'stubDomains is no JSON object';
    const obstacles: readonly DnsObstacle[] = [{ kind: 'unreadable', message }];
    const linesByHand = byHand(wish.domains, wish);
    return { text, note, served: [], obstacles, linesByHand, ourLines: linesByHand };
  }
  const plan = planEntries(original ?? '', members ?? [], { wish, note });
  if (text !== undefined && isInPlace(text, plan.entries, note)) {
    return { ...resultOf(plan, wish), text, note };
  }
  const texts = [...plan.entries].map(([zone, address]) => renderMember(zone, address));
  const patched = insertMembers(isBlank ? '{}' : (original ?? ''), texts);
  return {
    ...resultOf(plan, wish),
    text: plan.entries.size === 0 ? original : patched,
    note: noteOf(plan.entries, isBlank ? (original ?? null) : undefined),
  };
}

function resultOf({ served, obstacles, entries }: EntryPlan, wish: MeshDnsWish) {
  const missing = wish.domains.filter(
    (domain) => !served.includes(domain) && !wish.withheld.has(domain),
  );
  const linesByHand = byHand(missing, wish);
  return { served, obstacles, linesByHand, ourLines: renderEntries([...entries.keys()], wish) };
}

/** However the text is laid out: a formatter is not fought. */
function isInPlace(
  text: string,
  entries: ReadonlyMap<string, string>,
  note: StubNote | undefined,
): boolean {
  if (note?.entries.size !== entries.size) return false;
  const members = readMembers(text) ?? [];
  return [...entries].every(
    ([zone, address]) =>
      note.entries.get(zone) === address &&
      members.some((one) => isEntry(text, one, zone, address)),
  );
}

/** The text without our entries; an entry that differs from what we wrote stays. */
export function removeStubDomains(
  text: string | undefined,
  note: StubNote | undefined,
): string | undefined {
  if (text === undefined || note === undefined) return text;
  let rest = text;
  for (const [zone, address] of note.entries) {
    const member = readMembers(rest)?.find((one) => isEntry(rest, one, zone, address));
    if (member !== undefined) rest = removeMember(rest, member);
  }
  if (note.before === undefined || readMembers(rest)?.length !== 0) return rest;
  return note.before ?? undefined;
}

function renderMember(zone: string, address: string): string {
  return `${JSON.stringify(zone)}: [${JSON.stringify(address)}]`;
}

function noteOf(
  entries: ReadonlyMap<string, string>,
  before: string | null | undefined,
): StubNote | undefined {
  return entries.size === 0 ? undefined : { entries, before };
}

type EntryPlan = {
  readonly entries: ReadonlyMap<string, string>;
  readonly served: readonly string[];
  readonly obstacles: readonly DnsObstacle[];
};

/** Which zones need an entry, when those of `members` are somebody else's. */
function planEntries(
  text: string,
  members: readonly JsonMember[],
  { wish, note }: { readonly wish: MeshDnsWish; readonly note: StubNote | undefined },
): EntryPlan {
  const entries = new Map<string, string>();
  const served: string[] = [];
  const obstacles: DnsObstacle[] = [];
  for (const domain of wish.domains) {
    const zones = zonesOfDomain(domain, wish.clusterDomain);
    const isBegun = zones.some((zone) => note?.entries.has(zone) === true);
    if (wish.withheld.has(domain) && !isBegun) continue;
    const present = zones.flatMap((zone) => members.filter((one) => isZone(one, zone)));
    const taken = present.filter((one) => !leadsTo(text, one, wish.address));
    if (taken.length > 0) {
      const names = taken.map(({ name }) => name).join(', ');
      obstacles.push({ kind: 'taken', message: `stubDomains has ${names} already` });
      continue;
    }
    served.push(domain);
    for (const zone of zones) {
      if (!present.some((one) => isZone(one, zone))) entries.set(zone, wish.address);
    }
  }
  return { entries, served, obstacles };
}

function isZone({ name }: JsonMember, zone: string): boolean {
  return normaliseZone(name) === zone;
}

function isEntry(text: string, member: JsonMember, zone: string, address: string): boolean {
  return member.name === zone && leadsTo(text, member, address);
}

/** The one name server of the member is `address`. */
function leadsTo(text: string, { start, end }: JsonMember, address: string): boolean {
  const value: unknown = JSON.parse(`{${text.slice(start, end)}}`);
  return Object.values(value ?? {}).every(
    (servers) => JSON.stringify(servers) === JSON.stringify([address]),
  );
}

function byHand(domains: readonly string[], wish: MeshDnsWish): string {
  const zones = domains.flatMap((domain) => zonesOfDomain(domain, wish.clusterDomain));
  return renderEntries(zones, wish);
}

function renderEntries(zones: readonly string[], wish: MeshDnsWish): string {
  if (zones.length === 0) return '';
  return `{${zones.map((zone) => renderMember(zone, wish.address)).join(', ')}}\n`;
}

/** Zones that the text sends somewhere, ours (by the note) left out. */
export function foreignStubZones(
  text: string | undefined,
  note: StubNote | undefined,
): readonly string[] {
  const members = readMembers(removeStubDomains(text, note) ?? '') ?? [];
  return members.map(({ name }) => normaliseZone(name));
}
