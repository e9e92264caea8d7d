// The network of `node:net`, public API only. `main` asks for it once and hands it on (A12);
// nothing else in the data plane touches sockets but through the seam. Half-open connections are
// allowed on both sides: who closes what is decided by the exchange, not by the runtime.
import net from 'node:net';
import type {
  ConnectOptions,
  ListenEvents,
  ListenOptions,
  Network,
} from '../lib/network.ts';

/** Longer than the default 511, so that a burst of new connections waits rather than resends. */
const backlog = 4096;

/** The network of plain sockets. */
export function nodeNetwork(): Network {
  return {
    listen: (options, events) => {
      const server = net.createServer({ allowHalfOpen: true, noDelay: true }, events.accepted);
      return listenOn(server, options, events);
    },
    connect,
  };
}

/** Opens the server; what it accepts is its maker's business. */
export function listenOn(
  server: net.Server,
  options: ListenOptions,
  events: ListenEvents,
): ReturnType<Network['listen']> {
  server.on('listening', events.listening);
  server.on('error', events.failed);
  // `reusePort` is newer than the oldest Node that we run on, hence than its types.
  const request: net.ListenOptions & { readonly reusePort?: boolean } = {
    host: options.address,
    port: options.port,
    backlog,
    ipv6Only: options.address.includes(':'),
    ...(options.reusePort ? { reusePort: true } : {}),
  };
  server.listen(request);
  return {
    port: () => {
      const address = server.address();
      return address === null || typeof address === 'string' ? undefined : address.port;
    },
    close: () => {
      server.close();
    },
  };
}

function connect(options: ConnectOptions): net.Socket {
  return net.connect({
    host: options.address,
    port: options.port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
  });
}
