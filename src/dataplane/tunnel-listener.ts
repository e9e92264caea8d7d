// Where other proxies' tunnels arrive (docs/design/0008, "Accepting on 15008", 4–6): what the gate
// lets in speaks TLS, shows a certificate of ours for its own node, and is greeted. From then on it
// is a client connection like any other, but that its requests name their pod and that its source
// is the certificate's. Before that not a byte of it is looked at by us.
import type { PeerIdentity, SpiffeId } from '../identity/index.ts';
import type { NetworkSocket, SecureNetwork, SecureSocket } from '../lib/network.ts';
import { sourceOfPeer } from '../route/index.ts';
import type { PeerPart } from '../snapshot/index.ts';
import { Arrivals } from './arrivals.ts';
import type { Credentials, CredentialChange, UsableCredential } from './credentials.ts';
import type { Engine } from './engine.ts';
import { ArrivedHeads, type HeadRoom } from './arrived-heads.ts';
import { Listeners } from './listener.ts';
import type { ListenerState } from './listener.ts';
import { rootGoneMs, rootSpreadMs } from './limits.ts';
import { judgePeer, protocolOf } from './peer-check.ts';
import type { TunnelProtocol } from './peer-check.ts';
import { TunnelGate } from './tunnel-gate.ts';
import type { GatePass } from './tunnel-gate.ts';
import { renderGreeting } from './tunnel-greeting.ts';
import { lifeLeftMs, TunnelLife } from './tunnel-life.ts';

export type TunnelListenerOptions = {
  readonly engine: Engine;
  readonly network: SecureNetwork;
  readonly credentials: Credentials;
  readonly port: number;
  readonly trustDomain: string;
  readonly proxyId: SpiffeId;
  readonly build: string;
  readonly bindAddresses: readonly string[];
  readonly reusePort: boolean;
  readonly peers: () => PeerPart | undefined;
  /** Makes a connection of an authenticated socket; `closed` is told once. */
  readonly connect: (made: ArrivedSocket) => ArrivedConnection;
  readonly changed: () => void;
};

/** What an authenticated connection is to its life. */
export type ArrivedConnection = { leave(): void; destroy(): void };

export type ArrivedSocket = {
  readonly engine: Engine;
  readonly protocol: TunnelProtocol;
  readonly socket: SecureSocket;
  /** Normalised. */
  readonly remoteAddress: string;
  readonly arrived: ArrivedHeads;
  readonly share: PeerShare;
  readonly closed: () => void;
};

/** What a connection of HTTP/1.1 needs of it, which may be a lane of it. */
export type ArrivedPart = Pick<ArrivedSocket, 'engine' | 'remoteAddress' | 'arrived' | 'closed'>;

/** What its node may have of this worker's connections, of whatever kind. */
export type PeerShare = {
  /** One more; false: there are too many. */
  takes(): boolean;
  gives(): void;
};

export class TunnelListener {
  readonly #options: TunnelListenerOptions;
  readonly #gate: TunnelGate;
  readonly #listeners: Listeners;
  readonly #arrivals = new Arrivals();
  readonly #lives = new Set<TunnelLife<ArrivedConnection>>();
  readonly #byNode = new Map<string, number>();
  /** By caller and peer, as long as one of their connections is open. */
  readonly #heads = new Map<string, SharedHeads>();
  readonly #room: HeadRoom = { heads: 0 };
  #isClosed = false;

  constructor(options: TunnelListenerOptions) {
    const { engine, network, bindAddresses, reusePort, changed, peers } = options;
    const { deadlines } = engine;
    this.#options = options;
    this.#gate = new TunnelGate({
      deadlines,
      peers,
      enter: (socket, pass) => this.#enter(socket, pass),
      refused: (why, address) => this.#count(why, address, 'closed before its first byte'),
    });
    this.#listeners = new Listeners({
      network,
      deadlines,
      bindAddresses,
      reusePort,
      accepted: (socket) => this.#gate.admit(socket),
      changed,
    });
  }

  get openCount(): number {
    return this.#lives.size;
  }

  /** Connections that are not authenticated. */
  get pendingCount(): number {
    return this.#gate.open;
  }

  states(): readonly ListenerState[] {
    return this.#listeners.states();
  }

  /** It opens with its first certificate: before that nobody could be answered. */
  credentialsChanged(change: CredentialChange): void {
    if (!this.#isClosed && this.#options.credentials.server !== undefined) {
      const targetPort = this.#options.port;
      this.#listeners.follow([{ protocol: 'http', servicePort: targetPort, targetPort }]);
    }
    const { random } = this.#options.engine;
    for (const life of this.#lives) {
      if (change.isRootGone) life.endWithin(rootSpreadMs * random(), rootGoneMs);
    }
  }

  peersChanged(): void {
    this.#gate.peersChanged();
  }

  /** What was worked out from the table before must not keep it alive. */
  tableChanged(): void {
    for (const { heads } of this.#heads.values()) heads.forget();
  }

  /** Accepts nobody any more; what is authenticated lives on. */
  close(): void {
    this.#isClosed = true;
    this.#listeners.close();
    this.#gate.close();
  }

  // ---- the way of a connection ------------------------------------------------------------------

  #enter(socket: NetworkSocket, pass: GatePass): void {
    const credential = this.#options.credentials.server;
    if (credential === undefined) {
      pass.cut('Closed');
      return;
    }
    credential.context.accept(socket, {
      secured: (secured) => {
        pass.giveBack();
        this.#secured(secured, pass.address, credential);
      },
      failed: (why) => {
        // The gate has told already whom it has cut.
        if (pass.giveBack()) this.#count('HandshakeFailed', pass.address, why);
      },
    });
  }

  #secured(socket: SecureSocket, address: string, credential: UsableCredential): void {
    const { trustDomain, peers, engine } = this.#options;
    socket.on('error', () => undefined);
    const nodes = new Set(peers()?.nodes.get(address));
    const rules = { trustDomain, nodes, identity: 'any', nowMs: engine.clock.wallMs() } as const;
    const peer = judgePeer(socket.peer, rules);
    if (peer.kind === 'refused') this.#refuse(socket, address, peer);
    else if (this.#isFull(peer.node)) {
      this.#refuse(socket, address, { reason: 'Overloaded', message: 'too many connections' });
    } else this.#greet(socket, { address, peer, credential });
  }

  /** One node may have half of all connections: the clients of this node need the others. */
  #isFull(node: string): boolean {
    const { counts, limits } = this.#options.engine;
    if (counts.connections >= limits.connectionsMax) return true;
    return (this.#byNode.get(node) ?? 0) >= limits.connectionsMax / 2;
  }

  #refuse(socket: SecureSocket, address: string, fault: Fault): void {
    const { build } = this.#options;
    this.#count(fault.reason, address, fault.message);
    socket.write(renderGreeting({ kind: 'no', reason: fault.reason, build }), 'latin1');
    socket.destroySoon();
  }

  #greet(socket: SecureSocket, { address, peer, credential }: Accepted): void {
    const { engine, build, connect } = this.#options;
    const { clock, deadlines, random, observer } = engine;
    this.#count('ok', address, '');
    observer.tunnelOpened('server');
    this.#countUp(peer.node);
    socket.write(renderGreeting({ kind: 'ok', build }), 'latin1');
    const name = `${peer.spiffeId} ${address}`;
    const arrived = this.#headsOf(name, address, peer);
    const closed = (): void => {
      this.#leaveHeads(name);
      this.#lives.delete(life);
      life.end();
      this.#leave(peer.node);
    };
    const protocol = protocolOf(socket.peer) ?? 'weft-h1/1';
    const share = this.#shareOf(peer.node);
    const made = { engine, protocol, socket, remoteAddress: address, arrived, share, closed };
    const connection = connect(made);
    const life = new TunnelLife({
      pool: connection,
      address,
      deadlines,
      retired: () => connection.leave(),
      cut: () => connection.destroy(),
    });
    this.#lives.add(life);
    const notAfterMs = Math.min(peer.notAfterMs, credential.notAfterMs);
    const wallMs = clock.wallMs();
    life.endWithin(lifeLeftMs(notAfterMs, wallMs, random()), notAfterMs - wallMs);
  }

  #headsOf(name: string, address: string, peer: PeerIdentity): ArrivedHeads {
    const { proxyId } = this.#options;
    let shared = this.#heads.get(name);
    if (shared === undefined) {
      const from = { source: sourceOfPeer(peer, proxyId), arrivals: this.#arrivals };
      shared = { heads: new ArrivedHeads(from, address, this.#room), users: 0 };
      this.#heads.set(name, shared);
    }
    shared.users += 1;
    return shared.heads;
  }

  #leaveHeads(name: string): void {
    const shared = this.#heads.get(name);
    if (shared === undefined) return;
    shared.users -= 1;
    if (shared.users > 0) return;
    shared.heads.forget();
    this.#heads.delete(name);
  }

  #shareOf(node: string): PeerShare {
    return {
      takes: () => {
        if (this.#isFull(node)) return false;
        this.#countUp(node);
        return true;
      },
      gives: () => this.#countDown(node),
    };
  }

  #leave(node: string): void {
    this.#options.engine.observer.tunnelClosed('server');
    this.#countDown(node);
  }

  #countUp(node: string): void {
    this.#byNode.set(node, (this.#byNode.get(node) ?? 0) + 1);
  }

  #countDown(node: string): void {
    const left = (this.#byNode.get(node) ?? 1) - 1;
    if (left === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, left);
  }

  #count(result: string, peer: string, message: string): void {
    this.#options.engine.observer.tunnelHandshake({ side: 'server', peer, result, message });
  }
}

type SharedHeads = { readonly heads: ArrivedHeads; users: number };

type Fault = { readonly reason: string; readonly message: string };

type Accepted = {
  readonly address: string;
  readonly peer: PeerIdentity;
  readonly credential: UsableCredential;
};
