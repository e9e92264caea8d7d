// Mirrors one kind of the API server into a sink, for ever: list, watch from there, resume where
// the stream broke, list again when the position is too old. It holds no objects and decides
// nothing about them; how long it rests between rounds is patience.ts.
// Invariant: after `commit` the sink holds what the server held at `#position`, and every later
// event moves both on together.
// Model: client-go's reflector. Kubernetes API concepts: "Efficient detection of changes",
// "Streaming lists" (WatchList), "410 Gone responses".
import type { Parsed } from '../api/index.ts';
import type { Runtime } from '../lib/clock.ts';
import type { Log } from '../telemetry/index.ts';
import { silentLog } from '../telemetry/index.ts';
import { KubeFailure, asRecord, asText } from './client.ts';
import type { Connection, Query } from './connection.ts';
import { resourcePath } from './connection.ts';
import { Discovery } from './discovery.ts';
import type { WantedResource } from './discovery.ts';
import { listObjects } from './list.ts';
import { Pacer } from './pacer.ts';
import type { RoundEnd } from './patience.ts';
import { Patience, isEarly } from './patience.ts';
import type { Replacement, Sink } from './sink.ts';
import { StreamGuard } from './stream-guard.ts';
import type { WatchEvent } from './watch-lines.ts';
import { LineSplitter, isOlder, lineBytesMax, objectFacts, readWatchEvent } from './watch-lines.ts';

export type ReflectorOptions<T> = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  /** With more than one version the server is asked which of them it serves. */
  readonly resource: WantedResource;
  /** Only this namespace: what a Role (and not a ClusterRole) allows; absent: all of them. */
  readonly namespace?: string;
  /** `fieldSelector`, `labelSelector`. */
  readonly selector?: Query;
  readonly parse: (input: unknown) => Parsed<T>;
  readonly sink: Sink<T>;
  readonly log?: Log;
  /** The first list is complete, or the kind is known to be missing. */
  readonly onSynced?: () => void;
  /** Shared by all kinds of one connection. */
  readonly discovery?: Discovery;
};

export type ReflectorStatus = {
  /** The sink has once held everything; a kind that does not exist counts as empty. */
  readonly isSynced: boolean;
  /** A watch is open and past its initial list. */
  readonly isConnected: boolean;
  /** Since the last event or bookmark; since the start when there was none. */
  readonly lastEventAgeMs: number;
  /** Lists after the first. */
  readonly relists: number;
};

export type Reflector = {
  readonly status: () => ReflectorStatus;
  /** Resolves when nothing is open any more. */
  readonly stop: () => Promise<void>;
};

export function startReflector<T>(options: ReflectorOptions<T>): Reflector {
  const running = new RunningReflector(options);
  const ended = running.run();
  return {
    status: () => running.status(),
    stop: () => {
      running.stop();
      return ended;
    },
  };
}

/** The server is asked to end a watch after 290 s ± 10 %: clients spread over its replicas. */
const watchSeconds = { base: 290, spread: 0.1 };
/**
 * Bookmarks come once a minute, the first of a watch after two (measured on 1.34), so a longer
 * silence means that nobody is there. A peer that is gone is noticed before, by TCP keep-alive.
 */
const silenceMaxMs = 200_000;
/** Objects of an initial list come without a break; a server without that feature is silent. */
const initialSilenceMaxMs = 10_000;
/** A watch closed this often at one position, without a word, counts as 410 (kubernetes#137089). */
const barrenRoundsMax = 5;

class RunningReflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #discovery: Discovery;
  readonly #patience: Patience;
  readonly #pacer: Pacer;
  /** Resource version that the sink has reached; `undefined` = list first. */
  #position: string | undefined;
  /** Served version of the kind; `undefined` = ask. */
  #version: string | undefined;
  /** `paged`: the server has said that it does not stream lists; `paged-once`: it was silent. */
  #listWay: 'streamed' | 'paged-once' | 'paged' = 'streamed';
  /** The stream broke: make sure that the server's history still contains `#position`. */
  #isDoubtful = false;
  #barrenRounds = 0;
  #lists = 0;
  #isSynced = false;
  #isConnected = false;
  #isStopped = false;
  #lastEventMs: number;
  #openedMs: number | undefined;
  #guard: StreamGuard | undefined;
  #wake: (() => void) | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#runtime = options.runtime;
    this.#log = options.log ?? silentLog;
    this.#discovery = options.discovery ?? new Discovery(options.connection, options.runtime.clock);
    this.#patience = new Patience(options.runtime.random);
    this.#pacer = new Pacer(options.runtime);
    this.#lastEventMs = options.runtime.clock.nowMs();
  }

  status(): ReflectorStatus {
    return {
      isSynced: this.#isSynced,
      isConnected: this.#isConnected,
      lastEventAgeMs: this.#runtime.clock.nowMs() - this.#lastEventMs,
      relists: Math.max(0, this.#lists - 1),
    };
  }

  stop(): void {
    this.#isStopped = true;
    this.#guard?.cancel();
    this.#wake?.();
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const end = await this.#round();
      if (this.#isStopped) return;
      this.#isDoubtful = end.kind === 'failed' || (end.kind === 'closed' && isEarly(end.livedMs));
      const restMs = this.#patience.restMs(end);
      this.#report(end, restMs);
      if (restMs > 0) await this.#rest(restMs, end);
    }
  }

  /** One list and one watch, or what of them is due. Never throws. */
  async #round(): Promise<RoundEnd> {
    this.#openedMs = undefined;
    const position = this.#position;
    try {
      const path = await this.#path();
      if (path === undefined) return this.#absent();
      if (this.#position === undefined && this.#listWay !== 'streamed') {
        await this.#listPages(path);
      }
      if (this.#isDoubtful) await this.#confirmPosition(path);
      await this.#watch(path);
      return this.#afterClose(position);
    } catch (error) {
      return this.#afterError(error, position);
    } finally {
      this.#isConnected = false;
    }
  }

  async #path(): Promise<string | undefined> {
    const { resource, namespace } = this.#options;
    const { group, plural, versions } = resource;
    this.#version ??=
      versions.length === 1
        ? versions[0]
        : await this.#discovery.servedVersion(resource);
    if (this.#version === undefined) return undefined;
    const place = { group, version: this.#version, plural };
    return resourcePath(namespace === undefined ? place : { ...place, namespace });
  }

  async #listPages(path: string): Promise<void> {
    const replacement = this.#options.sink.replace();
    const position = await listObjects({
      connection: this.#options.connection,
      path,
      query: this.#options.selector ?? {},
      pacer: this.#pacer,
      isStopped: () => this.#isStopped,
      onObject: (object) => {
        replacement.put(objectFacts(object).key, this.#options.parse(object));
      },
    });
    this.#commit(replacement, position);
    if (this.#listWay === 'paged-once') this.#listWay = 'streamed';
  }

  #commit(replacement: Replacement<T>, position: string): void {
    replacement.commit();
    this.#position = position;
    this.#lists += 1;
    this.#noteEvent();
    this.#noteSynced();
  }

  #noteSynced(): void {
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#options.onSynced?.();
  }

  /**
   * A watch from a version that is still in the server's future – its etcd was restored from a
   * backup – is silent until then, and no error (tried on 1.34). Asking for one object tells.
   */
  async #confirmPosition(path: string): Promise<void> {
    if (this.#position === undefined) return;
    const list = await this.#options.connection.get(path, { ...this.#options.selector, limit: 1 });
    this.#demandNotOlder(asText(asRecord(asRecord(list)['metadata'])['resourceVersion']));
  }

  #demandNotOlder(version: string): void {
    if (this.#position === undefined || !isOlder(version, this.#position)) return;
    const jump = `from ${this.#position} to ${version} (hint: a restored etcd)`;
    throw new KubeFailure('Gone', `the resource version went back ${jump}`);
  }

  async #watch(path: string): Promise<void> {
    const isInitial = this.#position === undefined;
    const guard = new StreamGuard(this.#runtime, isInitial ? initialSilenceMaxMs : silenceMaxMs);
    this.#guard = guard;
    try {
      if (this.#isStopped) throw new KubeFailure('Cancelled', 'the reflector was stopped');
      const query = this.#watchQuery();
      const body = await this.#options.connection.openStream(path, query, guard.signal);
      this.#openedMs = this.#runtime.clock.nowMs();
      await this.#read(body, guard);
    } catch (error) {
      throw guard.explain(error);
    } finally {
      guard.end();
      this.#guard = undefined;
    }
  }

  #watchQuery(): Query {
    const spread = 1 + watchSeconds.spread * (2 * this.#runtime.random() - 1);
    const every = {
      ...this.#options.selector,
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: Math.round(watchSeconds.base * spread),
    };
    if (this.#position !== undefined) return { ...every, resourceVersion: this.#position };
    return { ...every, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
  }

  async #read(body: AsyncIterable<Uint8Array>, guard: StreamGuard): Promise<void> {
    const lines = new LineSplitter(lineBytesMax);
    let replacement = this.#position === undefined ? this.#options.sink.replace() : undefined;
    this.#isConnected = replacement === undefined;
    for await (const chunk of body) {
      guard.touch();
      for (const line of lines.push(chunk)) {
        this.#pacer.begin();
        const event = readWatchEvent(line);
        if (replacement === undefined) this.#follow(event);
        else if (this.#collect(event, replacement)) {
          replacement = undefined;
          this.#isConnected = true;
          guard.allow(silenceMaxMs);
        }
        if (this.#pacer.end()) await this.#pacer.pause();
        if (this.#isStopped) return;
      }
    }
  }

  /** An event of a streamed list; true when it was the last. */
  #collect(event: WatchEvent, replacement: Replacement<T>): boolean {
    switch (event.kind) {
      case 'put':
        replacement.put(event.facts.key, this.#options.parse(event.object));
        return false;
      case 'remove':
        replacement.remove(event.facts.key);
        return false;
      case 'bookmark':
        if (!event.endsInitial) return false;
        this.#commit(replacement, event.resourceVersion);
        return true;
    }
  }

  #follow(event: WatchEvent): void {
    const position = positionOf(event);
    this.#demandNotOlder(position);
    if (event.kind === 'put') {
      this.#options.sink.put(event.facts.key, this.#options.parse(event.object));
    } else if (event.kind === 'remove') {
      this.#options.sink.remove(event.facts.key, event.facts.uid);
    }
    if (position !== '') this.#position = position;
    this.#noteEvent();
  }

  #noteEvent(): void {
    this.#lastEventMs = this.#runtime.clock.nowMs();
    this.#barrenRounds = 0;
  }

  #livedMs(): number {
    return this.#openedMs === undefined ? 0 : this.#runtime.clock.nowMs() - this.#openedMs;
  }

  #absent(): RoundEnd {
    this.#position = undefined;
    this.#version = undefined;
    this.#options.sink.replace().commit();
    this.#noteSynced();
    return { kind: 'absent' };
  }

  /** The stream ended without an error; `from` is where the round began. */
  #afterClose(from: string | undefined): RoundEnd {
    const livedMs = this.#livedMs();
    if (from === undefined && this.#position === undefined) {
      const message = 'a streamed list ended before its end';
      return { kind: 'failed', livedMs, failure: new KubeFailure('BadResponse', message) };
    }
    const why = this.#barrenEnd(from);
    return why === undefined ? { kind: 'closed', livedMs } : { kind: 'gone', livedMs, why };
  }

  #afterError(error: unknown, from: string | undefined): RoundEnd {
    const livedMs = this.#livedMs();
    const wasInitial = this.#position === undefined;
    if (!(error instanceof KubeFailure)) {
      // A bug in a parser or a sink: start over, for a mesh that follows nothing is worse.
      this.#position = undefined;
      const facts = { resource: this.#options.resource.plural, why: `${error}` };
      this.#log.error('reflector failed', facts);
      const failure = new KubeFailure('BadResponse', 'an object could not be taken over');
      return { kind: 'failed', livedMs, failure };
    }
    if (error.reason === 'NotFound') return this.#absent();
    if (this.#listWay === 'streamed' && wasInitial && refusesStreaming(error)) {
      this.#listWay = error.reason === 'Invalid' ? 'paged' : 'paged-once';
      return { kind: 'unsupported' };
    }
    if (error.reason === 'Gone' || (error.reason === 'Invalid' && !wasInitial)) {
      this.#position = undefined;
      return { kind: 'gone', livedMs, why: error.message };
    }
    const why = this.#openedMs === undefined ? undefined : this.#barrenEnd(from);
    if (why !== undefined) return { kind: 'gone', livedMs, why };
    return { kind: 'failed', livedMs, failure: error };
  }

  /** Counts rounds that got a stream but no event; says why the position is given up, if it is. */
  #barrenEnd(from: string | undefined): string | undefined {
    if (from === undefined || from !== this.#position) return undefined;
    if (this.#livedMs() >= silenceMaxMs) return undefined;
    this.#barrenRounds += 1;
    if (this.#barrenRounds < barrenRoundsMax) return undefined;
    this.#barrenRounds = 0;
    this.#position = undefined;
    return `closed ${barrenRoundsMax} times at one resource version`;
  }

  #rest(restMs: number, end: RoundEnd): Promise<void> {
    // When anybody reaches the server again, whoever waits for that need not wait any longer.
    const isCutOff = end.kind === 'failed' && end.failure.reason === 'Unreachable';
    return new Promise((resolve) => {
      const leave = (): void => {
        timer.cancel();
        unsubscribe();
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#runtime.timers.after(restMs, leave);
      const unsubscribe = isCutOff
        ? this.#options.connection.onReachable(leave)
        : (): void => undefined;
      this.#wake = leave;
    });
  }

  #report(end: RoundEnd, restMs: number): void {
    const facts = { resource: this.#options.resource.plural, restMs: Math.round(restMs) };
    if (end.kind === 'gone') this.#log.info('watch lists again', { ...facts, why: end.why });
    if (end.kind !== 'failed') return;
    const failure = { ...facts, reason: end.failure.reason, why: end.failure.message };
    if (this.#patience.failures <= 1) this.#log.warn('watch failed', failure);
    else this.#log.debug('watch failed again', failure);
  }
}

function positionOf(event: WatchEvent): string {
  return event.kind === 'bookmark' ? event.resourceVersion : event.facts.resourceVersion;
}

/** 422 or 400 by servers without the feature gate; silence by those that are overloaded or odd. */
function refusesStreaming(failure: KubeFailure): boolean {
  return failure.reason === 'Invalid' || failure.reason === 'Timeout';
}
