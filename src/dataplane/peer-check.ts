// Who the other end of a tunnel is, from what it has shown in the handshake: the one judgement of
// both sides. OpenSSL has validated the path before; a resumed session, another protocol and every
// certificate that is not exactly ours for one of the peer's nodes are refused here.
import { verifyPeer } from '../identity/index.ts';
import type { PeerIdentity, PeerRefusal, PeerRules } from '../identity/index.ts';
import type { SecurePeer } from '../lib/network.ts';

/** What may be inside: HTTP/1.1; TCP connections as streams of HTTP/2. */
export type TunnelProtocol = 'weft-h1/1' | 'weft-h2/1';

export const tunnelProtocols: readonly TunnelProtocol[] = ['weft-h1/1', 'weft-h2/1'];

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
 * The identity that the peer has proven, or why it has none. `protocol`: what a client has offered;
 * a server takes whichever is known.
 */
export function judgePeer(
  peer: SecurePeer | undefined,
  rules: PeerRules,
  protocol = protocolOf(peer),
): PeerIdentity | PeerFault {
  if (peer === undefined) return fault('NotSecured', 'nothing was shown');
  if (peer.isResumed) return fault('SessionResumed', 'the session was resumed');
  // A client that offers no protocol at all gets through the handshake.
  if (protocol === undefined || peer.alpn !== protocol) {
    return fault('ProtocolRefused', `the protocol is not ${protocol ?? 'one of ours'}`);
  }
  return verifyPeer(peer.certificateDer, rules);
}

function fault(reason: PeerFault['reason'], message: string): PeerFault {
  return { kind: 'refused', reason, message };
}
