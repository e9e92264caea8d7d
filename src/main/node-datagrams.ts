// UDP sockets of `node:dgram` behind the seam of the DNS server (A12).
// An IPv6 socket does not take IPv4 as well: each family has its own.
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { OpenDatagrams } from '../proxy/index.ts';

export const openDatagrams: OpenDatagrams = (address, port, events) => {
  const socket = isIPv6(address)
    ? createSocket({ type: 'udp6', ipv6Only: true })
    : createSocket({ type: 'udp4' });
  socket.on('error', events.onFailed);
  socket.on('listening', events.onBound);
  socket.on('message', (data, from) => events.onMessage(data, from.port, from.address));
  socket.bind({ address, port });
  let isClosed = false;
  return {
    send: (data, toPort, toAddress) => {
      // Without a callback a peer that cannot be reached would be an error of the socket.
      if (!isClosed) socket.send(data, toPort, toAddress, () => undefined);
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      socket.close();
    },
  };
};
