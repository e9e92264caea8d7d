// Two workers of one proxy on threads of their own, as a proxy has them, each on a port of its own
// so that a test says who of them serves whom (a proxy's share one, which Node 20 cannot). They
// share their live numbers, and the test reads these as a third.
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { SlotAllocator, SlotView } from '../../src/telemetry/index.ts';
import type { SlotMemory } from '../../src/telemetry/index.ts';
import { harnessMemory, harnessSlots } from './dataplane-harness.ts';
import type { HarnessOptions } from './dataplane-harness.ts';
import { bundleScript } from './script-child.ts';

const count = 2;

export type ThreadState = {
  readonly exchanges: number;
  readonly upstreamOpen: number;
  readonly bugs: readonly string[];
};

type LiveNumbers = { readonly slots: SlotView; readonly allocator: SlotAllocator };

export class WorkerThreads {
  readonly ports: readonly number[];
  readonly slots: SlotView;
  readonly #allocator: SlotAllocator;
  /** By index; undefined: it has been killed. */
  readonly #threads: (Worker | undefined)[];

  private constructor(threads: Worker[], ports: readonly number[], live: LiveNumbers) {
    this.#threads = threads;
    this.ports = ports;
    this.slots = live.slots;
    this.#allocator = live.allocator;
  }

  static async start(options: Omit<HarnessOptions, 'network' | 'observer'>) {
    const { program, remove } = await bundleScript('test/support/limits-worker.ts');
    const memory: SlotMemory = harnessMemory();
    const script = pathToFileURL(program.at(-1) ?? '');
    const threads = Array.from({ length: count }, (_, index) => {
      const workerData = { ...options, worker: { memory, index, count } };
      return new Worker(script, { workerData, execArgv: [] });
    });
    const told = await Promise.all(threads.map((thread) => answerOf(thread)));
    remove();
    const slots = new SlotView(memory, { index: count, count });
    const { set } = harnessSlots(options);
    slots.apply({ set, freed: [] });
    const allocator = new SlotAllocator(memory, Math.random);
    allocator.change(set.map(([kind, key]) => [kind, key] as const), []);
    // Written by limits-worker.ts.
    const ports = told.map((one) => (one as { readonly port: number }).port);
    return new WorkerThreads(threads, ports, { slots, allocator });
  }

  states(): Promise<readonly ThreadState[]> {
    return Promise.all(this.#living.map(async (thread) => {
      const answer = answerOf(thread);
      thread.postMessage('state');
      // Written by limits-worker.ts.
      return await answer as ThreadState;
    }));
  }

  /** It ends where it is, and what it had is taken back, as a proxy does. */
  async kill(index: number): Promise<void> {
    await this.#threads[index]?.terminate();
    this.#threads[index] = undefined;
    this.#allocator.forgetWorker(index);
  }

  async close(): Promise<void> {
    await Promise.all(this.#living.map((thread) => thread.terminate()));
  }

  get #living(): readonly Worker[] {
    return this.#threads.filter((thread) => thread !== undefined);
  }
}

function answerOf(thread: Worker): Promise<unknown> {
  return new Promise((done, fail) => {
    thread.once('message', done);
    thread.once('error', fail);
  });
}
