// Who may have which page of the admin port. Health, version and metrics are for everybody.
// /debug/* is for loopback peers (kubectl port-forward arrives there) and only under Host names
// that no DNS name of an attacker's can become; changing anything (POST) never for a page of
// another origin. `--debug-from any` (for tests) opens both to the network.

export type AdminAsker = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Address of the peer as the socket says it. */
  readonly peer: string;
  /** Host header. */
  readonly host: string;
  /** Origin header: browsers send it with every POST. */
  readonly origin: string | undefined;
};

/** Why this peer may not have this page; `undefined` = it may. */
export function adminRefusal(
  debugFrom: 'loopback' | 'any',
  asker: AdminAsker,
): string | undefined {
  const isPost = asker.method === 'POST';
  const isDebug = asker.path === '/debug' || asker.path.startsWith('/debug/');
  if (!isDebug && !isPost) return undefined;
  const fromLoopback = isLoopback(asker.peer);
  if (!fromLoopback && debugFrom === 'loopback') {
    if (isPost) return 'POST is for loopback only (use kubectl port-forward)';
    return '/debug is for loopback only (use kubectl port-forward, or --debug-from any)';
  }
  if (!isPlainHost(asker.host)) {
    return 'the Host header has to be localhost or an IP address (DNS rebinding)';
  }
  return isPost && asker.origin !== undefined ? 'not for pages of another origin' : undefined;
}

function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain === '::1' || plain.startsWith('127.');
}

/** `localhost` or an address, with or without a port: nothing that a DNS server can point here. */
function isPlainHost(host: string): boolean {
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  if (name === 'localhost' || /^\d{1,3}(\.\d{1,3}){3}$/.test(name)) return true;
  return /^\[[0-9a-f:.]+\]$/.test(name);
}
