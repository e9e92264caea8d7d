// Heads that came by the tunnels of one caller's identity from one proxy, and the plans that follow
// from them. Such tunnels carry the requests of many clients in turn, so the last head of a
// connection says little of its next one; and whose requests they are is the certificate's, so what
// one connection has learnt holds for all. Known is what has the same bytes – but for a line of ids
// at its end (tunnel-ids.ts) – under the same table: see docs/design/0006 for why that is safe.
// Invariant: a head is found only by all of its bytes, and a plan only by its head and its table.
import type { RouteTable } from '../route/index.ts';
import { ArrivedPlan } from './arrived-plan.ts';
import type { ArrivedFrom } from './arrived-plan.ts';
import { latin1Text, lf } from './http1/bytes.ts';
import type { HttpRequestHead, KnownHeads, RequestHeadFound } from './http1/request-head.ts';
import type { RequestIds } from './http1/serialise.ts';
import { idsTailBytes, readIdsTail } from './tunnel-ids.ts';

/** So many clients × pods of one caller; more begin anew. */
const headsMax = 512;
/** Of all callers of a worker: some 8 MB with their plans, 20 where all heads are long. */
const roomMax = 4_096;
/** A longer head is parsed each time. */
const headBytesMax = 2 * 1024;
/** Callers whose heads are hardly ever the same keep only some of them. */
const missesMax = 64;
const keptOfMissed = 16;

const headEnd = Buffer.from('\r\n\r\n', 'latin1');

/** What all callers of a worker share. */
export type HeadRoom = { heads: number };

type Known = { readonly head: HttpRequestHead; plan: ArrivedPlan | undefined };

export class ArrivedHeads implements KnownHeads {
  readonly from: ArrivedFrom;
  readonly #remoteAddress: string;
  readonly #room: HeadRoom;
  /** By their bytes up to the line of ids. */
  readonly #heads = new Map<string, Known>();
  /** What was found or kept last. */
  #last: Known | undefined;
  /** In a row. */
  #misses = 0;

  constructor(from: ArrivedFrom, remoteAddress: string, room: HeadRoom) {
    this.from = from;
    this.#remoteAddress = remoteAddress;
    this.#room = room;
  }

  find(buffer: Buffer, start: number, end: number): RequestHeadFound | undefined {
    const stop = headStop(buffer, start, end);
    if (stop < 0 || stop - start > headBytesMax) return undefined;
    const ids = tailOf(buffer, start, stop);
    const known = this.#heads.get(keyOf(buffer, start, stop, ids));
    if (known === undefined) return undefined;
    this.#misses = 0;
    this.#last = known;
    return { kind: 'head', head: known.head, end: stop, ids };
  }

  keep(buffer: Buffer, start: number, end: number, head: HttpRequestHead): void {
    this.#misses += 1;
    if (this.#misses > missesMax && this.#misses % keptOfMissed !== 0) return;
    if (end - start > headBytesMax) return;
    const text = keyOf(buffer, start, end, tailOf(buffer, start, end));
    if (this.#heads.size >= headsMax || this.#room.heads >= roomMax) this.forget();
    // Others have taken it all; the next table makes room.
    if (this.#room.heads >= roomMax) return;
    this.#last = { head, plan: undefined };
    this.#heads.set(text, this.#last);
    this.#room.heads += 1;
  }

  /** What follows from a head that has just come. */
  planOf(table: RouteTable, head: HttpRequestHead): ArrivedPlan {
    const known = this.#last?.head === head ? this.#last : undefined;
    if (known?.plan?.isOf(table, head) === true) return known.plan;
    const plan = new ArrivedPlan({
      ...this.from,
      table,
      head,
      remoteAddress: this.#remoteAddress,
    });
    if (known !== undefined) known.plan = plan;
    return plan;
  }

  /** Plans of an old table keep it alive. */
  forget(): void {
    this.#room.heads -= this.#heads.size;
    this.#heads.clear();
    this.#last = undefined;
  }
}

/** Behind the first empty line; -1: there is none yet. */
function headStop(buffer: Buffer, start: number, end: number): number {
  // What it finds behind `end` is of an older read.
  const at = buffer.indexOf(headEnd, start);
  return at < 0 || at + headEnd.length > end ? -1 : at + headEnd.length;
}

/** The ids that end a head. They have to be a line: the same text in another field says nothing. */
function tailOf(buffer: Buffer, start: number, end: number): RequestIds | undefined {
  const split = end - idsTailBytes;
  return split > start && buffer[split - 1] === lf ? readIdsTail(buffer, end) : undefined;
}

/** The bytes of a head but for the line of ids; one without ids ends with an empty line. */
function keyOf(buffer: Buffer, start: number, end: number, ids: RequestIds | undefined): string {
  return latin1Text(buffer, start, ids === undefined ? end : end - idsTailBytes);
}
