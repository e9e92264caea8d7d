// TLS over `node:tls`: that of tunnels (docs/design/0008), and that of pods which serve HTTPS.
// `main` asks for it once and hands it on (A12). Tunnels: TLS 1.3, a certificate from both sides,
// path validated by OpenSSL; no tickets, because a resumed session would outlive its certificate;
// no SNI. What a certificate says is judged elsewhere (peer-check.ts). Facts that are built on,
// tried on Node 20 and 24: a `tls.Server` that a raw socket is given to as `connection` judges its
// client, which `new TLSSocket` does not. Handshakes are public API only; what comes behind them
// goes past Node's streams where this Node has passed the trial: so a new release of Node costs
// speed at worst, never service.
import { constants } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import type {
  AcceptEvents,
  ConnectOptions,
  Network,
  NetworkSocket,
  PodTlsTerms,
  SecureNetwork,
  SecurePeer,
  SecureSocket,
  TlsContext,
  TlsTerms,
} from '../lib/network.ts';
import { errorCode } from './node-error.ts';
import { DirectCarrier } from './direct-carrier.ts';
import { findInternals } from './kernel-stream.ts';
import { listenOn } from './node-network.ts';
import { StreamCarrier } from './secure-carrier.ts';
import { SecureStream } from './secure-stream.ts';
import type { CarrierMaker, SecureStreamOptions, Securing } from './secure-stream.ts';
import { passesSecureTrial } from './secure-trial.ts';

/** The tunnel's own deadline is shorter; this one only bounds what it forgets. */
const handshakeTimeoutMs = 15_000;

/**
 * AES-128 first, which costs a fifth less than the default's AES-256: what protects a tunnel is its
 * P-256 certificate, which is as strong as that. The default's other two stay for who lacks it.
 */
const ciphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Direct streams if they pass the trial; `isDirect` tells. Tests bring internals that lie. */
export async function fastestTlsNetwork(
  internals = findInternals(),
): Promise<{ network: SecureNetwork; isDirect: boolean }> {
  if (internals !== undefined) {
    let isDirect = true;
    const network = networkOf((socket, events) => {
      const carrier = DirectCarrier.of(socket, internals, events);
      if (carrier === undefined) isDirect = false;
      return carrier ?? new StreamCarrier(socket, events);
    });
    if ((await passesSecureTrial(network)) && isDirect) return { network, isDirect };
  }
  return { network: tlsNetwork(), isDirect: false };
}

/** Public API only. */
export function tlsNetwork(): SecureNetwork {
  return networkOf((socket, events) => new StreamCarrier(socket, events));
}

function networkOf(carry: CarrierMaker): SecureNetwork {
  return {
    listen: (options, events) => {
      const server = net.createServer(
        { noDelay: true, pauseOnConnect: true },
        events.accepted,
      );
      return listenOn(server, options, events);
    },
    context: (terms) => {
      return terms.side === 'client' ? clientContext(terms, carry) : serverContext(terms, carry);
    },
    toPods: (terms) => podContext(terms, carry),
  };
}

function credentialsOf(terms: TlsTerms): tls.SecureContextOptions {
  return {
    cert: terms.certificatePem,
    key: terms.keyPem,
    ca: terms.trustPem,
    ciphers,
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function clientContext(terms: TlsTerms, carry: CarrierMaker): TlsContext {
  const secureContext = tls.createSecureContext(credentialsOf(terms));
  const options: tls.ConnectionOptions = {
    secureContext,
    ALPNProtocols: [...terms.alpn],
    rejectUnauthorized: true,
    // Names are judged by our own rules, on the certificate's own bytes.
    checkServerIdentity: () => undefined,
  };
  return {
    connect: (to) => connectSecurely(to, options, { carry }),
    accept: (raw) => raw.destroy(),
  };
}

/** TLS 1.2 or 1.3, as the pod likes: its certificate and its ciphers are its owner's. */
function podContext({ serverName, trust }: PodTlsTerms, carry: CarrierMaker): PodNetwork {
  const roots = typeof trust === 'string' ? { ca: [] } : { ca: trust.pem };
  const options: tls.ConnectionOptions = {
    // Without a word about roots, those of Node are meant.
    secureContext: tls.createSecureContext(trust === 'system' ? {} : roots),
    servername: serverName,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: trust !== 'anyone',
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(serverName, certificate),
  };
  return { connect: (to) => connectSecurely(to, options, { carry, tellsAll: true }) };
}

type PodNetwork = Pick<Network, 'connect'>;

function connectSecurely(
  to: ConnectOptions,
  how: tls.ConnectionOptions,
  stream: Pick<SecureStreamOptions, 'carry' | 'tellsAll'>,
): SecureSocket {
  // What is for the TCP socket reaches it, though the types of Node do not say so.
  const options: tls.ConnectionOptions & net.TcpSocketConnectOpts = {
    ...how,
    host: to.address,
    port: to.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    ...(to.localAddress === undefined ? {} : { localAddress: to.localAddress }),
  };
  const socket = tls.connect(options);
  // Node 20 forgets both options.
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 30_000);
  const peer: Securing = (connected) => {
    socket.once('secureConnect', () => {
      allowHalves(socket);
      connected(peerOf(socket));
    });
  };
  return new SecureStream({ ...stream, socket, peer });
}

function serverContext(terms: TlsTerms, carry: CarrierMaker): TlsContext {
  // Of sockets whose handshake is under way, by where they come from: Node does not say which raw
  // socket a secured one was.
  const awaited = new Map<string, Awaited>();
  const server = tls.createServer({
    ...credentialsOf(terms),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [...terms.alpn],
    handshakeTimeout: handshakeTimeoutMs,
  });
  server.on('secureConnection', (socket) => {
    const one = awaited.get(placeOf(socket));
    if (one === undefined) socket.destroy();
    else one.secured(socket);
  });
  server.on('tlsClientError', (error, socket) => {
    awaited.get(placeOf(socket))?.failed(errorCode(error) ?? 'unknown');
    socket.destroy();
  });
  const accept = (raw: NetworkSocket, events: AcceptEvents): void => {
    // Sockets of this network's `listen` are those of `node:net`.
    if (!(raw instanceof net.Socket)) throw new Error('BUG: a socket of another network');
    const one = new Awaited(awaited, raw, { ...events, carry });
    if (one.isOpen) server.emit('connection', raw);
    else one.failed('closed');
  };
  return { accept, connect: () => assertServer() };
}

function assertServer(): never {
  throw new Error('BUG: a server context does not connect');
}

type AwaitedEvents = AcceptEvents & { readonly carry: CarrierMaker };

/** A raw socket until its handshake has ended, one way or the other. */
class Awaited {
  readonly #list: Map<string, Awaited>;
  readonly #place: string;
  readonly #events: AwaitedEvents;
  #isOver = false;

  constructor(list: Map<string, Awaited>, raw: net.Socket, events: AwaitedEvents) {
    this.#list = list;
    this.#place = placeOf(raw);
    this.#events = events;
    if (this.isOpen) list.set(this.#place, this);
    raw.on('error', () => undefined);
    // Who leaves in the middle is told of by nobody else.
    raw.on('close', () => this.failed('closed'));
  }

  /** It has not left before it was looked at. */
  get isOpen(): boolean {
    return this.#place !== '';
  }

  secured(socket: tls.TLSSocket): void {
    if (!this.#end()) return;
    allowHalves(socket);
    const { carry, secured } = this.#events;
    secured(new SecureStream({ socket, peer: peerOf(socket), carry }));
  }

  failed(why: string): void {
    if (this.#end()) this.#events.failed(why);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#list.delete(this.#place);
    return true;
  }
}

/**
 * Who ends in the middle of a handshake has left: Node says nothing of it where halves are allowed.
 * Afterwards an upgraded connection may end one way at a time.
 */
function allowHalves(socket: tls.TLSSocket): void {
  socket.allowHalfOpen = true;
}

/** Names an open connection to one of our listeners; empty: it is not open any more. */
function placeOf(socket: net.Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return '';
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

const nothing = new Uint8Array(0);

function peerOf(socket: tls.TLSSocket): SecurePeer {
  // An empty object where there is none: an empty certificate is refused like any malformed one.
  const certificate = socket.getPeerX509Certificate();
  const alpn = socket.alpnProtocol;
  return {
    certificateDer: certificate?.raw ?? nothing,
    alpn: typeof alpn === 'string' ? alpn : undefined,
    isResumed: socket.isSessionReused(),
  };
}
