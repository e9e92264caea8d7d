// Types what a guide says: in a folder of its own, with `weft`, `kubectl` and `helm` on PATH and
// the choices that a reader makes in the environment. A command that fails fails the block.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { blocksOf } from '../../support/guides.ts';
import { image } from './objects.ts';

export const blockTimeoutMs = 200_000;

export type Desk = {
  readonly folder: string;
  /** Standard output; throws when a command fails. */
  readonly type: (commands: string) => string;
  readonly leave: () => void;
};

export function openDesk(): Desk {
  const folder = mkdtempSync(join(tmpdir(), 'weft-guides-'));
  const script = (name: string, line: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\nexec ${line} "$@"\n`);
    chmodSync(join(folder, name), 0o755);
  };
  script('weft', `${process.execPath} ${resolve('dist/weft.js')}`);
  script('kubectl', wholePath(process.env['WEFT_E2E_KUBECTL'] ?? 'kubectl'));
  const helm = process.env['WEFT_E2E_HELM'] ?? '';
  script('helm', helm === '' ? 'false' : wholePath(helm));
  // What a reader has checked out.
  symlinkSync(resolve('manifests'), join(folder, 'manifests'));
  return {
    folder,
    type: (commands) => typed(folder, commands),
    leave: () => rmSync(folder, { recursive: true }),
  };
}

/** The script of that name must not find itself. */
function wholePath(program: string): string {
  const [file = '', ...args] = program.split(' ');
  const found = spawnSync('sh', ['-c', `command -v ${file}`], { encoding: 'utf8' }).stdout.trim();
  return [found === '' ? file : found, ...args].join(' ');
}

/** The files that a page has its reader write. */
export function writeFilesOf(page: string, { folder }: Desk): void {
  for (const { language, text } of blocksOf(page)) {
    const name = language === 'yaml' ? /^# file: (\S+)$/m.exec(text)?.[1] : undefined;
    if (name !== undefined) writeFileSync(join(folder, name), text);
  }
}

function typed(folder: string, commands: string): string {
  const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd: folder,
    env: environment(folder),
    encoding: 'utf8',
    timeout: blockTimeoutMs,
    maxBuffer: 16 * 1024 * 1024,
  });
  if (status === 0) return stdout;
  throw new Error(`ended with ${String(status)}: ${commands}\n${stdout}${stderr}`);
}

function environment(folder: string): NodeJS.ProcessEnv {
  const reference = image();
  const cut = reference.lastIndexOf(':');
  const [name, tag] = [reference.slice(0, cut), reference.slice(cut + 1)];
  return {
    ...process.env,
    PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}`,
    WEFT_INSTALL_FLAGS: `--image ${name} --tag ${tag}`,
    WEFT_CHECK_FLAGS: `--image ${reference}`,
    WEFT_HELM_FLAGS: `--set image.repository=${name} --set image.tag=${tag}`,
  };
}
