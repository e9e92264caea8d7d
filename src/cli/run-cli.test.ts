// The command line: what reaches a command, what a user's mistake gets, and that help hides
// no flag. What the commands do is their modules' business.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { flagTable, type FlagProcess, type FlagValues } from '../api/index.ts';
import { runCli } from './run-cli.ts';

type Run = { readonly command: FlagProcess; readonly values: FlagValues };

/** Nobody to ask, and a time that stands still. */
const nobody = {
  runtime: {
    clock: { nowMs: () => 0, wallMs: () => 0 },
    timers: { after: () => ({ cancel: () => undefined }) },
    random: () => 0,
  },
  ask: () => Promise.resolve(undefined),
};

async function weft(
  args: readonly string[],
  options: {
    readonly environment?: Readonly<Record<string, string>>;
    readonly exitCode?: number;
  } = {},
) {
  const runs: Run[] = [];
  let out = '';
  let error = '';
  const run = (command: FlagProcess) => (values: FlagValues) => {
    runs.push({ command, values });
    return Promise.resolve(options.exitCode ?? 0);
  };
  const exitCode = await runCli(args, {
    version: '1.2.3',
    build: '1.2.3+abc',
    environment: options.environment ?? {},
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
    ...nobody,
    run: { proxy: run('proxy'), controller: run('controller') },
  });
  return { exitCode, out, error, runs };
}

describe('running a command', () => {
  test('flags of every kind reach it, lists in the order in which they were given', async () => {
    const { exitCode, runs, error } = await weft([
      'proxy',
      '--node-name',
      'node-1',
      '--mesh-domain',
      'mesh',
      '--mesh-domain=traefik.mesh',
      '--acl',
      '--workers=3',
    ]);
    expect({ exitCode, error }).toEqual({ exitCode: 0, error: '' });
    expect(runs).toHaveLength(1);
    expect(runs[0]?.command).toBe('proxy');
    const values = runs[0]?.values;
    expect(values?.get('node-name')).toEqual(['node-1']);
    expect(values?.get('mesh-domain')).toEqual(['mesh', 'traefik.mesh']);
    expect(values?.get('acl')).toEqual(['true']);
    expect(values?.get('workers')).toEqual(['3']);
  });

  test('what is not on the command line comes from the environment', async () => {
    const environment = { WEFT_POLICY: 'audit', WEFT_MESH_DOMAIN: 'a,b' };
    const { runs } = await weft(['controller', '--policy', 'enforce'], { environment });
    expect(runs[0]?.values.get('policy')).toEqual(['enforce']);
    expect(runs[0]?.values.get('mesh-domain')).toEqual(['a', 'b']);
  });

  test('its exit code is that of the program', async () => {
    expect((await weft(['proxy'], { exitCode: 2 })).exitCode).toBe(2);
    expect((await weft(['controller'], { exitCode: 0 })).exitCode).toBe(0);
  });

  test('a fault of ours is not taken for a mistake of the user', async () => {
    const failing = runCli(['proxy'], {
      version: '',
      build: '',
      environment: {},
      writeOut: () => undefined,
      writeError: () => undefined,
      ...nobody,
      run: {
        proxy: () => Promise.reject(new Error('BUG: impossible')),
        controller: () => Promise.resolve(0),
      },
    });
    await expect(failing).rejects.toThrow('BUG: impossible');
  });
});

describe("a user's mistake exits 2 with one line that says what to do", () => {
  test.each([
    ['an unknown flag', ['proxy', '--nod-name', 'x'], /unknown option '--nod-name'.*--help/],
    ['a flag without its value', ['proxy', '--node-name'], /'--node-name <text>' argument missing/],
    ['a bad value', ['proxy', '--workers', 'many'], /--workers takes a whole number.*"many"/],
    ['a flag of another command', ['controller', '--node-name', 'x'], /unknown option/],
    ['an argument too many', ['proxy', 'node-1'], /too many arguments/],
    ['an unknown command', ['proxi'], /unknown command 'proxi'/],
    ['an unknown format', ['version', '-o', 'xml'], /'xml' is invalid.*table, json, yaml/],
  ])('%s', async (_, args, expected) => {
    const { exitCode, error, out, runs } = await weft(args);
    expect(exitCode).toBe(2);
    expect(runs).toEqual([]);
    expect(out).toBe('');
    expect(error).toMatch(/^weft[^\n]*\n$/);
    expect(error).toMatch(expected);
  });

  test('no command at all gets the help', async () => {
    const { exitCode, error } = await weft([]);
    expect(exitCode).toBe(2);
    expect(error).toContain('Usage: weft');
  });
});

describe('help and version', () => {
  test.each(['proxy', 'controller'] as const)('weft %s --help names every flag', async (owner) => {
    const { exitCode, out, runs } = await weft([owner, '--help']);
    expect(exitCode).toBe(0);
    expect(runs).toEqual([]);
    for (const { name, processes } of flagTable) {
      expect(out.includes(`--${name}`), name).toBe(processes.includes(owner));
    }
    expect(out).toContain('WEFT_LOG_LEVEL');
  });

  test('weft --help names every command', async () => {
    const { exitCode, out } = await weft(['--help']);
    expect(exitCode).toBe(0);
    for (const name of ['proxy', 'controller', 'version']) expect(out).toContain(name);
  });

  test('docs/reference/commands.md tells of every command', async () => {
    const { out } = await weft(['--help']);
    const commands = [...out.matchAll(/^ {2}([a-z]+) .*\S$/gm)].map(([, name = '']) => name);
    const page = readFileSync('docs/reference/commands.md', 'utf8');
    const missing = commands.filter((name) => !page.includes(`\`weft ${name}`));
    expect(commands.length).toBeGreaterThan(7);
    expect(missing).toEqual(['help']);
  });

  test.each([
    [['version'], '1.2.3+abc\n'],
    [['--version'], '1.2.3\n'],
    [['version', '-o', 'json'], '{"version":"1.2.3","build":"1.2.3+abc"}\n'],
    [['version', '--output', 'yaml'], 'version: 1.2.3\nbuild: 1.2.3+abc\n'],
  ])('%j prints the version', async (args, expected) => {
    expect(await weft(args)).toMatchObject({ exitCode: 0, out: expected, error: '' });
  });
});

describe('commands that ask a cluster', () => {
  const nowhere = { HOME: '/nowhere' };

  test.each(['check', 'upgrade', 'uninstall'])(
    '%s without a cluster: 2 and one line',
    async (name) => {
      const { exitCode, error } = await weft([name], { environment: nowhere });
      expect(exitCode).toBe(2);
      expect(error).toMatch(new RegExp(`^weft ${name}: .*/nowhere/.kube/config.*\n$`));
    },
  );

  test('KUBECONFIG names the file, the flag beats it', async () => {
    const environment = { ...nowhere, KUBECONFIG: '/first:/second' };
    expect((await weft(['check'], { environment })).error).toContain('/first');
    const flagged = await weft(['check', '--kubeconfig', '/third'], { environment });
    expect(flagged.error).toContain('/third');
  });

  test('an unknown output format is a mistake that is told in one line', async () => {
    const { exitCode, error } = await weft(['check', '-o', 'xml']);
    expect(exitCode).toBe(2);
    expect(error.trim().split('\n')).toHaveLength(1);
  });
});
