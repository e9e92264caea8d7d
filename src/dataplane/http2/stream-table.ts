// The streams of a session by their ids, those that have none yet, and what is known of those that
// are gone. Clients open streams with odd ids that rise; nothing else is ever opened, because a
// server's streams would be pushes (RFC 9113 sections 5.1.1 and 8.4).
import { GoneStreams } from './gone-streams.ts';
import { lastStreamIdMax, ownStreamsMax, streamsBeforeSettings } from './limits.ts';
import { StreamIndex, StreamList } from './stream-index.ts';
import type { Http2Stream } from './stream.ts';

export class StreamTable<User> {
  readonly open = new StreamIndex<User>();
  /** Opened, and without an id until their head is sent. */
  readonly unsent = new StreamList<User>();
  /** The last one that the peer has opened. */
  lastPeerId = 0;
  /** New streams of the peer are not looked at any more. */
  isLeaving = false;
  readonly #gone = new GoneStreams();
  readonly #isServer: boolean;
  #nextId = 1;
  /** How many the peer takes. */
  #peerMax = streamsBeforeSettings;

  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  get size(): number {
    return this.open.size + this.unsent.size;
  }

  /** The one that was opened first; those without an id have none yet because they are new. */
  get oldest(): Http2Stream<User> | undefined {
    return this.open.oldest ?? this.unsent.oldest;
  }

  /** There is room for one more of ours, and an id. */
  get hasRoom(): boolean {
    const { size } = this;
    const hasIds = this.#nextId + 2 * this.unsent.size <= lastStreamIdMax;
    return hasIds && size < this.#peerMax && size < ownStreamsMax;
  }

  /** The peer's SETTINGS have come; undefined: they name no number of streams. */
  limit(streamsMax: number | undefined): void {
    if (streamsMax !== undefined) this.#peerMax = streamsMax;
    // Until then at most what RFC 9113 recommends; a peer that says nothing sets no limit.
    else if (this.#peerMax === streamsBeforeSettings) this.#peerMax = ownStreamsMax;
  }

  /** A client's stream gets its id with its first frame, because ids have to rise on the wire. */
  begin(stream: Http2Stream<User>): void {
    this.unsent.remove(stream);
    stream.id = this.#nextId;
    this.#nextId += 2;
    this.open.add(stream);
  }

  /** A head of this id begins a stream of the peer. */
  isNew(streamId: number): boolean {
    return this.#isServer && streamId % 2 === 1 && streamId > this.lastPeerId;
  }

  /** `isReset`: by us, and what the peer has sent meanwhile is no fault of its. */
  delete(stream: Http2Stream<User>, isReset: boolean): void {
    if (stream.id === 0) {
      this.unsent.remove(stream);
      return;
    }
    this.open.remove(stream);
    this.forget(stream.id, isReset);
  }

  forget(streamId: number, isReset: boolean): void {
    this.#gone.add(streamId, isReset);
  }

  /** It was never opened, and frames of it mean nothing. */
  isIdle(streamId: number): boolean {
    if (streamId % 2 === 0) return true;
    if (!this.#isServer) return streamId >= this.#nextId;
    // After our last word of leaving, requests cross it on the wire.
    return streamId > this.lastPeerId && !this.isLeaving;
  }

  /** Of a stream that is not open: whether a frame of it only crossed a word of ours. */
  find(streamId: number): 'late' | 'closed' | 'unknown' {
    if (this.isIdle(streamId)) return 'unknown';
    if (this.#isServer && streamId > this.lastPeerId) return 'late';
    const found = this.#gone.find(streamId);
    return found === 'reset' ? 'late' : found;
  }

  all(): readonly Http2Stream<User>[] {
    return [...this.open.values(), ...this.unsent.values()];
  }
}
