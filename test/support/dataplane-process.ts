// A data plane in a process of its own, as a test sees it: where it listens, its counts, and how
// much memory it has taken since it was last asked to `mark`.
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { HarnessOptions } from './dataplane-harness.ts';
import { bundleScript } from './script-child.ts';

export type ProcessFacts = {
  readonly port: number;
  readonly state: {
    readonly connections: number;
    readonly exchanges: number;
    readonly lingering: number;
    readonly bufferedBytes: number;
    readonly upstreamOpen: number;
    readonly upstreamIdle: number;
    readonly deadlines: number;
  };
  readonly now: { readonly rssBytes: number; readonly heapBytes: number };
  /** Since the last `mark`, looked at every 5 ms. */
  readonly peak: {
    readonly rssBytes: number;
    readonly bufferedBytes: number;
    readonly connections: number;
  };
  readonly bugs: number;
};

/** Options have to survive JSON: no observer, no network. */
export type ProcessOptions = Omit<HarnessOptions, 'observer' | 'network'>;

export class DataplaneProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: ((facts: ProcessFacts) => void)[] = [];
  readonly port: number;

  private constructor(child: ChildProcessWithoutNullStreams, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(options: ProcessOptions): Promise<DataplaneProcess> {
    const { program, remove } = await bundleScript('test/support/dataplane-child.ts');
    const child = spawn(process.execPath, [...program, JSON.stringify(options)]);
    child.stderr.on('data', (data: Buffer) => process.stderr.write(data));
    const lines = createInterface({ input: child.stdout });
    const first = await new Promise<string>((done, fail) => {
      lines.once('line', done);
      child.once('error', fail);
      child.once('exit', (code) => fail(new Error(`the data plane ended with ${code}`)));
    });
    // It has been read.
    remove();
    const started = new DataplaneProcess(child, factsOf(first).port);
    lines.on('line', (line) => started.#waiting.shift()?.(factsOf(line)));
    return started;
  }

  look(): Promise<ProcessFacts> {
    return this.#ask('look');
  }

  /** Collects garbage; peaks count from here. */
  mark(): Promise<ProcessFacts> {
    return this.#ask('mark');
  }

  async close(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.stdin.end();
    await ended;
  }

  #ask(line: string): Promise<ProcessFacts> {
    return new Promise((done) => {
      this.#waiting.push(done);
      this.#child.stdin.write(`${line}\n`);
    });
  }
}

function factsOf(line: string): ProcessFacts {
  // Written by dataplane-child.ts.
  return JSON.parse(line) as ProcessFacts;
}
