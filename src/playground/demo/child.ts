// A production process run as a child: its log goes to a file, its end is known, and it is asked to
// drain before it is made to go. It also drains when this process is gone without a word (SIGKILL):
// the end of its standard input says so.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Runtime } from '../../lib/clock.ts';

/** What to run, and where its words go. */
export type ChildOptions = {
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly [string, ...string[]];
  readonly logFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

const lastLinesMax = 15;
/** After SIGTERM; the processes are started with a shorter drain. */
const endTimeoutMs = 4000;

/**
 * Run by Node before a child's own program, which knows nothing of it: the pipe from here ends when
 * this process ends, however it does. The pipe alone does not keep the child alive.
 */
const drainWithoutParent = `
import { isMainThread } from 'node:worker_threads';
if (isMainThread) {
  process.stdin.once('end', () => process.kill(process.pid, 'SIGTERM')).resume().unref?.();
}`;

function childEnvironment(given: ChildOptions['environment']): ChildOptions['environment'] {
  const preload = `--import=data:text/javascript,${encodeURIComponent(drainWithoutParent)}`;
  return { ...given, NODE_OPTIONS: `${given['NODE_OPTIONS'] ?? ''} ${preload}`.trim() };
}

/** One running child; `stop` is idempotent. */
export class Child {
  readonly name: string;
  readonly #logFile: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #isEnded = false;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.#logFile = options.logFile;
    const log = openSync(options.logFile, 'a');
    const [program, ...parameters] = options.command;
    this.#child = spawn(program, parameters, {
      stdio: ['pipe', log, log],
      env: childEnvironment(options.environment),
      // A process group of its own: Ctrl-C in a terminal is for the demo, which then asks politely.
      detached: true,
    });
    closeSync(log);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(`cannot be started: ${error.message}`));
      this.#child.once('exit', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    });
    // Whatever ends this process, nothing stays behind.
    const atExit = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', atExit);
    void this.#ended.then(() => {
      this.#isEnded = true;
      process.off('exit', atExit);
    });
  }

  /** Resolves when the process is gone, with how it went. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The end of its log, to show why it failed. */
  lastLines(): string {
    return readFileSync(this.#logFile, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-lastLinesMax)
      .join('\n');
  }

  /** SIGTERM, and SIGKILL for one that does not go. */
  async stop(runtime: Runtime): Promise<void> {
    if (this.#isEnded) return;
    this.#child.kill('SIGTERM');
    const timer = runtime.timers.after(endTimeoutMs, () => this.#child.kill('SIGKILL'));
    await this.#ended;
    timer.cancel();
  }
}
