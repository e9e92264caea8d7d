// One try to open a tunnel to a peer: TCP, TLS, the judgement of what the peer has shown, and its
// greeting, all within one deadline. It ends once, greeted or failed; nothing but the handshake has
// been sent by then.
import type { PeerIdentity, SpiffeId } from '../identity/index.ts';
import type { SecureSocket, TlsContext } from '../lib/network.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';
import { errorCode } from './node-error.ts';
import { judgePeer, offeredFor } from './peer-check.ts';
import type { TunnelUse } from './peer-check.ts';
import { readGreeting } from './tunnel-greeting.ts';

/** The server's own deadline is as long. */
const dialMs = 5_000;

/** Codes of an address at which nobody answers at all. */
const unreachable: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
]);

export type DialFailure = {
  /** For metrics: one of few words, whatever the peer says. */
  readonly result: string;
  /** For logs. */
  readonly message: string;
};

export type DialOptions = {
  readonly deadlines: Deadlines;
  /** Wall time. */
  readonly nowMs: () => number;
  readonly context: TlsContext;
  /** What the context is for. */
  readonly use: TunnelUse;
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly trustDomain: string;
  readonly proxyId: SpiffeId;
  /** Whose proxy it has to be. */
  readonly node: string;
  readonly greeted: (socket: SecureSocket, peer: PeerIdentity) => void;
  readonly failed: (failure: DialFailure) => void;
};

export class TunnelDial {
  readonly #options: DialOptions;
  readonly #deadline = new Deadline(() => this.#fail('Timeout', 'no greeting in time'));
  readonly #socket: SecureSocket;
  /** One record, hardly ever two. */
  readonly #buffer = Buffer.allocUnsafe(256);
  #text = '';
  #peer: PeerIdentity | undefined;
  #isOver = false;

  constructor(options: DialOptions) {
    this.#options = options;
    const { context, address, port, localAddress } = options;
    const socket = context.connect({ address, port, localAddress });
    this.#socket = socket;
    options.deadlines.arm(this.#deadline, dialMs);
    socket.on('connect', () => this.#secured());
    socket.on('error', (error) => this.#broke(error));
    socket.on('close', () => this.#broke(undefined));
    socket.on('end', () => this.#broke(undefined));
  }

  /** It is not wanted any more; nobody is told. */
  cancel(): void {
    if (this.#end()) this.#socket.destroy();
  }

  #secured(): void {
    const { trustDomain, proxyId, node, use } = this.#options;
    const nowMs = this.#options.nowMs();
    const rules = { trustDomain, nodes: new Set([node]), identity: proxyId, nowMs };
    const peer = judgePeer(this.#socket.peer, rules, offeredFor[use]);
    if (peer.kind === 'refused') {
      this.#fail(peer.reason, peer.message);
      return;
    }
    this.#peer = peer;
    this.#socket.readInto({
      readBuffer: () => this.#buffer,
      read: (buffer, bytes) => this.#read(buffer.toString('latin1', 0, bytes)),
    });
  }

  #read(text: string): void {
    if (this.#isOver) return;
    this.#text += text;
    const greeting = readGreeting(this.#text);
    if (greeting === undefined || this.#peer === undefined) return;
    if (greeting.kind === 'no') {
      this.#fail('Refused', `${greeting.reason}, says build ${greeting.build}`);
    } else if (this.#end()) {
      this.#options.greeted(this.#socket, this.#peer);
    }
  }

  #broke(error: Error | undefined): void {
    const code = errorCode(error) ?? 'closed';
    this.#fail(unreachable.has(code) ? 'Unreachable' : 'HandshakeFailed', code);
  }

  #fail(result: string, message: string): void {
    if (!this.#end()) return;
    this.#socket.destroy();
    this.#options.failed({ result, message });
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#options.deadlines.disarm(this.#deadline);
    return true;
  }
}
