// The body of a watch: lines of JSON, one event each, in chunks that end anywhere. `LineSplitter`
// finds the lines under a limit, `readWatchEvent` says what one of them means. Nothing here knows
// what was seen before; an incomplete last line is dropped, because it was never a whole event.
// Kubernetes API concepts: "Efficient detection of changes", "Watch bookmarks", "Streaming lists".
import { KubeFailure, asRecord, asText, failureOfStatus } from './client.ts';

/** etcd holds objects of at most 1.5 MB; JSON escapes and the event's frame may double that. */
export const lineBytesMax = 4 * 1024 * 1024;

const newline = 0x0a;

export class LineSplitter {
  readonly #bytesMax: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that `chunk` completes, without empty ones; throws KubeFailure past the limit. */
  *push(chunk: Uint8Array): Generator<string> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end < 0) break;
      const line = this.#join(chunk.subarray(start, end));
      start = end + 1;
      if (line !== '') yield line;
    }
    this.#keep(chunk.subarray(start));
  }

  #keep(piece: Uint8Array): void {
    if (piece.byteLength === 0) return;
    this.#bytes += piece.byteLength;
    if (this.#bytes > this.#bytesMax) {
      const message = `a watch sent an event of more than ${this.#bytesMax} bytes`;
      throw new KubeFailure('BadResponse', message);
    }
    this.#pieces.push(piece);
  }

  #join(last: Uint8Array): string {
    this.#keep(last);
    const whole = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    if (whole === undefined) return '';
    return Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength).toString('utf8');
  }
}

/** What identifies one object in one stream. */
export type ObjectFacts = {
  /** `namespace/name`, or `name` of a cluster-scoped object. */
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
};

export type WatchEvent =
  | { readonly kind: 'put'; readonly facts: ObjectFacts; readonly object: unknown }
  | { readonly kind: 'remove'; readonly facts: ObjectFacts }
  | {
      readonly kind: 'bookmark';
      readonly resourceVersion: string;
      /** Everything that existed when the stream was opened has been sent. */
      readonly endsInitial: boolean;
    };

/** Throws KubeFailure for an ERROR event and for what is no event at all. */
export function readWatchEvent(line: string): WatchEvent {
  const event = asRecord(parseLine(line));
  const object = event['object'];
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'put', facts: objectFacts(object), object };
    case 'DELETED':
      return { kind: 'remove', facts: objectFacts(object) };
    case 'BOOKMARK':
      return bookmark(object);
    case 'ERROR':
      throw streamFailure(object);
    default:
      throw new KubeFailure('BadResponse', 'a watch sent an event of unknown type');
  }
}

/** Key, uid and version of any object; throws KubeFailure when it has no name. */
export function objectFacts(object: unknown): ObjectFacts {
  const meta = asRecord(asRecord(object)['metadata']);
  const name = asText(meta['name']);
  if (name === '') throw new KubeFailure('BadResponse', 'the server sent an object without a name');
  const namespace = asText(meta['namespace']);
  return {
    key: namespace === '' ? name : `${namespace}/${name}`,
    uid: asText(meta['uid']),
    resourceVersion: asText(meta['resourceVersion']),
  };
}

function bookmark(object: unknown): WatchEvent {
  const meta = asRecord(asRecord(object)['metadata']);
  return {
    kind: 'bookmark',
    resourceVersion: asText(meta['resourceVersion']),
    endsInitial: asRecord(meta['annotations'])['k8s.io/initial-events-end'] === 'true',
  };
}

function streamFailure(object: unknown): KubeFailure {
  const code = asRecord(object)['code'];
  const status = typeof code === 'number' ? code : 500;
  return failureOfStatus('an open watch', { status, body: object });
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (error) {
    throw new KubeFailure('BadResponse', 'a watch sent a line that is no JSON', { cause: error });
  }
}

/**
 * Resource versions are opaque by contract, but numbers in every server there is (and by contract
 * since Kubernetes 1.35). Anything else is never "older".
 */
export function isOlder(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}
