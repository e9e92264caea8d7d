// An SMI object as the controller must see it besides what is compiled: which generation it is,
// which conditions it carries, whether it can be read at all, and – R-46 – whether a client of an
// old version has dropped its `matches`. Everything else of it is left behind. Pure.
import { parsers } from '../api/index.ts';
import type { Problem } from '../api/index.ts';
import { readConditions, type Condition } from './conditions.ts';
import { listAt, textAt, valueAt } from './raw-object.ts';

/** The kinds that carry conditions. */
export const smiKinds = [
  'TrafficTarget',
  'HTTPRouteGroup',
  'TCPRoute',
  'UDPRoute',
  'TrafficSplit',
] as const;
export type SmiKind = (typeof smiKinds)[number];

export type ObjectFacts = {
  readonly kind: SmiKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  /** `group/version` through which it was read, and through which its status is written. */
  readonly apiVersion: string;
  readonly isDeleting: boolean;
  /** Can be read; else `problems` are all that there is to say. */
  readonly isReadable: boolean;
  /** What reading it found, and R-46; the rest comes from the topology. */
  readonly problems: readonly Problem[];
  readonly conditions: readonly Condition[];
  /** Of a split: it takes some requests only. */
  readonly hasMatches: boolean;
  /** When somebody last wrote it through v1alpha1 or v1alpha2 (RFC 3339); empty for never. */
  readonly oldWriteTime: string;
};

/** `previous` is what was known of the object before, when it is the same one. */
export function readFacts(
  kind: SmiKind,
  object: unknown,
  previous: ObjectFacts | undefined,
): ObjectFacts | undefined {
  const name = textAt(object, 'metadata', 'name');
  const namespace = textAt(object, 'metadata', 'namespace');
  const uid = textAt(object, 'metadata', 'uid');
  const generation = valueAt(object, 'metadata', 'generation');
  const apiVersion = textAt(object, 'apiVersion');
  if (name === undefined || namespace === undefined || uid === undefined) return undefined;
  if (typeof generation !== 'number' || apiVersion === undefined) return undefined;
  const parsed = parsers[kind](object);
  const conditions = readConditions(object);
  const hasMatches = listAt(object, 'spec', 'matches').length > 0;
  const before = previous?.uid === uid ? previous : undefined;
  const subject = { kind, namespace, name };
  const { time: oldWriteTime, isLast } = lastOldWrite(object);
  const loss = { hasMatches, generation, conditions, before, oldWriteTime };
  const dropped = kind === 'TrafficSplit' && isLast && hasLostMatches(loss);
  return {
    ...subject,
    uid,
    generation,
    resourceVersion: textAt(object, 'metadata', 'resourceVersion') ?? '',
    apiVersion,
    isDeleting: textAt(object, 'metadata', 'deletionTimestamp') !== undefined,
    isReadable: parsed.value !== undefined,
    problems: dropped ? [...parsed.problems, matchesDropped(subject)] : parsed.problems,
    conditions,
    hasMatches,
    oldWriteTime,
  };
}

type Loss = Pick<ObjectFacts, 'hasMatches' | 'generation' | 'conditions' | 'oldWriteTime'> & {
  readonly before: ObjectFacts | undefined;
};

/**
 * A new generation without the matches of the one before, written through v1alpha1 or v1alpha2;
 * and so it stays – also for a controller that started later and finds it among the conditions –
 * until somebody writes matches again, or the object through a newer version.
 */
function hasLostMatches(loss: Loss): boolean {
  const { before, conditions } = loss;
  if (loss.hasMatches) return false;
  if (conditions.some(({ reason }) => reason === 'MatchesDropped')) return true;
  if (before === undefined) return false;
  if (before.problems.some(({ reason }) => reason === 'MatchesDropped')) return true;
  const isNew = loss.generation > before.generation && loss.oldWriteTime > before.oldWriteTime;
  return before.hasMatches && isNew;
}

/**
 * When somebody last changed a field of the object itself through an old version, and whether
 * nobody has changed its spec through a newer one since. An annotation that an old client sets
 * counts: it replaced the object. Who only removes a field leaves no entry: then nobody can tell
 * who it was, and nothing is said.
 */
function lastOldWrite(object: unknown): { readonly time: string; readonly isLast: boolean } {
  let [old, newer] = ['', ''];
  for (const entry of listAt(object, 'metadata', 'managedFields')) {
    if (textAt(entry, 'subresource') === 'status') continue;
    const time = textAt(entry, 'time') ?? '';
    const hasSpec = valueAt(entry, 'fieldsV1', 'f:spec') !== undefined;
    // RFC 3339 in UTC, in whole seconds: the order of the texts is that of the times.
    if (/\/v1alpha[12]$/.test(textAt(entry, 'apiVersion') ?? '')) old = time > old ? time : old;
    else if (hasSpec) newer = time > newer ? time : newer;
  }
  return { time: old, isLast: old !== '' && old >= newer };
}

function matchesDropped(subject: Pick<ObjectFacts, 'kind' | 'namespace' | 'name'>): Problem {
  const message =
    'spec.matches was removed by a client that writes v1alpha1 or v1alpha2, so the split takes ' +
    'all requests now: apply the matches again, and let that client use v1alpha3 or PATCH';
  return { reason: 'MatchesDropped', ...subject, message };
}
