// Documentation that says what the code says: generated pages are compared with their source, and
// every reason that a user can meet is explained, and files that pages name exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { referencePages } from './support/reference-pages.ts';

describe('generated references', () => {
  test.each([...referencePages().keys()])('%s is what the tables say (npm run docs)', (path) => {
    expect(readFileSync(path, 'utf8')).toBe(referencePages().get(path));
  });
});

describe('pages for readers', () => {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'];

  test.each(pages)('%s names only files that exist', (page) => {
    const text = readFileSync(page, 'utf8');
    const named = text.matchAll(/`((?:src|test|scripts|smi)\/[\w./-]+\.\w+)`/g);
    const links = text.matchAll(/\]\(((?!https?:|#)[^)]+)\)/g);
    const paths = [...named, ...links].map((match) => match[1] ?? '');
    expect(paths.filter((path) => !existsSync(path))).toEqual([]);
  });
});

describe('the threat model', () => {
  const note = readFileSync('docs/design/0007-threat-model.md', 'utf8');
  const rules = [...note.matchAll(/^\| (S\d+) \|(.*)$/gm)].map(([, id = '', row = '']) => {
    return { id, shown: row.split(' | ').at(-1) ?? '' };
  });
  const filesIn = (text: string): readonly string[] =>
    [...text.matchAll(/`((?:src|test)\/[\w./-]+)`/g)].map((match) => match[1] ?? '');

  test('names a test for every rule, and only tests that exist', () => {
    expect(rules.length).toBeGreaterThan(30);
    let above: readonly string[] = [];
    for (const { id, shown } of rules) {
      const own = filesIn(shown);
      // `the same` is what the row above names.
      const files = shown.includes('the same') ? [...above, ...own] : own;
      expect(files.length, id).toBeGreaterThan(0);
      above = files;
    }
    expect(filesIn(note).filter((path) => !existsSync(path))).toEqual([]);
  });

  test('speaks of no rule that it does not have', () => {
    const known = new Set(rules.map(({ id }) => id));
    const named = [...note.matchAll(/\bS\d+\b/g)].map(([id]) => id);
    expect(named.filter((id) => !known.has(id))).toEqual([]);
  });
});

describe('reasons', () => {
  const page = readFileSync('docs/reference/reasons.md', 'utf8');
  const explained = new Set([...page.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1] ?? ''));

  /** Names that a table or a union in one of our files lists, between two markers. */
  function namesIn(path: string, start: string, name: RegExp): string[] {
    const text = readFileSync(path, 'utf8');
    const from = text.indexOf(start);
    const block = text.slice(from, text.indexOf(';\n', from));
    return [...block.matchAll(name)].map((match) => match[1] ?? '');
  }

  const problems = namesIn('src/api/object.ts', 'export type ProblemReason =', /'([A-Z]\w+)'/g);
  const denialTable = 'src/controller/identity/denial-reasons.ts';
  const denials = namesIn(denialTable, 'const denialReasons', /^ {2}([A-Z]\w+):/gm);
  const refusals = namesIn('src/dataplane/refusals.ts', 'const table =', /^ {2}([A-Z]\w+): \{/gm);

  test('every reason of a problem and of an answer is explained in reasons.md', () => {
    expect(problems.length).toBeGreaterThan(15);
    expect(refusals.length).toBeGreaterThan(15);
    expect([...problems, ...refusals].filter((reason) => !explained.has(reason))).toEqual([]);
  });

  test('no reason is explained that does not exist', () => {
    const known = new Set([...problems, ...refusals, ...denials]);
    expect(denials.length).toBeGreaterThan(20);
    expect([...explained].filter((reason) => !known.has(reason))).toEqual([]);
  });

  test('each reason stands in at least one test or golden case', () => {
    const tests = [...filesOf('src', '.test.ts'), ...filesOf('test', '.test.ts')];
    const golden = filesOf('test/golden', '.md');
    const text = [...tests, ...golden].map((path) => readFileSync(path, 'utf8')).join('\n');
    const all = [...problems, ...refusals, ...denials];
    expect(all.filter((reason) => !text.includes(reason))).toEqual([]);
  });
});

function filesOf(folder: string, ending: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}
