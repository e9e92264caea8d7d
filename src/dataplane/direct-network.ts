// The network over direct sockets. `net.Server` still listens; what it accepts goes past it as bare
// kernel streams. Whether this Node's insides are fit for it is found out in direct-trial.ts: so a
// new release of Node costs speed at worst, never service.
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { ListenEvents, Network } from '../lib/network.ts';
import { DirectSocket } from './direct-socket.ts';
import { passesTrial } from './direct-trial.ts';
import { findInternals } from './kernel-stream.ts';
import type { Internals, KernelStream } from './kernel-stream.ts';
import { listenOn, nodeNetwork } from './node-network.ts';

/** Accepted sockets have what is set on the listening one; elsewhere that is not said. */
const isNoDelayInherited = process.platform === 'linux';

/** Direct sockets if they pass the trial; `isDirect` tells. Tests bring internals that lie. */
export async function fastestNetwork(
  internals = findInternals(),
): Promise<{ network: Network; isDirect: boolean }> {
  if (internals !== undefined) {
    const network = directNetwork(internals);
    if (await passesTrial(network)) return { network, isDirect: true };
  }
  return { network: nodeNetwork(), isDirect: false };
}

function directNetwork(internals: Internals): Network {
  return {
    listen: (options, events) => {
      // It makes no sockets; a Node in which it does is found out by the trial.
      const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.destroy());
      const listening = (): void => {
        if (takeOver(server, internals, events)) events.listening();
        else events.failed(new Error('the listening socket has another shape'));
      };
      return listenOn(server, options, { ...events, listening });
    },
    connect: (options) => {
      const socket = new DirectSocket(internals.newStream(), internals, true);
      socket.connect(options);
      return socket;
    },
  };
}

/** From here on the server makes no sockets. Nothing has been accepted before it listens. */
function takeOver(server: net.Server, internals: Internals, events: ListenEvents): boolean {
  const listener = internals.listenerOf(server);
  if (listener === undefined) return false;
  if (isNoDelayInherited) listener.setNoDelay(true);
  listener.onconnection = (status, stream) => {
    if (stream === undefined || status !== 0) events.failed(acceptError(status));
    else events.accepted(accept(stream, internals));
  };
  return true;
}

function accept(stream: KernelStream, internals: Internals): DirectSocket {
  if (!isNoDelayInherited) stream.setNoDelay(true);
  return new DirectSocket(stream, internals, false);
}

function acceptError(status: number): Error {
  const code = status < 0 ? getSystemErrorName(status) : 'unknown';
  return Object.assign(new Error(`accept ${code}`), { code });
}
