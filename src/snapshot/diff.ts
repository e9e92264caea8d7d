// What changed between two snapshots, and how a worker takes it over. A delta names the version
// that it applies to; anything else than exactly that base is refused, and so is a result whose
// version is not the promised one: the worker then keeps what it has and asks for all (A6).
import { Failure } from '../lib/failure.ts';
import { byId, snapshotOf } from './build.ts';
import { decodeSection, type SnapshotFailure } from './decode.ts';
import type { SectionId, SectionRecord, Snapshot, SnapshotDelta } from './sections.ts';

export type AppliedDelta =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'failure'; readonly failure: SnapshotFailure };

/** The sections that turn `previous` into `next`; complete when there is no previous one. */
export function diffSnapshot(previous: Snapshot | undefined, next: Snapshot): SnapshotDelta {
  const changed: { id: SectionId; text: string }[] = [];
  for (const record of next.sections.values()) {
    const before = previous?.sections.get(record.id);
    if (before === record || before?.text === record.text) continue;
    changed.push({ id: record.id, text: record.text });
  }
  const removed: SectionId[] = [];
  for (const id of previous?.sections.keys() ?? []) {
    if (!next.sections.has(id)) removed.push(id);
  }
  return { version: next.version, base: previous?.version, changed, removed };
}

/** `held` as `delta` changes it. Records that did not change keep their identity. */
export function applyDelta(held: Snapshot | undefined, delta: SnapshotDelta): AppliedDelta {
  if (delta.base !== undefined && held?.version !== delta.base) {
    return refused(
      'BaseMismatch',
      `delta for ${delta.base} does not fit ${held?.version ?? 'none'}`,
    );
  }
  const fresh: SectionRecord[] = [];
  for (const { id, text } of delta.changed) {
    const before = held?.sections.get(id);
    if (before?.text === text) {
      fresh.push(before);
      continue;
    }
    const decoded = decodeSection(id, text);
    if (decoded.kind === 'failure') return decoded;
    fresh.push({ id, text, section: decoded.section });
  }
  const kept = delta.base === undefined ? [] : keptRecords(held, delta);
  const snapshot = snapshotOf(merged(kept, fresh.sort(byId)), held);
  if (snapshot.version !== delta.version) {
    return refused('VersionMismatch', `delta promised ${delta.version}, gave ${snapshot.version}`);
  }
  return { kind: 'snapshot', snapshot };
}

function keptRecords(held: Snapshot | undefined, delta: SnapshotDelta): SectionRecord[] {
  const gone = new Set<SectionId>(delta.removed);
  for (const { id } of delta.changed) gone.add(id);
  const kept: SectionRecord[] = [];
  for (const record of held?.sections.values() ?? []) {
    if (!gone.has(record.id)) kept.push(record);
  }
  return kept;
}

// Both lists are sorted by id and share none, so one pass keeps the order without a sort: with
// 20 000 sections a sort per delta would hold up a worker's traffic for milliseconds.
function merged(
  left: readonly SectionRecord[],
  right: readonly SectionRecord[],
): ReadonlyMap<SectionId, SectionRecord> {
  const all = new Map<SectionId, SectionRecord>();
  let taken = 0;
  for (const record of left) {
    for (let next = right[taken]; next !== undefined && next.id < record.id; next = right[taken]) {
      all.set(next.id, next);
      taken += 1;
    }
    all.set(record.id, record);
  }
  for (const record of right.slice(taken)) all.set(record.id, record);
  return all;
}

function refused(reason: 'BaseMismatch' | 'VersionMismatch', message: string): AppliedDelta {
  const failure = new Failure(message, { reason, origin: 'internal', retry: 'never' });
  return { kind: 'failure', failure };
}
