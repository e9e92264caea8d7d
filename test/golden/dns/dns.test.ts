// Runs the golden cases of DNS wiring: text of a Corefile (or of `stubDomains`) in, patched text
// and obstacles out. Each case is patched twice and taken back as well: applying again changes
// nothing, and taking out gives the bytes of before. UPDATE_GOLDEN=1 rewrites what comes out.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { dnsSections, readDnsCase, runDnsCase } from '../../support/golden-dns.ts';
import type { DnsCaseOutput } from '../../support/golden-dns.ts';

const folder = new URL('.', import.meta.url);
const isUpdating = process.env['UPDATE_GOLDEN'] === '1' && process.env['CI'] === undefined;

const files = readdirSync(folder).filter((name) => name.endsWith('.md'));

describe.each(files)('%s', (file) => {
  const url = new URL(file, folder);
  const sections = dnsSections(readFileSync(url, 'utf8'));
  const cases = sections.map(readDnsCase);
  if (isUpdating) {
    writeFileSync(url, sections.map((one) => rewrite(one, runDnsCase(readDnsCase(one)))).join(''));
  }

  test.each(cases)('$title', (golden) => {
    const output = runDnsCase(golden);
    if (!isUpdating) {
      expect(output.patched).toBe(golden.blocks.get('patched') ?? '');
      expect(output.told).toBe(golden.blocks.get('told') ?? '');
    }
    expect(output.again).toBe(output.patched);
    expect(output.back).toBe(golden.blocks.get('text') ?? '');
  });
});

function rewrite(section: string, { patched, told }: DnsCaseOutput): string {
  const fence = /^```(\w+) (patched|told)\n([\s\S]*?)^```$/gm;
  return section.replace(fence, (_whole, language: string, name: string) => {
    return `\`\`\`${language} ${name}\n${name === 'patched' ? patched : told}\`\`\``;
  });
}
