// What the soak does, from one seed: connections ("visits") with one to twelve exchanges each, and
// how each of them ends. Only the last exchange of a visit may break off, so every one before it
// has one right answer. The pod learns its part from the request target: `/ID?deed.bytes`.
import type { Random } from '../../src/lib/clock.ts';
import { seededRandom } from '../../src/lib/random.ts';

/** The pod answers whole; the client must get exactly that. */
export const wholeDeeds = [
  'length',
  'length',
  'length',
  'chunked',
  'trailers',
  'until-close',
  'no-content',
  'not-modified',
  'hints',
  'slow',
  'extra',
  'close-after',
  'refuse-switch',
] as const;

/** The pod breaks off, lies or falls silent. */
export const brokenDeeds = [
  'reset',
  'fin',
  'half-head',
  'cut-length',
  'cut-chunked',
  'reset-body',
  'silence',
  'stall-body',
  'garbage',
  'two-lengths',
  'early',
] as const;
const longDeeds = ['deaf'] as const;

/** Ends of an upgraded connection. */
export const tunnelDeeds = ['switch-echo', 'switch-fin', 'switch-reset', 'switch-stay'] as const;

const allDeeds = [...wholeDeeds, ...brokenDeeds, ...longDeeds, ...tunnelDeeds];

export type PodDeed = (typeof allDeeds)[number];

/** How the client ends its visit. */
export const visitEnds = [
  'close',
  'close',
  'fin',
  'fin',
  'leave',
  'says-close',
  'pod-breaks',
  'pod-breaks',
  'continue',
  'tunnel',
  'tunnel-reset',
  'cut-head',
  'stall-head',
  'cut-body',
  'cut-chunks',
  'reset-body',
  'stall-body',
  'reset-after',
  'leave-after',
  'reset-inside',
] as const;

/** These move megabytes, so there are fewer of them. */
const longEnds = ['unread', 'unread', 'deaf'] as const;
const longShare = 0.01;

export type VisitEnd = (typeof visitEnds)[number] | (typeof longEnds)[number];

export type PlannedExchange = {
  readonly id: string;
  readonly method: string;
  readonly deed: PodDeed;
  /** Of the answer's body. */
  readonly answerBytes: number;
  readonly framing: 'none' | 'length' | 'chunked';
  readonly bodyBytes: number;
};

export type Visit = {
  readonly exchanges: readonly PlannedExchange[];
  readonly end: VisitEnd;
  readonly isPipelined: boolean;
  /** Cuts, waits and the like. */
  readonly random: Random;
};

/** Visit `number` of the run with this seed. */
export function planVisit(seed: number, number: number): Visit {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ number);
  const end = random() < longShare ? pick(longEnds, random) : pick(visitEnds, random);
  const count = 1 + Math.floor(random() * 12);
  const exchanges = Array.from({ length: count }, (_, index) => {
    const id = `${number}-${index}`;
    return index === count - 1 ? planLast(id, end, random) : planWhole(id, random);
  });
  return { exchanges, end, isPipelined: random() < 0.3, random };
}

function planWhole(id: string, random: Random): PlannedExchange {
  const method = pick(['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE'], random);
  const hasBody = method === 'POST' || method === 'PUT';
  const deed = pick(wholeDeeds, random);
  return {
    id,
    method,
    deed,
    // What is extra has to come in the same read: later it could be the answer to a later request,
    // and nobody could tell.
    answerBytes: deed === 'extra' ? 100 : someBytes(random),
    framing: hasBody ? pick(['length', 'chunked'] as const, random) : 'none',
    bodyBytes: hasBody ? someBytes(random) : 0,
  };
}

/** Mostly small, rarely more than what is kept for a retry. */
function someBytes(random: Random): number {
  const chance = random();
  if (chance < 0.7) return 20 + Math.floor(random() * 500);
  if (chance < 0.97) return Math.floor(random() * 10_000);
  return Math.floor(random() * 120_000);
}

/** More than two sockets' buffers hold when nobody reads. */
const longBytes = 3_000_000;

function planLast(id: string, end: VisitEnd, random: Random): PlannedExchange {
  const whole = planWhole(id, random);
  const framing = pick(['length', 'chunked'] as const, random);
  switch (end) {
    case 'close':
    case 'fin':
    case 'leave':
    case 'says-close':
      return whole;
    case 'pod-breaks':
      return planBroken(whole, pick(brokenDeeds, random));
    case 'continue': {
      const deed = pick(['length', 'early', 'reset', 'silence'] as const, random);
      return { ...whole, method: 'POST', framing, bodyBytes: 3_000, deed };
    }
    case 'tunnel':
    case 'tunnel-reset':
      return { ...bodyless(whole), deed: pick(tunnelDeeds, random) };
    case 'cut-head':
    case 'stall-head':
      return bodyless(whole);
    case 'cut-body':
    case 'stall-body':
    case 'reset-body':
      return { ...whole, method: 'POST', framing, bodyBytes: 4_000, deed: 'length' };
    case 'cut-chunks':
      return { ...whole, method: 'PUT', framing: 'chunked', bodyBytes: 9_000, deed: 'length' };
    case 'reset-after':
    case 'leave-after':
      return { ...whole, deed: pick(['silence', 'slow', 'length', 'stall-body'] as const, random) };
    case 'reset-inside':
      return { ...bodyless(whole), deed: 'length', answerBytes: 300_000 };
    case 'unread':
      return { ...bodyless(whole), deed: 'length', answerBytes: longBytes };
    case 'deaf':
      return { ...whole, method: 'POST', framing: 'length', bodyBytes: longBytes, deed: 'deaf' };
  }
}

/** An answer can only be early when there is a body to come. */
function planBroken(whole: PlannedExchange, deed: PodDeed): PlannedExchange {
  if (deed !== 'early') return { ...whole, deed, answerBytes: 2_000 };
  return { ...whole, method: 'POST', framing: 'length', bodyBytes: 20_000, deed };
}

function bodyless(planned: PlannedExchange): PlannedExchange {
  return { ...planned, method: 'GET', framing: 'none', bodyBytes: 0 };
}

export function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

export function targetOf({ id, deed, answerBytes }: PlannedExchange): string {
  return `/${id}?${deed}.${answerBytes}`;
}

/** The pod's part, read back from the target. */
export function readTarget(target: string): {
  readonly id: string;
  readonly deed: PodDeed;
  readonly answerBytes: number;
} {
  const [, id = '', deed = '', bytes = ''] = /^\/(\S+)\?([a-z-]+)\.(\d+)$/.exec(target) ?? [];
  const known = allDeeds.find((one) => one === deed);
  if (known === undefined) throw new Error(`no deed in ${target}`);
  return { id, deed: known, answerBytes: Number(bytes) };
}
