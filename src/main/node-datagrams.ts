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
  return {
    send: (data, toPort, toAddress) => socket.send(data, toPort, toAddress),
    close: () => {
      socket.close();
    },
  };
};
