// The guides as data: their fenced blocks, and who types which. ```sh is typed by the end-to-end
// suite, in the order of the page; `sh by NAME` by another of its files, because it belongs to
// another moment of an installation's life; `sh never: WHY` by nobody. Other languages are no
// commands.
import { readdirSync, readFileSync } from 'node:fs';

export type Block = {
  readonly language: string;
  /** What stands behind the language: empty, `by NAME` or `never: WHY`. */
  readonly mark: string;
  readonly text: string;
};

/** In the order in which they are typed, which is that of a life with weft. */
export const guidePages: readonly string[] = [
  'install',
  'dns',
  'adopt',
  'network-policies',
  'canary',
  'migrate-from-traefik-mesh',
  'troubleshoot',
  'certificate-authority',
  'upgrade',
  'uninstall',
];

export function allGuides(): readonly string[] {
  return readdirSync('docs/guides').map((name) => name.replace(/\.md$/, ''));
}

export function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(`docs/guides/${page}.md`, 'utf8');
  const fences = text.matchAll(/^```(\w+)(?: ([^\n]*))?\n(.*?)^```$/gms);
  return [...fences].map(([, language = '', mark = '', body = '']) => ({
    language,
    mark,
    text: body,
  }));
}

/** Commands that are typed under this mark. */
export function commandsOf(page: string, mark: string): readonly string[] {
  const blocks = blocksOf(page).filter((one) => one.language === 'sh' && one.mark === mark);
  return blocks.map(({ text }) => text);
}
