// What is asked of a connection to the tunnels' port before its first byte is read
// (docs/design/0008, "Accepting on 15008", 1–3): a place among those that are not authenticated, an
// address that is a proxy's, and a turn, because a handshake costs a millisecond of CPU. Nothing
// here reads, writes or judges anybody. Invariant: every socket that was let in leaves once, and no
// later than its deadline.
import { normaliseAddress } from '../lib/address.ts';
import type { NetworkSocket } from '../lib/network.ts';
import type { PeerPart } from '../snapshot/index.ts';
import { Deadline } from './deadlines.ts';
import type { Deadlines } from './deadlines.ts';

/** Of one worker, not authenticated; each holds a socket and, later, OpenSSL's 40 KiB. */
const openMax = 512;
/** From one address of a peer: all workers of a proxy that has lost every tunnel. */
const openPerPeerMax = 256;
/** From one address that is no proxy's (yet), and from all of those. */
const openPerStrangerMax = 16;
const strangersMax = 64;
/** A new proxy may dial before its address is known here. */
const strangerWaitMs = 2_000;
/** From accept to the end of the handshake. */
const admissionMs = 5_000;
/** A fifth of a core at 0.9 ms each. */
const turnsPerSecond = 220;
const turnsBurst = 440;

/** Why a connection was not let in, or did not get through in time. */
export type GateRefusal = 'Limit' | 'PeerUnknown' | 'Timeout' | 'Closed';

export type GateOptions = {
  readonly deadlines: Deadlines;
  /** Undefined: nobody has told of peers, and all are strangers. */
  readonly peers: () => PeerPart | undefined;
  /** It is its turn: TLS may begin. The pass is given back when the handshake has ended. */
  readonly enter: (socket: NetworkSocket, pass: GatePass) => void;
  readonly refused: (why: GateRefusal, address: string) => void;
};

export class TunnelGate {
  readonly #options: GateOptions;
  readonly #passes = new Set<GatePass>();
  readonly #byAddress = new Map<string, number>();
  readonly #strangers = new Set<GatePass>();
  /** Known, waiting for their turns. */
  #waiting: GatePass[] = [];
  #turns = turnsBurst;
  #turnsMs: number;
  readonly #nextTurn = new Deadline(() => this.#giveTurns());
  #isClosed = false;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#turnsMs = options.deadlines.nowMs();
  }

  /** Connections that are not authenticated yet. */
  get open(): number {
    return this.#passes.size;
  }

  /** A connection was accepted; not a byte of it has been read. */
  admit(socket: NetworkSocket): void {
    const address = normaliseAddress(socket.remoteAddress ?? '');
    // The peer was gone before it was accepted.
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const isKnown = this.#isPeer(address);
    const fromThere = this.#byAddress.get(address) ?? 0;
    const isOver = this.#isClosed || this.#passes.size >= openMax
      || fromThere >= (isKnown ? openPerPeerMax : openPerStrangerMax)
      || (!isKnown && this.#strangers.size >= strangersMax);
    if (isOver) {
      this.#options.refused('Limit', address);
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    this.#byAddress.set(address, fromThere + 1);
    const pass = new GatePass(this, socket, address);
    this.#passes.add(pass);
    this.#options.deadlines.arm(pass.deadline, admissionMs);
    if (isKnown) this.#queue(pass);
    else this.#waitForPeer(pass);
  }

  /** The peers have changed: who waits may be one now. */
  peersChanged(): void {
    for (const pass of [...this.#strangers]) {
      if (!this.#isPeer(pass.address)) continue;
      this.#strangers.delete(pass);
      this.#options.deadlines.disarm(pass.patience);
      this.#queue(pass);
    }
  }

  /** Cuts all that are not authenticated; nobody is let in any more. */
  close(): void {
    this.#isClosed = true;
    this.#options.deadlines.disarm(this.#nextTurn);
    for (const pass of [...this.#passes]) pass.cut('Closed');
  }

  /** For passes alone: `pass` is over. False: it was before. */
  leave(pass: GatePass): boolean {
    if (!this.#passes.delete(pass)) return false;
    const { deadlines } = this.#options;
    deadlines.disarm(pass.deadline);
    deadlines.disarm(pass.patience);
    this.#strangers.delete(pass);
    const left = (this.#byAddress.get(pass.address) ?? 1) - 1;
    if (left === 0) this.#byAddress.delete(pass.address);
    else this.#byAddress.set(pass.address, left);
    return true;
  }

  /** For passes alone. */
  refuse(pass: GatePass, why: GateRefusal): void {
    if (this.leave(pass)) this.#options.refused(why, pass.address);
  }

  #isPeer(address: string): boolean {
    return this.#options.peers()?.nodes.has(address) === true;
  }

  #waitForPeer(pass: GatePass): void {
    this.#strangers.add(pass);
    this.#options.deadlines.arm(pass.patience, strangerWaitMs);
  }

  #queue(pass: GatePass): void {
    // Those that have left are passed over when their turn comes; they shall not pile up till then.
    if (this.#waiting.length > 2 * openMax) {
      this.#waiting = this.#waiting.filter((one) => this.#passes.has(one));
    }
    this.#waiting.push(pass);
    this.#giveTurns();
  }

  /** A bucket of turns; who is at its front goes in, in the order of arrival. */
  #giveTurns(): void {
    const nowMs = this.#options.deadlines.nowMs();
    const earned = ((nowMs - this.#turnsMs) * turnsPerSecond) / 1_000;
    this.#turns = Math.min(turnsBurst, this.#turns + earned);
    this.#turnsMs = nowMs;
    while (this.#waiting.length > 0 && this.#turns >= 1) {
      const pass = this.#waiting.shift();
      // Those that have left in the meantime take no turn.
      if (pass === undefined || !this.#passes.has(pass)) continue;
      this.#turns -= 1;
      pass.enter();
      this.#options.enter(pass.socket, pass);
    }
    if (this.#waiting.length > 0 && !this.#isClosed) {
      this.#options.deadlines.arm(this.#nextTurn, 1_000 / turnsPerSecond);
    }
  }
}

/** One connection's place among those that are not authenticated. */
export class GatePass {
  readonly socket: NetworkSocket;
  /** Normalised. */
  readonly address: string;
  /** The end of all of it. */
  readonly deadline: Deadline;
  /** How long it may be a stranger. */
  readonly patience: Deadline;
  readonly #gate: TunnelGate;
  #isEntered = false;

  constructor(gate: TunnelGate, socket: NetworkSocket, address: string) {
    this.#gate = gate;
    this.socket = socket;
    this.address = address;
    this.deadline = new Deadline(() => this.cut('Timeout'));
    this.patience = new Deadline(() => this.cut('PeerUnknown'));
    socket.on('error', () => undefined);
    // While a handshake is under way its end is told by who began it.
    socket.on('close', () => {
      if (!this.#isEntered) this.giveBack();
    });
  }

  /** The handshake begins; whoever begins it gives the pass back. */
  enter(): void {
    this.#isEntered = true;
  }

  /** The handshake has ended, either way. False: it was over before. */
  giveBack(): boolean {
    return this.#gate.leave(this);
  }

  /** It ends here. */
  cut(why: GateRefusal): void {
    this.#gate.refuse(this, why);
    this.socket.destroy();
  }
}
