// Two sides of HTTP/2 that talk through memory: sessions with what they told, and bytes that are
// carried between them in pieces of any length, each at another place of another buffer.
import { FrameBuffers } from '../../src/dataplane/http2/frame-writer.ts';
import type { SessionTransport } from '../../src/dataplane/http2/frame-writer.ts';
import type { HeaderField } from '../../src/dataplane/http2/hpack-table.ts';
import { defaultSessionLimits } from '../../src/dataplane/http2/limits.ts';
import type { SessionLimits } from '../../src/dataplane/http2/limits.ts';
import { Http2Session } from '../../src/dataplane/http2/session.ts';
import type { Http2Stream } from '../../src/dataplane/http2/stream.ts';

type Stream = Http2Stream<string>;

/** A session with what it told, and what it wrote. */
export class Side implements SessionTransport {
  readonly session: Http2Session<string>;
  readonly told: string[] = [];
  readonly streams: Stream[] = [];
  /** Content by stream id. */
  readonly received = new Map<number, Buffer[]>();
  readonly written: Buffer[] = [];
  readonly unsentBytes = 0;
  consumes = true;
  nowMs = 0;

  constructor(role: 'server' | 'client', limits: Partial<SessionLimits> = {}) {
    const told = (...words: readonly unknown[]): void => {
      this.told.push(words.join(' '));
    };
    this.session = new Http2Session<string>({
      role,
      transport: this,
      limits: { ...defaultSessionLimits, ...limits },
      buffers: new FrameBuffers(),
      clock: { nowMs: () => this.nowMs },
      listener: {
        headers: (stream, fields) => {
          if (!this.streams.includes(stream)) this.streams.push(stream);
          told('headers', stream.id, fields.map(({ name, value }) => `${name}=${value}`).join(','));
        },
        data: (stream, buffer, start, end) => {
          const pieces = this.received.get(stream.id) ?? [];
          pieces.push(Buffer.from(buffer.subarray(start, end)));
          this.received.set(stream.id, pieces);
          if (this.consumes) stream.consumed(end - start);
        },
        ended: (stream, trailers) => {
          told('ended', stream.id, ...(trailers ?? []).map(({ name }) => name));
        },
        reset: (stream, code, cause) => told('reset', stream.id, code, cause),
        drained: (stream) => told('drained', stream.id),
        closed: (stream) => told('closed', stream.id),
        goAway: (lastStreamId, code) => told('goAway', lastStreamId, code),
        settled: () => undefined,
        pingAnswered: () => told('pong'),
        failed: ({ code }) => told('failed', code),
      },
    });
  }

  write(bytes: Buffer): void {
    this.written.push(Buffer.from(bytes));
  }

  flushSoon(): void {
    return;
  }

  contentOf(streamId: number): Buffer {
    return Buffer.concat(this.received.get(streamId) ?? []);
  }
}

/** Carries bytes until nobody has any; `cut` says how long the next piece may be. */
export function settle(a: Side, b: Side, cut: () => number = () => Infinity): void {
  const carry = (from: Side, to: Side): boolean => {
    from.session.flush();
    const bytes = Buffer.concat(from.written.splice(0));
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + cut());
      // At another place of another buffer each time, as sockets do it.
      const piece = Buffer.concat([Buffer.alloc(3, 0xff), bytes.subarray(at, end)]);
      to.session.read(piece, 3, piece.length);
      piece.fill(0xee);
      at = end;
    }
    return bytes.length > 0;
  };
  while (carry(a, b) || carry(b, a));
}

export const fieldsOf = (text: string): HeaderField[] =>
  text.split(',').map((line) => {
    const [name = '', value = ''] = line.split('=');
    return { name, value };
  });
export const get = fieldsOf(':method=GET,:scheme=http,:path=/,:authority=web');
export const post = fieldsOf(':method=POST,:scheme=http,:path=/,:authority=web');
export const ok = fieldsOf(':status=200,server=x');

export function pair(limits: Partial<SessionLimits> = {}): { client: Side; server: Side } {
  const client = new Side('client', limits);
  const server = new Side('server', limits);
  settle(client, server);
  return { client, server };
}

export function open(client: Side, user = 'user'): Stream {
  const stream = client.session.openStream(user);
  if (stream === undefined) throw new Error('no stream');
  return stream;
}

export function only(side: Side, index = 0): Stream {
  const stream = side.streams[index];
  if (stream === undefined) throw new Error('no stream');
  return stream;
}
