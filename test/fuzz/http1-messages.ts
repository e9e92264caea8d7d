// Runs whole byte streams through the HTTP/1.1 codec, as a connection would, and says what was
// read: the messages, and how the stream ended. Each piece lies in a buffer that is overwritten as
// soon as the codec has returned, so that a range kept without copying it shows.
import { createBodyDecoder } from '../../src/dataplane/http1/body-decoder.ts';
import type { BodyDecoder } from '../../src/dataplane/http1/body-decoder.ts';
import type { Fields } from '../../src/dataplane/http1/fields.ts';
import { defaultHeadLimits } from '../../src/dataplane/http1/limits.ts';
import type { HeadLimits } from '../../src/dataplane/http1/limits.ts';
import type { Reject } from '../../src/dataplane/http1/reject.ts';
import { RequestHeadParser } from '../../src/dataplane/http1/request-head.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import { ResponseHeadParser } from '../../src/dataplane/http1/response-head.ts';
import type {
  AnsweredRequest,
  HttpResponseHead,
} from '../../src/dataplane/http1/response-head.ts';

export type Seen<Head> = {
  readonly head: Head;
  readonly body: string;
  readonly trailers: Fields | undefined;
};

export type StreamEnd =
  | { readonly kind: 'idle' | 'partial-head' | 'closed' }
  | { readonly kind: 'partial-body'; readonly body: string; readonly head: unknown }
  | Reject;

export type Stream<Head> = { readonly messages: readonly Seen<Head>[]; readonly end: StreamEnd };

type CommonHead = HttpRequestHead | HttpResponseHead;

type HeadReader<Head> = {
  readonly parse: (
    buffer: Buffer,
    start: number,
    end: number,
  ) =>
    | { readonly kind: 'incomplete' }
    | { readonly kind: 'head'; readonly head: Head; readonly end: number }
    | Reject;
  readonly hasPartialHead: () => boolean;
  /** No further message is read after this one. */
  readonly isLast: (head: Head) => boolean;
};

/** A connection's reading half. */
class StreamReader<Head extends CommonHead> {
  readonly messages: Seen<Head>[] = [];
  readonly #reader: HeadReader<Head>;
  #head: Head | undefined;
  #body: BodyDecoder | undefined;
  #data = '';
  #end: StreamEnd | undefined;

  constructor(reader: HeadReader<Head>) {
    this.#reader = reader;
  }

  push(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (this.#end === undefined) {
      const next = this.#body === undefined ? this.#readHead(buffer, at, end) : undefined;
      if (next === waiting) return;
      at = next ?? this.#readBody(buffer, at, end);
      if (at === waiting) return;
    }
  }

  end(): StreamEnd {
    if (this.#end !== undefined) return this.#end;
    if (this.#body?.close() === 'end') this.#endMessage();
    if (this.#body !== undefined) {
      return { kind: 'partial-body', body: this.#data, head: this.#head };
    }
    return { kind: this.#reader.hasPartialHead() ? 'partial-head' : 'idle' };
  }

  #readHead(buffer: Buffer, start: number, end: number): number {
    const result = this.#reader.parse(buffer, start, end);
    if (result.kind === 'incomplete') return waiting;
    if (result.kind === 'reject') {
      this.#end = result;
      return waiting;
    }
    const { head } = result;
    this.#head = head;
    this.#data = '';
    this.#body = createBodyDecoder(head.framing, {
      limits: defaultHeadLimits,
      headBytes: head.bytes,
      headFields: head.fields.size,
    });
    return result.end;
  }

  #readBody(buffer: Buffer, start: number, end: number): number {
    const body = this.#body;
    if (body === undefined) return start;
    const step = body.advance(buffer, start, end);
    if (step === 'data') this.#data += buffer.toString('latin1', body.dataStart, body.dataEnd);
    else if (step === 'end') this.#endMessage();
    else if (step === 'reject') {
      this.#end = body.reject;
      return waiting;
    }
    return step === 'incomplete' ? waiting : body.position;
  }

  #endMessage(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.messages.push({ head, body: this.#data, trailers: this.#body?.trailers });
    this.#body = undefined;
    if (this.#reader.isLast(head)) this.#end = { kind: 'closed' };
  }
}

const waiting = -1;

/** What a stream of requests says, delivered in these pieces. */
export function readRequests(
  pieces: readonly Buffer[],
  limits: HeadLimits = defaultHeadLimits,
): Stream<HttpRequestHead> {
  const parser = new RequestHeadParser({ limits, servicePort: 80 });
  return readAll(pieces, {
    parse: (buffer, start, end) => parser.parse(buffer, start, end),
    hasPartialHead: () => parser.hasPartialHead,
    isLast: (head) => !head.isKeepAlive,
  });
}

/** What a stream of responses says; all of them answer requests like `request`. */
export function readResponses(
  pieces: readonly Buffer[],
  request: AnsweredRequest,
): Stream<HttpResponseHead> {
  const parser = new ResponseHeadParser(defaultHeadLimits);
  return readAll(pieces, {
    parse: (buffer, start, end) => parser.parse(buffer, start, end, request),
    hasPartialHead: () => parser.hasPartialHead,
    isLast: (head) => head.status === 101 || (head.status >= 200 && !head.isKeepAlive),
  });
}

function readAll<Head extends CommonHead>(
  pieces: readonly Buffer[],
  reader: HeadReader<Head>,
): Stream<Head> {
  const stream = new StreamReader(reader);
  const margin = 3;
  for (const piece of pieces) {
    // Bytes on both sides that belong to nobody, and poison afterwards.
    const shared = Buffer.alloc(piece.length + 2 * margin, 'X');
    piece.copy(shared, margin);
    stream.push(shared, margin, margin + piece.length);
    shared.fill(0x00);
  }
  return { end: stream.end(), messages: stream.messages };
}

/** `text` as bytes (latin1), cut at these positions. */
export function cut(text: string, ...positions: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const ends = [...positions, bytes.length];
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

/** One line per message and one for the end: equal lines, equal reading. */
export function summary(stream: Stream<CommonHead>): string {
  const lines = stream.messages.map((message) => messageLine(message));
  const { end } = stream;
  if (end.kind === 'reject') lines.push(`reject ${end.status} ${end.reason} ${end.detail}`);
  else if (end.kind === 'partial-body') lines.push(`partial-body ${end.body}`);
  else lines.push(end.kind);
  return lines.join('\n');
}

function messageLine(message: Seen<CommonHead>): string {
  const { head } = message;
  const facts = Object.entries(head)
    .filter(([, value]) => typeof value !== 'function')
    .map(([key, value]) => `${key}=${fact(value)}`);
  return `${facts.join(' ')} body=${message.body} trailers=${fact(message.trailers)}`;
}

function fact(value: unknown): string {
  const isList = value instanceof Set || (typeof value === 'object' && isIterable(value));
  return JSON.stringify(isList ? [...(value as Iterable<unknown>)] : (value ?? null));
}

function isIterable(value: object | null): value is Iterable<unknown> {
  return value !== null && Symbol.iterator in value;
}
