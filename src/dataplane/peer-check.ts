// Who the other end of a tunnel is, from what it has shown in the handshake: the one judgement of
// both sides. OpenSSL has validated the path before; a resumed session, another protocol and every
// certificate that is not exactly ours for one of the peer's nodes are refused here.
import { verifyPeer } from '../identity/index.ts';
import type { PeerIdentity, PeerRefusal, PeerRules } from '../identity/index.ts';
import type { SecurePeer } from '../lib/network.ts';

/**
 * What may be inside: a connection of HTTP/1.1; many such connections as streams of HTTP/2; TCP
 * connections and flows of datagrams as such streams.
 */
export type TunnelProtocol = 'weft-h1/1' | 'weft-h1/2' | 'weft-h2/1';

/** What a server takes: of those that it is offered the first. */
export const tunnelProtocols: readonly TunnelProtocol[] = ['weft-h1/2', 'weft-h1/1', 'weft-h2/1'];

/** What a tunnel is opened for; long bodies go by themselves. */
export type TunnelUse = 'requests' | 'bodies' | 'flows';

/** What a client offers. A peer of an older build knows nothing of `weft-h1/2`. */
export const offeredFor: Readonly<Record<TunnelUse, readonly TunnelProtocol[]>> = {
  requests: ['weft-h1/2', 'weft-h1/1'],
  bodies: ['weft-h1/1'],
  flows: ['weft-h2/1'],
};

/** What the handshake has agreed on; undefined: nothing of ours. */
export function protocolOf(peer: SecurePeer | undefined): TunnelProtocol | undefined {
  return tunnelProtocols.find((one) => one === peer?.alpn);
}

export type PeerFault = {
  readonly kind: 'refused';
  readonly reason: PeerRefusal | 'SessionResumed' | 'ProtocolRefused' | 'NotSecured';
  readonly message: string;
};

/**
 * The identity that the peer has proven, or why it has none. `offered`: by a client; a server takes
 * whichever is known.
 */
export function judgePeer(
  peer: SecurePeer | undefined,
  rules: PeerRules,
  offered = tunnelProtocols,
): PeerIdentity | PeerFault {
  if (peer === undefined) return fault('NotSecured', 'nothing was shown');
  if (peer.isResumed) return fault('SessionResumed', 'the session was resumed');
  // A client that offers no protocol at all gets through the handshake.
  if (!offered.some((one) => one === peer.alpn)) {
    return fault('ProtocolRefused', `the protocol is none of ${offered.join(', ')}`);
  }
  return verifyPeer(peer.certificateDer, rules);
}

function fault(reason: PeerFault['reason'], message: string): PeerFault {
  return { kind: 'refused', reason, message };
}
