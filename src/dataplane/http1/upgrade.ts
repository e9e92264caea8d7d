// Protocol switches (RFC 9110 section 7.8). Offers of another HTTP or of TLS are left out: behind a
// 101 to h2c the proxy would see no requests any more, and a client could smuggle any (RFC 9113
// section 3.1 made that upgrade obsolete). WebSocket, SPDY and private protocols pass.
import { isToken, trimWhitespace } from './bytes.ts';

const refusedNames: ReadonlySet<string> = new Set(['h2c', 'h2', 'h3', 'http', 'tls']);

/** The offered protocols that may be forwarded, joined; `undefined` when none is left. */
export function offeredProtocols(upgrade: string): string | undefined {
  if (upgrade === '') return undefined;
  const offered = protocolsOf(upgrade).filter((protocol) => {
    const [name = '', version, ...rest] = protocol.toLowerCase().split('/');
    const isProtocol = isToken(name) && (version === undefined || isToken(version));
    return isProtocol && rest.length === 0 && !refusedNames.has(name);
  });
  return offered.length === 0 ? undefined : offered.join(', ');
}

/** The 101's Upgrade names one protocol, and it is one of the offered ones. */
export function isOffered(offer: string, accepted: string): boolean {
  const wanted = accepted.toLowerCase();
  return protocolsOf(offer.toLowerCase()).includes(wanted);
}

function protocolsOf(upgrade: string): string[] {
  return upgrade.split(',').map(trimWhitespace);
}
