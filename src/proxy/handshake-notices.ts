// Which failed handshakes of tunnels are worth a line of the log: the first of each peer and
// outcome, and once a minute what came since. What peers there are may be an attacker's choice, so
// the list is bounded: when it is full it is begun anew.
import type { HandshakeFacts } from '../dataplane/index.ts';

const everyMs = 60_000;
const knownMax = 256;

export type HandshakeNotice = HandshakeFacts & {
  /** Of this peer and outcome, since the last notice. */
  readonly count: number;
};

type Known = { toldMs: number; count: number };

export class HandshakeNotices {
  readonly #known = new Map<string, Known>();

  /** A handshake has ended; what there is to tell. */
  note(facts: HandshakeFacts, nowMs: number): HandshakeNotice | undefined {
    if (facts.result === 'ok') return undefined;
    const key = `${facts.side} ${facts.result} ${facts.peer}`;
    const known = this.#known.get(key);
    if (known !== undefined && nowMs < known.toldMs + everyMs) {
      known.count += 1;
      return undefined;
    }
    if (this.#known.size >= knownMax) this.#known.clear();
    this.#known.set(key, { toldMs: nowMs, count: 0 });
    return { ...facts, count: (known?.count ?? 0) + 1 };
  }
}
