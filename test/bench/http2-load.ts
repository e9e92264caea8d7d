// Load and pods of the HTTP/2 bench, in the bench's own process: clients that ask again as soon as
// they are answered, and a pod that answers each request with so many bytes. They run on the codec
// that is measured, because a dearer one would be the bottleneck; rivals meet the same bytes.
import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { FrameBuffers } from '../../src/dataplane/http2/frame-writer.ts';
import type { SessionTransport } from '../../src/dataplane/http2/frame-writer.ts';
import type { HeaderField } from '../../src/dataplane/http2/hpack-table.ts';
import { defaultSessionLimits } from '../../src/dataplane/http2/limits.ts';
import { Http2Session } from '../../src/dataplane/http2/session.ts';
import type { SessionListener } from '../../src/dataplane/http2/session-types.ts';
import type { Http2Stream } from '../../src/dataplane/http2/stream.ts';
import { TurnEnd } from '../../src/dataplane/turn-end.ts';

const buffers = new FrameBuffers();
const turnEnd = new TurnEnd();
const clock = { nowMs: (): number => performance.now() };
/** A client asks and is answered all the time: it is no attack that its windows move. */
const limits = { ...defaultSessionLimits, streamWindowBytes: 1024 * 1024 };

type Stream = Http2Stream<undefined>;
type Told = Pick<SessionListener<undefined>, 'headers' | 'ended' | 'reset'>;

/** A session on a socket. */
class Line implements SessionTransport {
  readonly session: Http2Session<undefined>;
  readonly #socket: net.Socket;

  constructor(socket: net.Socket, role: 'server' | 'client', told: Told) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.session = new Http2Session<undefined>({
      role,
      transport: this,
      limits,
      buffers,
      clock,
      listener: {
        ...told,
        data: (stream, _, start, end) => stream.consumed(end - start),
        drained: () => undefined,
        closed: () => undefined,
        goAway: () => undefined,
        settled: () => undefined,
        pingAnswered: () => undefined,
        failed: () => socket.destroy(),
      },
    });
    socket.on('data', (data) => this.session.read(data, 0, data.length));
    socket.on('drain', () => this.session.drained());
    socket.on('error', () => undefined);
    socket.on('close', () => this.session.disconnected());
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  flushSoon(): void {
    turnEnd.add(() => this.session.flush());
  }

  close(): void {
    this.#socket.destroy();
  }
}

const answerHead: readonly HeaderField[] = [
  { name: ':status', value: '200' },
  { name: 'content-type', value: 'application/octet-stream' },
  { name: 'date', value: 'Mon, 21 Oct 2013 20:13:21 GMT' },
];

/** A pod: the number in the path says how many bytes it answers with. */
export function startPod(port: number, address: string): Promise<() => void> {
  const lines = new Set<Line>();
  const bytes = Buffer.alloc(1024 * 1024, 'x');
  const sizes = new WeakMap<Stream, number>();
  const server = net.createServer((socket) => {
    const line = new Line(socket, 'server', {
      headers: (stream, fields) => {
        const path = fields.find(({ name }) => name === ':path')?.value ?? '';
        sizes.set(stream, Number(path.slice(path.lastIndexOf('/') + 1)));
      },
      ended: (stream) => {
        stream.sendHeaders(answerHead);
        stream.sendData(bytes, 0, sizes.get(stream) ?? 0);
        stream.end();
      },
      reset: () => undefined,
    });
    lines.add(line);
    socket.on('close', () => lines.delete(line));
  });
  return new Promise((done) => {
    server.listen(port, address, () => {
      done(() => {
        for (const line of lines) line.close();
        server.close();
      });
    });
  });
}

export type Http2Work = {
  readonly connections: number;
  /** At the same time on each connection. */
  readonly streams: number;
  readonly path: string;
};

/** Clients that keep so many calls under way until they are stopped. */
export class Http2Load {
  answered = 0;
  failed = 0;
  readonly #lines: Line[] = [];
  readonly #head: readonly HeaderField[];
  #isOver = false;

  constructor(work: Http2Work, target: { readonly address: string; readonly port: number }) {
    this.#head = [
      { name: ':method', value: 'GET' },
      { name: ':scheme', value: 'http' },
      { name: ':path', value: work.path },
      { name: ':authority', value: 'h1.t.mesh' },
      { name: 'user-agent', value: 'bench/1.0' },
      { name: 'accept', value: '*/*' },
      { name: 'x-request-id', value: '6b3e2f1a-7c1d-4f2b-9a53-0d8f6a2b1c11' },
      { name: 'traceparent', value: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    ];
    for (let index = 0; index < work.connections; index += 1) {
      const socket = net.connect({ port: target.port, host: target.address });
      const line: Line = new Line(socket, 'client', {
        headers: (_, [status]) => {
          if (status?.value !== '200') this.failed += 1;
        },
        ended: () => {
          this.answered += 1;
          this.#ask(line);
        },
        reset: () => {
          this.failed += 1;
        },
      });
      this.#lines.push(line);
      socket.on('connect', () => {
        for (let count = 0; count < work.streams; count += 1) this.#ask(line);
      });
    }
  }

  stop(): void {
    this.#isOver = true;
    for (const line of this.#lines) line.close();
  }

  #ask(line: Line): void {
    if (this.#isOver) return;
    const stream = line.session.openStream(undefined);
    stream?.sendHeaders(this.#head);
    stream?.end();
  }
}
