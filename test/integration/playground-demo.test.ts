// The demo as a test: the production processes as children, a few seconds of load, and the verdict
// by what the pods received. Needs dist/weft.js, which `npm test` builds first.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { realRuntime } from '../../src/main/runtime.ts';
import { runDemo } from '../../src/playground/index.ts';

const root = resolve(import.meta.dirname, '../..');

function demo(
  argv: readonly string[],
  signal: AbortSignal,
  write: (text: string) => void,
): Promise<number> {
  return runDemo({
    runtime: realRuntime,
    argv,
    root,
    program: [process.execPath, resolve(root, 'dist/weft.js')],
    environment: process.env,
    screen: { write, isTerminal: false },
    signal,
  });
}

function demoDirectories(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('weft-demo-'));
}

test('the demo ends 0 when the pods received what the YAML asks for', async () => {
  const said: string[] = [];
  const before = new Set(demoDirectories());
  const code = await demo(['--for', '4s'], new AbortController().signal, (text) => said.push(text));
  const text = said.join('');
  expect(text).toContain('the pods received what the YAML asks for');
  expect(text).toContain('every SMI object is Programmed');
  expect(text).toMatch(/ready in \d+\.\d\d s/);
  expect(code).toBe(0);
  const pids = /processes ([\d, ]+)/.exec(text)?.[1]?.split(', ') ?? [];
  expect(pids).toHaveLength(3);
  for (const pid of pids) expect(existsSync(`/proc/${pid.trim()}`)).toBe(false);
  const directory = /kubeconfig +(\S+)\/kubeconfig/.exec(text)?.[1] ?? '';
  expect(existsSync(directory)).toBe(false);
  expect(before.has(directory)).toBe(false);
}, 60_000);

test('children of a demo that is killed drain and end by themselves', async () => {
  const program = [process.execPath, resolve(root, 'build/demo.js')] as const;
  const killed = spawn(program[0], [program[1]], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(killed, 'exit');
  let text = '';
  for await (const chunk of killed.stdout.setEncoding('utf8')) {
    text += String(chunk);
    if (text.includes('Ctrl-C ends it')) break;
  }
  killed.kill('SIGKILL');
  await ended;
  const pids = /processes ([\d, ]+)/.exec(text)?.[1]?.split(', ') ?? [];
  expect(pids).toHaveLength(3);
  const isGone = (pid: string): boolean => !existsSync(`/proc/${pid.trim()}`);
  await expect.poll(() => pids.every(isGone), { timeout: 10_000 }).toBe(true);
  const directory = /kubeconfig +(\S+)\/kubeconfig/.exec(text)?.[1] ?? '';
  expect(readFileSync(join(directory, 'weft-proxy-node-1.log'), 'utf8')).toContain('drain');
  rmSync(directory, { recursive: true });
}, 60_000);

test('with one loopback address (macOS) the demo says what differs and runs', async () => {
  const said: string[] = [];
  const never = new AbortController().signal;
  const code = await demo(['--for=3s', '--one-address'], never, (text) => said.push(text));
  expect(said.join('')).toContain('one loopback address');
  expect(said.join('')).toContain('the pods received what the YAML asks for');
  expect(code).toBe(0);
}, 60_000);

test('Ctrl-C ends the demo at any time with 0', async () => {
  const stop = new AbortController();
  const code = await demo([], stop.signal, (text) => {
    if (text.includes('API server with')) stop.abort();
  });
  expect(code).toBe(0);
}, 60_000);

test('arguments that it does not know are told, with the ones it knows', async () => {
  const said: string[] = [];
  expect(await demo(['--fro', '5s'], new AbortController().signal, (text) => said.push(text))).toBe(
    2,
  );
  expect(said.join('')).toContain('--for 20s');
});
