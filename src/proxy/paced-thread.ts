// A worker thread that is told large things in pieces, each in a turn of the loop of its own: a
// structured clone of 10 000 bindings takes longer than DNS and probes may wait. Order is kept for
// everything that is posted. Pieces of one node part do not depend on each other (an address stands
// in one of them), and the snapshot comes with the last, so a new worker routes nothing before it
// knows every address.
import type { Timer, Timers } from '../lib/clock.ts';
import type { ToWorker } from './messages.ts';
import type { WorkerThread } from './worker-fleet.ts';

/** A clone of so many takes some 3 ms. */
const bindingsPerPiece = 2_000;

type Update = Extract<ToWorker, { kind: 'update' }>;

/**
 * `thread`, with large updates cut into pieces. Ending it forgets what was not posted yet; one that
 * dies by itself hears the rest as little as anything else.
 */
export function pacedThread(thread: WorkerThread, timers: Timers): WorkerThread {
  const waiting: ToWorker[] = [];
  let timer: Timer | undefined;
  const postNext = (): void => {
    timer = undefined;
    const piece = waiting.shift();
    if (piece !== undefined) thread.post(piece);
    if (waiting.length > 0) timer = timers.after(0, postNext);
  };
  return {
    post: (message) => {
      const pieces = piecesOf(message);
      if (waiting.length === 0 && pieces.length === 1) {
        thread.post(message);
        return;
      }
      waiting.push(...pieces);
      timer ??= timers.after(0, postNext);
    },
    terminate: () => {
      timer?.cancel();
      waiting.length = 0;
      thread.terminate();
    },
  };
}

function piecesOf(message: ToWorker): readonly ToWorker[] {
  if (message.kind !== 'update') return [message];
  const { node } = message;
  if (node === undefined || node.set.length <= bindingsPerPiece) return [message];
  const pieces: Update[] = [];
  for (let at = 0; at < node.set.length; at += bindingsPerPiece) {
    const isFirst = at === 0;
    const isLast = at + bindingsPerPiece >= node.set.length;
    pieces.push({
      kind: 'update',
      // Only the last piece stands for the update: the others confirm no more than what was before.
      sequence: isLast ? message.sequence : message.sequence - 1,
      slots: isLast ? message.slots : undefined,
      snapshot: isLast ? message.snapshot : undefined,
      peers: isLast ? message.peers : undefined,
      node: {
        nodeName: node.nodeName,
        isComplete: isFirst && node.isComplete,
        set: node.set.slice(at, at + bindingsPerPiece),
        removed: isFirst ? node.removed : [],
      },
    });
  }
  return pieces;
}
