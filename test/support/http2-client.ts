// Clients of HTTP/2 for tests of the data plane: Node's own for what a client may do, and raw
// frames for what none should. Waiting is for events, never for time.
import http2 from 'node:http2';
import net from 'node:net';
import type { Peer } from './dataplane-sockets.ts';

export type Http2Reply = {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly resetCode: number;
};

/** One call; what is in progress of it is on the stream. */
export class Http2Call {
  readonly stream: http2.ClientHttp2Stream;
  readonly reply: Promise<Http2Reply>;
  readonly head: Promise<http2.IncomingHttpHeaders>;
  text = '';

  constructor(stream: http2.ClientHttp2Stream) {
    this.stream = stream;
    let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.setEncoding('latin1');
    stream.on('data', (piece: string) => {
      this.text += piece;
    });
    stream.on('trailers', (got: typeof trailers) => {
      trailers = got;
    });
    // What a reset means is in its code.
    stream.on('error', () => undefined);
    this.head = new Promise((done) => {
      stream.on('response', (got: typeof headers) => {
        headers = got;
        done(got);
      });
      stream.on('close', () => done(headers));
    });
    this.reply = new Promise((done) => {
      stream.on('close', () => {
        done({
          status: headers[':status'] ?? 0,
          headers,
          body: this.text,
          trailers,
          resetCode: stream.rstCode,
        });
      });
    });
  }

  send(text: string): this {
    this.stream.write(text, 'latin1');
    return this;
  }

  end(text = ''): this {
    this.stream.end(text, 'latin1');
    return this;
  }
}

export type CallerWay = { readonly host: string; readonly localAddress?: string };

const loopback: CallerWay = { host: '127.0.0.1' };

/** A connection with prior knowledge. */
export class Http2Caller {
  readonly session: http2.ClientHttp2Session;
  readonly goAways: number[] = [];
  isClosed = false;

  constructor(port: number, settings: http2.Settings = {}, way: CallerWay = loopback) {
    this.session = http2.connect(`http://${way.host}:${port}`, {
      settings,
      createConnection: () => net.connect({ port, ...way }),
    });
    this.session.on('error', () => undefined);
    this.session.on('goaway', (code: number) => this.goAways.push(code));
    this.session.on('close', () => {
      this.isClosed = true;
    });
  }

  /** A call whose body is still to come. */
  open(headers: http2.OutgoingHttpHeaders): Http2Call {
    const all = { ':authority': 'h1.t.mesh', ...headers };
    return new Http2Call(this.session.request(all, { endStream: false }));
  }

  get(path: string, headers: http2.OutgoingHttpHeaders = {}): Promise<Http2Reply> {
    const all = { ':authority': 'h1.t.mesh', ':path': path, ...headers };
    return new Http2Call(this.session.request(all, { endStream: true })).reply;
  }
}

export const prefaceText = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** A frame, latin1. */
export function frameText(type: number, flags: number, streamId: number, payload = ''): string {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return head.toString('latin1') + payload;
}

/** Four bytes, big-endian. */
export function word(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString('latin1');
}

/** A header block of literals without indexing; names and values up to 126 bytes. */
export function blockText(fields: readonly (readonly [string, string])[]): string {
  const text = (one: string): string => String.fromCharCode(one.length) + one;
  return fields.map(([name, value]) => `\0${text(name)}${text(value)}`).join('');
}

export const getFields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'h1.t.mesh'],
  [':path', '/'],
] as const;

/** The preface and empty SETTINGS, as a client begins. */
export function beginRaw(peer: Peer): Peer {
  return peer.send(prefaceText + frameText(4, 0, 0));
}

export type SeenFrame = {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: string;
};

/** The whole frames in what a peer has received. */
export function framesOf(text: string): readonly SeenFrame[] {
  const bytes = Buffer.from(text, 'latin1');
  const frames: SeenFrame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    frames.push({
      type: bytes[at + 3] ?? 0,
      flags: bytes[at + 4] ?? 0,
      streamId: bytes.readUInt32BE(at + 5) & 0x7fffffff,
      payload: bytes.toString('latin1', at + 9, end),
    });
    at = end;
  }
  return frames;
}

/** The error code of the GOAWAY that a peer got last; undefined before. */
export function goAwayCode(peer: Peer): number | undefined {
  const last = framesOf(peer.text).filter(({ type }) => type === 7).pop();
  return last === undefined ? undefined : Buffer.from(last.payload, 'latin1').readUInt32BE(4);
}
