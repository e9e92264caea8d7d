// The admin port, alike for proxy and controller: a table of paths and what they answer. It
// shares no socket, port or event loop with traffic. It promises little to strangers: at most 32
// connections, small heads, no bodies, short waits. Who may see what: admin-access.ts.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Failure } from '../lib/failure.ts';
import { adminRefusal } from './admin-access.ts';

/**
 * Importing `node:http` reads each of its exports, and since Node 22 WebSocket is one of them: a
 * browser's network that takes 11 MB, which nobody here asks for.
 */
const { createServer } = process.getBuiltinModule('node:http');

export type AdminRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string | undefined;
};

export type AdminAnswer = {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
};

export type AdminRoute = (request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>;

export type AdminServerOptions = {
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Path → answer. A route that takes POST is named `POST /path`. */
  readonly routes: ReadonlyMap<string, AdminRoute>;
  readonly debugFrom: 'loopback' | 'any';
  /** A route threw: that is a bug, to be logged and counted. */
  readonly onBug: (error: unknown) => void;
};

export type AdminServer = {
  readonly port: number;
  /** Idempotent; ends open connections. */
  readonly close: () => Promise<void>;
};

const connectionsMax = 32;
const limits = {
  requireHostHeader: true,
  insecureHTTPParser: false,
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  // With Node's default of 30 s the two above would fire late.
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 15_000,
} as const;

const json = 'application/json; charset=utf-8';
const text = 'text/plain; charset=utf-8';

export function textAnswer(status: number, body: string): AdminAnswer {
  return { status, contentType: text, body: body.endsWith('\n') ? body : `${body}\n` };
}

export function jsonAnswer(value: unknown): AdminAnswer {
  return { status: 200, contentType: json, body: `${JSON.stringify(value)}\n` };
}

/** Resolves when the port is open; rejects with a Failure when it cannot be. */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  try {
    return await listen(options, options.address);
  } catch (error) {
    // `::` means every address; a kernel without IPv6 has only those of 0.0.0.0.
    if (options.address === '::' && isWithoutIpv6(error)) return listen(options, '0.0.0.0');
    throw error;
  }
}

function listen(options: AdminServerOptions, address: string): Promise<AdminServer> {
  const server = createServer(limits, (request, response) => {
    void answer(options, request, response);
  });
  boundConnections(server);
  return new Promise((resolve, reject) => {
    // After the port is open this is a connection that could not be accepted (no descriptors left):
    // its client sees that, and rejecting a settled promise does nothing.
    server.on('error', (cause) => {
      const where = `${address} port ${options.port}`;
      const message = `listen on ${where} for the admin server failed: ${cause.message}`;
      reject(new Failure(message, { reason: 'Listen', origin: 'internal', retry: 'never', cause }));
    });
    server.listen({ host: address, port: options.port }, () => {
      // A TCP server that listens has an AddressInfo; strings are for pipes.
      const { port } = server.address() as AddressInfo;
      resolve({ port, close: () => closeServer(server) });
    });
  });
}

function isWithoutIpv6(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : undefined;
  const code: unknown = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
}

/**
 * At the limit the connection that has been idle longest gives way, so that connections that a
 * stranger holds open cannot keep the kubelet's probes out (a failed probe kills the proxy).
 */
function boundConnections(server: Server): void {
  const idle = new Set<Socket>();
  let open = 0;
  server.on('connection', (socket: Socket) => {
    open += 1;
    idle.add(socket);
    socket.once('close', () => {
      open -= 1;
      idle.delete(socket);
    });
    if (open <= connectionsMax) return;
    const [longestIdle] = idle;
    (longestIdle ?? socket).destroy();
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    idle.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) idle.add(socket);
    });
  });
}

async function answer(
  options: AdminServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.on('error', () => response.destroy());
  const result = await answerOf(options, request);
  const body = Buffer.from(result.body, 'utf8');
  response.writeHead(result.status, {
    'content-type': result.contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A request with a body is not read to its end; the connection cannot be used again.
    ...(hasBody(request) ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerOf(
  options: AdminServerOptions,
  request: IncomingMessage,
): Promise<AdminAnswer> {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (method !== 'GET' && method !== 'POST') return textAnswer(405, 'use GET or POST');
  const target = request.url ?? '';
  const cut = target.indexOf('?');
  const path = cut === -1 ? target : target.slice(0, cut);
  const refusal = adminRefusal(options.debugFrom, {
    method,
    path,
    peer: request.socket.remoteAddress ?? '',
    host: request.headers.host ?? '',
    origin: request.headers.origin,
  });
  if (refusal !== undefined) return textAnswer(403, refusal);
  const route = options.routes.get(method === 'POST' ? `POST ${path}` : path);
  if (route === undefined) return unknownPath(options, path);
  const query = new URLSearchParams(cut === -1 ? '' : target.slice(cut + 1));
  try {
    return await route({ method, path, query, accept: request.headers.accept });
  } catch (error) {
    options.onBug(error);
    return textAnswer(500, 'a fault of weft itself; see its log');
  }
}

function unknownPath(options: AdminServerOptions, path: string): AdminAnswer {
  if (options.routes.has(`POST ${path}`)) return textAnswer(405, 'use POST');
  const known = [...options.routes.keys()].sort().join('\n');
  return textAnswer(404, `no such page; there are\n${known}`);
}

function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  return coding !== undefined || (length !== undefined && length !== '0');
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
