// The Dockerfile without a container engine: it is parsed, each stage is held against what the
// image promises (no shell at run time, not root, nothing that a registry may swap), and the
// commands of its build stage are run in a folder of their own, where they have to make the very
// files that `npm run image` packs. What only an engine can tell – that the bases exist – is not
// tried here.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { payloadOf } from './payload.ts';
import { readTar } from './tar.ts';

type Instruction = { readonly word: string; readonly rest: string };
type Stage = { readonly from: string; readonly instructions: readonly Instruction[] };

/** Comments are gone, continued lines are one. */
function instructionsOf(text: string): readonly Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
  const joined = lines.join('\n').replace(/\\\n\s*/g, ' ');
  return joined.split('\n').flatMap((line) => {
    const [, word, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (word === undefined || rest === undefined) {
      expect(line.trim()).toBe('');
      return [];
    }
    return [{ word, rest }];
  });
}

const instructions = instructionsOf(readFileSync('Dockerfile', 'utf8'));
const firstFrom = instructions.findIndex(({ word }) => word === 'FROM');
const globals = instructions.slice(0, firstFrom);
const stages = instructions.slice(firstFrom).reduce<readonly Stage[]>((made, instruction) => {
  if (instruction.word === 'FROM') return [...made, { from: instruction.rest, instructions: [] }];
  const last = made.at(-1) ?? { from: '', instructions: [] };
  return [...made.slice(0, -1), { ...last, instructions: [...last.instructions, instruction] }];
}, []);
const [build, run] = stages;

function all(stage: Stage | undefined, word: string): readonly string[] {
  return (stage?.instructions ?? [])
    .filter((instruction) => instruction.word === word)
    .map(({ rest }) => rest);
}

describe('each stage', () => {
  test('begins with a base that a build argument names, of one exact release of Node 24', () => {
    const bases = new Map(
      globals.map(({ word, rest }) => {
        expect(word).toBe('ARG');
        const [name = '', value = ''] = rest.split('=');
        return [name, value] as const;
      }),
    );
    expect(stages).toHaveLength(2);
    for (const { from } of stages) {
      const name = /\$\{(\w+)\}/.exec(from)?.[1] ?? '';
      expect(bases.get(name)).toMatch(/^node:24\.\d+\.\d+-[a-z]+(-slim)?$/);
    }
    expect(run?.from).toBe('${NODE_IMAGE}');
  });

  test('knows no command that reads from the network unchecked', () => {
    for (const stage of stages) {
      expect(all(stage, 'ADD')).toEqual([]);
      for (const command of all(stage, 'RUN')) expect(command).not.toMatch(/curl|wget|apt|apk/);
    }
  });
});

describe('the stage that runs', () => {
  test('starts no shell: no RUN, everything in exec form', () => {
    expect(all(run, 'RUN')).toEqual([]);
    expect(all(run, 'SHELL')).toEqual([]);
    expect(all(run, 'HEALTHCHECK')).toEqual([]);
    expect(all(run, 'CMD')).toEqual([]);
    // Not JSON, not exec form.
    const words = JSON.parse(all(run, 'ENTRYPOINT')[0] ?? '') as readonly string[];
    expect(words[0]).toBe('node');
  });

  test('is not root, by a number that the kubelet can check, and owns none of its files', () => {
    expect(all(run, 'USER')).toEqual(['65532:65532']);
    const words = (run?.instructions ?? []).map(({ word }) => word);
    expect(words.indexOf('USER')).toBeGreaterThan(words.lastIndexOf('COPY'));
    expect(all(run, 'COPY')).toEqual(['--from=build /app /app']);
  });

  test('says what it is', () => {
    const labels = all(run, 'LABEL').join(' ');
    for (const name of ['title', 'description', 'licenses', 'version']) {
      expect(labels).toMatch(new RegExp(`org\\.opencontainers\\.image\\.${name}="[^"]+"`));
    }
  });
});

describe('the stage that builds', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-dockerfile-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('installs what the lock file says, and lets no package run a script', () => {
    const [install = ''] = all(build, 'RUN').filter((command) => command.startsWith('npm '));
    expect(install).toMatch(/^npm ci .*--ignore-scripts/);
  });

  test('makes the very files that `npm run image` packs', () => {
    const home = join(folder, 'src');
    for (const { word, rest } of build?.instructions ?? []) {
      if (word === 'COPY') copy(rest, home);
      else if (word === 'RUN') runIn(rest, home);
      else expect(word).toBe('WORKDIR');
    }
    // The licence goes straight into the image.
    cpSync('LICENSE', join(home, 'LICENSE'));
    const payload = payloadOf({ root: home, version: '0.1.0', hasSourceMaps: false });
    const packed = readTar(Buffer.concat(payload.layer.blob.pieces)).flatMap((entry) =>
      entry.kind === 'file' ? [[entry.path, Buffer.concat(entry.content)] as const] : [],
    );
    expect(packed.length).toBeGreaterThan(5);
    for (const [path, content] of packed) {
      expect(readFileSync(join(folder, path)).equals(content), path).toBe(true);
    }
    const found = spawnSync('find', ['app', '-type', 'f'], { cwd: folder, encoding: 'utf8' });
    const names = found.stdout.trim().split('\n').sort();
    expect(names).toEqual(packed.map(([path]) => path).sort());
  }, 60_000);

  /** What .dockerignore lets through of each source. */
  function copy(rest: string, home: string): void {
    const words = rest.split(/\s+/);
    const target = words.at(-1) ?? '';
    for (const source of words.slice(0, -1)) {
      expect(existsSync(source), source).toBe(true);
      expect(isIgnored(source), source).toBe(false);
      const place = target.startsWith('/') ? join(folder, target) : join(home, target, '');
      const to = target.endsWith('/') || target === './' ? join(place, source) : place;
      mkdirSync(dirname(to), { recursive: true });
      cpSync(source, to, { recursive: true, filter: (path) => !isIgnored(path) });
    }
  }

  function runIn(command: string, home: string): void {
    if (command.startsWith('npm ci ')) {
      symlinkSync(resolve('node_modules'), join(home, 'node_modules'));
      return;
    }
    const here = command.replace(/(?<=[\s'=])\/app\b/g, join(folder, 'app'));
    const { status, stderr } = spawnSync('sh', ['-ec', here], { cwd: home, encoding: 'utf8' });
    expect(`${status} ${status === 0 ? '' : stderr}`).toBe('0 ');
  }
});

const ignored = readFileSync('.dockerignore', 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** The last pattern that matches the path, or a folder that it is in, decides. */
function isIgnored(path: string): boolean {
  const steps = path.split('/');
  const within = steps.map((_, index) => steps.slice(0, index + 1).join('/'));
  return ignored.reduce((was, pattern) => {
    const bare = pattern.replace(/^!/, '');
    const isMeant = within.some((part) => globPattern(bare).test(part));
    return isMeant ? !pattern.startsWith('!') : was;
  }, false);
}

/** Of what .dockerignore uses: `*` within one step, `**` over several. */
function globPattern(glob: string): RegExp {
  const steps = glob.split('/').map((step) => {
    if (step === '**') return '(.+/)?';
    return `${step.replace(/[.+]/g, '\\$&').replace(/\*/g, '[^/]*')}/`;
  });
  return new RegExp(`^${steps.join('').replace(/\/$/, '')}$`);
}
