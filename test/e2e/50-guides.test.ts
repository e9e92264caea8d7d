// The guides say what to type; here it is typed. Each ```yaml block that begins with `# file: NAME`
// is written to that file, each ```sh block is run, in the order of the page, in a folder of its
// own, with `weft` and `kubectl` on PATH. A command that fails fails the page. ```text is not run.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubectl } from './support/kubectl.ts';
import { image } from './support/objects.ts';

const pages = [
  'install',
  'dns',
  'adopt',
  'network-policies',
  'canary',
  'migrate-from-traefik-mesh',
  'troubleshoot',
  'upgrade',
  'uninstall',
];
const blockTimeoutMs = 200_000;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-guides-'));
  script('weft', `exec ${process.execPath} ${resolve('dist/weft.js')} "$@"`);
  script('kubectl', `exec ${kubectlProgram()} "$@"`);
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  // Where the page on adoption ends; the suite goes on with the namespace as it was.
  await kubectl(['annotate', 'namespace', 'shop', 'weft.dev/policy-']);
});

function script(name: string, line: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** By its whole path: the script of that name must not find itself. */
function kubectlProgram(): string {
  const [file = 'kubectl', ...args] = (process.env['WEFT_E2E_KUBECTL'] ?? 'kubectl').split(' ');
  const found = spawnSync('sh', ['-c', `command -v ${file}`], { encoding: 'utf8' }).stdout.trim();
  return [found === '' ? file : found, ...args].join(' ');
}

type Block = { readonly language: string; readonly text: string };

function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(`docs/guides/${page}.md`, 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', body = '']) => ({
    language,
    text: body,
  }));
}

function environment(): NodeJS.ProcessEnv {
  const reference = image();
  const cut = reference.lastIndexOf(':');
  const flags = `--image ${reference.slice(0, cut)} --tag ${reference.slice(cut + 1)}`;
  const path = `${folder}${delimiter}${process.env['PATH'] ?? ''}`;
  return { ...process.env, PATH: path, WEFT_INSTALL_FLAGS: flags };
}

describe.each(pages)('docs/guides/%s.md', (page) => {
  const blocks = blocksOf(page);

  test.each(
    blocks.filter(({ language }) => language === 'sh').map((block) => [block.text.trim(), block]),
  )(
    '%s',
    (_, block) => {
      for (const { language, text } of blocks) {
        const name = language === 'yaml' ? /^# file: (\S+)$/m.exec(text)?.[1] : undefined;
        if (name !== undefined) writeFileSync(join(folder, name), text);
      }
      const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', block.text], {
        cwd: folder,
        env: environment(),
        encoding: 'utf8',
        timeout: blockTimeoutMs,
      });
      expect(`${status} ${status === 0 ? '' : stdout + stderr}`).toBe('0 ');
    },
    blockTimeoutMs + 10_000,
  );

  test('has something to type', () => {
    expect(blocks.filter(({ language }) => language === 'sh').length).toBeGreaterThan(0);
  });
});
