// A pod of the soak: it reads whole requests and answers each one as its target says – whole,
// broken off, too early, never. What it must never see – a body of another request, a cut body that
// looks whole – it reports as a violation.
import net from 'node:net';
import { bodyFault, soakBody, SoakReader } from './soak-message.ts';
import type { SoakMessage } from './soak-message.ts';
import { readTarget } from './soak-plan.ts';
import type { PodDeed } from './soak-plan.ts';
import type { PodTrace } from './soak-trace.ts';

export type SoakPod = {
  readonly endpoint: { readonly address: string; readonly port: number };
  readonly openSockets: () => number;
  /** Cuts its connections, as a pod that is deleted. */
  readonly cut: () => void;
  readonly close: () => void;
};

export type PodReport = {
  requests: number;
  readonly violations: string[];
  readonly trace: PodTrace;
};

/** Longer than the soak's idle time-out. */
const deafMs = 900;

type Order = { readonly id: string; readonly deed: PodDeed; readonly answerBytes: number };

export function startSoakPod(address: string, report: PodReport): Promise<SoakPod> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // The other side may reset at any time; that is what the soak is about.
    socket.on('error', () => undefined);
    playPod(socket, report);
  });
  return new Promise((done, fail) => {
    server.on('error', fail);
    server.listen(0, address, () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new Error('not listening');
      done({
        endpoint: { address, port: bound.port },
        openSockets: () => sockets.size,
        cut: () => {
          for (const socket of sockets) socket.destroy();
        },
        close: () => server.close(),
      });
    });
  });
}

function playPod(socket: net.Socket, report: PodReport): void {
  let order: Order | undefined;
  const reader = new SoakReader({
    head: (message) => {
      const [, target = ''] = message.start.split(' ');
      order = readTarget(target);
      report.trace.note(order.id, 'head');
      const isContinued = message.fields.has('expect') && order.deed !== 'early';
      if (isContinued) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      answerHead(socket, order);
      if (order.deed.startsWith('switch')) playTunnel(socket, reader, order.deed);
      return 'body';
    },
    message: (message) => {
      report.requests += 1;
      if (order === undefined) return;
      const fault = requestFault(message, order.id);
      if (fault !== undefined) report.violations.push(`pod: ${fault}`);
      report.trace.note(order.id, 'message');
      answerWhole(socket, order, message.start.startsWith('HEAD '));
    },
  });
  const note = (event: string): void => {
    if (order !== undefined) report.trace.note(order.id, event);
  };
  socket.on('data', (data) => reader.push(data));
  socket.on('end', () => {
    note('end');
    socket.end();
  });
  socket.on('close', () => note('close'));
}

/** The client says in a field how long the body is that it wants to send. */
function requestFault(message: SoakMessage, id: string): string | undefined {
  const said = message.fields.get('x-body-bytes');
  return said === undefined ? undefined : bodyFault(message, id, Number(said));
}

/** Deeds that do not wait for the end of the request. */
function answerHead(socket: net.Socket, { id, deed }: Order): void {
  if (deed === 'early') {
    socket.write(`HTTP/1.1 413 Too Large\r\nContent-Length: ${id.length}\r\n\r\n${id}`);
  } else if (deed === 'reset-body') {
    socket.resetAndDestroy();
  } else if (deed === 'deaf') {
    socket.pause();
    // A paused socket does not learn that the other side has gone.
    setTimeout(() => socket.resume(), deafMs);
  }
}

const okHead = 'HTTP/1.1 200 OK\r\n';
const chunkedHead = `${okHead}Transfer-Encoding: chunked\r\n\r\n`;

const lastChunk = '0\r\n\r\n';

function chunk(text: string): string {
  return text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`;
}

function answerWhole(socket: net.Socket, order: Order, isHead: boolean): void {
  const { id, deed, answerBytes } = order;
  const body = soakBody(id, answerBytes);
  const lengthHead = `${okHead}Content-Length: ${body.length}\r\n\r\n`;
  const half = body.slice(0, body.length >> 1);
  const send = (text: string): boolean => socket.write(text, 'latin1');
  switch (deed) {
    case 'length':
      send(lengthHead + (isHead ? '' : body));
      return;
    case 'chunked':
      send(chunkedHead + (isHead ? '' : chunk(half) + chunk(body.slice(half.length)) + lastChunk));
      return;
    case 'trailers':
      send(chunkedHead + (isHead ? '' : `${chunk(body)}0\r\nX-Sum: 1\r\n\r\n`));
      return;
    case 'until-close':
      send(`${okHead}Connection: close\r\n\r\n${isHead ? '' : body}`);
      socket.end();
      return;
    case 'no-content':
      send(`HTTP/1.1 204 No Content\r\nX-Id: ${id}\r\n\r\n`);
      return;
    case 'not-modified':
      send(`HTTP/1.1 304 Not Modified\r\nX-Id: ${id}\r\nContent-Length: 9\r\n\r\n`);
      return;
    case 'hints':
      send(`HTTP/1.1 103 Early Hints\r\nLink: </${id}>\r\n\r\n${lengthHead}${isHead ? '' : body}`);
      return;
    case 'slow':
      send(lengthHead.slice(0, 25));
      setTimeout(() => send(lengthHead.slice(25) + (isHead ? '' : half)), 3);
      setTimeout(() => send(isHead ? '' : body.slice(half.length)), 6);
      return;
    case 'extra':
      send(`${lengthHead}${isHead ? '' : body}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON`);
      return;
    case 'close-after':
      send(lengthHead + (isHead ? '' : body));
      socket.end();
      return;
    case 'refuse-switch':
      send(`${lengthHead}${isHead ? '' : body}`);
      return;
    default:
      answerBroken(socket, deed, { lengthHead, half });
  }
}

type Parts = { readonly lengthHead: string; readonly half: string };

function answerBroken(socket: net.Socket, deed: PodDeed, { lengthHead, half }: Parts): void {
  switch (deed) {
    case 'reset':
      socket.resetAndDestroy();
      return;
    case 'fin':
      socket.end();
      return;
    case 'half-head':
      socket.end(lengthHead.slice(0, 20));
      return;
    case 'cut-length':
      socket.end(lengthHead + half);
      return;
    case 'cut-chunked':
      socket.end(chunkedHead + chunk(half));
      return;
    case 'stall-body':
      socket.write(lengthHead + half);
      return;
    case 'garbage':
      socket.write('\x16\x03\x01 no HTTP at all\r\n\r\n');
      return;
    case 'two-lengths':
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 6\r\n\r\nPOISON');
      return;
    default:
      // Silent, deaf, or answered already.
      return;
  }
}

const switchHead = 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: soak\r\n\r\n';

/** An upgraded connection: echoes what comes, then ends as the deed says. */
function playTunnel(socket: net.Socket, reader: SoakReader, deed: PodDeed): void {
  reader.turnRaw();
  socket.write(`${switchHead}hello`);
  // Added while the head is being told, so it hears only what follows.
  socket.on('data', (data) => {
    socket.write(data);
    if (deed === 'switch-fin') socket.end();
    else if (deed === 'switch-reset') socket.resetAndDestroy();
  });
}
