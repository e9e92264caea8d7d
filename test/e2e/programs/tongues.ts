// What runs in the pod of an app that speaks everything: HTTP with server-sent events and WebSocket
// on 8080, gRPC over clear-text HTTP/2 on 9090, a TCP protocol whose server speaks first on 6000,
// and datagrams on 5300. Messages of gRPC are plain text: who frames them does not look inside. On
// SIGTERM it says goodbye to what is open and goes on for a while, as an app behind kube-proxy has
// to. No meaning for any mesh.
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import type { Duplex } from 'node:stream';

const version = process.env['VERSION'] ?? 'none';
const pod = process.env['POD_NAME'] ?? 'none';
const graceMs = 8_000;
const websocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

// ---- HTTP/1.1: events and WebSocket -------------------------------------------------------------

const http = createServer((request, response) => {
  if (!request.url?.startsWith('/events')) {
    response.end(`${version} ${pod}\n`);
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let sent = 0;
  const tick = (): void => {
    response.write(`data: ${sent} ${Date.now()}\n\n`);
    sent += 1;
  };
  tick();
  const timer = setInterval(tick, 200);
  request.on('close', () => clearInterval(timer));
});
http.keepAliveTimeout = 600_000;
http.on('upgrade', (request, socket: Duplex) => {
  const key = String(request.headers['sec-websocket-key'] ?? '');
  const accept = createHash('sha1')
    .update(key + websocketGuid)
    .digest('base64');
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n' +
      `sec-websocket-accept: ${accept}\r\n\r\n`,
  );
  let waiting = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes]);
    // Short masked frames, as browsers send them for short texts.
    while (waiting.length >= 6) {
      const length = (waiting[1] ?? 0) & 0x7f;
      if (length > 125 || waiting.length < 6 + length) return;
      const isText = ((waiting[0] ?? 0) & 0x0f) === 1;
      const text = Buffer.from(waiting.subarray(6, 6 + length));
      for (let at = 0; at < length; at += 1)
        text[at] = (text[at] ?? 0) ^ (waiting[2 + (at % 4)] ?? 0);
      waiting = waiting.subarray(6 + length);
      if (!isText) {
        socket.end(Buffer.from([0x88, 0]));
        return;
      }
      const told = Buffer.from(`${version} ${text.toString('utf8')}`);
      socket.write(Buffer.concat([Buffer.from([0x81, told.length]), told]));
    }
  });
  socket.on('error', () => socket.destroy());
});
http.listen(8080, '::');

// ---- gRPC ---------------------------------------------------------------------------------------

function message(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Tells every message of a stream. */
function onMessages(stream: Duplex, told: (text: string) => void): void {
  let waiting = Buffer.alloc(0);
  stream.on('data', (bytes: Buffer) => {
    waiting = Buffer.concat([waiting, bytes]);
    while (waiting.length >= 5 && waiting.length >= 5 + waiting.readUInt32BE(1)) {
      const end = 5 + waiting.readUInt32BE(1);
      told(waiting.subarray(5, end).toString('utf8'));
      waiting = waiting.subarray(end);
    }
  });
}

function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const path = String(headers[':path']);
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  if (path === '/chat.Chat/Say') {
    onMessages(stream, (text) => stream.end(message(`${version} ${pod} ${text}`)));
  } else if (path === '/chat.Chat/Count') {
    onMessages(stream, (text) => {
      for (let index = 0; index < Number(text); index += 1) stream.write(message(`${index}`));
      stream.end();
    });
  } else {
    onMessages(stream, (text) => stream.write(message(`${version} ${text}`)));
    stream.on('end', () => stream.end());
  }
}

const sessions = new Set<ServerHttp2Session>();
const grpc = createHttp2Server();
grpc.on('session', (session) => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
  session.on('error', () => undefined);
});
grpc.on('stream', serve);
grpc.listen(9090, '::');

// ---- TCP whose server speaks first --------------------------------------------------------------

const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`welcome to ${version} ${pod}\n`);
  socket.pipe(socket);
});
tcp.listen(6000, '::');

// ---- datagrams ----------------------------------------------------------------------------------

const udp = createSocket('udp6');
udp.on('message', (bytes, from) => {
  udp.send(Buffer.concat([Buffer.from(`${version} `), bytes]), from.port, from.address);
});
udp.bind(5300, '::');

process.on('SIGTERM', () => {
  for (const session of sessions) session.close();
  setTimeout(() => process.exit(0), graceMs);
});
