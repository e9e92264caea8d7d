// The workers of a proxy: starts them, tells each the same updates, replaces one that dies at once.
// A worker that throws takes only its own connections with it; its successor is given everything in
// one complete update, so no history is kept here.
import type { Runtime, Timer } from '../lib/clock.ts';
import type { SeriesDefinition } from '../telemetry/index.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';

/** A running worker thread, as `main` makes it. */
export type WorkerThread = {
  readonly post: (message: ToWorker) => void;
  /** Ends it without waiting; `onExit` follows. */
  readonly terminate: () => void;
};

export type WorkerEvents = {
  readonly onMessage: (message: FromWorker) => void;
  /** Once, when the thread is gone; the error when it threw. */
  readonly onExit: (error: Error | undefined) => void;
};

export type SpawnWorker = (start: WorkerStart, events: WorkerEvents) => WorkerThread;

export type WorkerUpdate = Omit<Extract<ToWorker, { kind: 'update' }>, 'kind' | 'sequence'>;

export type WorkerState = {
  readonly index: number;
  readonly isRunning: boolean;
  readonly restarts: number;
  readonly version: string;
  readonly openPorts: readonly number[];
  readonly failedPorts: readonly { readonly port: number; readonly message: string }[];
};

/** What the fleet tells its owner. */
export type FleetEvents = {
  readonly onSeries: (worker: number, definitions: readonly SeriesDefinition[]) => void;
  readonly onAccessLog: (lines: readonly string[], dropped: number) => void;
  readonly onBug: (message: string, error: Error | undefined) => void;
  readonly onRestart: (worker: number) => void;
  /** Every running worker has this update in force. */
  readonly onApplied: (sequence: number) => void;
};

export type FleetOptions = {
  readonly count: number;
  readonly runtime: Runtime;
  readonly spawn: SpawnWorker;
  /** Made anew for each start: the shared memory is the same, the index differs. */
  readonly startOf: (index: number) => WorkerStart;
  /** The whole configuration now, for a worker that has just started. */
  readonly completeUpdate: () => WorkerUpdate;
  readonly events: FleetEvents;
};

/** A worker that dies again within this time waits before its next start. */
const quickDeathMs = 1_000;
const restartDelayMs = 200;
const inspectTimeoutMs = 1_000;
/** Complete updates that a worker may refuse in a row; then its last good snapshot stays. */
const refusalsMax = 2;

type Member = {
  readonly index: number;
  thread: WorkerThread | undefined;
  isStarted: boolean;
  startedMs: number;
  restarts: number;
  refusals: number;
  appliedSequence: number;
  version: string;
  openPorts: readonly number[];
  failedPorts: WorkerState['failedPorts'];
  isDrained: boolean;
  restartTimer: Timer | undefined;
};

/** Lives as long as the proxy. */
export class WorkerFleet {
  readonly #options: FleetOptions;
  readonly #members: Member[];
  readonly #inspections = new Map<number, (state: unknown) => void>();
  #sequence = 0;
  #confirmedSequence = 0;
  #inspectionCount = 0;
  #onDrained: (() => void) | undefined;
  #isClosed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.count }, (_, index) => ({
      index,
      thread: undefined,
      isStarted: false,
      startedMs: 0,
      restarts: 0,
      refusals: 0,
      appliedSequence: -1,
      version: '',
      openPorts: [],
      failedPorts: [],
      isDrained: false,
      restartTimer: undefined,
    }));
    for (const member of this.#members) this.#start(member);
  }

  /** Sends an update to all workers; the answer is its sequence number. */
  publish(update: WorkerUpdate): number {
    this.#sequence += 1;
    for (const member of this.#members) {
      if (!member.isStarted) continue;
      member.thread?.post({ kind: 'update', sequence: this.#sequence, ...update });
    }
    return this.#sequence;
  }

  /** Resolves when all workers have drained, or died. */
  drain(delayMs: number, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      for (const member of this.#members) {
        if (member.thread === undefined) member.isDrained = true;
        member.thread?.post({ kind: 'drain', delayMs, timeoutMs });
      }
      this.#checkDrained();
    });
  }

  states(): readonly WorkerState[] {
    return this.#members.map((member) => ({
      index: member.index,
      isRunning: member.isStarted,
      restarts: member.restarts,
      version: member.version,
      openPorts: member.openPorts,
      failedPorts: member.failedPorts,
    }));
  }

  /** The inner state of one worker; `undefined` when it does not answer within a second. */
  inspect(index: number): Promise<unknown> {
    const thread = this.#members[index]?.thread;
    if (thread === undefined) return Promise.resolve(undefined);
    this.#inspectionCount += 1;
    const query = this.#inspectionCount;
    return new Promise((resolve) => {
      const timer = this.#options.runtime.timers.after(inspectTimeoutMs, () => {
        this.#inspections.delete(query);
        resolve(undefined);
      });
      this.#inspections.set(query, (state) => {
        timer.cancel();
        resolve(state);
      });
      thread.post({ kind: 'inspect', query });
    });
  }

  /** Test hook: makes one worker throw. */
  breakWorker(index: number): boolean {
    const thread = this.#members[index]?.thread;
    thread?.post({ kind: 'throw' });
    return thread !== undefined;
  }

  close(): void {
    this.#isClosed = true;
    for (const member of this.#members) {
      member.restartTimer?.cancel();
      member.thread?.terminate();
    }
  }

  #start(member: Member): void {
    member.restartTimer = undefined;
    member.isStarted = false;
    member.startedMs = this.#options.runtime.clock.nowMs();
    member.thread = this.#options.spawn(this.#options.startOf(member.index), {
      onMessage: (message) => this.#receive(member, message),
      onExit: (error) => this.#exited(member, error),
    });
  }

  #exited(member: Member, error: Error | undefined): void {
    member.thread = undefined;
    member.isStarted = false;
    member.openPorts = [];
    if (this.#isClosed) return;
    if (this.#onDrained !== undefined) {
      member.isDrained = true;
      this.#checkDrained();
      return;
    }
    member.restarts += 1;
    this.#options.events.onBug(`worker ${member.index} died`, error);
    this.#options.events.onRestart(member.index);
    const livedMs = this.#options.runtime.clock.nowMs() - member.startedMs;
    if (livedMs > quickDeathMs) return this.#start(member);
    member.restartTimer = this.#options.runtime.timers.after(restartDelayMs, () =>
      this.#start(member),
    );
  }

  #receive(member: Member, message: FromWorker): void {
    const { events } = this.#options;
    switch (message.kind) {
      case 'started':
        member.isStarted = true;
        return this.#sendComplete(member);
      case 'applied':
        member.refusals = 0;
        member.appliedSequence = message.sequence;
        member.version = message.version;
        member.openPorts = message.openPorts;
        member.failedPorts = message.failedPorts;
        return this.#confirm();
      case 'refused':
        events.onBug(`worker ${member.index} refused an update: ${message.message}`, undefined);
        member.refusals += 1;
        if (member.refusals <= refusalsMax) this.#sendComplete(member);
        return;
      case 'series':
        return events.onSeries(member.index, message.definitions);
      case 'access-log':
        return events.onAccessLog(message.lines, message.dropped);
      case 'bug':
        return events.onBug(message.message, undefined);
      case 'inspected':
        this.#inspections.get(message.query)?.(message.state);
        this.#inspections.delete(message.query);
        return;
      case 'drained':
        member.isDrained = true;
        return this.#checkDrained();
    }
  }

  #sendComplete(member: Member): void {
    const update = this.#options.completeUpdate();
    member.thread?.post({ kind: 'update', sequence: this.#sequence, ...update });
  }

  /** Tells the owner when the slowest running worker has caught up. */
  #confirm(): void {
    const running = this.#members.filter((member) => member.isStarted);
    const slowest = Math.min(...running.map((member) => member.appliedSequence));
    if (running.length === 0 || slowest <= this.#confirmedSequence) return;
    this.#confirmedSequence = slowest;
    this.#options.events.onApplied(slowest);
  }

  #checkDrained(): void {
    if (this.#onDrained === undefined) return;
    if (this.#members.every((member) => member.isDrained)) this.#onDrained();
  }
}
