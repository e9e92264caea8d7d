// Talks from within a pod to an app that speaks everything (tongues.ts), as its arguments say, and
// prints what came of each as one JSON array. A talk that goes on ends when standard input does.
// Nothing is tried again.
import { createSocket } from 'node:dgram';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';

type Talk =
  | {
      readonly kind: 'grpc';
      readonly url: string;
      readonly path: string;
      readonly messages: readonly string[];
      readonly headers?: Readonly<Record<string, string>>;
      readonly times?: number;
    }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly lines: number }
  | { readonly kind: 'udp'; readonly host: string; readonly port: number; readonly times: number }
  | { readonly kind: 'websocket'; readonly url: string; readonly texts: readonly string[] }
  | { readonly kind: 'events'; readonly url: string; readonly count: number }
  | { readonly kind: 'grpc-load'; readonly url: string; readonly perSecond: number }
  | { readonly kind: 'tcp-hold'; readonly host: string; readonly port: number };

/** `texts`: what was heard. `status`: of gRPC. `error`: why it ended early. */
type Heard = {
  readonly texts: readonly string[];
  readonly status: string;
  readonly error: string;
  readonly delaysMs?: readonly number[];
  readonly sent?: number;
};

/** Node's own; the types of the oldest Node that we support do not know it. */
declare const WebSocket: new (url: string) => {
  readonly send: (text: string) => void;
  readonly close: () => void;
  readonly addEventListener: (
    event: 'open' | 'message' | 'error' | 'close',
    listener: (event: { readonly data?: unknown }) => void,
  ) => void;
};

const patienceMs = 10_000;

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return String((error as NodeJS.ErrnoException).code ?? error.message);
}

function framed(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function grpcCall(
  session: ClientHttp2Session,
  { path, messages, headers = {} }: Pick<Talk & { kind: 'grpc' }, 'path' | 'messages' | 'headers'>,
): Promise<Heard> {
  return new Promise((resolve) => {
    const texts: string[] = [];
    let status = '';
    let error = '';
    let waiting = Buffer.alloc(0);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.setTimeout(patienceMs, () => {
      error ||= 'no answer in time';
      stream.close();
    });
    const heed = (fields: Readonly<Record<string, unknown>>): void => {
      if (fields['grpc-status'] !== undefined) status = String(fields['grpc-status']);
    };
    stream.on('response', heed);
    stream.on('trailers', heed);
    stream.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      while (waiting.length >= 5 && waiting.length >= 5 + waiting.readUInt32BE(1)) {
        const end = 5 + waiting.readUInt32BE(1);
        texts.push(waiting.subarray(5, end).toString('utf8'));
        waiting = waiting.subarray(end);
      }
    });
    stream.on('error', (cause) => {
      error ||= codeOf(cause);
    });
    stream.on('close', () => resolve({ texts, status, error }));
    for (const text of messages) stream.write(framed(text));
    stream.end();
  });
}

async function grpc(talk: Talk & { kind: 'grpc' }): Promise<readonly Heard[]> {
  const session = connectHttp2(talk.url);
  session.on('error', () => undefined);
  const heard: Heard[] = [];
  for (let time = 0; time < (talk.times ?? 1); time += 1) heard.push(await grpcCall(session, talk));
  session.close();
  return heard;
}

/** The greeting, then each line comes back before the next one is sent. */
function tcp({ host, port, lines }: Talk & { kind: 'tcp' }): Promise<Heard> {
  return new Promise((resolve) => {
    const texts: string[] = [];
    let error = '';
    let text = '';
    const socket = connect({ host, port, timeout: patienceMs });
    socket.setEncoding('utf8');
    socket.on('timeout', () => socket.destroy(new Error('no answer in time')));
    socket.on('data', (chunk: string) => {
      text += chunk;
      const ended = text.split('\n');
      text = ended.pop() ?? '';
      for (const line of ended) {
        texts.push(line);
        if (texts.length <= lines) socket.write(`line ${texts.length}\n`);
        else socket.end();
      }
    });
    socket.on('error', (cause) => {
      error ||= codeOf(cause);
    });
    socket.on('close', () => resolve({ texts, status: '', error }));
  });
}

async function udp({ host, port, times }: Talk & { kind: 'udp' }): Promise<Heard> {
  const texts: string[] = [];
  let error = '';
  for (let time = 0; time < times; time += 1) {
    const told = await new Promise<string>((resolve) => {
      const socket = createSocket('udp4');
      const timer = setTimeout(() => resolve(''), 2_000);
      socket.on('message', (bytes) => {
        clearTimeout(timer);
        resolve(bytes.toString('utf8'));
        socket.close();
      });
      socket.on('error', () => resolve(''));
      socket.send(`datagram ${time}`, port, host);
    });
    if (told === '') error = 'no answer in time';
    else texts.push(told);
  }
  return { texts, status: '', error };
}

function websocket({ url, texts: toSend }: Talk & { kind: 'websocket' }): Promise<Heard> {
  return new Promise((resolve) => {
    const texts: string[] = [];
    const socket = new WebSocket(url);
    const timer = setTimeout(() => socket.close(), patienceMs);
    const next = (): void => {
      const text = toSend[texts.length];
      if (text === undefined) socket.close();
      else socket.send(text);
    };
    socket.addEventListener('open', next);
    socket.addEventListener('message', ({ data }) => {
      texts.push(String(data));
      next();
    });
    socket.addEventListener('error', () => resolve({ texts, status: '', error: 'failed' }));
    socket.addEventListener('close', () => {
      clearTimeout(timer);
      resolve({ texts, status: '', error: '' });
    });
  });
}

/** How long each event took from the app to here: one clock, as both are on one machine. */
async function events({ url, count }: Talk & { kind: 'events' }): Promise<Heard> {
  const texts: string[] = [];
  const delaysMs: number[] = [];
  const answer = await fetch(url, { signal: AbortSignal.timeout(patienceMs) });
  for await (const chunk of answer.body ?? []) {
    for (const line of Buffer.from(chunk).toString('utf8').split('\n')) {
      if (!line.startsWith('data: ')) continue;
      texts.push(line);
      delaysMs.push(Date.now() - Number(line.split(' ')[2]));
    }
    if (texts.length >= count) break;
  }
  return { texts, status: String(answer.status), error: '', delaysMs };
}

const isOver = new Promise<void>((resolve) => {
  process.stdin.on('end', () => resolve());
  process.stdin.resume();
});

/** Calls at a pace over one connection; a new one when the other side says that it leaves. */
async function grpcLoad({ url, perSecond }: Talk & { kind: 'grpc-load' }): Promise<Heard> {
  const failures: string[] = [];
  const underWay = new Set<Promise<void>>();
  let session: ClientHttp2Session | undefined;
  let sent = 0;
  const current = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    const opened = connectHttp2(url);
    opened.on('error', () => undefined);
    opened.on('goaway', () => {
      if (session === opened) session = undefined;
      opened.close();
    });
    session = opened;
    return opened;
  };
  const timer = setInterval(() => {
    sent += 1;
    const ask = { path: '/chat.Chat/Say', messages: [`call ${sent}`] };
    const made = grpcCall(current(), ask).then(({ status, error }) => {
      if (status !== '0') failures.push(`${sent}: status ${status} ${error}`);
      underWay.delete(made);
    });
    underWay.add(made);
  }, 1_000 / perSecond);
  process.stderr.write('started\n');
  await isOver;
  clearInterval(timer);
  await Promise.all(underWay);
  session?.close();
  return { texts: failures, status: '', error: '', sent };
}

/** One connection, a line each 200 ms that has to come back before the next one. */
function tcpHold({ host, port }: Talk & { kind: 'tcp-hold' }): Promise<Heard> {
  return new Promise((resolve) => {
    let echoes = 0;
    let error = '';
    const socket = connect({ host, port });
    socket.setEncoding('utf8');
    const timer = setInterval(() => socket.write('still here\n'), 200);
    socket.on('data', () => {
      echoes += 1;
    });
    socket.on('error', (cause) => {
      error ||= codeOf(cause);
    });
    socket.on('close', () => {
      clearInterval(timer);
      resolve({ texts: [], status: '', error, sent: echoes });
    });
    process.stderr.write('started\n');
    void isOver.then(() => socket.end());
  });
}

async function hear(talk: Talk): Promise<readonly Heard[]> {
  switch (talk.kind) {
    case 'grpc':
      return grpc(talk);
    case 'tcp':
      return [await tcp(talk)];
    case 'udp':
      return [await udp(talk)];
    case 'websocket':
      return [await websocket(talk)];
    case 'events':
      return [await events(talk)];
    case 'grpc-load':
      return [await grpcLoad(talk)];
    case 'tcp-hold':
      return [await tcpHold(talk)];
  }
}

// The argument is written by the suite.
const talks = JSON.parse(process.argv[2] ?? '[]') as readonly Talk[];
const all: Heard[] = [];
for (const talk of talks) all.push(...(await hear(talk)));
process.stdout.write(JSON.stringify(all), () => process.exit(0));
