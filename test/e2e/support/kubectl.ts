// kubectl as the suite uses it: the cluster's own command-line tool, because that is what users
// type. Which one and which cluster are in the environment that scripts/test-e2e.ts made. Every
// call has a deadline; a failure says what was run and what it answered.
import { spawn, type ChildProcess } from 'node:child_process';

/** A JSON object as kubectl prints it; looked into by the tests that asked for it. */
export type Json = Readonly<Record<string, unknown>>;

export type RunOptions = {
  readonly input?: string;
  readonly timeoutMs?: number;
};

export type Ended = {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
};

function program(): readonly [string, readonly string[]] {
  const [file = 'kubectl', ...args] = (process.env['WEFT_E2E_KUBECTL'] ?? 'kubectl').split(' ');
  return [file, args];
}

export function startKubectl(args: readonly string[]): ChildProcess {
  const [file, before] = program();
  return spawn(file, [...before, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Runs to its end, whatever the end is. */
export function tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = startKubectl(args);
  return ended(child, `kubectl ${args.join(' ')}`, options);
}

export function ended(child: ChildProcess, what: string, options: RunOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin?.on('error', () => undefined);
    if (options.input !== undefined) child.stdin?.end(options.input);
    const timeoutMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${what}: no end after ${timeoutMs} ms\n${stdout}${stderr}`));
    }, timeoutMs);
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? -1, stdout, stderr });
    });
  });
}

/** Standard output of a command that must succeed. */
export async function kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await tryKubectl(args, options);
  if (status === 0) return stdout;
  throw new Error(`kubectl ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
}

export async function kubectlJson<T = Json>(args: readonly string[]): Promise<T> {
  // The caller knows the shape of what it asks for.
  return JSON.parse(await kubectl([...args, '-o', 'json'])) as T;
}

export async function apply(objects: readonly Json[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
}
