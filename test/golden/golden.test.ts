// Runs every golden case: YAML → parsers → topology → snapshot → wire → table → decisions. With
// UPDATE_GOLDEN=1 the derived blocks are rewritten instead; in CI that is refused, because there a
// difference is a defect and never news.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { MeshSettings, Problem } from '../../src/api/index.ts';
import { compileTable } from '../../src/route/index.ts';
import { applyDelta, diffSnapshot } from '../../src/snapshot/index.ts';
import { bindAddresses, buildTopology, compileSnapshot } from '../../src/topology/index.ts';
import { deepFrozen, settingsOf } from '../support/builders.ts';
import { clusterFromYaml } from '../support/golden-cluster.ts';
import { answerOf, type Core } from '../support/golden-decide.ts';
import {
  readCases,
  rewriteCases,
  type GoldenCase,
  type GoldenOutput,
} from '../support/golden-file.ts';

const folder = new URL('.', import.meta.url);
const isUpdating = process.env['UPDATE_GOLDEN'] === '1';
if (isUpdating && process.env['CI'] !== undefined) {
  throw new Error('UPDATE_GOLDEN is refused in CI: run it where you can read the difference');
}

const files = readdirSync(folder)
  .filter((name) => name.endsWith('.md'))
  .sort();

describe.each(files)('%s', (file) => {
  const url = new URL(file, folder);
  const text = readFileSync(url, 'utf8');
  const cases = readCases(text);
  if (isUpdating) writeFileSync(url, rewriteCases(text, cases.map(outputOf)));

  test.each(cases)('$title', (golden) => {
    const expected = {
      problems: golden.blocks.get('problems') ?? '',
      decisions: golden.blocks.get('decisions') ?? '',
    };
    expect(isUpdating ? expected : outputOf(golden)).toEqual(expected);
  });
});

function outputOf(golden: GoldenCase): GoldenOutput {
  // Test input; what does not belong there shows as a wrong case.
  const given = (parse(golden.blocks.get('settings') ?? '{}') ?? {}) as Partial<MeshSettings>;
  const { core, problems } = coreOf(golden.blocks.get('cluster') ?? '', settingsOf(given));
  const lines = (golden.blocks.get('decisions') ?? '').split('\n').filter((line) => line !== '');
  const decisions = lines.map((line) => {
    const question = line.split('  ->')[0]?.trim() ?? '';
    return `${question}  ->  ${answerOf(core, question)}\n`;
  });
  return { problems: problems.map(problemLine).join(''), decisions: decisions.join('') };
}

/** The whole core, frozen at each step, the snapshot as it arrives at a worker. */
function coreOf(
  yaml: string,
  settings: MeshSettings,
): { readonly core: Core; readonly problems: readonly Problem[] } {
  const state = clusterFromYaml(yaml);
  const built = buildTopology(state, settings);
  const topology = deepFrozen(built.value);
  const compiled = deepFrozen(compileSnapshot(topology, settings));
  const applied = applyDelta(undefined, diffSnapshot(undefined, compiled.value));
  if (applied.kind === 'failure') throw applied.failure;
  const addresses = {
    nodeName: 'node-1',
    pods: state.pods.values(),
    nodes: state.nodes.values(),
  };
  const { part, problems } = deepFrozen(bindAddresses(undefined, addresses, 0));
  const table = compileTable(deepFrozen(applied.snapshot).sections, part);
  return {
    core: { snapshot: applied.snapshot, table },
    problems: [...built.problems, ...compiled.problems, ...problems],
  };
}

function problemLine({ kind, namespace, name, reason, message }: Problem): string {
  const object = namespace === '' ? name : `${namespace}/${name}`;
  return `${kind} ${object}: ${reason}: ${message}\n`;
}
