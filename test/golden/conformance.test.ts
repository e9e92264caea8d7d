// smi/conformance.md says what the tests say, and every rule of the compiler has a test of its
// number in the golden cases or the laws.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { chapters, renderConformance, ruleTests, testsOf } from '../support/conformance.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('smi/conformance.md is what node build/conformance.js writes', () => {
  const written = readFileSync(new URL('../../smi/conformance.md', import.meta.url), 'utf8');
  expect(written).toBe(renderConformance(root));
});

test('each rule from R-2 to R-45 has a golden case or a law', () => {
  // R-17 is about connections: its tests stand beside the code, and more come with the tunnels.
  const expected = Array.from({ length: 44 }, (_, at) => `R-${at + 2}`).filter(
    (rule) => rule !== 'R-17',
  );
  const tests = ruleTests(root).filter(({ file }) => /^test\/(golden|laws)\//.test(file));
  expect(expected.filter((rule) => testsOf(rule, tests).length === 0)).toEqual([]);
});

test('each rule has one line', () => {
  const rules = chapters.flatMap(({ sentences }) => sentences.map(({ rule }) => rule));
  expect(new Set(rules).size).toBe(rules.length);
  expect(rules).toHaveLength(46);
});
