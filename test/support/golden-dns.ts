// One golden case of DNS wiring: `wish` (what is to be served; one `key value…` per line) and
// `text` are input, `patched` is the text that comes out, `told` what is said of it: the domains
// that are served, what stood in the way, and the lines to add by hand.
import { patchCorefile, patchStubDomains, removeFromCorefile } from '../../src/dns/index.ts';
import { corefileListen, removeStubDomains } from '../../src/dns/index.ts';
import type { MeshDnsWish, Surroundings } from '../../src/dns/index.ts';
import type { GoldenCase } from './golden-file.ts';

/** A heading parts cases, but a comment of a Corefile in a fenced block looks like one. */
const caseStart = /^# .*$|^```[\s\S]*?^```$/gm;

/** The sections of a page, one case each, in their order; together they are the page. */
export function dnsSections(page: string): readonly string[] {
  const starts = [...page.matchAll(caseStart)]
    .filter(([text]) => text.startsWith('# '))
    .map(({ index }) => index);
  return starts.map((start, at) => page.slice(start, starts[at + 1] ?? page.length));
}

/** The case of a section; its title is the heading. */
export function readDnsCase(section: string): GoldenCase {
  const body = section.slice(section.indexOf('\n'));
  const blocks = new Map(
    dnsFences(body).map(({ name, content }) => [name, content] as const),
  );
  return { title: section.slice(2, section.indexOf('\n')), blocks };
}

function dnsFences(body: string) {
  const fences = body.matchAll(/^```\w+ (\w+)\n([\s\S]*?)^```$/gm);
  return [...fences].map(([, name = '', content = '']) => ({ name, content }));
}

export type DnsCaseOutput = {
  readonly patched: string;
  readonly told: string;
  /** Patched once more. */
  readonly again: string;
  /** Taken out again. */
  readonly back: string;
};

/** What is told apart in both kinds of text. */
type Told = {
  readonly served: readonly string[];
  readonly obstacles: readonly { readonly kind: string; readonly message: string }[];
  readonly linesByHand: string;
  readonly isReloaded?: boolean;
};

export function runDnsCase(golden: GoldenCase): DnsCaseOutput {
  const text = golden.blocks.get('text') ?? '';
  const lines = linesOf(golden.blocks.get('wish') ?? '');
  const wish = wishOf(lines);
  if (lines.has('stub')) return runStubCase(text, wish);
  const surroundings = surroundingsOf(golden, wish, lines);
  const patch = patchCorefile(text, wish, surroundings);
  return {
    patched: patch.text,
    told: toldOf(patch),
    again: patchCorefile(patch.text, wish, surroundings).text,
    // A case that begins with text of ours ends where it begins: `text` is what was there before.
    back: lines.has('begun') ? text : removeFromCorefile(patch.text, wish).text,
  };
}

function runStubCase(text: string, wish: MeshDnsWish): DnsCaseOutput {
  const patch = patchStubDomains(text, undefined, wish);
  return {
    patched: patch.text ?? '',
    told: toldOf(patch),
    again: patchStubDomains(patch.text, patch.note, wish).text ?? '',
    back: removeStubDomains(patch.text, patch.note) ?? '',
  };
}

function linesOf(text: string): ReadonlyMap<string, readonly string[]> {
  const words = text.split('\n').map((line) => line.split(' ').filter((word) => word !== ''));
  return new Map(words.map(([key = '', ...values]) => [key, values]));
}

function wishOf(lines: ReadonlyMap<string, readonly string[]>): MeshDnsWish {
  return {
    domains: lines.get('domains') ?? ['mesh'],
    clusterDomain: lines.get('cluster-domain')?.[0] ?? 'cluster.local',
    address: lines.get('address')?.[0] ?? '10.96.7.7',
    withheld: new Set(lines.get('withheld')),
  };
}

function surroundingsOf(
  golden: GoldenCase,
  wish: MeshDnsWish,
  lines: ReadonlyMap<string, readonly string[]>,
): Surroundings {
  const others = golden.blocks.get('others');
  const listen = corefileListen(others ?? '', wish.clusterDomain);
  return {
    ...(others === undefined ? {} : { others: [others] }),
    ...(listen === undefined ? {} : { listen }),
    takenZones: lines.get('taken') ?? [],
  };
}

function toldOf({ served, obstacles, linesByHand, isReloaded }: Told): string {
  const reload = isReloaded === false ? 'nothing reloads this file\n' : '';
  const said = obstacles.map(({ kind, message }) => `${kind}: ${message}\n`).join('');
  return `served: ${served.join(' ')}\n${said}${reload}${linesByHand}`;
}
