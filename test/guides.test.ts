// Each command of the guides is typed by the end-to-end suite, or says why it is not. That the
// commands work is seen on a cluster (test/e2e); that none is forgotten is seen here.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { allGuides, blocksOf, guidePages } from './support/guides.ts';

const program = /^\s*(?:\$ )?(?:weft|kubectl|helm|oc|docker|npm|openssl) /m;

test('every guide is one of those whose commands are typed', () => {
  expect(allGuides().toSorted()).toEqual(guidePages.toSorted());
});

describe.each(guidePages)('docs/guides/%s.md', (page) => {
  const blocks = blocksOf(page);

  test('has no command in a block that nobody types', () => {
    const silent = blocks.filter(({ language }) => language !== 'sh');
    expect(silent.filter(({ text }) => program.test(text)).map(({ text }) => text)).toEqual([]);
  });

  test('names a file of the suite that types it, or a reason why none does', () => {
    for (const { language, mark, text } of blocks) {
      if (language !== 'sh' || mark === '') continue;
      const [, file = ''] = /^by (\S+)$/.exec(mark) ?? [];
      const found = readdirSync('test/e2e').find((name) => name === `${file}.test.ts`);
      const source = found === undefined ? '' : readFileSync(`test/e2e/${found}`, 'utf8');
      const isTyped = source.includes(`'${page}', '${mark}'`);
      expect(isTyped || /^never: .{20,}$/.test(mark), `${mark}: ${text}`).toBe(true);
    }
  });
});
