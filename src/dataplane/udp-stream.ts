// A flow's way through a tunnel: a stream of bytes to the proxy of the pod's node, with its
// datagrams in capsules. A stream waits for nobody here: what it does not take now is dropped, as a
// wire would drop it, so that one slow flow holds no memory and late datagrams do not pile up.
// Datagrams that come before it is open wait for it, within bounds of the flow and of the worker.
import type { NetworkSocket } from '../lib/network.ts';
import type { Reason } from './refusals.ts';
import { CapsuleReader, renderDatagram } from './udp-capsules.ts';
import { tunnelledBytesMax, untunnelledBytesMax, untunnelledOverhead } from './udp-limits.ts';
import type { FlowPath, FlowPathEvents } from './udp-upstream.ts';

/** A stream through a tunnel: a socket that knows why it was not opened. */
export type TunnelSocket = NetworkSocket & {
  /** Why the other node did not take it; undefined: it could not be asked. */
  readonly failure: { readonly reason: Reason } | undefined;
};

/** What may still wait for tunnels to be opened, all flows of a worker together. */
export type UntunnelledRoom = { bytes: number };

/** Datagrams of a flow that wait until its stream is open. */
class Untunnelled {
  readonly #room: UntunnelledRoom;
  #datagrams: Uint8Array[] = [];
  #bytes = 0;

  constructor(room: UntunnelledRoom) {
    this.#room = room;
  }

  /** False: it is too much. */
  add(data: Uint8Array): boolean {
    const bytes = data.length + untunnelledOverhead;
    if (this.#bytes + bytes > untunnelledBytesMax || bytes > this.#room.bytes) return false;
    this.#datagrams.push(data);
    this.#bytes += bytes;
    this.#room.bytes -= bytes;
    return true;
  }

  take(): readonly Uint8Array[] {
    const taken = this.#datagrams;
    this.#room.bytes += this.#bytes;
    this.#datagrams = [];
    this.#bytes = 0;
    return taken;
  }
}

/** A `connect` event says that the pod's node has let it in; `close` comes last. */
export function streamPath(
  socket: TunnelSocket,
  events: FlowPathEvents,
  room: UntunnelledRoom,
): FlowPath {
  const waiting = new Untunnelled(room);
  let isOpen = false;
  let isClosed = false;
  const reader = new CapsuleReader((data) => {
    if (!isClosed) events.received(data);
  });
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    waiting.take();
    socket.resetAndDestroy();
  };
  socket.on('error', () => undefined);
  socket.on('connect', () => {
    isOpen = true;
    if (!isClosed) events.accepted();
    for (const data of waiting.take()) socket.write(renderDatagram(data));
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
    else events.refused(socket.failure?.reason ?? 'TunnelUnavailable', waiting.take());
  });
  return {
    send: (data) => {
      if (isClosed) return 'failed';
      // It failed before anybody listened to it.
      if (socket.destroyed) {
        isClosed = true;
        events.refused(socket.failure?.reason ?? 'TunnelUnavailable', [...waiting.take(), data]);
        return 'sent';
      }
      if (socket.writableLength > tunnelledBytesMax) return 'full';
      if (!isOpen) return waiting.add(data) ? 'sent' : 'full';
      socket.write(renderDatagram(data));
      return 'sent';
    },
    close,
  };
}
