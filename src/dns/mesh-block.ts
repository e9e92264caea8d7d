// The server blocks that send mesh names to mesh DNS, as text between two marker comments
// (contract §2), and how they are found again. The first marker carries a hash of what stands
// between the markers, so that text that somebody edited is told from text that some release of
// ours wrote. Comments and white space do not count.
import { contentHash } from '../lib/hash.ts';
import type { Corefile, ServerBlock, Unreadable } from './corefile.ts';
import { readKey } from './corefile.ts';
import { readTokens } from './corefile-tokens.ts';
import type { CorefileComment, CorefileToken } from './corefile-tokens.ts';

/** Where the DNS of the cluster answers pods; our blocks have to answer there too. */
export type Listen = {
  /** Of the keys; `undefined` is the default port. */
  readonly ports: readonly (string | undefined)[];
  /** `bind` directives, as they are written there. */
  readonly binds: readonly string[];
};

export const defaultListen: Listen = { ports: ['53'], binds: [] };

/** Zones that belong together: those of one mesh domain. Never empty. */
export type ZoneGroup = readonly string[];

/** Denials are kept shortly: a Service that was created a moment ago has to be found. */
const cacheLines = ['cache 30 {', '    denial 9984 5', '}'];

/** One server block per group, without markers: the lines that one can add by hand. */
export function renderBlocks(
  groups: readonly ZoneGroup[],
  address: string,
  listen: Listen,
): string {
  return groups.map((zones) => renderBlock(zones, address, listen)).join('');
}

function renderBlock(zones: ZoneGroup, address: string, { ports, binds }: Listen): string {
  const keys = zones.flatMap((zone) =>
    ports.map((port) => (port === undefined ? zone : `${zone}:${port}`)),
  );
  const lines = [...binds, 'errors', ...cacheLines, `forward . ${address}`];
  return `${keys.join(' ')} {\n${lines.map((line) => `    ${line}\n`).join('')}}\n`;
}

const beginWord = '# weft:begin';
const endWord = '# weft:end';

/** The blocks between their markers. */
export function renderRegion(blocks: string): string {
  const hash = hashOf(readTokens(blocks).tokens);
  const note = 'kept by weft-controller, taken out by "weft uninstall"';
  return `${beginWord} ${hash} ${note}\n${blocks}${endWord}\n`;
}

function hashOf(tokens: readonly CorefileToken[]): string {
  let line = 0;
  const words = tokens.map((token) => {
    const mark = token.line > line ? '\n' : ' ';
    line = token.endLine;
    return mark + JSON.stringify(token.text);
  });
  return contentHash(words.join(''));
}

export type Region = {
  /** From the line of the first marker to behind the line of the second. */
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly endLine: number;
  /** As one of our releases wrote it. */
  readonly isUnedited: boolean;
  /** Of what stands between the markers. */
  readonly hash: string;
};

export type FoundRegion =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly region: Region }
  /** One marker without the other, or more than one pair. */
  | { readonly kind: 'damaged'; readonly lines: readonly number[] };

export function findRegion(corefile: Corefile | Unreadable): FoundRegion {
  const begins = corefile.comments.filter(({ text }) => text.startsWith(beginWord));
  const ends = corefile.comments.filter(({ text }) => text.startsWith(endWord));
  if (begins.length === 0 && ends.length === 0) return { kind: 'none' };
  const [begin] = begins;
  const [end] = ends;
  const isPair = begins.length === 1 && ends.length === 1;
  if (!isPair || begin === undefined || end === undefined || begin.start > end.start) {
    return damaged([...begins, ...ends]);
  }
  const hash = hashOf(
    corefile.tokens.filter(({ start }) => start >= begin.end && start < end.start),
  );
  const said = begin.text.slice(beginWord.length).trim().split(' ')[0];
  const region = {
    start: begin.start,
    end: end.end,
    line: begin.line,
    endLine: end.line,
    isUnedited: said === hash,
    hash,
  };
  if (corefile.kind === 'read' && isTorn(region, corefile)) return damaged([begin, end]);
  return { kind: 'found', region };
}

/** Hash of blocks as `Region` has it. */
export function blocksHash(blocks: string): string {
  return hashOf(readTokens(blocks).tokens);
}

function damaged(comments: readonly CorefileComment[]): FoundRegion {
  return { kind: 'damaged', lines: comments.map(({ line }) => line).sort((a, b) => a - b) };
}

/** A marker inside a block: what is between the markers is no whole blocks. */
function isTorn(region: Region, { blocks }: Corefile): boolean {
  return blocks.some(
    ({ start, end }) =>
      (start < region.start && end > region.start) || (start < region.end && end > region.end),
  );
}

export function isInside(region: Region, { start }: { readonly start: number }): boolean {
  return start >= region.start && start < region.end;
}

/** Whether the block answers for the zone, on a port of those. */
export function servesZone(block: ServerBlock, zone: string, listen: Listen): boolean {
  const ports = new Set(listen.ports.map((port) => port ?? '53'));
  return block.keys.some((key) => {
    const read = readKey(key);
    return read?.zone === zone && ports.has(read.port ?? '53');
  });
}

/** Whether the block asks mesh DNS for everything. */
export function forwardsTo(block: ServerBlock, address: string): boolean {
  return block.directives.some(
    ({ name, args }) =>
      name === 'forward' && args[0] === '.' && isAddress(args[1], address) && isOnly(args),
  );
}

function isAddress(text: string | undefined, address: string): boolean {
  return text === address || text === `${address}:53` || text === `[${address}]:53`;
}

/** No second upstream. */
function isOnly(args: readonly string[]): boolean {
  return args.length === 2 || args[2] === '{';
}
