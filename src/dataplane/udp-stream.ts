// A flow's way through a tunnel: a stream of bytes to the proxy of the pod's node, with its
// datagrams in capsules. A stream waits for nobody here: what it does not take now is dropped, as a
// wire would drop it, so that one slow flow holds no memory and late datagrams do not pile up.
// Datagrams that come before it is open wait for it, few of them.
import type { NetworkSocket } from '../lib/network.ts';
import type { Reason } from './refusals.ts';
import { CapsuleReader, renderDatagram } from './udp-capsules.ts';
import { tunnelledBytesMax, untunnelledMax } from './udp-limits.ts';
import type { FlowPath, FlowPathEvents } from './udp-upstream.ts';

/** A stream through a tunnel: a socket that knows why it was not opened. */
export type TunnelSocket = NetworkSocket & {
  /** Why the other node did not take it; undefined: it could not be asked. */
  readonly failure: { readonly reason: Reason } | undefined;
};

/** A `connect` event says that the pod's node has let it in; `close` comes last. */
export function streamPath(socket: TunnelSocket, events: FlowPathEvents): FlowPath {
  const waiting: Uint8Array[] = [];
  let isOpen = false;
  let isClosed = false;
  const reader = new CapsuleReader((data) => {
    if (!isClosed) events.received(data);
  });
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    waiting.length = 0;
    socket.resetAndDestroy();
  };
  socket.on('error', () => undefined);
  socket.on('connect', () => {
    isOpen = true;
    if (!isClosed) events.accepted();
    for (const data of waiting.splice(0)) socket.write(renderDatagram(data));
  });
  socket.on('data', (bytes) => {
    if (isClosed || reader.read(bytes)) return;
    close();
    events.broken();
  });
  socket.on('end', () => {
    if (isClosed) return;
    close();
    events.broken();
  });
  socket.on('close', () => {
    if (isClosed) return;
    isClosed = true;
    if (isOpen) events.broken();
    else events.refused(socket.failure?.reason ?? 'TunnelUnavailable', waiting.splice(0));
  });
  return {
    send: (data) => {
      if (isClosed) return 'failed';
      // It failed before anybody listened to it.
      if (socket.destroyed) {
        isClosed = true;
        events.refused(socket.failure?.reason ?? 'TunnelUnavailable', [...waiting, data]);
        return 'sent';
      }
      if (!isOpen && waiting.length >= untunnelledMax) return 'full';
      if (socket.writableLength > tunnelledBytesMax) return 'full';
      if (isOpen) socket.write(renderDatagram(data));
      else waiting.push(data);
      return 'sent';
    },
    close,
  };
}
