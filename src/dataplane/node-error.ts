// The one place that knows the error codes of node:net. Everything else sees a few words, from
// which reason, status and log level are derived.

/** What an error of a listening socket means: nothing to do about it now, or come back later. */
export type ListenFault = 'in-use' | 'no-family' | 'denied' | 'exhausted' | 'other';

const listenFaults: ReadonlyMap<string, ListenFault> = new Map([
  ['EADDRINUSE', 'in-use'],
  ['EADDRNOTAVAIL', 'in-use'],
  // The host has no IPv6 (or no IPv4): nobody can connect that way either.
  ['EAFNOSUPPORT', 'no-family'],
  ['EACCES', 'denied'],
  ['EPERM', 'denied'],
  // Out of descriptors or buffers: accepting pauses and goes on by itself.
  ['EMFILE', 'exhausted'],
  ['ENFILE', 'exhausted'],
  ['ENOBUFS', 'exhausted'],
  ['ENOMEM', 'exhausted'],
]);

export function listenFault(error: Error): ListenFault {
  return listenFaults.get(errorCode(error) ?? '') ?? 'other';
}

/** What an error of a socket for datagrams means for its flow. */
export type DatagramFault = 'unreachable' | 'too-long' | 'exhausted' | 'other';

const datagramFaults: ReadonlyMap<string, DatagramFault> = new Map([
  // ICMP: nobody listens on the port, or there is no such host or no way to it.
  ['ECONNREFUSED', 'unreachable'],
  ['EHOSTUNREACH', 'unreachable'],
  ['ENETUNREACH', 'unreachable'],
  ['EHOSTDOWN', 'unreachable'],
  ['EMSGSIZE', 'too-long'],
  // Full for a moment: only the datagram is lost.
  ['ENOBUFS', 'exhausted'],
  ['ENOMEM', 'exhausted'],
  ['EAGAIN', 'exhausted'],
]);

export function datagramFault(error: Error): DatagramFault {
  return datagramFaults.get(errorCode(error) ?? '') ?? 'other';
}

/** The code of a system error (`ECONNREFUSED`), for texts and logs. */
export function errorCode(error: Error | null | undefined): string | undefined {
  if (error === null || error === undefined || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
