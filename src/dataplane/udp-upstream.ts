// The way of a flow to its pod. Direct: a socket of its own, connected, so that the kernel matches
// answers to the flow, drops what anybody else sends, and hands over the ICMP messages that say
// that nobody listens. Its port is nobody else's while an answer may be on its way. What goes
// through a tunnel has the same shape.
import type { DatagramFate, DatagramNetwork } from '../lib/datagrams.ts';
import type { Endpoint } from '../route/index.ts';
import { datagramFault } from './node-error.ts';
import type { DropReason } from './udp-observer.ts';
import type { RestingSockets } from './udp-resting.ts';

export type FlowPath = {
  /** Never throws; the data is not kept after the turn unless it is under way. */
  readonly send: (data: Uint8Array) => DatagramFate;
  /** Idempotent; nothing is told afterwards. */
  readonly close: () => void;
};

export type FlowPathEvents = {
  /** The pod's node has let it in; never told of a direct one. */
  readonly accepted: () => void;
  readonly received: (data: Uint8Array) => void;
  /** A datagram is lost, and nothing else. */
  readonly lost: (why: 'long' | 'full') => void;
  /** The pod's host says that nobody is there. */
  readonly unreachable: () => void;
  /** It was not opened, or was refused over there; what waited for it was not sent. */
  readonly refused: (reason: DropReason, unsent: readonly Uint8Array[]) => void;
  /** There is no such path, or no more. */
  readonly broken: () => void;
};

export type DirectWay = {
  readonly network: Pick<DatagramNetwork, 'connect'>;
  readonly resting: RestingSockets;
};

/** Opens it; the local address is the network's choice. */
export function directPath(
  { network, resting }: DirectWay,
  { address, port }: Endpoint,
  events: FlowPathEvents,
): FlowPath {
  let isClosed = false;
  let sentMs = -Infinity;
  const socket = network.connect(
    { address, port, localAddress: undefined },
    {
      received: (data) => {
        if (!isClosed) events.received(data);
      },
      failed: (error) => {
        if (isClosed) return undefined;
        switch (datagramFault(error)) {
          case 'too-long':
            return events.lost('long');
          case 'exhausted':
            return events.lost('full');
          case 'unreachable':
            return events.unreachable();
          case 'other':
            return events.broken();
        }
      },
    },
  );
  return {
    send: (data) => {
      if (isClosed) return 'failed';
      sentMs = resting.nowMs();
      return socket.send(data);
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      resting.closeLater(socket, sentMs);
    },
  };
}
