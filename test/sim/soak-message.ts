// A lenient reader of HTTP/1.1 messages for the soak's clients and pods: both know what they wait
// for, so it checks nothing but where a message ends. Of a body it keeps the beginning, the last
// byte and the count, because that is what tells one body from another here.

export type SoakMessage = {
  /** The request or status line. */
  readonly start: string;
  /** Lower case names; the last value of each. */
  readonly fields: ReadonlyMap<string, string>;
  /** Known when the message is complete. */
  bodyBytes: number;
  bodyStart: string;
  bodyLast: string;
};

export type SoakReaderEvents = {
  /** A head has come; says whether a body may follow whatever its fields say. */
  readonly head: (message: SoakMessage) => 'body' | 'no-body';
  readonly message: (message: SoakMessage) => void;
};

const startBytesMax = 40;
const untilClose = Infinity;

type Phase = 'head' | 'counted' | 'chunk-line' | 'chunk' | 'trailers' | 'raw';

export class SoakReader {
  readonly #events: SoakReaderEvents;
  #rest = '';
  #phase: Phase = 'head';
  #left = 0;
  #message: SoakMessage | undefined;
  /** After `turnRaw`: bytes that belong to no message. */
  rawText = '';

  constructor(events: SoakReaderEvents) {
    this.#events = events;
  }

  /** A message has begun and is not complete. */
  get isInside(): boolean {
    return this.#phase !== 'raw' && (this.#message !== undefined || this.#rest !== '');
  }

  /** From the next byte on there are no messages any more: an upgraded connection. */
  turnRaw(): void {
    this.#phase = 'raw';
    this.#message = undefined;
  }

  push(data: Buffer): void {
    this.#rest += data.toString('latin1');
    while (this.#step()) continue;
  }

  /** The peer sent FIN: that ends a body which has no other end. */
  close(): void {
    if (this.#phase === 'counted' && this.#left === untilClose) this.#complete();
  }

  #step(): boolean {
    switch (this.#phase) {
      case 'raw':
        this.rawText += this.#rest;
        this.#rest = '';
        return false;
      case 'head':
        return this.#readHead();
      case 'counted':
      case 'chunk':
        return this.#readData();
      case 'chunk-line':
        return this.#readChunkLine();
      case 'trailers':
        return this.#readTrailers();
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [start = '', ...lines] = this.#rest.slice(0, end).split('\r\n');
    this.#rest = this.#rest.slice(end + 4);
    const fields = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const message = { start, fields, bodyBytes: 0, bodyStart: '', bodyLast: '' };
    this.#message = message;
    const hasBody = this.#events.head(message) === 'body';
    // The event may have turned the reader raw.
    if (this.#message === undefined) return true;
    if (!hasBody) this.#complete();
    else if (fields.get('transfer-encoding') === 'chunked') this.#phase = 'chunk-line';
    else this.#beginCounted(fields.get('content-length'), start.startsWith('HTTP/'));
    return true;
  }

  #beginCounted(length: string | undefined, isAnswer: boolean): void {
    this.#phase = 'counted';
    this.#left = length === undefined ? (isAnswer ? untilClose : 0) : Number(length);
    if (this.#left === 0) this.#complete();
  }

  #readData(): boolean {
    const taken = Math.min(this.#left, this.#rest.length);
    if (taken === 0) return false;
    const message = this.#message;
    if (message !== undefined) {
      const missing = startBytesMax - message.bodyStart.length;
      if (missing > 0) message.bodyStart += this.#rest.slice(0, Math.min(missing, taken));
      message.bodyLast = this.#rest.charAt(taken - 1);
      message.bodyBytes += taken;
    }
    this.#rest = this.#rest.slice(taken);
    this.#left -= taken;
    if (this.#left > 0) return false;
    if (this.#phase === 'chunk') this.#phase = 'chunk-line';
    else this.#complete();
    return true;
  }

  #readChunkLine(): boolean {
    // The line end of the chunk before stands in front of every line but the first.
    const from = this.#rest.startsWith('\r\n') ? 2 : 0;
    const end = this.#rest.indexOf('\r\n', from);
    if (end < 0) return false;
    this.#left = Number.parseInt(this.#rest.slice(from, end), 16);
    this.#phase = this.#left === 0 ? 'trailers' : 'chunk';
    // Of the last chunk's line the end stays, so that "no trailers" is one empty line as well.
    this.#rest = this.#rest.slice(this.#left === 0 ? end : end + 2);
    return true;
  }

  #readTrailers(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    this.#rest = this.#rest.slice(end + 4);
    this.#complete();
    return true;
  }

  #complete(): void {
    const message = this.#message;
    this.#message = undefined;
    this.#phase = 'head';
    if (message !== undefined) this.#events.message(message);
  }
}

/** A body that only this exchange has: `<id:zzz…>`. */
export function soakBody(id: string, bytes: number): string {
  return `<${id}:`.padEnd(Math.max(bytes, id.length + 3) - 1, 'z') + '>';
}

/** What is wrong with a complete body that ought to be `soakBody(id, bytes)`. */
export function bodyFault(message: SoakMessage, id: string, bytes: number): string | undefined {
  const wanted = soakBody(id, bytes);
  const isRight =
    message.bodyBytes === wanted.length &&
    message.bodyStart === wanted.slice(0, startBytesMax) &&
    message.bodyLast === '>';
  if (isRight) return undefined;
  return `${id}: ${message.bodyBytes} bytes "${message.bodyStart}…${message.bodyLast}"`;
}
