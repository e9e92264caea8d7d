// The workers of a proxy: starts them, tells each the same updates, replaces one that dies at once,
// also while the proxy drains. A worker that throws takes only its own connections with it; its
// successor is given everything in one complete update, so no history is kept here.
// Invariant: the sequence numbers of what is posted to one worker never fall, so an answer names
// its question.
import type { Runtime, Timer } from '../lib/clock.ts';
import type { SeriesDefinition } from '../telemetry/index.ts';
import type { HandshakeNotice } from './handshake-notices.ts';
import type { FromWorker, Identities, ListenerPorts, ToWorker, WorkerStart } from './messages.ts';
import { pacedThread } from './paced-thread.ts';
import { shareUdp, type UdpOwners } from './udp-owners.ts';

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

/** May throw when the system has no thread to give. */
export type SpawnWorker = (start: WorkerStart, events: WorkerEvents) => WorkerThread;

export type WorkerUpdate = Omit<Extract<ToWorker, { kind: 'update' }>, 'kind' | 'sequence'>;

export type WorkerState = ListenerPorts & {
  readonly index: number;
  readonly isRunning: boolean;
  /** It reads and writes past the stream machinery of Node. */
  readonly hasDirectSockets: boolean;
  readonly restarts: number;
  /** Version of the snapshot in force; empty before the first. */
  readonly version: string;
  /** Since it started, each listener has opened or failed at least once. */
  readonly isSettled: boolean;
};

/** What the fleet tells its owner. */
export type FleetEvents = {
  readonly onSeries: (worker: number, definitions: readonly SeriesDefinition[]) => void;
  readonly onAccessLog: (lines: readonly string[], dropped: number) => void;
  readonly onBug: (message: string, error: Error | undefined) => void;
  /** Tunnels with a peer fail; not told of each. */
  readonly onHandshakeFailed?: (notice: HandshakeNotice) => void;
  /** The worker runs and waits for its first update. */
  readonly onStarted: (worker: number, hasDirectSockets: boolean) => void;
  /** The worker is gone, and another will take its place. */
  readonly onRestart: (worker: number) => void;
  /** Every running worker has this update in force, and all before it. */
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
  /** All certificates now, told before the first update; absent where none are kept. */
  readonly completeIdentities?: () => Identities | undefined;
  readonly events: FleetEvents;
};

/** A worker that dies again within this time waits before its next start, longer each time. */
const quickDeathMs = 1_000;
const restartDelayMs = 200;
const restartDelayMaxMs = 5_000;
const inspectTimeoutMs = 1_000;
/** Workers end their drain by themselves; one that hangs must not keep the proxy alive. */
const drainGraceMs = 1_000;

const noPorts: ListenerPorts = { openPorts: [], openingPorts: [], failedPorts: [] };

type Member = {
  readonly index: number;
  thread: WorkerThread | undefined;
  isStarted: boolean;
  hasDirectSockets: boolean;
  startedMs: number;
  restarts: number;
  /** Deaths in a row, each soon after its start. */
  quickDeaths: number;
  restartTimer: Timer | undefined;
  /** Of the last complete update: older ones that it refuses are no news. */
  completeSequence: number;
  /** It refused a complete update: the next publication is tried complete again. */
  isRefusing: boolean;
  appliedSequence: number;
  version: string;
  ports: ListenerPorts;
  isSettled: boolean;
  isDrained: boolean;
};

/** A question to a worker that is not answered yet. */
type Inspection = {
  readonly index: number;
  readonly timer: Timer;
  readonly resolve: (state: unknown) => void;
};

type Drain = {
  readonly startedMs: number;
  readonly delayMs: number;
  readonly timeoutMs: number;
  readonly ended: Promise<void>;
  readonly end: () => void;
};

/** Lives as long as the proxy. */
export class WorkerFleet {
  readonly #options: FleetOptions;
  readonly #members: readonly Member[];
  readonly #inspections = new Map<number, Inspection>();
  #sequence = 0;
  #confirmedSequence = 0;
  #inspectionCount = 0;
  #drain: Drain | undefined;
  #udpOwners: UdpOwners;
  #isClosed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.count }, (_, index) => newMember(index));
    this.#udpOwners = shareUdp([], this.#members.map(({ index }) => index));
    for (const member of this.#members) this.#start(member);
  }

  /** Sends an update to all workers; the answer is its sequence number. */
  publish(update: WorkerUpdate): number {
    this.#sequence += 1;
    const sequence = this.#sequence;
    for (const member of this.#members) {
      // One that has not said `started` gets everything when it does.
      if (!member.isStarted) continue;
      if (member.isRefusing) this.#sendComplete(member, sequence);
      else member.thread?.post({ kind: 'update', sequence, ...update });
    }
    return sequence;
  }

  /** Sends changed certificates; they are in no order with updates. */
  tell(change: Identities): void {
    // One that has not said `started` gets everything when it does.
    for (const { isStarted, thread } of this.#members) if (isStarted) thread?.post(change);
  }

  /**
   * Resolves when all workers have drained, at the latest soon after the timeout. Asked again, it
   * is the drain that goes on already.
   */
  drain(delayMs: number, timeoutMs: number): Promise<void> {
    if (this.#drain !== undefined) return this.#drain.ended;
    const drain = this.#newDrain(delayMs, timeoutMs);
    this.#drain = drain;
    for (const member of this.#members) {
      // One that starts later is asked when it has.
      if (member.isStarted) this.#askToDrain(member, drain);
    }
    return drain.ended;
  }

  states(): readonly WorkerState[] {
    return this.#members.map((member) => ({
      index: member.index,
      isRunning: member.isStarted,
      hasDirectSockets: member.hasDirectSockets,
      restarts: member.restarts,
      version: member.version,
      isSettled: member.isSettled,
      ...member.ports,
    }));
  }

  /** The inner state of one worker; `undefined` when it does not answer within a second. */
  inspect(index: number): Promise<unknown> {
    const thread = this.#members[index]?.thread;
    if (thread === undefined) return Promise.resolve(undefined);
    this.#inspectionCount += 1;
    const query = this.#inspectionCount;
    return new Promise((resolve) => {
      const timer = this.#options.runtime.timers.after(inspectTimeoutMs, () =>
        this.#answer(query, undefined),
      );
      this.#inspections.set(query, { index, timer, resolve });
      thread.post({ kind: 'inspect', query });
    });
  }

  #answer(query: number, state: unknown): void {
    const inspection = this.#inspections.get(query);
    this.#inspections.delete(query);
    inspection?.timer.cancel();
    inspection?.resolve(state);
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
    this.#drain?.end();
  }

  #start(member: Member): void {
    member.restartTimer = undefined;
    member.startedMs = this.#options.runtime.clock.nowMs();
    try {
      const thread = this.#options.spawn(this.#options.startOf(member.index), {
        onMessage: (message) => this.#receive(member, message),
        onExit: (error) => this.#exited(member, error),
      });
      member.thread = pacedThread(thread, this.#options.runtime.timers);
    } catch (error) {
      // No thread to be had now is like one that died at once: later there may be one.
      this.#exited(member, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #exited(member: Member, error: Error | undefined): void {
    forgetThread(member);
    for (const [query, { index }] of [...this.#inspections]) {
      if (index === member.index) this.#answer(query, undefined);
    }
    if (this.#isClosed) return;
    this.#options.events.onBug(`worker ${member.index} died`, error);
    this.#shareUdp();
    member.restarts += 1;
    this.#options.events.onRestart(member.index);
    // Whatever it had in flight is lost; one that had nothing any more need not come back.
    if (!member.isDrained) this.#restart(member);
    this.#confirm();
  }

  /** Those that are on their way count as living: each has its part of the ports from the start. */
  #shareUdp(): void {
    const living = this.#members.filter(({ thread }) => thread !== undefined);
    // While nobody lives, whoever comes back first has what it had, and takes the rest.
    if (living.length === 0) return;
    const owners = shareUdp(this.#udpOwners, living.map(({ index }) => index));
    if (owners.every((owner, share) => owner === this.#udpOwners[share])) return;
    this.#udpOwners = owners;
    for (const { isStarted, thread } of living) {
      if (isStarted) thread?.post({ kind: 'udp-owners', owners });
    }
  }

  #restart(member: Member): void {
    const { clock, timers } = this.#options.runtime;
    const isQuick = clock.nowMs() - member.startedMs <= quickDeathMs;
    member.quickDeaths = isQuick ? member.quickDeaths + 1 : 0;
    if (!isQuick) {
      this.#start(member);
      return;
    }
    const delayMs = Math.min(restartDelayMs * 2 ** (member.quickDeaths - 1), restartDelayMaxMs);
    member.restartTimer = timers.after(delayMs, () => this.#start(member));
  }

  #receive(member: Member, message: FromWorker): void {
    const { events } = this.#options;
    switch (message.kind) {
      case 'started':
        member.isStarted = true;
        member.hasDirectSockets = message.hasDirectSockets;
        events.onStarted(member.index, message.hasDirectSockets);
        this.#sequence += 1;
        this.#shareUdp();
        member.thread?.post({ kind: 'udp-owners', owners: this.#udpOwners });
        this.#sendIdentities(member);
        this.#sendComplete(member, this.#sequence);
        if (this.#drain !== undefined) this.#askToDrain(member, this.#drain);
        return;
      case 'applied':
        return this.#noteApplied(member, message);
      case 'refused':
        return this.#noteRefused(member, message.sequence, message.message);
      case 'series':
        return events.onSeries(member.index, message.definitions);
      case 'access-log':
        return events.onAccessLog(message.lines, message.dropped);
      case 'handshake-failed':
        return events.onHandshakeFailed?.(message.notice);
      case 'bug':
        return events.onBug(message.message, undefined);
      case 'inspected':
        return this.#answer(message.query, message.state);
      case 'drained':
        member.isDrained = true;
        return this.#checkDrained();
    }
  }

  #noteApplied(member: Member, applied: Extract<FromWorker, { kind: 'applied' }>): void {
    const { openPorts, openingPorts, failedPorts } = applied;
    if (applied.sequence >= member.completeSequence) member.isRefusing = false;
    member.appliedSequence = applied.sequence;
    member.version = applied.version;
    member.ports = { openPorts, openingPorts, failedPorts };
    member.isSettled ||= openingPorts.length === 0;
    this.#confirm();
  }

  /**
   * A delta that does not fit is answered with everything. Everything that does not fit is a fault
   * that would repeat: its last good snapshot stays in force until there is something new to try.
   */
  #noteRefused(member: Member, sequence: number, message: string): void {
    // Deltas that were on their way before the complete update are refused for the same cause.
    const isStale = sequence < member.completeSequence;
    if (isStale || (member.isRefusing && sequence > member.completeSequence)) return;
    this.#options.events.onBug(`worker ${member.index} refused an update: ${message}`, undefined);
    member.isRefusing = sequence === member.completeSequence;
    if (member.isRefusing) return;
    this.#sequence += 1;
    this.#sendComplete(member, this.#sequence);
  }

  #sendIdentities(member: Member): void {
    const identities = this.#options.completeIdentities?.();
    if (identities !== undefined) member.thread?.post(identities);
  }

  #sendComplete(member: Member, sequence: number): void {
    member.completeSequence = sequence;
    const update = this.#options.completeUpdate();
    member.thread?.post({ kind: 'update', sequence, ...update });
  }

  /** Tells the owner when the slowest running worker has caught up. */
  #confirm(): void {
    const running = this.#members.filter((member) => member.isStarted);
    if (running.length === 0) return;
    const slowest = Math.min(...running.map((member) => member.appliedSequence));
    if (slowest <= this.#confirmedSequence) return;
    this.#confirmedSequence = slowest;
    this.#options.events.onApplied(slowest);
  }

  #newDrain(delayMs: number, timeoutMs: number): Drain {
    const { clock, timers } = this.#options.runtime;
    let resolveEnded = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      resolveEnded = resolve;
    });
    const longestMs = Math.max(delayMs, timeoutMs) + drainGraceMs;
    const deadline = timers.after(longestMs, () => resolveEnded());
    const end = (): void => {
      deadline.cancel();
      resolveEnded();
    };
    return { startedMs: clock.nowMs(), delayMs, timeoutMs, ended, end };
  }

  /** A worker that starts late has less time left. */
  #askToDrain(member: Member, drain: Drain): void {
    const elapsedMs = this.#options.runtime.clock.nowMs() - drain.startedMs;
    member.thread?.post({
      kind: 'drain',
      delayMs: Math.max(0, drain.delayMs - elapsedMs),
      timeoutMs: Math.max(0, drain.timeoutMs - elapsedMs),
    });
  }

  #checkDrained(): void {
    if (this.#members.every((member) => member.isDrained)) this.#drain?.end();
  }
}

function newMember(index: number): Member {
  return {
    index,
    thread: undefined,
    isStarted: false,
    hasDirectSockets: false,
    startedMs: 0,
    restarts: 0,
    quickDeaths: 0,
    restartTimer: undefined,
    completeSequence: -1,
    isRefusing: false,
    appliedSequence: -1,
    version: '',
    ports: noPorts,
    isSettled: false,
    isDrained: false,
  };
}

/** What was known of a thread that is gone says nothing about its successor. */
function forgetThread(member: Member): void {
  member.thread = undefined;
  member.isStarted = false;
  member.hasDirectSockets = false;
  member.completeSequence = -1;
  member.isRefusing = false;
  member.appliedSequence = -1;
  member.version = '';
  member.ports = noPorts;
  member.isSettled = false;
}
