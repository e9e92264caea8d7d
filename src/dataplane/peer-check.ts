// Who the other end of a tunnel is, from what it has shown in the handshake: the one judgement of
// both sides. OpenSSL has validated the path before; a resumed session, another protocol and every
// certificate that is not exactly ours for one of the peer's nodes are refused here.
import { verifyPeer } from '../identity/index.ts';
import type { PeerIdentity, PeerRefusal, PeerRules } from '../identity/index.ts';
import type { SecurePeer } from '../lib/network.ts';

/** HTTP/1.1 inside; a later protocol gets a name of its own. */
export const tunnelProtocol = 'weft-h1/1';

export type PeerFault = {
  readonly kind: 'refused';
  readonly reason: PeerRefusal | 'SessionResumed' | 'ProtocolRefused' | 'NotSecured';
  readonly message: string;
};

/** The identity that the peer has proven, or why it has none. */
export function judgePeer(
  peer: SecurePeer | undefined,
  rules: PeerRules,
): PeerIdentity | PeerFault {
  if (peer === undefined) return fault('NotSecured', 'nothing was shown');
  if (peer.isResumed) return fault('SessionResumed', 'the session was resumed');
  // A client that offers no protocol at all gets through the handshake.
  if (peer.alpn !== tunnelProtocol) {
    return fault('ProtocolRefused', `the protocol is not ${tunnelProtocol}`);
  }
  return verifyPeer(peer.certificateDer, rules);
}

function fault(reason: PeerFault['reason'], message: string): PeerFault {
  return { kind: 'refused', reason, message };
}
