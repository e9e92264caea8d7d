// The network of `node:net`, public API only. `main` asks for it once and hands it on (A12);
// nothing else in the data plane touches sockets but through the seam. Half-open connections are
// allowed on both sides: who closes what is decided by the exchange, not by the runtime.
import net from 'node:net';
import type {
  ConnectOptions,
  ListenEvents,
  ListenOptions,
  Network,
  NetworkSocket,
} from '../lib/network.ts';

/** Longer than the default 511, so that a burst of new connections waits rather than resends. */
const backlog = 4096;

/** Makes what the data plane gets of a socket that has read nothing yet. */
export type WrapSocket = (socket: net.Socket) => NetworkSocket;

/** The real network; its sockets are plain unless they are wrapped. */
export function nodeNetwork(wrap?: WrapSocket): Network {
  if (wrap === undefined) {
    return { listen: (options, events) => listen(plainServer(events), options, events), connect };
  }
  return {
    listen: (options, events) => listen(wrappingServer(events, wrap), options, events),
    connect: (options) => wrap(connect(options)),
  };
}

function plainServer(events: ListenEvents): net.Server {
  return net.createServer({ allowHalfOpen: true, noDelay: true }, events.accepted);
}

/** Who wraps a socket starts its reads. */
function wrappingServer(events: ListenEvents, wrap: WrapSocket): net.Server {
  const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
  return net.createServer(options, (socket) => events.accepted(wrap(socket)));
}

function listen(
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
